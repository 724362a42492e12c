//! Cuts a template text into tokens, as Go's `text/template/parse` does, including trim markers and comments.
//!
//! Invariants: token ranges are byte offsets on character boundaries; `Space` tokens are kept inside actions because
//! `.a.b` and `.a .b` differ. It does not check grammar.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Left,
    Right,
    Space,
    LeftParen,
    RightParen,
    Pipe,
    Comma,
    Assign,
    Declare,
    Dot,
    Field,
    Variable,
    Identifier,
    String,
    RawString,
    Char,
    Number,
    Eof,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: Range<usize>,
}

/// What the lexer could not read, and where.
#[derive(Debug)]
pub(crate) struct LexError {
    pub(crate) offset: usize,
    pub(crate) reason: String,
}

struct Lexer<'t> {
    text: &'t str,
    offset: usize,
    parens: usize,
    tokens: Vec<Token>,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

pub(crate) fn lex(text: &str) -> Result<Vec<Token>, LexError> {
    let mut lexer = Lexer { text, offset: 0, parens: 0, tokens: Vec::new() };
    let mut trim_next = false;
    loop {
        let rest = lexer.rest();
        let (end, found) = rest.find("{{").map_or((rest.len(), false), |i| (i, true));
        let mut content = &rest[..end];
        let mut start = lexer.offset;
        if trim_next {
            let trimmed = content.trim_start_matches(is_space);
            start += content.len() - trimmed.len();
            content = trimmed;
        }
        let after = &rest[end..];
        let trim_left = after.strip_prefix("{{-").is_some_and(|r| r.starts_with(is_space));
        if trim_left {
            content = content.trim_end_matches(is_space);
        }
        if !content.is_empty() {
            lexer.tokens.push(Token { kind: Kind::Text, at: start..start + content.len() });
        }
        lexer.offset += end;
        if !found {
            lexer.emit(Kind::Eof, 0);
            return Ok(lexer.tokens);
        }
        let marker = if trim_left { 3 } else { 2 };
        trim_next = match lexer.comment(marker)? {
            Some(trim) => trim,
            None => {
                lexer.emit(Kind::Left, marker);
                lexer.action()?
            }
        };
    }
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.offset..]
    }

    fn emit(&mut self, kind: Kind, len: usize) {
        self.tokens.push(Token { kind, at: self.offset..self.offset + len });
        self.offset += len;
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, LexError> {
        Err(LexError { offset: self.offset, reason: reason.into() })
    }

    /// The length of a right delimiter here and whether it trims.
    fn right(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            return Some((2, false));
        }
        let mut chars = rest.chars();
        (chars.next().is_some_and(is_space) && chars.as_str().starts_with("-}}")).then_some((4, true))
    }

    /// Passes a comment action; the answer says whether it trims what follows.
    fn comment(&mut self, marker: usize) -> Result<Option<bool>, LexError> {
        let inside = &self.rest()[marker..];
        let body = if marker == 3 { inside.trim_start_matches(is_space) } else { inside };
        if !body.starts_with("/*") {
            return Ok(None);
        }
        let Some(close) = body.find("*/") else { return self.fail("unclosed comment") };
        self.offset = self.text.len() - body.len() + close + 2;
        match self.right() {
            Some((len, trim)) => {
                self.offset += len;
                Ok(Some(trim))
            }
            None => self.fail("comment ends before closing delimiter"),
        }
    }

    /// Tokens up to and with the right delimiter; the answer says whether it trims what follows.
    fn action(&mut self) -> Result<bool, LexError> {
        self.parens = 0;
        loop {
            if let Some((len, trim)) = self.right() {
                if self.parens > 0 {
                    return self.fail("unclosed left paren");
                }
                self.emit(Kind::Right, len);
                return Ok(trim);
            }
            let Some(first) = self.rest().chars().next() else { return self.fail("unclosed action") };
            self.token(first)?;
        }
    }

    fn token(&mut self, first: char) -> Result<(), LexError> {
        match first {
            c if is_space(c) => {
                let mut len = 0;
                let rest = self.rest();
                for c in rest.chars().take_while(|c| is_space(*c)) {
                    if rest[len..].starts_with(is_space) && rest[len + 1..].starts_with("-}}") && len > 0 {
                        break;
                    }
                    len += c.len_utf8();
                }
                self.emit(Kind::Space, len);
            }
            '=' => self.emit(Kind::Assign, 1),
            ':' if self.rest().starts_with(":=") => self.emit(Kind::Declare, 2),
            ':' => return self.fail("expected :="),
            '|' => self.emit(Kind::Pipe, 1),
            ',' => self.emit(Kind::Comma, 1),
            '(' => {
                self.emit(Kind::LeftParen, 1);
                self.parens += 1;
            }
            ')' => {
                if self.parens == 0 {
                    return self.fail("unexpected right paren");
                }
                self.parens -= 1;
                self.emit(Kind::RightParen, 1);
            }
            '"' => self.quoted('"', Kind::String, "unterminated quoted string")?,
            '\'' => self.quoted('\'', Kind::Char, "unterminated character constant")?,
            '`' => match self.rest()[1..].find('`') {
                Some(close) => self.emit(Kind::RawString, close + 2),
                None => return self.fail("unterminated raw quoted string"),
            },
            '$' => self.word(1, Kind::Variable)?,
            '.' if !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                if self.rest()[1..].starts_with(is_word) {
                    self.word(1, Kind::Field)?;
                } else {
                    self.terminated(1)?;
                    self.emit(Kind::Dot, 1);
                }
            }
            '.' | '+' | '-' | '0'..='9' => self.number()?,
            c if is_word(c) => self.word(0, Kind::Identifier)?,
            c => return self.fail(format!("unexpected character {c:?} in an action")),
        }
        Ok(())
    }

    fn word(&mut self, skip: usize, kind: Kind) -> Result<(), LexError> {
        let len = skip + self.rest()[skip..].find(|c| !is_word(c)).unwrap_or(self.rest().len() - skip);
        self.terminated(len)?;
        self.emit(kind, len);
        Ok(())
    }

    /// A word must end before something that can follow one: `a"b"` is a mistake, not two words.
    fn terminated(&self, len: usize) -> Result<(), LexError> {
        match self.rest()[len..].chars().next() {
            None => Ok(()),
            Some(c) if is_space(c) || ".,|:)(".contains(c) => Ok(()),
            Some('}') if self.rest()[len..].starts_with("}}") => Ok(()),
            Some(c) => self.fail(format!("bad character {c:?}")),
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<(), LexError> {
        let mut escaped = false;
        for (i, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => {
                    self.emit(kind, i + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.fail(unterminated)
    }

    fn number(&mut self) -> Result<(), LexError> {
        let rest = self.rest();
        let mut len = usize::from(rest.starts_with(['+', '-']));
        let lower = rest[len..].get(..2).unwrap_or("").to_ascii_lowercase();
        let hex = lower == "0x";
        if matches!(lower.as_str(), "0x" | "0o" | "0b") {
            len += 2;
        }
        let digit = |c: char| c == '_' || if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        let run = |from: usize| rest[from..].find(|c| !digit(c)).unwrap_or(rest.len() - from);
        len += run(len);
        if rest[len..].starts_with('.') {
            len += 1;
            len += run(len);
        }
        if rest[len..].starts_with(if hex { ['p', 'P'] } else { ['e', 'E'] }) {
            len += 1;
            len += usize::from(rest[len..].starts_with(['+', '-']));
            len += rest[len..].find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(rest.len() - len);
        }
        if rest[len..].starts_with(is_word) {
            return self.fail(format!("bad number syntax: {:?}", &rest[..len]));
        }
        self.emit(Kind::Number, len);
        Ok(())
    }
}
