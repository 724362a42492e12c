//! Go's regular expressions written for the `regex` crate.
//!
//! Both are RE2's family; they differ in what a backslash and a class may hold: `\d`, `\s` and `\w` are ASCII in Go, a
//! brace that repeats nothing is a brace, `-`, `&` and `[` inside a class are themselves, `\Q…\E` quotes.

use std::iter::Peekable;
use std::str::Chars;

/// The pattern in the crate's syntax.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escaped(&mut chars, &mut out)?,
            '[' => class(&mut chars, &mut out)?,
            '*' | '+' | '?' => {
                out.push(c);
                after_repetition(&mut chars, &mut out)?;
            }
            '{' => match repetition(&chars) {
                Some(len) => {
                    out.push('{');
                    out.extend(chars.by_ref().take(len));
                    after_repetition(&mut chars, &mut out)?;
                }
                None => out.push_str("\\{"),
            },
            '(' => {
                out.push('(');
                // The mark after a parenthesis repeats nothing.
                out.extend(chars.next_if_eq(&'?'));
            }
            '}' | ']' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// A repetition may be made lazy, but not be repeated.
fn after_repetition(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.extend(chars.next_if_eq(&'?'));
    match chars.peek() {
        Some('*' | '+' | '?') => Err("invalid nested repetition operator".to_owned()),
        Some('{') => {
            let mut ahead = chars.clone();
            ahead.next();
            match repetition(&ahead) {
                Some(_) => Err("invalid nested repetition operator".to_owned()),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The length of `2}`, `2,}` or `2,5}` after a brace.
fn repetition(after: &Peekable<Chars<'_>>) -> Option<usize> {
    let text: String = after.clone().take(16).collect();
    let (inside, _) = text.split_once('}')?;
    let (least, most) = inside.split_once(',').unwrap_or((inside, "0"));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    (!least.is_empty() && digits(least) && digits(most)).then_some(inside.len() + 1)
}

/// What stands for one of Perl's classes of ASCII, inside of brackets.
fn perl(c: char) -> Option<&'static str> {
    Some(match c {
        'd' => "0-9",
        's' => r"\t\n\x0C\r ",
        'w' => "0-9A-Za-z_",
        _ => return None,
    })
}

fn escaped(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let Some(c) = chars.next() else { return Err("trailing backslash at end of expression".to_owned()) };
    match c {
        'd' | 's' | 'w' => out.push_str(&format!("[{}]", perl(c).unwrap_or_default())),
        'D' | 'S' | 'W' => out.push_str(&format!("[^{}]", perl(c.to_ascii_lowercase()).unwrap_or_default())),
        'b' => out.push_str(r"(?-u:\b)"),
        'Q' => {
            let rest: String = chars.clone().collect();
            let quoted = rest.split(r"\E").next().unwrap_or_default();
            out.push_str(&regex::escape(quoted));
            let skipped = quoted.chars().count() + if quoted.len() < rest.len() { 2 } else { 0 };
            chars.by_ref().take(skipped).for_each(drop);
        }
        c => character(c, chars, out)?,
    }
    Ok(())
}

/// An escape that means one character, or a class of Unicode, inside of brackets and outside.
fn character(c: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    match c {
        '0' => octal(0, 2, chars, out),
        '1'..='7' if chars.peek().is_some_and(|next| ('0'..='7').contains(next)) => {
            octal(c.to_digit(8).unwrap_or(0), 2, chars, out);
        }
        'p' | 'P' => {
            out.extend(['\\', c]);
            if chars.peek() == Some(&'{') {
                let name: String = chars.by_ref().take_while(|c| *c != '}').skip(1).collect();
                match name.strip_prefix('^') {
                    Some(name) => {
                        out.pop();
                        out.push_str(&format!("{}{{{name}}}", if c == 'p' { 'P' } else { 'p' }));
                    }
                    None => out.push_str(&format!("{{{name}}}")),
                }
            } else {
                out.extend(chars.next());
            }
        }
        'a' => out.push_str(r"\x07"),
        'v' => out.push_str(r"\x0B"),
        'x' | 'f' | 't' | 'n' | 'r' | 'A' | 'z' | 'B' => out.extend(['\\', c]),
        c if c.is_ascii_alphanumeric() => return Err(format!(r"invalid escape sequence: `\{c}`")),
        c => out.push_str(&regex::escape(&c.to_string())),
    }
    Ok(())
}

fn octal(mut value: u32, more: usize, chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    for _ in 0..more {
        match chars.next_if(|c| ('0'..='7').contains(c)).and_then(|c| c.to_digit(8)) {
            Some(digit) => value = value * 8 + digit,
            None => break,
        }
    }
    out.push_str(&format!(r"\x{{{value:X}}}"));
}

fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let missing = || "missing closing ]".to_owned();
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        let c = chars.next().ok_or_else(missing)?;
        match c {
            ']' if !first => break,
            '[' if chars.peek() == Some(&':') => posix(chars, out),
            '\\' if chars.peek().is_some_and(|c| matches!(c, 'd' | 's' | 'w')) => {
                out.push_str(chars.next().and_then(perl).unwrap_or_default());
            }
            '\\' if chars.peek().is_some_and(|c| matches!(c, 'D' | 'S' | 'W')) => {
                let name = chars.next().unwrap_or('D').to_ascii_lowercase();
                out.push_str(&format!("[^{}]", perl(name).unwrap_or_default()));
            }
            c => {
                one(c, chars, out)?;
                let mut ahead = chars.clone();
                if ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']') {
                    chars.next();
                    out.push('-');
                    let high = chars.next().ok_or_else(missing)?;
                    one(high, chars, out)?;
                }
            }
        }
        first = false;
    }
    out.push(']');
    Ok(())
}

/// One character of a class.
fn one(c: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    match c {
        '\\' => {
            let escaped = chars.next().ok_or("trailing backslash at end of expression")?;
            character(escaped, chars, out)
        }
        '[' | ']' | '-' | '&' | '~' | '^' => {
            out.extend(['\\', c]);
            Ok(())
        }
        c => {
            out.push(c);
            Ok(())
        }
    }
}

/// `[:alpha:]` and its like; a bracket that begins none of them is a bracket.
fn posix(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let text: String = chars.clone().take(16).collect();
    match text.split_once(":]") {
        Some((name, _)) if name[1..].chars().all(|c| c.is_ascii_lowercase() || c == '^') => {
            out.push_str(&format!("[{name}:]"));
            chars.by_ref().take(name.len() + 2).for_each(drop);
        }
        _ => out.push_str(r"\["),
    }
}
