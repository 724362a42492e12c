//! Rewrites a command of an image so that the shell itself looks up the environment.
//!
//! Images write `$(X)`, `${X}` and `$X` for a variable X of their environment, anywhere in the text of a command, and
//! `$$` for a dollar that the shell shall see. The Go sealos puts the *value* into the text and hands the result to a
//! shell, so that a value with a quote, a `;` or a backquote becomes code. Here the value stays in the environment and
//! the reference becomes the shell's own expansion:
//!
//! | where | `$(X)`, `${X}`, `$X` with X known | `$$` | anything else |
//! |---|---|---|---|
//! | outside quotes, `"…"`, here-document | `${X}` | `$` | stays |
//! | `'…'` | `'"${X}"'` | `$` | stays |
//! | here-document with quoted delimiter | delimiter loses its quotes, the body's other specials are escaped | `\$` | stays |
//! | comment | stays | stays | stays |
//!
//! What differs from putting values into the text: a value is never parsed, so quotes and operators in it are
//! characters (outside quotes it is still split at white space); a dollar behind a backslash stays for the shell; an
//! unknown `$HOME` stays `$HOME`, where the Go sealos makes the command substitution `$(HOME)` of it.
//!
//! Invariants: no value is read here; every byte of the result comes from the command or is one of the fixed strings
//! above. So if the quoting of an exotic construct (a `case` pattern's `)` inside `$(…)`) is misjudged, the result can
//! be a wrong argument, but no value can become code through this rewriting. A text that is given to a *second* shell
//! (`sh -c '… $(X)'`) is that shell's code with the value in it: this is what its author wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::Environment;
use crate::cluster::heredoc::Heredoc;

/// A text for a shell, and variables it needs besides those of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellScript {
    /// The text.
    pub text: String,
    /// Variables made for names that the shell cannot look up (`a.b`, or `UID`, which is the shell's own): the name
    /// used in the text, and the variable of the environment whose value it has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
}

/// Rewrites `text` for the names of `environment`. See the module.
pub fn rewrite(text: &str, environment: &Environment) -> ShellScript {
    let mut rewriter = Rewriter {
        text,
        at: 0,
        out: String::with_capacity(text.len() + 16),
        contexts: Vec::new(),
        word_start: true,
        bare_dollar: false,
        heredocs: Vec::new(),
        aliases: BTreeMap::new(),
        environment,
    };
    while rewriter.at < text.len() {
        rewriter.step();
    }
    ShellScript { text: rewriter.out, aliases: rewriter.aliases }
}

/// What the text at one place is to the shell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// Commands; the outermost one ends with the text.
    Plain { ends: End, arithmetic: bool, depth: usize },
    /// Between double quotes.
    Double,
    /// Between single quotes.
    Single,
    /// Between `${` and `}`.
    Parameter { quoted: bool },
    /// In a here-document.
    Document,
}

/// What ends a [`Context::Plain`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Text,
    Parenthesis,
    Backquote,
}

pub(super) struct Rewriter<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) out: String,
    pub(super) contexts: Vec<Context>,
    /// Whether a word would begin here, so that `#` begins a comment.
    word_start: bool,
    /// Whether the last character written is a dollar that stands for itself so far.
    bare_dollar: bool,
    pub(super) heredocs: Vec<Heredoc>,
    aliases: BTreeMap<String, String>,
    environment: &'a Environment,
}

const OUTERMOST: Context = Context::Plain { ends: End::Text, arithmetic: false, depth: 0 };

impl<'a> Rewriter<'a> {
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn context(&self) -> Context {
        self.contexts.last().copied().unwrap_or(OUTERMOST)
    }

