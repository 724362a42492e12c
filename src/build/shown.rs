//! Paths in messages.

/// A path as a message shows it: control characters and bytes that are not text are escaped.
pub(crate) fn shown(path: &[u8]) -> String {
    match str::from_utf8(path) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => path.escape_ascii().to_string(),
    }
}
