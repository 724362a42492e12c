//! Shell patterns of `${X#p}`, `${X%p}` and `${X/p/r}`: `*`, `?`, and `\` before `*`, `?`, `\`, `}` or `/`.
//!
//! No bracket expressions, and no wildcard crosses a line end: so does BuildKit.

use regex::{NoExpand, Regex};

/// Which end of a value is trimmed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrimEnd {
    Front,
    Back,
}

pub(crate) struct ShellPattern {
    regex: Regex,
    end: TrimEnd,
}

impl ShellPattern {
    /// A pattern that matches from one end; the shortest match unless `longest`. `None` when it is no pattern.
    pub(crate) fn for_trimming(pattern: &str, end: TrimEnd, longest: bool) -> Option<Self> {
        let star = if longest { ".*" } else { ".*?" };
        // The shortest match at the back cannot be asked of a regex; of the mirrored texts it can.
        let regex = match end {
            TrimEnd::Front => translate(pattern, star)?,
            TrimEnd::Back => translate(&mirror(pattern), star)?,
        };
        Some(Self { regex: Regex::new(&format!("^{regex}")).ok()?, end })
    }

    /// A pattern that matches anywhere, as long as it can.
    pub(crate) fn for_replacing(pattern: &str) -> Option<Self> {
        Some(Self { regex: Regex::new(&translate(pattern, ".*")?).ok()?, end: TrimEnd::Front })
    }

    /// What is left of `value`.
    pub(crate) fn trim(&self, value: &str) -> String {
        let rest = |text: &str| self.regex.find(text).map_or(text, |found| &text[found.end()..]).to_owned();
        match self.end {
            TrimEnd::Front => rest(value),
            TrimEnd::Back => reverse(&rest(&reverse(value))),
        }
    }

    /// `value` with the first match, or every match, replaced. `None` when the result could pass `limit` bytes.
    pub(crate) fn replace(&self, value: &str, replacement: &str, every: bool, limit: usize) -> Option<String> {
        let times = if every { self.regex.find_iter(value).count() } else { 1 };
        if times.saturating_mul(replacement.len()).saturating_add(value.len()) > limit {
            return None;
        }
        Some(self.regex.replacen(value, usize::from(!every), NoExpand(replacement)).into_owned())
    }
}

fn translate(pattern: &str, star: &str) -> Option<String> {
    let mut regex = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str(star),
            '?' => regex.push('.'),
            '\\' => match chars.peek() {
                Some('}' | '/') => {}
                Some(&escaped @ ('*' | '?' | '\\')) => {
                    chars.next();
                    regex.push('\\');
                    regex.push(escaped);
                }
                _ => return None,
            },
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    Some(regex)
}

/// The pattern that matches the mirrored text: characters backwards, escapes kept before what they escape.
fn mirror(pattern: &str) -> String {
    let mut units: Vec<String> = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        units.push([Some(c), escaped].into_iter().flatten().collect());
    }
    units.reverse();
    units.concat()
}

fn reverse(text: &str) -> String {
    text.chars().rev().collect()
}
