//! JSON as YAML, letter for letter as Go's encoders write it: `sigs.k8s.io/yaml` (libyaml's emitter as `go-yaml` 2 has
//! it) and `go-yaml` 3.
//!
//! The emitter's state is the one of libyaml: the column, whether the last thing written was white space, and whether
//! it was indentation. Every decision about quotes and line breaks follows from these.

use serde_json::Value as Json;

use super::order;
use super::resolve;
use super::scalar::{self, Analysis, Style};

/// Which of Go's encoders is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `sigs.k8s.io/yaml`, Helm's `toYaml`: lists are not indented below their key, long lines are folded.
    Flush,
    /// `go-yaml` 3 with an indentation of two, Helm's `toYamlPretty`: lists are indented, lines are as long as they are.
    Indented,
}

/// The YAML of a value, with the line break at its end. Floats that are whole are written without a fraction.
pub fn write(value: &Json, dialect: Dialect) -> String {
    let mut writer = Writer {
        out: String::new(),
        dialect,
        width: if dialect == Dialect::Flush { 80 } else { usize::MAX },
        indent: -1,
        column: 0,
        whitespace: true,
        indention: true,
    };
    writer.node(value, Context::Root);
    writer.write_indent();
    writer.out
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    Item,
    Value,
    Key,
    /// A key that does not fit on one line: after `? `.
    LongKey,
}

const STEP: i32 = 2;

struct Writer {
    out: String,
    dialect: Dialect,
    width: usize,
    indent: i32,
    column: usize,
    whitespace: bool,
    indention: bool,
}

impl Writer {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    /// A line break; `go-yaml` 3 takes every new line for indentation.
    fn put_break(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
        self.indention |= self.dialect == Dialect::Indented;
    }

    fn spaces(&self) -> usize {
        usize::try_from(self.indent).unwrap_or(0)
    }

