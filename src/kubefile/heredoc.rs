//! Heredocs: `<<EOF`, `<<-EOF`, `3<<EOF`, `<<"EOF"`. Finds them in a line and reads their bodies.

use super::expand::Escape;
use super::lexer::{Escapes, Lexer, Mode, Quotes, Unset};

/// Text written below an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, unquoted; the file name when a heredoc is copied.
    pub name: String,
    /// The file descriptor before `<<`; 0 when none is written.
    pub descriptor: u64,
    /// Whether variables in it are expanded: not when the word is quoted.
    pub expand: bool,
    /// Whether leading tabs are taken away (`<<-`).
    pub strip_tabs: bool,
    /// The lines as written, tabs and line endings included, the last line that ends it left out.
    pub content: String,
}

impl Heredoc {
    /// The content, without leading tabs where `<<-` asked for that.
    pub fn text(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }

    /// The heredoc a word starts, its content still empty.
    pub(crate) fn start(word: &str) -> Option<Self> {
        let digits = word.find(|c: char| !c.is_ascii_digit())?;
        let (descriptor, rest) = word.split_at(digits);
        let rest = rest.strip_prefix("<<")?;
        let (strip_tabs, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
        if rest.is_empty() || rest.contains('<') {
            return None;
        }
        let [name] = lex(rest, Quotes::Remove, Escapes::Remove)?.try_into().ok()?;
        let [raw] = <[String; 1]>::try_from(lex(rest, Quotes::Keep, Escapes::Remove)?).ok()?;
        let quotes = |text: &str| text.chars().filter(|c| matches!(c, '\'' | '"')).count();
        let expand = quotes(&name) == quotes(&raw);
        // Digits that overflow name no descriptor any process has; the largest number stands for them.
        let descriptor = if descriptor.is_empty() { 0 } else { descriptor.parse().unwrap_or(u64::MAX) };
        Some(Self { name, descriptor, expand, strip_tabs, content: String::new() })
    }

    /// Every heredoc a line starts, in order.
    pub(crate) fn all_in(line: &str) -> Vec<Self> {
        let words = lex(line, Quotes::Keep, Escapes::Keep).unwrap_or_default();
        words.iter().filter_map(|word| Self::start(word)).collect()
    }
}

/// Words of a line; none when its quotes do not close, as then the shell has to judge it.
fn lex(text: &str, quotes: Quotes, escapes: Escapes) -> Option<Vec<String>> {
    let mode = Mode { quotes, escapes, unset: Unset::Untouched };
    Lexer::new(text, Escape::Backslash, &|_| None, mode).all().ok().map(|(_, words)| words)
}
