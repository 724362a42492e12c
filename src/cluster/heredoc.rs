//! Here-documents inside a command that is rewritten.
//!
//! In a here-document quotes are characters, so its extent must be known to judge the quoting of what follows.

use std::ops::Range;

use crate::cluster::rewrite::{Context, Rewriter};

/// A here-document that was announced on the current line.
pub(super) struct Heredoc {
    delimiter: String,
    quoted: bool,
    strip_tabs: bool,
    /// Where the delimiter's word is in what was written.
    word: Range<usize>,
}

impl Rewriter<'_> {
    /// At `<<`: takes the operator and the delimiter's word.
    pub(super) fn heredoc_operator(&mut self) {
        let strip_tabs = self.rest().starts_with("<<-");
        self.copy(if strip_tabs { 3 } else { 2 });
        let blank = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        self.copy(blank);
        let (length, delimiter, quoted) = delimiter(self.rest());
        let start = self.out.len();
        self.copy(length);
        if length > 0 {
            self.heredocs.push(Heredoc { delimiter, quoted, strip_tabs, word: start..self.out.len() });
        }
    }

    /// Behind the newline that ends a line with here-documents: takes their bodies.
    pub(super) fn heredoc_bodies(&mut self) {
        let mut shift = 0;
        for document in std::mem::take(&mut self.heredocs) {
            let (body, whole) = extent(self.rest(), &document);
            let end = self.at + body;
            if !document.quoted {
                self.body(end);
            } else if self.refers_before(end) && is_plain(&document.delimiter) {
                let word = document.word.start - shift..document.word.end - shift;
                shift += word.len() - document.delimiter.len();
                self.out.replace_range(word, &document.delimiter);
                self.escaped_body(end);
            } else {
                self.copy(body);
            }
            self.copy(whole - body);
        }
    }

    /// Takes a body that the shell expands. What its constructs leave open ends with it.
    fn body(&mut self, end: usize) {
        let outer = self.contexts.len();
        self.contexts.push(Context::Document);
        while self.at < end {
            self.step();
        }
        self.contexts.truncate(outer);
    }

    /// Takes a body that the shell would not have expanded, now that it does.
    fn escaped_body(&mut self, end: usize) {
        while self.at < end {
            if let Some((name, length)) = self.reference() {
                let variable = self.variable(name);
                self.out.push_str(&format!("${{{variable}}}"));
                self.at += length;
                continue;
            }
            if self.rest().starts_with(['$', '`', '\\']) {
                self.out.push('\\');
            }
            let skipped = usize::from(self.rest().starts_with("$$"));
            self.at += skipped;
            self.copy(self.rest().chars().next().map_or(1, char::len_utf8));
        }
    }

    /// Whether there is a known reference or a `$$` before `end`.
    fn refers_before(&mut self, end: usize) -> bool {
        let start = self.at;
        let dollars: Vec<_> = self.text[start..end].match_indices('$').map(|(offset, _)| start + offset).collect();
        let found = dollars.into_iter().any(|dollar| {
            self.at = dollar;
            self.rest().starts_with("$$") || self.reference().is_some()
        });
        self.at = start;
        found
    }
}

/// The delimiter's word at the beginning of `rest`: its length, the delimiter, and whether a part of it is quoted.
fn delimiter(rest: &str) -> (usize, String, bool) {
    let (mut word, mut quoted, mut quote, mut escaped) = (String::new(), false, None, false);
    for (offset, c) in rest.char_indices() {
        match (quote, c) {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.push(c),
            (None, '\\') => (escaped, quoted) = (true, true),
            (None, '\'' | '"') => (quote, quoted) = (Some(c), true),
            (None, ';' | '&' | '|' | '<' | '>' | '(' | ')' | '\n' | ' ' | '\t') => return (offset, word, quoted),
            (None, _) => word.push(c),
        }
    }
    (rest.len(), word, quoted)
}

/// The lengths of the body, and of the body with the line that ends it.
fn extent(rest: &str, document: &Heredoc) -> (usize, usize) {
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        let bare = line.strip_suffix('\n').unwrap_or(line);
        let text = if document.strip_tabs { bare.trim_start_matches('\t') } else { bare };
        if text == document.delimiter {
            return (at, at + line.len());
        }
        at += line.len();
    }
    (rest.len(), rest.len())
}

fn is_plain(delimiter: &str) -> bool {
    !delimiter.is_empty() && delimiter.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
