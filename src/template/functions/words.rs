//! Sprig's functions on words: cases, initials, abbreviations and wrapping.

use super::super::value::Value;
use super::strings::{MAX_TEXT, lower, upper};
use super::{Answer, Builtin, from_bytes, int, row, text};
use crate::template::error::CallError;

pub(crate) const TABLE: &[Builtin] = &[
    row("initials", "s", |_, a| {
        Ok(Value::from(text(a, 0).split_whitespace().filter_map(|w| w.chars().next()).collect::<String>()))
    }),
    row("swapcase", "s", |_, a| Ok(Value::from(text(a, 0).chars().map(swap).collect::<String>()))),
    row("snakecase", "s", |_, a| Ok(Value::from(separated(text(a, 0), '_')))),
    row("kebabcase", "s", |_, a| Ok(Value::from(separated(text(a, 0), '-')))),
    row("camelcase", "s", |_, a| Ok(Value::from(pascal(text(a, 0))))),
    row("abbrev", "is", |_, a| Ok(abbreviate(0, int(a, 0), text(a, 1)))),
    row("abbrevboth", "iis", |_, a| {
        let (left, right) = (int(a, 0), int(a, 1));
        Ok(if left > 0 && right < 7 { Value::string(text(a, 2)) } else { abbreviate(left, right, text(a, 2)) })
    }),
    row("wrap", "is", |_, a| wrap(text(a, 1), int(a, 0), "\n", LongWords::Keep)),
    row("wrapWith", "iss", |_, a| wrap(text(a, 2), int(a, 0), text(a, 1), LongWords::Break)),
];

fn swap(c: char) -> char {
    if c.is_uppercase() { lower(c) } else { upper(c) }
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// `some_words` to `SomeWords`; connectors at the ends stay.
fn pascal(source: &str) -> String {
    let start = source.find(|c| !is_connector(c)).unwrap_or(source.len());
    let (lead, rest) = source.split_at(start);
    let mut out = lead.to_owned();
    let mut chars = rest.chars();
    let Some(first) = chars.next() else {
        // The original repeats the last connector of a text of nothing else.
        out.extend(lead.chars().next_back());
        return out;
    };
    let mut lowering = first.is_uppercase();
    let mut held = upper(first);
    for c in chars {
        let previous = held;
        held = c;
        if is_connector(c) && is_connector(previous) {
            out.push(previous);
            continue;
        }
        if is_connector(previous) {
            lowering = c.is_uppercase();
            held = upper(c);
            continue;
        }
        if lowering {
            if c.is_uppercase() {
                held = lower(c);
            } else {
                lowering = false;
            }
        }
        out.push(previous);
    }
    out.push(held);
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    End,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

fn is_punctuation(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c);
    }
    matches!(c as u32, 0xa1 | 0xa7 | 0xab | 0xb6 | 0xb7 | 0xbb | 0xbf | 0x2010..=0x2027 | 0x2030..=0x205e | 0x3001..=0x3003 | 0x3008..=0x3011 | 0xff01..=0xff0f)
}

/// The next word: its class, itself, and what follows.
fn next_word(source: &str) -> (Word, &str, &str) {
    let mut chars = source.chars();
    let Some(first) = chars.next() else { return (Word::End, "", "") };
    let run =
        |from: usize, test: &dyn Fn(char) -> bool| source[from..].find(|c| !test(c)).map_or(source.len(), |i| from + i);
    let small = |c: char| c.is_alphabetic() && !c.is_uppercase();
    let one = first.len_utf8();
    let (word, end) = if is_connector(first) {
        (Word::Connector, run(0, &is_connector))
    } else if is_punctuation(first) {
        (Word::Punctuation, run(0, &is_punctuation))
    } else if first.is_uppercase() {
        let end = match chars.next() {
            Some(second) if second.is_uppercase() => {
                let end = run(0, &char::is_uppercase);
                let last = source[..end].chars().next_back().map_or(0, char::len_utf8);
                // In "HTTPStatus" the S belongs to the next word.
                if source[end..].starts_with(char::is_alphabetic) { end - last } else { end }
            }
            Some(second) if second.is_alphabetic() => run(one, &small),
            _ => one,
        };
        (Word::Upper, end)
    } else if first.is_alphabetic() {
        (Word::Letters, run(0, &small))
    } else if first.is_numeric() {
        (Word::Number, run(0, &char::is_numeric))
    } else {
        let plain = |c: char| !(is_connector(c) || c.is_alphanumeric() || is_punctuation(c));
        (Word::Other, run(0, &plain))
    };
    (word, &source[..end], &source[end..])
}

