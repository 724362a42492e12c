//! What libyaml's emitter asks about a text: which styles can hold it.

use super::write::Dialect;

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// Which styles can hold a text in a block collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Analysis {
    pub(super) multiline: bool,
    pub(super) plain: bool,
    pub(super) single: bool,
    pub(super) block: bool,
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Looks a text over.
pub(super) fn analyze(text: &str, dialect: Dialect) -> Analysis {
    if text.is_empty() {
        return Analysis { multiline: false, plain: true, single: true, block: false };
    }
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let (mut breaks, mut special, mut tabs) = (false, false, false);
    let (mut leading, mut trailing_space, mut trailing_break) = (false, false, false);
    let (mut break_space, mut space_break) = (false, false);
    let mut previous = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        let blank_next = next.is_none_or(|c| c == ' ' || c == '\t');
        indicators |= match (previous, c) {
            (None, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => {
                true
            }
            (None, '?' | ':' | '-') | (Some(_), ':') => blank_next,
            (Some(before), '#') => matches!(before, ' ' | '\t' | '\0') || is_break(before),
            _ => false,
        };
        match c {
            '\t' if dialect == Dialect::Indented => tabs = true,
            c => special |= !is_printable(c),
        }
        if c == ' ' {
            leading |= previous.is_none();
            trailing_space |= next.is_none();
            break_space |= previous.is_some_and(is_break);
        } else if is_break(c) {
            breaks = true;
            leading |= previous.is_none();
            trailing_break |= next.is_none();
            space_break |= previous == Some(' ');
        }
        previous = Some(c);
    }
    let outside = leading || trailing_space || trailing_break;
    let hard = space_break || special;
    Analysis {
        multiline: breaks,
        plain: !(outside || break_space || hard || tabs || breaks || indicators),
        single: !(break_space || hard || tabs),
        block: !(trailing_space || hard),
    }
}

/// The escape of a character between double quotes; `None` for one that stands for itself.
pub(super) fn escape(c: char) -> Option<String> {
    if is_printable(c) && !is_break(c) && !matches!(c, '"' | '\\' | '\u{feff}') {
        return None;
    }
    Some(match c {
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{a0}' => "\\_".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        c => match u32::from(c) {
            code @ 0..=0xff => format!("\\x{code:02X}"),
            code @ 0..=0xffff => format!("\\u{code:04X}"),
            code => format!("\\U{code:08X}"),
        },
    })
}
