//! Regular expressions in Go's syntax, which `pattern.rs` writes anew for the `regex` crate.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;

use super::super::error::CallError;
use super::super::value::Value;
use super::{Answer, Builtin, int, pattern, row, text};

/// How many compiled patterns are kept.
const KEPT: usize = 256;

pub(crate) const TABLE: &[Builtin] = &[
    row("regexMatch", "ss", |_, a| Ok(Value::Bool(compile(text(a, 0)).is_ok_and(|r| r.is_match(text(a, 1)))))),
    row("mustRegexMatch", "ss", |_, a| Ok(Value::Bool(compile(text(a, 0))?.is_match(text(a, 1))))),
    row("regexFind", "ss", |_, a| Ok(Value::string(compile(text(a, 0))?.find(text(a, 1)).map_or("", |m| m.as_str())))),
    row("regexFindAll", "ssi", |_, a| {
        let limit = usize::try_from(int(a, 2)).unwrap_or(usize::MAX);
        Ok(Value::strings(compile(text(a, 0))?.find_iter(text(a, 1)).take(limit).map(|m| m.as_str())))
    }),
    row("regexReplaceAll", "sss", |_, a| {
        let pattern = compile(text(a, 0))?;
        Ok(Value::from(pattern.replace_all(text(a, 1), text(a, 2)).into_owned()))
    }),
    row("regexReplaceAllLiteral", "sss", |_, a| {
        let pattern = compile(text(a, 0))?;
        Ok(Value::from(pattern.replace_all(text(a, 1), regex::NoExpand(text(a, 2))).into_owned()))
    }),
    row("regexSplit", "ssi", |_, a| split(&compile(text(a, 0))?, text(a, 1), int(a, 2))),
    row("regexQuoteMeta", "s", |_, a| Ok(Value::from(quote_meta(text(a, 0))))),
];

/// Compiles a regular expression in Go's syntax.
///
/// # Errors
/// It is none; the text says why.
pub fn go_regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(&pattern::translate(pattern)?).map_err(|error| error.to_string())
}

fn compile(pattern: &str) -> Result<Regex, CallError> {
    thread_local! {
        /// Charts use the same few patterns again and again.
        static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    if let Some(known) = COMPILED.with_borrow(|all| all.get(pattern).cloned()) {
        return Ok(known);
    }
    let regex = go_regex(pattern).map_err(|reason| CallError::argument(format!("bad regular expression: {reason}")))?;
    COMPILED.with_borrow_mut(|all| {
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(pattern.to_owned(), regex.clone());
    });
    Ok(regex)
}

/// Go's `Split`: no empty piece for an empty match at the start.
fn split(pattern: &Regex, source: &str, limit: i64) -> Answer {
    if limit == 0 {
        return Ok(Value::strings(Vec::<String>::new()));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if !pattern.as_str().is_empty() && source.is_empty() {
        return Ok(Value::strings([""]));
    }
    let (mut pieces, mut begin, mut end) = (Vec::new(), 0, 0);
    for found in pattern.find_iter(source) {
        if pieces.len() + 1 >= limit {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            pieces.push(&source[begin..end]);
        }
        begin = found.end();
    }
    if end != source.len() {
        pieces.push(&source[begin..]);
    }
    Ok(Value::strings(pieces))
}

fn quote_meta(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for c in source.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
