//! `.containerignore` and `.dockerignore`: which paths stay out of a build context. Also the rules of `--exclude`.
//!
//! The last pattern that matches a path or one of its parents decides; `!` makes an exception. `**` crosses
//! directories, `*` and `?` do not. As in moby's pattern matcher, a leading `**` followed by plain text compares the
//! end of the path (`**.log` ignores `a/b.log`), and a trailing one its beginning (`tmp**` ignores `tmpfile`).
//!
//! What it does not do: walk directories; give `\d`, `|`, `{`, `^` or a `*` inside `[…]` the meaning a regular
//! expression has (moby does by accident).

use std::sync::Arc;

use super::error::{KubefileError, Problem};
use super::glob::{Pattern, PatternError, Token, matches, may_continue, single};
use super::span::{Fault, Frame};

/// The patterns of an ignore file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoreFile {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    exception: bool,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Tokens(Vec<Token>),
}

impl IgnoreFile {
    /// Reads an ignore file. `file_name` is only for messages.
    ///
    /// # Errors
    /// When a line is no pattern.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, KubefileError> {
        let file: Arc<str> = file_name.into();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let Some(pattern) = normalise(line) else { continue };
            match rule(&pattern) {
                Ok(rule) => rules.extend(rule),
                Err(reason) => {
                    let written = line.trim().to_owned();
                    let fault = Fault::at(&written, Problem::Pattern { pattern: written.clone(), reason });
                    return Err(Frame { file: &file, first_line: index + 1, lines: &[line] }.error(fault));
                }
            }
        }
        Ok(Self { rules })
    }

    /// Takes patterns one by one, as `--exclude` gives them.
    ///
    /// # Errors
    /// When one is no pattern; it is returned with the reason.
    pub fn from_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, (String, PatternError)> {
        let mut rules = Vec::new();
        for pattern in patterns {
            rules.extend(rule(pattern).map_err(|reason| (pattern.to_owned(), reason))?);
        }
        Ok(Self { rules })
    }

    /// Whether there are no patterns: nothing is ignored.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a path (relative, with slashes) stays out. The context itself never does.
    pub fn ignored(&self, path: &str) -> bool {
        let path = clean(path);
        if path == "." {
            return false;
        }
        let mut ignored = false;
        for rule in &self.rules {
            if rule.exception == ignored && (rule.matches(&path) || parents(&path).any(|dir| rule.matches(dir))) {
                ignored = !rule.exception;
            }
        }
        ignored
    }

    /// Whether below an ignored directory something may still be taken in: if not, a walk can leave it out.
    pub fn may_reinclude_under(&self, directory: &str) -> bool {
        let directory = clean(directory);
        self.rules.iter().any(|rule| rule.exception && rule.may_match_under(&directory))
    }
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        match &self.form {
            Form::Exact(text) => path == text,
            Form::Prefix(start) => path.starts_with(start.as_str()),
            Form::Suffix(end) => path.ends_with(end.as_str()) || end.strip_prefix('/') == Some(path),
            Form::Tokens(tokens) => matches(tokens, path),
        }
    }

    fn may_match_under(&self, directory: &str) -> bool {
        if directory == "." || self.matches(directory) || parents(directory).any(|dir| self.matches(dir)) {
            return true;
        }
        let below = format!("{directory}/");
        match &self.form {
            Form::Exact(text) => text.starts_with(&below),
            Form::Prefix(start) => start.starts_with(&below) || below.starts_with(start.as_str()),
            Form::Suffix(_) => true,
            Form::Tokens(tokens) => may_continue(tokens, &below),
        }
    }
}

/// `a` and `a/b` for `a/b/c`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| path.get(..at).unwrap_or_default())
}

/// A line of an ignore file as a pattern: trimmed, cleaned, without leading slash.
fn normalise(line: &str) -> Option<String> {
    let line = line.trim();
    let (mark, pattern) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", line),
    };
    if pattern.is_empty() {
        return (!mark.is_empty()).then(|| mark.to_owned());
    }
    let cleaned = clean(pattern);
    let relative = if cleaned.len() > 1 { cleaned.strip_prefix('/').unwrap_or(&cleaned) } else { &cleaned };
    Some(format!("{mark}{relative}"))
}

fn rule(pattern: &str) -> Result<Option<Rule>, PatternError> {
    let pattern = pattern.trim();
    if pattern.is_empty() {
        return Ok(None);
    }
    let cleaned = clean(pattern);
    let (exception, text) = match cleaned.strip_prefix('!') {
        Some("") => return Err(PatternError::EmptyException),
        Some(rest) => (true, rest),
        None => (false, cleaned.as_str()),
    };
    Pattern::parse(text)?;
    Ok(Some(Rule { exception, form: form(text)? }))
}

/// Decides how a pattern is compared. A plain beginning or end is compared as text, as moby does.
fn form(text: &str) -> Result<Form, PatternError> {
    let mut tokens = Vec::new();
    let mut plain = true;
    let mut leading = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let first = rest.len() == text.len();
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix("**") {
            rest = after.strip_prefix('/').unwrap_or(after);
            if !rest.is_empty() {
                tokens.push(Token::Directories);
                leading = first;
                plain &= first;
            } else if first {
                return Ok(Form::Prefix(String::new()));
            } else if plain && !leading {
                return Ok(Form::Prefix(text.strip_suffix("**").unwrap_or(text).to_owned()));
            } else {
                tokens.push(Token::Everything);
                plain = false;
            }
            continue;
        }
        let token;
        (token, rest) = if c == '*' { (Token::Many, after) } else { single(c, after)? };
        if let Token::Class { ranges, .. } = &token
            && ranges.iter().any(|(low, high)| low > high)
        {
            return Err(PatternError::BackwardsRange);
        }
        plain &= matches!(token, Token::Literal(_)) && c != '\\' && c != ']';
        tokens.push(token);
    }
    Ok(match (plain, leading) {
        (true, false) => Form::Exact(text.to_owned()),
        (true, true) => Form::Suffix(text.strip_prefix("**").unwrap_or(text).to_owned()),
        (false, _) => Form::Tokens(tokens),
    })
}

/// Go's `filepath.Clean`: no empty, `.` or inner `..` elements.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." if elements.last().is_some_and(|last| *last != "..") => {
                elements.pop();
            }
            ".." if rooted => {}
            element => elements.push(element),
        }
    }
    let joined = elements.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
