//! The lexer behind `expand`: one pass over a text that removes quotes and escapes and replaces variables.
//!
//! Heredoc words are found with the same pass, told to leave quotes, escapes and unset variables where they are.

use super::expand::{DEPTH, Escape, ExpandError, GROWTH, Lookup};
use super::shell_pattern::{ShellPattern, TrimEnd};

/// What quotes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Quotes {
    /// Group, and disappear.
    #[default]
    Remove,
    /// Group, and stay.
    Keep,
    /// Are text like any other.
    Text,
}

/// Whether escape characters disappear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Escapes {
    #[default]
    Remove,
    Keep,
}

/// What an unset variable becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unset {
    #[default]
    Empty,
    Untouched,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mode {
    pub(crate) quotes: Quotes,
    pub(crate) escapes: Escapes,
    pub(crate) unset: Unset,
}

/// Where nested text is used: as a word, or as a pattern that is read once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Word,
    Pattern,
}

pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    escape: char,
    lookup: Lookup<'a>,
    mode: Mode,
    depth: usize,
    grown: usize,
}

type Lexed = Result<(String, Vec<String>), ExpandError>;

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str, escape: Escape, lookup: Lookup<'a>, mode: Mode) -> Self {
        Self { text, at: 0, escape: escape.char(), lookup, mode, depth: 0, grown: 0 }
    }

    /// The whole text, as one word and as several.
    pub(crate) fn all(mut self) -> Lexed {
        self.until(None, Use::Word)
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn until(&mut self, stop: Option<char>, used: Use) -> Lexed {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                self.next();
                return Ok((result, words.finish()));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.push(c));
                    result.push_str(&value);
                }
                '<' => {
                    let raw = self.angle();
                    words.push_raw(raw);
                    result.push_str(raw);
                }
                '\'' | '"' if self.mode.quotes != Quotes::Text => {
                    let raw = if c == '"' { self.double_quoted(used)? } else { self.single_quoted(used)? };
                    words.push_raw(&raw);
                    result.push_str(&raw);
                }
                c if c == self.escape => {
                    self.next();
                    let kept = (self.mode.escapes == Escapes::Keep).then_some(c);
                    for c in kept.into_iter().chain(self.next()) {
                        words.current.push(c);
                        result.push(c);
                    }
                }
                c => {
                    self.next();
                    words.push(c);
                    result.push(c);
                }
            }
        }
        match stop {
            None => Ok((result, words.finish())),
            Some(missing) => Err(ExpandError::UnclosedBrace { missing }),
        }
    }

    /// A word inside `${…}`, with its own treatment of escapes.
    fn nested(&mut self, stop: char, escapes: Escapes, used: Use) -> Result<String, ExpandError> {
        if self.depth >= DEPTH {
            return Err(ExpandError::TooDeep);
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.mode.escapes, escapes);
        let word = self.until(Some(stop), used);
        self.mode.escapes = outer;
        self.depth -= 1;
        word.map(|(result, _)| result)
    }

    fn single_quoted(&mut self, used: Use) -> Result<String, ExpandError> {
        let keep = self.mode.quotes == Quotes::Keep;
        let mut result = String::new();
        self.next();
        if keep {
            result.push('\'');
        }
        loop {
            match self.next() {
                None => return Err(ExpandError::UnclosedQuote { quote: '\'' }),
                Some('\'') => break,
                Some(c) => {
                    if used == Use::Pattern && c == self.escape {
                        result.push(c);
                    }
                    result.push(c);
                }
            }
        }
        if keep {
            result.push('\'');
        }
        Ok(result)
    }

    fn double_quoted(&mut self, used: Use) -> Result<String, ExpandError> {
        let keep = self.mode.quotes == Quotes::Keep;
        let mut result = String::new();
        self.next();
        if keep {
            result.push('"');
        }
        loop {
            match self.peek() {
                None => return Err(ExpandError::UnclosedQuote { quote: '"' }),
                Some('"') => break,
                Some('$') => result.push_str(&self.dollar()?),
                Some(c) => {
                    self.next();
                    if c == self.escape {
                        self.escaped_in_quotes(&mut result, used);
                    } else {
                        result.push(c);
                    }
                }
            }
        }
        self.next();
        if keep {
            result.push('"');
        }
        Ok(result)
    }

    /// Inside double quotes only `"`, `$` and the escape character can be escaped; before others it is itself.
    fn escaped_in_quotes(&mut self, result: &mut String, used: Use) {
        let raw = self.mode.escapes == Escapes::Keep;
        match self.peek() {
            None => {}
            Some(c) if c == '"' || c == '$' || c == self.escape => {
                if raw {
                    result.push(self.escape);
                }
                self.next();
                result.push(c);
            }
            Some(_) => {
                if raw && (self.mode.quotes != Quotes::Keep || used == Use::Pattern) {
                    result.push(self.escape);
                }
                result.push(self.escape);
            }
        }
    }

    /// `<`, or `<<` with the blanks after it: these stay in one word, so that `<< EOF` is recognised.
    fn angle(&mut self) -> &'a str {
        let start = self.at;
        self.next();
        if self.peek() == Some('<') {
            self.next();
            while matches!(self.peek(), Some('\t' | '\r' | ' ')) {
                self.next();
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self, name: &str) -> Result<Option<String>, ExpandError> {
        let value = (self.lookup)(name);
        self.grown += value.as_ref().map_or(0, String::len);
        if self.grown > GROWTH { Err(ExpandError::TooLong) } else { Ok(value) }
    }

    fn dollar(&mut self) -> Result<String, ExpandError> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            let value = self.value(&name)?;
            return Ok(self.or_untouched(value, || format!("${name}")));
        }
        self.next();
        match self.peek() {
            None => return Err(ExpandError::UnclosedBrace { missing: '}' }),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            Some('}') => {
                let value = self.value(&name)?;
                Ok(self.or_untouched(value, || format!("${{{name}}}")))
            }
            Some(':') => match self.next() {
                Some(c @ ('-' | '+' | '?')) => self.default(&name, c, Empty::CountsAsUnset),
                other => Err(unknown(&name, &[Some(':'), other])),
            },
            Some(c @ ('-' | '+' | '?')) => self.default(&name, c, Empty::IsAValue),
            Some(c @ ('#' | '%')) => self.trim(&name, c),
            Some('/') => self.replace(&name),
            other => Err(unknown(&name, &[other])),
        }
    }

    fn or_untouched(&self, value: Option<String>, written: impl Fn() -> String) -> String {
        match (value, self.mode.unset) {
            (Some(value), _) => value,
            (None, Unset::Empty) => String::new(),
            (None, Unset::Untouched) => written(),
        }
    }

    fn default(&mut self, name: &str, modifier: char, empty: Empty) -> Result<String, ExpandError> {
        let word = self.nested('}', Escapes::Remove, Use::Word)?;
        let value = self.value(name)?;
        let colon = if empty == Empty::CountsAsUnset { ":" } else { "" };
        if value.is_none() && self.mode.unset == Unset::Untouched {
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let was_set = value.is_some();
        let value = value.filter(|value| empty == Empty::IsAValue || !value.is_empty());
        match (modifier, value) {
            ('-', value) => Ok(value.unwrap_or(word)),
            ('+', value) => Ok(value.map(|_| word).unwrap_or_default()),
            (_, Some(value)) => Ok(value),
            (_, None) => {
                let reason = if was_set { "must not be empty" } else { "must be set" };
                let message = if word.is_empty() { reason.to_owned() } else { format!("{reason}: {word}") };
                Err(ExpandError::Required { name: name.to_owned(), message })
            }
        }
    }

    fn trim(&mut self, name: &str, side: char) -> Result<String, ExpandError> {
        let word = self.nested('}', Escapes::Keep, Use::Pattern)?;
        let value = self.value(name)?;
        if value.is_none() && self.mode.unset == Unset::Untouched {
            return Ok(format!("${{{name}{side}{word}}}"));
        }
        let (longest, pattern) = match word.strip_prefix(side) {
            Some(pattern) => (true, pattern),
            None => (false, word.as_str()),
        };
        let end = if side == '#' { TrimEnd::Front } else { TrimEnd::Back };
        let pattern = ShellPattern::for_trimming(pattern, end, longest);
        let pattern = pattern.ok_or(ExpandError::Pattern { pattern: word })?;
        Ok(pattern.trim(&value.unwrap_or_default()))
    }

    fn replace(&mut self, name: &str) -> Result<String, ExpandError> {
        let every = self.peek() == Some('/');
        if every {
            self.next();
        }
        let pattern = self.nested('/', Escapes::Keep, Use::Pattern)?;
        let replacement = self.nested('}', Escapes::Keep, Use::Word)?;
        let value = self.value(name)?;
        if value.is_none() && self.mode.unset == Unset::Untouched {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        }
        let value = value.unwrap_or_default();
        let compiled = ShellPattern::for_replacing(&pattern).ok_or(ExpandError::Pattern { pattern })?;
        let result = compiled.replace(&value, &replacement, every, GROWTH).ok_or(ExpandError::TooLong)?;
        self.grown += result.len();
        if self.grown > GROWTH * 2 { Err(ExpandError::TooLong) } else { Ok(result) }
    }

    /// A name: letters, digits and `_`; or digits only; or one special parameter.
    fn name(&mut self) -> String {
        let start = self.at;
        match self.peek() {
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => {
                self.next();
            }
            Some(c) if c.is_numeric() => self.skip(char::is_numeric),
            _ => self.skip(|c| c.is_alphanumeric() || c == '_'),
        }
        self.text.get(start..self.at).unwrap_or_default().to_owned()
    }

    fn skip(&mut self, belongs: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&belongs) {
            self.next();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    IsAValue,
    CountsAsUnset,
}

fn unknown(name: &str, modifier: &[Option<char>]) -> ExpandError {
    if modifier.contains(&None) {
        return ExpandError::UnclosedBrace { missing: '}' };
    }
    ExpandError::UnknownModifier { name: name.to_owned(), modifier: modifier.iter().flatten().collect() }
}

#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
}

impl Words {
    fn push(&mut self, c: char) {
        if !c.is_whitespace() {
            self.current.push(c);
        } else if !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }
    fn push_raw(&mut self, text: &str) {
        self.current.push_str(text);
    }
    fn finish(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}
