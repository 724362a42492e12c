//! What a file is that is no tar, as far as its first bytes tell: people load the wrong file, or a proxy's web page.

use std::io::{self, Cursor, Read};

use super::FORMAT;
use crate::ContentError;
use crate::packing::Peeked;
use crate::tar::is_tar;

/// Bytes that are looked at: a tar's first header.
const LOOKED_AT: u64 = 512;
/// Characters of a text that are shown.
const SHOWN: usize = 40;

/// Looks at a stream's first bytes, which are read again from the stream that is returned.
///
/// # Errors
/// When they cannot be read, or are no tar's: the inner error.
pub(super) fn refuse<R: Read>(place: &str, mut input: R) -> io::Result<Result<Peeked<R>, ContentError>> {
    let mut head = Vec::new();
    input.by_ref().take(LOOKED_AT).read_to_end(&mut head)?;
    Ok(match what(&head) {
        Some(reason) => Err(ContentError::Format { place: place.to_owned(), format: FORMAT, reason }),
        None => Ok(Cursor::new(head).chain(input)),
    })
}

fn what(head: &[u8]) -> Option<String> {
    let is_zip = head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06");
    let start = String::from_utf8_lossy(&head[..head.len().min(SHOWN)]).trim_start().to_lowercase();
    Some(match head {
        [] => "it is empty".to_owned(),
        head if is_tar(head) => return None,
        // Two blocks of zeros: a tar of nothing.
        head if head.iter().all(|byte| *byte == 0) => return None,
        _ if is_zip => "it is a zip archive".to_owned(),
        [0x7f, b'E', b'L', b'F', ..] => "it is a program".to_owned(),
        _ if start.starts_with("<!doctype html") || start.starts_with("<html") => {
            "it is a web page; whoever made it may have wanted a login, or said that the file is not there".to_owned()
        }
        head if is_text(head) => format!("it is a text that begins with `{}`", first_line(head)),
        // A tar whose first header is damaged, or a piece of one: the reader says where.
        head if head.len() >= 512 && head[257..].starts_with(b"ustar") => return None,
        _ => "it is no tar, neither as it is nor compressed with gzip, zstd, xz or bzip2".to_owned(),
    })
}

fn is_text(head: &[u8]) -> bool {
    let whole = match str::from_utf8(head) {
        Ok(text) => text,
        // A character may be cut at the end.
        Err(error) if error.error_len().is_none() => str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
        Err(_) => return false,
    };
    !whole.is_empty() && whole.chars().all(|it| !it.is_control() || it.is_whitespace())
}

fn first_line(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head);
    let line = text.trim_start().lines().next().unwrap_or_default().trim_end();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_tar_is_called_what_it_is() {
        let tar = crate::tar::TarWriter::new(Vec::new()).finish().unwrap();
        for (head, want) in [
            (&b""[..], Some("it is empty")),
            (&tar[..], None),
            (b"hello world\nand more", Some("it is a text that begins with `hello world`")),
            (b"\n{\"a\": 1}", Some("it is a text that begins with `{\"a\": 1}`")),
            (b"<!DOCTYPE HTML><html>", Some("it is a web page")),
            (b"PK\x03\x04\0\0", Some("it is a zip archive")),
            (b"\x7fELF\x02", Some("it is a program")),
            (b"\xff\xfe\x00\x01", Some("it is no tar")),
            ("ä".repeat(50).as_bytes(), Some("…`")),
            (&"ä".as_bytes()[..1], Some("it is no tar")),
        ] {
            let got = what(head);
            let fits = match (&got, want) {
                (Some(got), Some(want)) => got.starts_with(want) || got.ends_with(want),
                (got, want) => got.as_deref() == want,
            };
            assert!(fits, "{}: {got:?}", head.escape_ascii());
        }
    }
}
