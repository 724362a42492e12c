//! Where the text that is being read comes from, so that every image can be traced to a line.
//!
//! The lines of a rendered template are not those of its source: a line of the output is looked for in the source by
//! its text, else by its key, and is unknown where that leaves a choice.

use content::Origin;

use super::yaml::{Node, Style, Value};

/// A text and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    file: &'a str,
    lines: Lines<'a>,
    /// Lines of the file before the text.
    offset: usize,
    /// What the text is in, when it is inside something else.
    what: String,
}

#[derive(Clone, Debug)]
enum Lines<'a> {
    /// The text stands in the file as it is.
    Same,
    /// The whole text stands in one line, or it is not known where.
    Fixed(Option<usize>),
    /// The text was made from the file.
    Rendered(&'a Rendered<'a>),
}

/// A template and what came of it.
#[derive(Debug)]
pub(crate) struct Rendered<'a> {
    source: Vec<&'a str>,
    output: Vec<&'a str>,
}

impl<'a> Rendered<'a> {
    pub(crate) fn new(source: &'a str, output: &'a str) -> Self {
        let lines = |text: &'a str| text.lines().map(str::trim).collect();
        Self { source: lines(source), output: lines(output) }
    }

    /// The line of the source that a line of the output came from.
    fn line(&self, at: usize) -> Option<usize> {
        let text = *self.output.get(at.checked_sub(1)?)?;
        let same = only(&positions(&self.source, |line| line == text));
        same.or_else(|| {
            let key = key_of(text)?;
            let has_key = |line: &str| key_of(line) == Some(key);
            let (made, written) = (positions(&self.output, has_key), positions(&self.source, has_key));
            let nth = made.iter().position(|line| *line == at)?;
            // With as many in the output as in the source, they belong to each other in order.
            match made.len() == written.len() {
                true => written.get(nth).copied(),
                false => only(&written),
            }
        })
    }
}

fn positions(lines: &[&str], fits: impl Fn(&str) -> bool) -> Vec<usize> {
    lines.iter().enumerate().filter(|(_, line)| fits(line)).map(|(at, _)| at + 1).collect()
}

fn only(found: &[usize]) -> Option<usize> {
    match *found {
        [line] => Some(line),
        _ => None,
    }
}

/// The key that a line gives a value to: `- image: x` gives one to `image`.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix("- ").unwrap_or(line).split_once(':')?;
    let key = key.trim().trim_matches(['"', '\'']);
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!key.is_empty() && key.chars().all(is_word)).then_some(key)
}

impl<'a> Place<'a> {
    /// A file as it is.
    pub(crate) fn file(file: &'a str) -> Self {
        Self { file, lines: Lines::Same, offset: 0, what: String::new() }
    }

    /// What a template was rendered to.
    pub(crate) fn rendered(file: &'a str, rendered: &'a Rendered<'a>) -> Self {
        Self { file, lines: Lines::Rendered(rendered), offset: 0, what: String::new() }
    }

    /// A text whose lines are not those of the file.
    pub(crate) fn somewhere(file: &'a str) -> Self {
        Self { file, lines: Lines::Fixed(None), offset: 0, what: String::new() }
    }

    /// The same text, beginning in a later line of the file.
    pub(crate) fn at_line(self, line: usize, what: &str) -> Self {
        Self { offset: line.saturating_sub(1), what: what.to_owned(), ..self }
    }

    /// The text of a scalar inside this text.
    pub(crate) fn inside(&self, scalar: &Node, what: String) -> Self {
        let is_block = matches!(&scalar.value, Value::Scalar(text) if text.style == Style::Block);
        match is_block {
            true => Self { what, offset: self.offset + scalar.line - 1, ..self.clone() },
            false => Self { what, lines: Lines::Fixed(self.line(scalar.line)), ..self.clone() },
        }
    }

    fn line(&self, line: usize) -> Option<usize> {
        let line = line + self.offset;
        match &self.lines {
            Lines::Same => Some(line),
            Lines::Fixed(line) => *line,
            Lines::Rendered(rendered) => rendered.line(line),
        }
    }

    /// The origin of something in a line of the text.
    pub(crate) fn origin(&self, line: usize, what: &str, rule: &str) -> Origin {
        let what = match (self.what.is_empty(), what.is_empty()) {
            (true, _) => what.to_owned(),
            (false, true) => self.what.clone(),
            (false, false) => format!("{}: {what}", self.what),
        };
        Origin { file: self.file.to_owned(), line: self.line(line), what, rule: rule.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_output_are_found_in_the_template() {
        let source = "{{- if .x }}\nkind: Pod\nspec:\n  containers:\n  - image: {{ .image }}\n    name: a\n{{- range .more }}\n  - image: {{ . }}\n{{- end }}\n  - image: fixed:1\n";
        let output =
            "kind: Pod\nspec:\n  containers:\n  - image: a:1\n    name: a\n  - image: b:1\n  - image: fixed:1\n";
        let rendered = Rendered::new(source, output);
        assert_eq!([1, 4, 6, 7, 99].map(|at| rendered.line(at)), [Some(2), Some(5), Some(8), Some(10), None]);
        let output =
            "kind: Pod\nspec:\n  containers:\n  - image: a:1\n  - image: b:1\n  - image: c:1\n  - image: fixed:1\n";
        let rendered = Rendered::new(source, output);
        assert_eq!([4, 5, 7].map(|at| rendered.line(at)), [None, None, Some(10)]);
    }
}
