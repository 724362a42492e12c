//! Patterns of sources, one path component after the other: `*`, `?`, `[a-z]`, `\x` as in Go's `path.Match`, and `**`
//! for directories of any depth.

use super::error::BuildError;
use super::shown::shown;

/// One component of a pattern.
pub(crate) enum Pattern {
    /// A plain name.
    Name(Vec<u8>),
    /// `**`.
    AnyDepth,
    /// A pattern for one name.
    Wild(Glob),
}

/// A pattern for one name.
pub(crate) struct Glob(Vec<Token>);

enum Token {
    Byte(u8),
    AnyCharacter,
    AnyRun,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// The components of a pattern.
pub(crate) fn parts(pattern: &[u8]) -> impl Iterator<Item = &[u8]> {
    pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

impl Pattern {
    /// Reads a component.
    ///
    /// # Errors
    /// When a class is not closed or empty, or a `\` escapes nothing.
    pub(crate) fn parse(part: &[u8]) -> Result<Self, BuildError> {
        if part == b"**" {
            return Ok(Self::AnyDepth);
        }
        let tokens = tokens(part).ok_or_else(|| BuildError::Value {
            what: "the pattern",
            text: shown(part),
            reason: "a class is not closed, or a `\\` stands at the end".to_owned(),
        })?;
        let name: Option<Vec<u8>> =
            tokens.iter().map(|token| if let Token::Byte(byte) = token { Some(*byte) } else { None }).collect();
        Ok(name.map_or(Self::Wild(Glob(tokens)), Self::Name))
    }
}

fn tokens(part: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < part.len() {
        at += 1;
        tokens.push(match part[at - 1] {
            b'*' => Token::AnyRun,
            b'?' => Token::AnyCharacter,
            b'\\' => {
                at += 1;
                Token::Byte(*part.get(at - 1)?)
            }
            b'[' => {
                let (token, length) = class(&part[at..])?;
                at += length;
                token
            }
            byte => Token::Byte(byte),
        });
    }
    Some(tokens)
}

/// A class behind its `[`, and its length with the `]`.
fn class(bytes: &[u8]) -> Option<(Token, usize)> {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = text.char_indices().peekable();
    let negated = rest.next_if(|(_, c)| *c == '^').is_some();
    let mut ranges = Vec::new();
    loop {
        let (at, first) = rest.next()?;
        if first == ']' && !ranges.is_empty() {
            return Some((Token::Class { negated, ranges }, at + 1));
        }
        let escaped = |c: char, rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>| match c {
            '\\' => rest.next().map(|(_, c)| c),
            ']' | '-' => None,
            c => Some(c),
        };
        let first = escaped(first, &mut rest)?;
        let last = match rest.next_if(|(_, c)| *c == '-') {
            Some(_) => {
                let (_, last) = rest.next()?;
                escaped(last, &mut rest)?
            }
            None => first,
        };
        ranges.push((first, last));
    }
}

impl Glob {
    /// Whether a name matches. `*` backtracks to its last occurrence only, so the time is at most quadratic.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.0.get(token) {
                Some(Token::AnyRun) => {
                    retry = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(other) => {
                    if let Some(length) = other.take(&name[at..]) {
                        token += 1;
                        at += length;
                        continue;
                    }
                }
                None => {}
            }
            let Some((star, from)) = retry else { return false };
            retry = Some((star, from + 1));
            (token, at) = (star + 1, from + 1);
        }
        self.0[token..].iter().all(|token| matches!(token, Token::AnyRun))
    }
}

impl Token {
    /// How many bytes of the name this takes; none if it does not match.
    fn take(&self, name: &[u8]) -> Option<usize> {
        match self {
            Self::Byte(byte) => (name.first() == Some(byte)).then_some(1),
            Self::AnyRun => Some(0),
            Self::AnyCharacter => Some(character(name).1),
            Self::Class { negated, ranges } => {
                let (c, length) = character(name);
                let c = c?;
                (ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated).then_some(length)
            }
        }
    }
}

/// The first character of a name and its length in bytes; bytes that are not text are characters of their own.
fn character(name: &[u8]) -> (Option<char>, usize) {
    let valid = match str::from_utf8(name) {
        Ok(text) => text,
        Err(error) => str::from_utf8(&name[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().map_or((None, 1), |c| (Some(c), c.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_go_matches_them() {
        for (pattern, name, want) in [
            ("*.txt", "a.txt", true),
            ("*.txt", ".txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a?c", "aéc", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxx", false),
            ("*", "", true),
        ] {
            let matches = match Pattern::parse(pattern.as_bytes()).unwrap() {
                Pattern::Wild(glob) => glob.matches(name.as_bytes()),
                Pattern::Name(plain) => plain == name.as_bytes(),
                Pattern::AnyDepth => true,
            };
            assert_eq!(matches, want, "{pattern} on {name}");
        }
        for bad in ["[", "[]", "[a", "a\\", "[a-]", "[-a]"] {
            assert!(Pattern::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
