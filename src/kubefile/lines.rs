//! Physical lines -> logical lines: parser directives, comments, continuations; and the bodies of heredocs.

use std::sync::Arc;

use super::error::{KubefileError, Problem};
use super::expand::Escape;
use super::span::{Fault, Frame};

/// One instruction on one line.
pub(crate) struct Logical {
    /// Continuations joined, comments gone.
    pub(crate) text: String,
    /// Index of the first physical line.
    pub(crate) first: usize,
    /// Index of an empty line among the continuations.
    pub(crate) empty_line: Option<usize>,
}

/// Reads a file line by line.
pub(crate) struct Lines<'a> {
    file: Arc<str>,
    raw: Vec<&'a str>,
    next: usize,
    seen: Vec<String>,
    directives_over: bool,
    pub(crate) escape: Escape,
    pub(crate) syntax: Option<String>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str, file: &Arc<str>) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            file: Arc::clone(file),
            raw: text.split_inclusive('\n').collect(),
            next: 0,
            seen: Vec::new(),
            directives_over: false,
            escape: Escape::default(),
            syntax: None,
        }
    }

    /// The physical lines read since line index `first`.
    pub(crate) fn since(&self, first: usize) -> &[&'a str] {
        self.raw.get(first..self.next).unwrap_or_default()
    }

    /// The index of the line that is read next.
    pub(crate) fn position(&self) -> usize {
        self.next
    }

    fn take(&mut self) -> Option<&'a str> {
        let line = self.raw.get(self.next).copied()?;
        self.next += 1;
        Some(line)
    }

    /// The next instruction, or `None` at the end of the file.
    pub(crate) fn instruction(&mut self) -> Result<Option<Logical>, KubefileError> {
        while let Some(line) = self.take() {
            let first = self.next - 1;
            let line = line.trim_end_matches(['\r', '\n']).trim_start();
            self.directive(line, first)?;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut logical = Logical { text: String::new(), first, empty_line: None };
            let mut continues = self.append(line, &mut logical.text);
            while continues {
                let Some(line) = self.take() else { break };
                let line = line.trim_end_matches(['\r', '\n']);
                match line.trim_start() {
                    "" => logical.empty_line = Some(self.next - 1),
                    comment if comment.starts_with('#') => {}
                    _ => continues = self.append(line, &mut logical.text),
                }
            }
            return Ok(Some(logical));
        }
        Ok(None)
    }

    /// The body of a heredoc up to its end, line endings kept; `None` when the file ends first.
    pub(crate) fn heredoc(&mut self, name: &str, tabs_may_lead: bool) -> Option<String> {
        let mut body = String::new();
        while let Some(line) = self.take() {
            let bare = line.trim_end_matches(['\r', '\n']);
            let bare = if tabs_may_lead { bare.trim_start_matches('\t') } else { bare };
            if bare == name {
                return Some(body);
            }
            body.push_str(line);
        }
        None
    }

    /// Adds a line without its continuation character; says whether there was one. Doubled, it is text.
    fn append(&self, line: &str, text: &mut String) -> bool {
        let escape = self.escape.char();
        let before = line.trim_end_matches([' ', '\t']).strip_suffix(escape).filter(|rest| !rest.ends_with(escape));
        text.push_str(before.unwrap_or(line));
        before.is_some()
    }

    /// Directives are comments of the form `name = value` before anything else; the first other line ends them.
    fn directive(&mut self, line: &str, index: usize) -> Result<(), KubefileError> {
        if self.directives_over {
            return Ok(());
        }
        let Some((name, value)) = directive(line) else {
            self.directives_over = true;
            return Ok(());
        };
        let name = name.to_ascii_lowercase();
        if self.seen.contains(&name) {
            return Err(self.error(index, Fault::keyword(Problem::DirectiveTwice { name })));
        }
        match name.as_str() {
            "syntax" => self.syntax = Some(value.to_owned()),
            "escape" => {
                self.escape = match value {
                    "\\" => Escape::Backslash,
                    "`" => Escape::Backtick,
                    _ => {
                        let problem = Problem::EscapeCharacter { value: value.to_owned() };
                        return Err(self.error(index, Fault::at_last(value, problem)));
                    }
                }
            }
            _ => {}
        }
        self.seen.push(name);
        Ok(())
    }

    fn error(&self, index: usize, fault: Fault) -> KubefileError {
        let lines = self.raw.get(index..=index).unwrap_or_default();
        Frame { file: &self.file, first_line: index + 1, lines }.error(fault)
    }
}

fn directive(line: &str) -> Option<(&str, &str)> {
    let blank = |c: char| matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ');
    let (name, value) = line.strip_prefix('#')?.trim_start().split_once('=')?;
    let (name, value) = (name.trim_end_matches(blank), value.trim_matches(blank));
    let known = ["syntax", "escape", "check"].iter().any(|known| name.eq_ignore_ascii_case(known));
    (known && !value.is_empty()).then_some((name, value))
}
