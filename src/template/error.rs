//! What can go wrong in a template, with the place it went wrong at.
//!
//! A `TemplateError` shows file, line, column, the line itself and a caret; `help()` names a way out where one is
//! known. `CallError` is what a function says about its arguments; the engine adds the place.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// A named template text; places are byte offsets into it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A place in a template: file, line, column and the line's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The template's name, usually a file path.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
}

impl Location {
    pub(crate) fn find(source: &Source, offset: usize) -> Self {
        let mut offset = offset.min(source.text.len());
        while !source.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let (before, after) = source.text.split_at(offset);
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        let end = after.find('\n').map_or(source.text.len(), |i| offset + i);
        Self {
            file: source.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            text: source.text[start..end].trim_end_matches('\r').to_owned(),
        }
    }
}

/// Why a template could not be parsed or rendered.
#[derive(Debug, Error)]
pub enum ErrorKind {
    /// The text is not a template.
    #[error("cannot parse the template: {reason}")]
    Syntax {
        /// What the parser met.
        reason: String,
    },
    /// A function that does not exist.
    #[error("function {name:?} is not defined")]
    UnknownFunction {
        /// The name used.
        name: String,
        /// The nearest known name.
        nearest: Option<String>,
    },
    /// A value that is not there would be printed or used.
    #[error("{name:?} has no value")]
    Missing {
        /// The key that is missing, or the expression that is nil.
        name: String,
        /// The nearest key that exists.
        nearest: Option<String>,
    },
    /// A field of something that has no such field.
    #[error("cannot evaluate field {field} in type {type_name}")]
    NoField {
        /// The field asked for.
        field: String,
        /// The Go type of the value.
        type_name: String,
    },
    /// A field of nil.
    #[error("nil pointer evaluating interface {{}}.{field}")]
    NilField {
        /// The field asked for.
        field: String,
    },
    /// A function was called wrongly or refused its arguments.
    #[error("error calling {function}: {error}")]
    Call {
        /// The function.
        function: String,
        /// What it said.
        error: CallError,
    },
    /// An action that the language does not allow on this value.
    #[error("cannot evaluate: {reason}")]
    Evaluate {
        /// What was tried on what.
        reason: String,
    },
    /// No template of that name.
    #[error("template {name:?} is not defined")]
    UnknownTemplate {
        /// The name used.
        name: String,
        /// The nearest known name.
        nearest: Option<String>,
    },
    /// Templates or pipelines nest too deep.
    #[error("templates nest deeper than {limit} levels")]
    Depth {
        /// The engine's limit.
        limit: usize,
    },
    /// Too many steps.
    #[error("rendering took more than {limit} steps")]
    Steps {
        /// The engine's limit.
        limit: u64,
    },
    /// Too much output.
    #[error("rendering produced more than {limit} bytes")]
    Output {
        /// The engine's limit.
        limit: u64,
    },
    /// The writer failed.
    #[error("cannot write the rendered text: {source}")]
    Write {
        /// The writer's error.
        #[source]
        source: std::io::Error,
    },
    /// A Handlebars template failed.
    #[error("cannot render the Handlebars template: {reason}")]
    Handlebars {
        /// What the Handlebars engine said.
        reason: String,
    },
}

/// An error in a template and its place.
#[derive(Debug)]
pub struct TemplateError {
    /// What went wrong.
    pub kind: Box<ErrorKind>,
    /// Where.
    pub location: Box<Location>,
    /// The `include`, `template` and `tpl` actions that led there, innermost first.
    pub trail: Vec<Location>,
}

impl TemplateError {
    pub(crate) fn new(kind: ErrorKind, source: &Arc<Source>, offset: usize) -> Self {
        Self { kind: Box::new(kind), location: Box::new(Location::find(source, offset)), trail: Vec::new() }
    }

