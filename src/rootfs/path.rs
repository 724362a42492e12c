//! Paths of layers: bytes, relative to the root, without `.` and `..`.

use std::fmt;

/// A path as a message shows it: bytes that are not text, and control characters, are escaped.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match str::from_utf8(self.0) {
            Ok(text) => write!(f, "{}", text.escape_debug()),
            Err(_) => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}

/// A path's directory (empty for the root) and its last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// A directory's path with a name below it.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The path and all directories above it, shortest first, without the root.
pub(crate) fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.chain((!path.is_empty()).then_some(path.len())).map(|end| &path[..end])
}

/// What an entry's name means to the layers below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker<'a> {
    /// Nothing: a file.
    None,
    /// The named sibling of lower layers is gone.
    Whiteout(&'a [u8]),
    /// All that lower layers have in this directory is gone.
    Opaque,
    /// Bookkeeping of the aufs file system; means nothing here.
    Foreign,
}

/// Reads a name as OCI's image layer specification does (`.wh.NAME`, `.wh..wh..opq`).
pub(crate) fn marker(name: &[u8]) -> Marker<'_> {
    match name.strip_prefix(b".wh.") {
        None => Marker::None,
        Some(b".wh..opq") => Marker::Opaque,
        Some(rest) if rest.starts_with(b".wh.") => Marker::Foreign,
        Some(b"" | b"." | b"..") => Marker::Foreign,
        Some(hidden) => Marker::Whiteout(hidden),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_splits_joins_and_has_prefixes() {
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"a/b", b"c"), b"a/b/c");
        assert_eq!(prefixes(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b", b"a/b/c"]);
        assert_eq!(prefixes(b"").count(), 0);
    }

    #[test]
    fn names_that_begin_with_wh_are_markers() {
        for (name, want) in [
            ("x", Marker::None),
            (".wh", Marker::None),
            (".wh.x", Marker::Whiteout(b"x")),
            (".wh..x", Marker::Whiteout(b".x")),
            (".wh..wh..opq", Marker::Opaque),
            (".wh..wh.plnk", Marker::Foreign),
            (".wh.", Marker::Foreign),
            (".wh..", Marker::Foreign),
            (".wh...", Marker::Foreign),
        ] {
            assert_eq!(marker(name.as_bytes()), want, "{name}");
        }
    }
}