    fn write_indent(&mut self) {
        let indent = self.spaces();
        if !self.indention || self.column > indent || self.column == indent && !self.whitespace {
            self.put_break('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.indention |= self.dialect == Dialect::Flush;
    }

    /// A mark such as `-`, with a space before it where one is needed; `indents` says that it counts as indentation.
    fn indicator(&mut self, mark: &str, apart: Apart, indents: Indents) {
        if apart == Apart::Space && !self.whitespace {
            self.put(' ');
        }
        mark.chars().for_each(|c| self.put(c));
        self.whitespace = false;
        self.indention &= indents == Indents::Yes;
    }

    fn deeper(&mut self, flow: bool) -> i32 {
        let outer = self.indent;
        self.indent = match (outer < 0, flow) {
            (true, true) => STEP,
            (true, false) => 0,
            (false, _) => outer + STEP,
        };
        outer
    }

    fn node(&mut self, value: &Json, context: Context) {
        match value {
            Json::Array(items) if items.is_empty() => self.indicator("[]", Apart::Space, Indents::No),
            Json::Object(map) if map.is_empty() => self.indicator("{}", Apart::Space, Indents::No),
            Json::Array(items) => self.sequence(items, context),
            Json::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by(|(a, _), (b, _)| order::compare(a, b, self.dialect));
                let outer = self.deeper(false);
                for (key, value) in entries {
                    self.entry(key, value);
                }
                self.indent = outer;
            }
            Json::String(text) => self.text(text, context),
            other => self.plain(&number(other, self.dialect), Breaks::No),
        }
    }

    fn sequence(&mut self, items: &[Json], context: Context) {
        let in_mapping = matches!(context, Context::Value | Context::LongKey);
        let flush = self.dialect == Dialect::Flush && in_mapping && !self.indention;
        let outer = self.indent;
        if !flush || outer < 0 {
            self.deeper(false);
        }
        for item in items {
            self.write_indent();
            self.indicator("-", Apart::Space, Indents::Yes);
            self.node(item, Context::Item);
        }
        self.indent = outer;
    }

    fn entry(&mut self, key: &str, value: &Json) {
        self.write_indent();
        if !scalar::analyze(key, self.dialect).multiline && key.len() <= 128 {
            self.text(key, Context::Key);
            self.indicator(":", Apart::No, Indents::No);
        } else {
            self.indicator("?", Apart::Space, Indents::Yes);
            self.text(key, Context::LongKey);
            self.write_indent();
            self.indicator(":", Apart::Space, Indents::Yes);
        }
        self.node(value, Context::Value);
    }

    fn text(&mut self, text: &str, context: Context) {
        let analysis = scalar::analyze(text, self.dialect);
        let style = style(text, &analysis, context);
        let outer = self.deeper(true);
        let breaks = if context == Context::Key { Breaks::No } else { Breaks::Allowed };
        match style {
            Style::Plain => self.plain(text, breaks),
            Style::Single => self.single(text, breaks),
            Style::Double => self.double(text, breaks),
            Style::Literal => self.literal(text),
        }
        self.indent = outer;
    }

    /// Whether a space may become a line break.
    fn folds(&self, breaks: Breaks, after_space: bool) -> bool {
        breaks == Breaks::Allowed && !after_space && self.column > self.width
    }

    fn plain(&mut self, text: &str, breaks: Breaks) {
        if !self.whitespace {
            self.put(' ');
        }
        let mut after_space = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == ' ' && self.folds(breaks, after_space) && chars.peek() != Some(&' ') {
                self.write_indent();
            } else {
                self.put(c);
            }
            after_space = c == ' ';
            if !after_space {
                self.indention = false;
            }
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn single(&mut self, text: &str, breaks: Breaks) {
        self.indicator("'", Apart::Space, Indents::No);
        let (mut after_space, mut after_break) = (false, false);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, c)| *c);
            if c == ' ' {
                let inside = at > 0 && next.is_some() && next != Some(' ');
                if inside && self.folds(breaks, after_space) {
                    self.write_indent();
                } else {
                    self.put(c);
                }
                after_space = true;
            } else if scalar::is_break(c) {
                if !after_break && c == '\n' {
                    self.put_break('\n');
                }
                self.put_break(c);
                self.indention = true;
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.indention = false;
                (after_space, after_break) = (false, false);
            }
        }
        self.indicator("'", Apart::No, Indents::No);
        self.indention = false;
    }

    fn double(&mut self, text: &str, breaks: Breaks) {
        self.indicator("\"", Apart::Space, Indents::No);
        let mut after_space = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == ' ' {
                let next = chars.peek().map(|(_, c)| *c);
                if at > 0 && next.is_some() && self.folds(breaks, after_space) {
                    self.write_indent();
                    if next == Some(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                after_space = true;
                continue;
            }
            after_space = false;
            match scalar::escape(c) {
                Some(escaped) => escaped.chars().for_each(|c| self.put(c)),
                None => self.put(c),
            }
        }
        self.indicator("\"", Apart::No, Indents::No);
        self.indention = false;
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", Apart::Space, Indents::No);
        if text.starts_with(|c| c == ' ' || scalar::is_break(c)) {
            self.indicator(&STEP.to_string(), Apart::No, Indents::No);
        }
        let mut backwards = text.chars().rev();
        match (backwards.next().is_some_and(scalar::is_break), backwards.next()) {
            (false, _) => self.indicator("-", Apart::No, Indents::No),
            (true, None) => self.indicator("+", Apart::No, Indents::No),
            (true, Some(c)) if scalar::is_break(c) => self.indicator("+", Apart::No, Indents::No),
            _ => {}
        }
        self.put_break('\n');
        self.indention = true;
        self.whitespace = true;
        let mut after_break = true;
        for c in text.chars() {
            if scalar::is_break(c) {
                self.put_break(c);
                self.indention = true;
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                self.put(c);
                self.indention = false;
                after_break = false;
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Apart {
    Space,
    No,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Indents {
    Yes,
    No,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Breaks {
    Allowed,
    No,
}

/// The style of a text: what it would mean without quotes decides first, then what may stand where.
fn style(text: &str, analysis: &Analysis, context: Context) -> Style {
    let key = context == Context::Key;
    let mut style = if text.contains('\n') {
        Style::Literal
    } else if resolve::is_text(text) {
        Style::Plain
    } else {
        Style::Double
    };
    if key && analysis.multiline {
        style = Style::Double;
    }
    if style == Style::Plain && (!analysis.plain || text.is_empty() && key) {
        style = Style::Single;
    }
    if style == Style::Single && !analysis.single {
        style = Style::Double;
    }
    if style == Style::Literal && (!analysis.block || key) {
        style = Style::Double;
    }
    style
}

/// Null, booleans and numbers. JSON's numbers lie between Helm's values and its YAML: there, a whole number has no
/// fraction; `go-yaml` 3 is given the float itself.
fn number(value: &Json, dialect: Dialect) -> String {
    match value {
        Json::Number(n) if n.is_f64() => {
            let float = n.as_f64().unwrap_or(0.0);
            if float.fract() == 0.0 && float.abs() < 1e21 && dialect == Dialect::Flush {
                let digits = if float == 0.0 { "0".to_owned() } else { float.to_string() };
                if digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok() {
                    return digits;
                }
            }
            resolve::general(float)
        }
        other => other.to_string(),
    }
}