    /// A way out, where one is known.
    pub fn help(&self) -> Option<String> {
        match &*self.kind {
            ErrorKind::UnknownFunction { nearest: Some(n), .. }
            | ErrorKind::UnknownTemplate { nearest: Some(n), .. } => Some(format!("did you mean `{n}`?")),
            ErrorKind::Missing { nearest: Some(n), .. } => Some(format!("did you mean `{n}`?")),
            ErrorKind::Missing { name, nearest: None } => {
                Some(format!("set `{name}`, or give a default: `{{{{ .{name} | default \"…\" }}}}`"))
            }
            ErrorKind::Call { error, .. } => error.help(),
            _ => None,
        }
    }
}

/// How many places of a trail are shown.
const SHOWN: usize = 8;

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.location;
        writeln!(f, "{}:{}:{}: {}", at.file, at.line, at.column, self.kind)?;
        let number = at.line.to_string();
        writeln!(f, " {number} | {}", at.text)?;
        let margin: String = at.text.chars().take(at.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, " {:width$} | {margin}^", "", width = number.len())?;
        // A recursion without end has a trail of thousands: its two ends say enough.
        let (first, last) = match self.trail.len() {
            0..=SHOWN => (self.trail.as_slice(), &[] as &[Location]),
            len => (&self.trail[..SHOWN - 2], &self.trail[len - 2..]),
        };
        let place =
            |f: &mut fmt::Formatter<'_>, at: &Location| write!(f, "\n in {}:{}:{}", at.file, at.line, at.column);
        first.iter().try_for_each(|at| place(f, at))?;
        if !last.is_empty() {
            write!(f, "\n … {} more", self.trail.len() - SHOWN)?;
        }
        last.iter().try_for_each(|at| place(f, at))
    }
}

impl std::error::Error for TemplateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.kind {
            ErrorKind::Write { source } => Some(source),
            _ => None,
        }
    }
}

/// What a function says about a call.
#[derive(Debug, Error)]
pub enum CallError {
    /// An argument of the wrong type.
    #[error("wrong type for value; expected {expected}; got {got}")]
    WrongType {
        /// The Go type wanted.
        expected: &'static str,
        /// The Go type given.
        got: String,
    },
    /// The wrong number of arguments.
    #[error("wrong number of args: want {want} got {got}")]
    ArgumentCount {
        /// How many are wanted, such as `2` or `at least 1`.
        want: String,
        /// How many were given.
        got: usize,
    },
    /// An argument the function cannot work with.
    #[error("{reason}")]
    Argument {
        /// Why not.
        reason: String,
    },
    /// `fail` or `required` said so.
    #[error("{message}")]
    Failed {
        /// The template author's message.
        message: String,
    },
    /// The function needs a clock, randomness, a network or an environment that the caller did not provide.
    #[error("not available here: {why}")]
    Unavailable {
        /// What is missing.
        why: &'static str,
    },
    /// A value nests too deep, or holds itself.
    #[error("the value nests deeper than {} levels", super::value::MAX_DEPTH)]
    TooDeep,
    /// A template rendered by the function failed.
    #[error("{0}")]
    Rendering(Box<TemplateError>),
}

impl CallError {
    /// An argument the function cannot work with, and why.
    pub fn argument(reason: impl Into<String>) -> Self {
        Self::Argument { reason: reason.into() }
    }

    /// A way out, where one is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::WrongType { expected: "int", got } if got == "int64" || got == "float64" => {
                Some("convert it first: `(int …)`".to_owned())
            }
            Self::WrongType { expected: "string", .. } => Some("convert it first: `(toString …)`".to_owned()),
            Self::Rendering(inner) => inner.help(),
            _ => None,
        }
    }
}

/// The known name nearest to a misspelt one; `None` when nothing is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    known.map(|k| (distance(name, k), k)).filter(|(d, k)| *d <= allowed && *k != name).min().map(|(_, k)| k.to_owned())
}

/// Edits (insert, delete, replace, swap neighbours) between two names; letters' case costs nothing.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let b: Vec<char> = b.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