fn put(out: &mut String, class: Word, word: &str, connector: char) {
    if class == Word::Connector {
        out.extend(word.chars().map(|_| connector));
    } else {
        out.extend(word.chars().map(lower));
    }
}

/// `HTTPServer` to `http_server`: numbers join the word before them unless lower-case letters follow.
fn separated(source: &str, connector: char) -> String {
    let mut out = String::new();
    let (mut class, mut word, mut rest) = next_word(source);
    while !rest.is_empty() {
        if class != Word::Connector {
            put(&mut out, class, word, connector);
        }
        let (previous, last) = (class, word);
        (class, word, rest) = next_word(rest);
        match previous {
            Word::Number => {
                while matches!(class, Word::Letters | Word::Number) {
                    put(&mut out, class, word, connector);
                    (class, word, rest) = next_word(rest);
                }
                if !matches!(class, Word::End | Word::Punctuation | Word::Connector) {
                    out.push(connector);
                }
            }
            Word::Connector => put(&mut out, previous, last, connector),
            Word::Punctuation => {}
            _ if class != Word::Number => {
                if !matches!(class, Word::Connector | Word::Punctuation) {
                    out.push(connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (class, word, rest) = next_word(rest);
                if class != Word::Letters {
                    put(&mut out, Word::Number, number, connector);
                    if !matches!(class, Word::Connector | Word::Punctuation) {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                put(&mut out, Word::Number, number, connector);
                while matches!(class, Word::Letters | Word::Number) {
                    put(&mut out, class, word, connector);
                    (class, word, rest) = next_word(rest);
                }
                if !matches!(class, Word::End | Word::Connector | Word::Punctuation) {
                    out.push(connector);
                }
            }
        }
    }
    put(&mut out, class, word, connector);
    out
}

/// Cuts to `width` bytes with `...` at one or both ends.
fn abbreviate(offset: i64, width: i64, source: &str) -> Value {
    let bytes = source.as_bytes();
    let len = bytes.len() as i64;
    if width < 4 || len <= width {
        return Value::string(source);
    }
    let mut offset = offset.min(len);
    if len - offset < width - 3 {
        offset = len - (width - 3);
    }
    let piece = |from: i64, to: i64| {
        let from = usize::try_from(from).unwrap_or(0).min(bytes.len());
        let to = usize::try_from(to).unwrap_or(0).clamp(from, bytes.len());
        &bytes[from..to]
    };
    if offset <= 4 {
        return from_bytes(&[piece(0, width - 3), b"..."].concat());
    }
    if width < 7 {
        return Value::string("");
    }
    if offset + width - 3 < len {
        // What is left is cut once more at its own end.
        let rest = from_bytes(piece(offset, len));
        let inner = abbreviate(0, width - 3, rest.as_str().unwrap_or(""));
        return Value::from(format!("...{}", inner.as_str().unwrap_or("")));
    }
    from_bytes(&[b"...", piece(len - (width - 3), len)].concat())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LongWords {
    Keep,
    Break,
}

fn wrap(source: &str, width: i64, newline: &str, long: LongWords) -> Answer {
    let newline = if newline.is_empty() { "\n" } else { newline };
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let bytes = source.as_bytes();
    if (bytes.len() / width).saturating_mul(newline.len()) > MAX_TEXT {
        return Err(CallError::argument(format!("the result would be longer than {MAX_TEXT} bytes")));
    }
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut offset = 0;
    while bytes.len() - offset > width {
        if bytes[offset] == b' ' {
            offset += 1;
            continue;
        }
        let window = &bytes[offset..=offset + width];
        let line = match (window.iter().rposition(|b| *b == b' '), long) {
            (Some(space), _) => space,
            (None, LongWords::Break) => {
                out.extend_from_slice(&bytes[offset..offset + width]);
                out.extend_from_slice(newline.as_bytes());
                offset += width;
                continue;
            }
            (None, LongWords::Keep) => match bytes[offset + width..].iter().position(|b| *b == b' ') {
                Some(space) => width + space,
                None => break,
            },
        };
        out.extend_from_slice(&bytes[offset..offset + line]);
        out.extend_from_slice(newline.as_bytes());
        offset += line + 1;
    }
    out.extend_from_slice(&bytes[offset..]);
    Ok(from_bytes(&out))
}