    /// Copies so many bytes, which end at a character's end.
    pub(super) fn copy(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.text.len());
        self.out.push_str(&self.text[self.at..end]);
        self.at = end;
        self.bare_dollar = false;
    }

    fn enter(&mut self, context: Context, opening: usize) {
        self.copy(opening);
        self.contexts.push(context);
        self.word_start = matches!(context, Context::Plain { .. });
    }

    fn leave(&mut self) {
        self.copy(1);
        self.contexts.pop();
        self.word_start = false;
    }

    /// Takes one construct or one character.
    pub(super) fn step(&mut self) {
        let Some(c) = self.rest().chars().next() else { return };
        let backquoted = Context::Plain { ends: End::Backquote, arithmetic: false, depth: 0 };
        match (self.context(), c) {
            (Context::Single, '\'') | (Context::Double, '"') | (Context::Parameter { .. }, '}') => self.leave(),
            (_, '$') => self.dollar(),
            (Context::Single, _) => self.copy(c.len_utf8()),
            (_, '\\') => {
                let escaped = self.rest()[1..].chars().next().map_or(0, char::len_utf8);
                self.copy(1 + escaped);
                self.word_start = false;
            }
            (Context::Plain { ends: End::Backquote, .. }, '`') => self.leave(),
            (_, '`') => self.enter(backquoted, 1),
            (Context::Plain { .. } | Context::Parameter { .. }, '"') => self.enter(Context::Double, 1),
            (Context::Plain { .. } | Context::Parameter { quoted: false }, '\'') => self.enter(Context::Single, 1),
            (Context::Plain { ends, arithmetic, depth }, _) => self.plain(c, ends, arithmetic, depth),
            _ => self.copy(c.len_utf8()),
        }
    }

    fn plain(&mut self, c: char, ends: End, arithmetic: bool, depth: usize) {
        match c {
            '(' => self.set_depth(ends, arithmetic, depth + 1),
            ')' if depth > 0 => self.set_depth(ends, arithmetic, depth - 1),
            ')' if ends == End::Parenthesis => return self.leave(),
            '#' if self.word_start && !arithmetic => {
                let line = self.rest().find('\n').unwrap_or(self.rest().len());
                return self.copy(line);
            }
            '<' if !arithmetic && self.rest().starts_with("<<<") => self.copy(2),
            '<' if !arithmetic && self.rest().starts_with("<<") => return self.heredoc_operator(),
            _ => {}
        }
        self.copy(c.len_utf8());
        self.word_start = c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>');
        if c == '\n' {
            self.heredoc_bodies();
            self.word_start = true;
        }
    }

    fn set_depth(&mut self, ends: End, arithmetic: bool, depth: usize) {
        match self.contexts.last_mut() {
            Some(context) => *context = Context::Plain { ends, arithmetic, depth },
            None => self.contexts.push(Context::Plain { ends, arithmetic, depth }),
        }
    }

    /// At a dollar: a reference to a known variable, `$$`, or something for the shell.
    fn dollar(&mut self) {
        self.word_start = false;
        if let Some((name, length)) = self.reference() {
            self.at += length;
            self.insert(name);
            return;
        }
        let length = if self.rest().starts_with("$$") { 2 } else { 1 };
        self.out.push('$');
        self.at += length;
        self.bare_dollar = true;
        let quoted = match self.context() {
            Context::Single => return,
            Context::Plain { .. } => false,
            Context::Parameter { quoted } => quoted,
            Context::Double | Context::Document => true,
        };
        if self.rest().starts_with('(') {
            let arithmetic = self.rest().starts_with("((");
            self.enter(Context::Plain { ends: End::Parenthesis, arithmetic, depth: 0 }, 1);
        } else if self.rest().starts_with('{') {
            self.enter(Context::Parameter { quoted }, 1);
        }
    }

    /// The known variable that is referred to here, and the length of the reference.
    pub(super) fn reference(&self) -> Option<(&'a str, usize)> {
        let rest = self.rest().strip_prefix('$')?;
        let (name, length) = match rest.as_bytes().first()? {
            b'(' => enclosed(rest, ')')?,
            b'{' => enclosed(rest, '}')?,
            _ => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
                (&rest[..end], 1 + end)
            }
        };
        self.environment.contains(name).then_some((name, length))
    }

    fn insert(&mut self, name: &str) {
        let variable = self.variable(name);
        if self.bare_dollar && self.context() != Context::Single {
            // `$` and `${X}` side by side would be the shell's `$$`.
            self.out.insert(self.out.len() - 1, '\\');
        }
        self.bare_dollar = false;
        match self.context() {
            Context::Single => self.out.push_str(&format!("'\"${{{variable}}}\"'")),
            _ => self.out.push_str(&format!("${{{variable}}}")),
        }
    }

    /// The shell variable that has the value of the environment's `name`.
    pub(super) fn variable(&mut self, name: &str) -> String {
        if is_identifier(name) && !is_the_shells_own(name) {
            return name.to_owned();
        }
        if let Some((alias, _)) = self.aliases.iter().find(|(_, known)| *known == name) {
            return alias.clone();
        }
        let free = |alias: &String| !self.environment.contains(alias) && !self.aliases.contains_key(alias);
        let alias = (1_usize..).map(|n| format!("SEALOS_VALUE_{n}")).find(free).unwrap_or_default();
        self.aliases.insert(alias.clone(), name.to_owned());
        alias
    }
}

/// The text between the first character of `rest` and `end`, and the length of the whole with a dollar before it.
fn enclosed(rest: &str, end: char) -> Option<(&str, usize)> {
    let close = rest.find(end)?;
    Some((&rest[1..close], close + 2))
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a shell gives the variable a value of its own when it starts, or drops what it is given.
fn is_the_shells_own(name: &str) -> bool {
    const OWN: [&str; 27] = [
        "_",
        "IFS",
        "PPID",
        "PWD",
        "OLDPWD",
        "OPTIND",
        "OPTARG",
        "OPTERR",
        "LINENO",
        "UID",
        "EUID",
        "GROUPS",
        "RANDOM",
        "SRANDOM",
        "SECONDS",
        "SHELLOPTS",
        "SHLVL",
        "HISTCMD",
        "DIRSTACK",
        "FUNCNAME",
        "PIPESTATUS",
        "EPOCHSECONDS",
        "EPOCHREALTIME",
        "PS1",
        "PS2",
        "PS4",
        "MAILCHECK",
    ];
    OWN.contains(&name) || name.starts_with("BASH")
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
