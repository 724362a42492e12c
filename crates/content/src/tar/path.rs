//! Paths inside a tar: bytes between slashes, relative to a root.

/// Why a path cannot stand in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Absolute, or with a `..` component.
    Escape,
    /// A NUL inside.
    Nul,
}

/// The one form of a path: no leading, trailing or doubled slash and no `.` component; empty for the root.
pub(super) fn normalise(raw: &[u8]) -> Result<Vec<u8>, Refused> {
    if raw.contains(&0) {
        return Err(Refused::Nul);
    }
    // umoci writes the root directory as `/`; nothing can leave through it.
    if raw.first() == Some(&b'/') && raw != b"/" {
        return Err(Refused::Escape);
    }
    let mut path = Vec::with_capacity(raw.len());
    for part in raw.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(Refused::Escape),
            _ => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(part);
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form_and_cannot_leave_the_root() {
        for (raw, want) in [
            ("a", Ok("a")),
            ("./a//b/", Ok("a/b")),
            ("./", Ok("")),
            (".", Ok("")),
            ("", Ok("")),
            ("a/./b/.", Ok("a/b")),
            ("..a/b..", Ok("..a/b..")),
            ("...", Ok("...")),
            ("/", Ok("")),
            ("/a", Err(Refused::Escape)),
            ("//", Err(Refused::Escape)),
            ("..", Err(Refused::Escape)),
            ("a/../b", Err(Refused::Escape)),
            ("a/..", Err(Refused::Escape)),
            ("./../a", Err(Refused::Escape)),
            ("a\0b", Err(Refused::Nul)),
        ] {
            assert_eq!(normalise(raw.as_bytes()), want.map(|path| path.as_bytes().to_vec()), "{raw:?}");
        }
    }
}
