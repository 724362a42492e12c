//! Where things are written: spans, places, and finding a fragment in the lines of an instruction.

use std::fmt;
use std::sync::Arc;

use super::error::{KubefileError, Problem};

/// The lines an instruction occupies, heredocs included. Lines and columns count from one; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The file as it was named to `parse`.
    pub file: Arc<str>,
    /// The line of the keyword.
    pub first_line: usize,
    /// The last line that belongs to the instruction.
    pub last_line: usize,
    /// The column of the keyword on its line.
    pub column: usize,
}

/// One fragment of one line, for pointing at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named to `parse`.
    pub file: Arc<str>,
    /// The line, from one.
    pub line: usize,
    /// The column of the first character pointed at, from one.
    pub column: usize,
    /// How many characters are pointed at; at least one.
    pub width: usize,
    /// The whole line, without its line ending.
    pub source: String,
}

impl Place {
    /// Writes `file:line:column: message`, the line, and a caret under the fragment.
    pub(crate) fn render(&self, f: &mut fmt::Formatter<'_>, message: &dyn fmt::Display) -> fmt::Result {
        let before = self.source.chars().take(self.column.saturating_sub(1));
        let pad: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}:{}:{}: {message}", self.file, self.line, self.column)?;
        writeln!(f, "{:>3} | {}", self.line, self.source)?;
        write!(f, "{:>3} | {pad}{}", "", "^".repeat(self.width))
    }
}

/// Where an instruction came from, and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The lines it occupies.
    pub span: Span,
    /// The instruction as one line: continuations joined, comments gone, heredoc bodies left out. For history and
    /// progress (`STEP n/m: …`).
    pub text: String,
    /// The physical lines exactly as written, heredoc bodies included.
    pub source: Arc<str>,
}

impl Origin {
    pub(crate) fn error(&self, fault: Fault) -> KubefileError {
        let lines: Vec<&str> = self.source.lines().collect();
        Frame { file: &self.span.file, first_line: self.span.first_line, lines: &lines }.error(fault)
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// What was written.
    pub value: T,
    /// Where and how.
    pub origin: Origin,
}

/// Which part of an instruction an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The first word of the instruction.
    Keyword,
    /// The first occurrence of this text.
    First(String),
    /// The last occurrence of this text.
    Last(String),
}

/// A problem that knows its fragment but not yet its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) problem: Box<Problem>,
    pub(crate) mark: Mark,
}

impl Fault {
    pub(crate) fn keyword(problem: Problem) -> Self {
        Self { problem: Box::new(problem), mark: Mark::Keyword }
    }
    pub(crate) fn at(fragment: &str, problem: Problem) -> Self {
        Self { problem: Box::new(problem), mark: Mark::First(fragment.to_owned()) }
    }
    pub(crate) fn at_last(fragment: &str, problem: Problem) -> Self {
        Self { problem: Box::new(problem), mark: Mark::Last(fragment.to_owned()) }
    }
}

/// The physical lines of one instruction.
pub(crate) struct Frame<'a> {
    pub(crate) file: &'a Arc<str>,
    pub(crate) first_line: usize,
    pub(crate) lines: &'a [&'a str],
}

impl Frame<'_> {
    pub(crate) fn error(&self, fault: Fault) -> KubefileError {
        KubefileError::new(*fault.problem, self.place(&fault.mark))
    }

    /// The place of `mark`; the keyword when a fragment is not found as such (it was unquoted or joined).
    pub(crate) fn place(&self, mark: &Mark) -> Place {
        let found = match mark {
            Mark::Keyword => None,
            Mark::First(text) => self.search(text, |line, text| line.find(text)),
            Mark::Last(text) => {
                let mut hits: Vec<_> = self.hits(text, |line, text| line.rfind(text)).collect();
                hits.pop()
            }
        };
        let (index, byte, width) = found.unwrap_or_else(|| self.keyword());
        let source = self.lines.get(index).copied().unwrap_or_default().trim_end_matches(['\r', '\n']);
        let column = source.get(..byte).unwrap_or_default().chars().count() + 1;
        Place {
            file: Arc::clone(self.file),
            line: self.first_line + index,
            column,
            width: width.max(1),
            source: source.to_owned(),
        }
    }

    /// The first occurrence, after the keyword where there is one: a short word may be part of it.
    fn search(&self, text: &str, find: fn(&str, &str) -> Option<usize>) -> Option<(usize, usize, usize)> {
        let fragment = text.lines().next().unwrap_or_default().trim();
        let first_line = self.lines.first().copied().unwrap_or_default();
        let end = self.keyword_end();
        let behind = first_line.get(end..).filter(|_| !fragment.is_empty()).and_then(|rest| find(rest, fragment));
        let behind = behind.map(|at| (0, end + at, fragment.chars().count()));
        behind.or_else(|| self.hits(text, find).find(|hit| hit.0 > 0)).or_else(|| self.hits(text, find).next())
    }

    fn hits(&self, text: &str, find: fn(&str, &str) -> Option<usize>) -> impl Iterator<Item = (usize, usize, usize)> {
        let text = text.lines().next().unwrap_or_default().trim().to_owned();
        let width = text.chars().count();
        self.lines.iter().enumerate().filter_map(move |(index, line)| {
            if text.is_empty() { None } else { find(line, &text).map(|byte| (index, byte, width)) }
        })
    }

    fn keyword_end(&self) -> usize {
        let line = self.lines.first().copied().unwrap_or_default();
        let start = self.keyword().1;
        start + line.get(start..).and_then(|rest| rest.split_whitespace().next()).map_or(0, str::len)
    }

    fn keyword(&self) -> (usize, usize, usize) {
        let line = self.lines.first().copied().unwrap_or_default();
        let start = line.len() - line.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').len();
        let rest = line.get(start..).unwrap_or_default();
        (0, start, rest.split_whitespace().next().unwrap_or_default().chars().count())
    }
}
