//! BuildKit's shell lexer: quotes, escapes and variables of one text.
//!
//! Understands `$X`, `${X}`, `${X:-d}`, `${X-d}`, `${X:+d}`, `${X+d}`, `${X:?e}`, `${X?e}`, `${X#p}`, `${X##p}`,
//! `${X%p}`, `${X%%p}`, `${X/p/r}` and `${X//p/r}`, with nested words. `$(…)` is left alone.
//!
//! Bounded: [`DEPTH`] nested words, [`GROWTH`] bytes of substituted values. Two slips of BuildKit are not repeated:
//! splitting keeps the text before a nested word (`80${X:-80}` is one word, `8080`), and the replacement of
//! `${X//p/r}` is literal (`$0` in it means nothing).

use std::cell::RefCell;

use super::lexer::{Lexer, Mode, Quotes};

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
