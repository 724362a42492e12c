//! BuildKit's shell lexer: quotes, escapes and variables of one text.
//!
//! Understands `$X`, `${X}`, `${X:-d}`, `${X-d}`, `${X:+d}`, `${X+d}`, `${X:?e}`, `${X?e}`, `${X#p}`, `${X##p}`,
//! `${X%p}`, `${X%%p}`, `${X/p/r}` and `${X//p/r}`, with nested words. `$(…)` is left alone.
//!
//! Bounded: [`DEPTH`] nested words, [`GROWTH`] bytes of substituted values. Two slips of BuildKit are not repeated:
//! splitting keeps the text before a nested word (`80${X:-80}` is one word, `8080`), and the replacement of
//! `${X//p/r}` is literal (`$0` in it means nothing).

use std::cell::RefCell;

use super::shell_pattern::{ShellPattern, TrimEnd};

/// The environment: the value of a variable, or `None` when it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How many words may be nested in each other.
pub const DEPTH: usize = 48;
/// How many bytes of variables may be put into one text.
pub const GROWTH: usize = 1 << 20;

/// The character that continues lines and takes away the meaning of the next one; set by `# escape=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// `\`, unless the file says otherwise.
    #[default]
    Backslash,
    /// A backtick, for Windows paths.
    Backtick,
}

impl Escape {
    /// The character itself.
    pub fn char(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A quote that never ends.
    #[error("a {quote} quote is not closed")]
    UnclosedQuote {
        /// `'` or `"`.
        quote: char,
    },
    /// `${` without its `}` (or, in a replacement, without its `/`).
    #[error("`${{` is not closed: `{missing}` is missing")]
    UnclosedBrace {
        /// The character that is missing.
        missing: char,
    },
    /// `${}` or `${:`.
    #[error("`${{` is not followed by a name")]
    BadSubstitution,
    /// A modifier that does not exist.
    #[error("`${{{name}{modifier}` has no such modifier")]
    UnknownModifier {
        /// The variable.
        name: String,
        /// What follows it.
        modifier: String,
    },
    /// A pattern that is none.
    #[error("`{pattern}` is no pattern")]
    Pattern {
        /// The pattern, its variables expanded.
        pattern: String,
    },
    /// `${X?message}` with X unset, or `${X:?message}` with X empty.
    #[error("`{name}` {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the Kubefile says about it.
        message: String,
    },
    /// More than [`DEPTH`] nested words.
    #[error("more than {DEPTH} expansions are nested in each other")]
    TooDeep,
    /// More than [`GROWTH`] bytes of values.
    #[error("the expansion grows by more than {GROWTH} bytes")]
    TooLong,
}

impl ExpandError {
    /// A way out, where one is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnclosedQuote { quote } => Some(format!("close it, or write `\\{quote}` for the character itself")),
            Self::UnclosedBrace { .. } | Self::BadSubstitution | Self::UnknownModifier { .. } => {
                Some("write `\\$` for a dollar sign that starts no variable".to_owned())
            }
            Self::Required { name, .. } => Some(format!("set it with `--build-arg {name}=…` (and `ARG {name}`)")),
            Self::Pattern { .. } => Some("`*` and `?` are wildcards; only these and `\\` can be escaped".to_owned()),
            Self::TooDeep | Self::TooLong => None,
        }
    }

    /// Whether the text is wrong whatever the environment is.
    pub(crate) fn is_syntax(&self) -> bool {
        !matches!(self, Self::Pattern { .. } | Self::Required { .. } | Self::TooLong)
    }
}

/// Expands `text` to one word: quotes and escapes are taken away, variables replaced, spaces kept.
///
/// # Errors
/// When quotes or braces do not close, or a `?` modifier demands a variable; see [`ExpandError`].
pub fn word(text: &str, escape: Escape, lookup: Lookup<'_>) -> Result<String, ExpandError> {
    Lexer::new(text, escape, lookup, Mode::default()).all().map(|(result, _)| result)
}

/// Expands `text` and splits it at unquoted white space, also at that inside values. Empty words are dropped.
///
/// # Errors
/// As [`word`].
pub fn words(text: &str, escape: Escape, lookup: Lookup<'_>) -> Result<Vec<String>, ExpandError> {
    Lexer::new(text, escape, lookup, Mode::default()).all().map(|(_, words)| words)
}

/// Expands variables in the body of a heredoc: quotes mean nothing there, and `\` is always the escape character.
///
/// # Errors
/// As [`word`].
pub fn heredoc(text: &str, lookup: Lookup<'_>) -> Result<String, ExpandError> {
    let mode = Mode { quotes: Quotes::Text, ..Mode::default() };
    Lexer::new(text, Escape::Backslash, lookup, mode).all().map(|(result, _)| result)
}

/// The variables `text` asks for that `lookup` does not know, each once, in order.
///
/// # Errors
/// As [`word`].
pub fn undefined(text: &str, escape: Escape, lookup: Lookup<'_>) -> Result<Vec<String>, ExpandError> {
    let missing = RefCell::new(Vec::new());
    let asking = |name: &str| {
        let value = lookup(name);
        if value.is_none() && !missing.borrow().iter().any(|known| known == name) {
            missing.borrow_mut().push(name.to_owned());
        }
        value
    };
    word(text, escape, &asking)?;
    Ok(missing.into_inner())
}

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
