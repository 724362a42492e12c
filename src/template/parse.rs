//! Builds nodes from tokens: the grammar of Go's `text/template/parse`.
//!
//! Variables are checked here (an undefined one is an error, as in Go); functions are only collected, because which
//! exist is the engine's matter. Nesting is bounded so that no input can exhaust the stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{ErrorKind, Source, TemplateError};
use super::lexer::{Kind, Token, lex};
use super::literal;
use super::node::{Binding, Branch, Command, Definition, Expr, ExprKind, Node, Pipe};

const MAX_NESTING: usize = 64;

type Parsed<T> = Result<T, TemplateError>;

/// Everything one text defines.
pub(crate) struct Tree {
    pub(crate) root: Arc<Definition>,
    pub(crate) definitions: BTreeMap<String, Arc<Definition>>,
    /// Every function called, with a place, so that unknown ones are found before rendering.
    pub(crate) functions: Vec<(String, usize)>,
}

pub(crate) fn parse(source: &Arc<Source>) -> Parsed<Tree> {
    let tokens =
        lex(&source.text).map_err(|e| TemplateError::new(ErrorKind::Syntax { reason: e.reason }, source, e.offset))?;
    let mut parser = Parser {
        source,
        tokens,
        next: 0,
        variables: vec!["$".to_owned()],
        nesting: 0,
        loops: 0,
        definitions: BTreeMap::new(),
        functions: Vec::new(),
    };
    let (body, end) = parser.list()?;
    match end {
        End::Eof => {}
        End::Else(_) => return parser.fail("unexpected {{else}}"),
        End::Closed => return parser.fail("unexpected {{end}}"),
    }
    let root = Arc::new(Definition { source: Arc::clone(source), body });
    Ok(Tree { root, definitions: parser.definitions, functions: parser.functions })
}

/// What closed a list.
enum End {
    Eof,
    Closed,
    Else(Otherwise),
}

/// What stands after `else`.
enum Otherwise {
    Plain,
    If,
    With,
}

/// Which control action a branch belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Control {
    If,
    With,
    Range,
}

struct Parser<'s> {
    source: &'s Arc<Source>,
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<String>,
    nesting: usize,
    loops: usize,
    definitions: BTreeMap<String, Arc<Definition>>,
    functions: Vec<(String, usize)>,
}

impl Parser<'_> {
    fn peek(&self) -> Kind {
        self.tokens.get(self.next).map_or(Kind::Eof, |t| t.kind)
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.next).map_or(self.source.text.len(), |t| t.at.start)
    }

    fn text(&self) -> &str {
        self.tokens.get(self.next).map_or("", |t| &self.source.text[t.at.clone()])
    }

    fn take(&mut self) -> String {
        let text = self.text().to_owned();
        self.next += 1;
        text
    }

    fn skip_space(&mut self) {
        while self.peek() == Kind::Space {
            self.next += 1;
        }
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Parsed<T> {
        self.fail_at(self.offset(), reason)
    }

    fn fail_at<T>(&self, offset: usize, reason: impl Into<String>) -> Parsed<T> {
        Err(TemplateError::new(ErrorKind::Syntax { reason: reason.into() }, self.source, offset))
    }

    fn close(&mut self, context: &str) -> Parsed<()> {
        self.skip_space();
        if self.peek() != Kind::Right {
            let reason = format!("unexpected {:?} in {context}", self.text());
            return self.fail(reason);
        }
        self.next += 1;
        Ok(())
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_NESTING {
            return self.fail(format!("actions nest deeper than {MAX_NESTING} levels"));
        }
        self.nesting += 1;
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, End)> {
        let mut nodes = Vec::new();
        loop {
            match self.peek() {
                Kind::Eof => return Ok((nodes, End::Eof)),
                Kind::Text => {
                    let text = self.take();
                    nodes.push(Node::Text(text));
                }
                _ => {
                    self.next += 1;
                    self.skip_space();
                    if let Some(end) = self.action(&mut nodes)? {
                        return Ok((nodes, end));
                    }
                }
            }
        }
    }

    /// One action after its left delimiter; `Some` when it closes the list.
    fn action(&mut self, nodes: &mut Vec<Node>) -> Parsed<Option<End>> {
        let start = self.offset();
        let keyword = if self.peek() == Kind::Identifier { self.text().to_owned() } else { String::new() };
        let node = match keyword.as_str() {
            "end" => {
                self.next += 1;
                self.close("end")?;
                return Ok(Some(End::Closed));
            }
            "else" => {
                self.next += 1;
                return self.otherwise().map(|o| Some(End::Else(o)));
            }
            "if" => Node::If(self.branch(Control::If)?),
            "with" => Node::With(self.branch(Control::With)?),
            "range" => Node::Range(self.branch(Control::Range)?),
            "break" | "continue" => {
                self.next += 1;
                if self.loops == 0 {
                    return self.fail_at(start, format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                }
                self.close(&keyword)?;
                if keyword == "break" { Node::Break } else { Node::Continue }
            }
            "define" => {
                self.next += 1;
                if self.nesting > 0 {
                    return self.fail_at(start, "unexpected {{define}}: it must stand at the top level");
                }
                let name = self.name("define")?;
                self.close("define")?;
                self.definition(start, name)?;
                return Ok(None);
            }
            "template" => {
                self.next += 1;
                let name = self.name("template")?;
                let data = self.template_data("template")?;
                Node::Template { offset: start, name, data }
            }
            "block" => {
                self.next += 1;
                let name = self.name("block")?;
                self.skip_space();
                let data = Some(self.pipe("block", Kind::Right)?);
                self.nested(|p| p.definition(start, name.clone()))?;
                Node::Template { offset: start, name, data }
            }
            _ => Node::Action(self.pipe("command", Kind::Right)?),
        };
        nodes.push(node);
        Ok(None)
    }

    fn otherwise(&mut self) -> Parsed<Otherwise> {
        self.skip_space();
        match (self.peek(), self.text()) {
            (Kind::Identifier, "if") => Ok(Otherwise::If),
            (Kind::Identifier, "with") => Ok(Otherwise::With),
            _ => self.close("else").map(|()| Otherwise::Plain),
        }
    }

    fn name(&mut self, context: &str) -> Parsed<String> {
        self.skip_space();
        match self.peek() {
            Kind::String | Kind::RawString => self.string(),
            _ => self.fail(format!("missing name in {context}: want a quoted string")),
        }
    }

    fn template_data(&mut self, context: &str) -> Parsed<Option<Pipe>> {
        self.skip_space();
        if self.peek() == Kind::Right {
            self.next += 1;
            return Ok(None);
        }
        self.pipe(context, Kind::Right).map(Some)
    }

    /// The body of `define` or `block`, in a scope of its own.
    fn definition(&mut self, start: usize, name: String) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, end) = self.nested(Self::list)?;
        self.variables = outer;
        self.loops = loops;
        if !matches!(end, End::Closed) {
            return self.fail_at(start, format!("template {name:?} is not closed by {{{{end}}}}"));
        }
        let new = Arc::new(Definition { source: Arc::clone(self.source), body });
        match self.definitions.get(&name) {
            Some(old) if !old.is_blank() && !new.is_blank() => {
                self.fail_at(start, format!("template: multiple definition of template {name:?}"))
            }
            Some(old) if !old.is_blank() => Ok(()),
            _ => {
                self.definitions.insert(name, new);
                Ok(())
            }
        }
    }

    fn branch(&mut self, control: Control) -> Parsed<Branch> {
        let start = self.offset();
        self.next += 1;
        self.skip_space();
        let mark = self.variables.len();
        let branch = self.nested(|p| p.branch_body(start, control))?;
        self.variables.truncate(mark);
        Ok(branch)
    }

    fn branch_body(&mut self, start: usize, control: Control) -> Parsed<Branch> {
        let context = match control {
            Control::If => "if",
            Control::With => "with",
            Control::Range => "range",
        };
        let pipe = self.pipe(context, Kind::Right)?;
        self.loops += usize::from(control == Control::Range);
        let (body, end) = self.list()?;
        self.loops -= usize::from(control == Control::Range);
        let otherwise = match (end, control) {
            (End::Eof, _) => return self.fail_at(start, format!("{{{{{context}}}}} is not closed by {{{{end}}}}")),
            (End::Closed, _) => Vec::new(),
            (End::Else(Otherwise::If), Control::If) => vec![Node::If(self.branch(Control::If)?)],
            (End::Else(Otherwise::With), Control::With) => vec![Node::With(self.branch(Control::With)?)],
            (End::Else(Otherwise::Plain), _) => {
                let (otherwise, end) = self.list()?;
                if !matches!(end, End::Closed) {
                    return self
                        .fail_at(start, format!("expected {{{{end}}}} after {{{{else}}}} of {{{{{context}}}}}"));
                }
                otherwise
            }
            (End::Else(_), _) => return self.fail(format!("unexpected word after {{{{else}}}} in {{{{{context}}}}}")),
        };
        Ok(Branch { pipe, body, otherwise })
    }

    fn pipe(&mut self, context: &str, closer: Kind) -> Parsed<Pipe> {
        self.nested(|p| p.pipe_inner(context, closer))
    }

    fn pipe_inner(&mut self, context: &str, closer: Kind) -> Parsed<Pipe> {
        self.skip_space();
        let mut pipe =
            Pipe { offset: self.offset(), binding: Binding::Assign, variables: Vec::new(), commands: Vec::new() };
        self.bindings(context, &mut pipe)?;
        let declared = pipe.variables.clone();
        loop {
            self.skip_space();
            if self.peek() == closer {
                if pipe.commands.is_empty() {
                    return self.fail(format!("missing value for {context}"));
                }
                self.next += 1;
                break;
            }
            if !pipe.commands.is_empty() {
                if self.peek() != Kind::Pipe {
                    let reason = format!("unexpected {:?} in {context}", self.text());
                    return self.fail(reason);
                }
                self.next += 1;
                self.skip_space();
                // Go lets a pipe end the pipeline.
                if self.peek() == closer {
                    continue;
                }
            }
            let command = self.command(context)?;
            self.check_stage(&command, pipe.commands.len())?;
            pipe.commands.push(command);
        }
        if pipe.binding == Binding::Declare {
            self.variables.extend(declared);
        }
        Ok(pipe)
    }

    /// A constant cannot take the piped value.
    fn check_stage(&self, command: &Command, index: usize) -> Parsed<()> {
        if index == 0 {
            return Ok(());
        }
        match command.args.first().map(|a| (&a.kind, a.offset)) {
            Some((ExprKind::Bool(_) | ExprKind::Dot | ExprKind::Nil | ExprKind::Number(_) | ExprKind::Text(_), at)) => {
                self.fail_at(at, format!("non executable command in pipeline stage {}", index + 1))
            }
            _ => Ok(()),
        }
    }

    /// `$x :=`, `$x =`, `$i, $e :=`; nothing is taken when the pipeline only starts with a variable.
    fn bindings(&mut self, context: &str, pipe: &mut Pipe) -> Parsed<()> {
        let mark = self.next;
        let mut names = Vec::new();
        loop {
            if self.peek() != Kind::Variable {
                break;
            }
            let offset = self.offset();
            let name = self.take();
            self.skip_space();
            match self.peek() {
                Kind::Declare | Kind::Assign => {
                    pipe.binding = if self.peek() == Kind::Declare { Binding::Declare } else { Binding::Assign };
                    self.next += 1;
                    names.push((name, offset));
                    return self.bound(pipe, names);
                }
                Kind::Comma if context == "range" && names.is_empty() => {
                    self.next += 1;
                    self.skip_space();
                    names.push((name, offset));
                    if self.peek() != Kind::Variable {
                        return self.fail("range can only initialize variables");
                    }
                }
                Kind::Comma => return self.fail(format!("too many declarations in {context}")),
                _ if names.is_empty() => break,
                _ => return self.fail(format!("expected := in {context}")),
            }
        }
        self.next = mark;
        Ok(())
    }

    fn bound(&self, pipe: &mut Pipe, names: Vec<(String, usize)>) -> Parsed<()> {
        for (name, offset) in names {
            if pipe.binding == Binding::Assign && !self.variables.contains(&name) {
                return self.fail_at(offset, format!("undefined variable {name:?}"));
            }
            pipe.variables.push(name);
        }
        Ok(())
    }

    fn command(&mut self, context: &str) -> Parsed<Command> {
        let mut args = Vec::new();
        loop {
            self.skip_space();
            let Some(operand) = self.operand()? else { break };
            args.push(operand);
            match self.peek() {
                Kind::Space => {}
                Kind::Right | Kind::RightParen | Kind::Pipe => break,
                _ => {
                    let reason = format!("unexpected {:?} in operand of {context}", self.text());
                    return self.fail(reason);
                }
            }
        }
        if args.is_empty() {
            let reason = format!("missing value or command in {context} before {:?}", self.text());
            return self.fail(reason);
        }
        Ok(Command { args })
    }

    /// A term and the fields that follow it without a space.
    fn operand(&mut self) -> Parsed<Option<Expr>> {
        let Some(mut term) = self.term()? else { return Ok(None) };
        if self.peek() != Kind::Field {
            return Ok(Some(term));
        }
        let mut fields = Vec::new();
        while self.peek() == Kind::Field {
            let field = self.take();
            fields.push(field[1..].to_owned());
        }
        let offset = term.offset;
        match &mut term.kind {
            ExprKind::Field(own) | ExprKind::Variable(_, own) => own.append(&mut fields),
            ExprKind::Dot | ExprKind::Nil | ExprKind::Bool(_) | ExprKind::Text(_) | ExprKind::Number(_) => {
                return self.fail_at(offset, "unexpected . after term");
            }
            ExprKind::Function(_) | ExprKind::Pipe(_) | ExprKind::Chain(..) => {
                term = Expr { offset, kind: ExprKind::Chain(Box::new(term), fields) };
            }
        }
        Ok(Some(term))
    }

    fn term(&mut self) -> Parsed<Option<Expr>> {
        let offset = self.offset();
        let kind = match self.peek() {
            Kind::Identifier => self.identifier()?,
            Kind::Dot => {
                self.next += 1;
                ExprKind::Dot
            }
            Kind::Field => {
                let field = self.take();
                ExprKind::Field(vec![field[1..].to_owned()])
            }
            Kind::Variable => {
                let name = self.take();
                if !self.variables.contains(&name) {
                    return self.fail_at(offset, format!("undefined variable {name:?}"));
                }
                ExprKind::Variable(name, Vec::new())
            }
            Kind::String | Kind::RawString => ExprKind::Text(self.string()?),
            Kind::Char => self.character()?,
            Kind::Number => match literal::number(self.text()) {
                Some(number) => {
                    self.next += 1;
                    ExprKind::Number(number)
                }
                None => {
                    let reason = format!("bad number syntax: {:?}", self.text());
                    return self.fail(reason);
                }
            },
            Kind::LeftParen => {
                self.next += 1;
                ExprKind::Pipe(Box::new(self.pipe("parenthesized pipeline", Kind::RightParen)?))
            }
            _ => return Ok(None),
        };
        Ok(Some(Expr { offset, kind }))
    }

    fn identifier(&mut self) -> Parsed<ExprKind> {
        let offset = self.offset();
        let name = self.take();
        Ok(match name.as_str() {
            "true" => ExprKind::Bool(true),
            "false" => ExprKind::Bool(false),
            "nil" => ExprKind::Nil,
            "if" | "else" | "end" | "range" | "with" | "define" | "block" | "template" | "break" | "continue" => {
                return self.fail_at(offset, format!("unexpected <{name}> in an operand"));
            }
            _ => {
                self.functions.push((name.clone(), offset));
                ExprKind::Function(name)
            }
        })
    }

    fn string(&mut self) -> Parsed<String> {
        let raw = self.peek() == Kind::RawString;
        let text = self.text();
        let body = &text[1..text.len() - 1];
        let value = if raw { Some(body.replace('\r', "")) } else { literal::unquote(body, '"') };
        match value {
            Some(value) => {
                self.next += 1;
                Ok(value)
            }
            None => self.fail("invalid escape in quoted string"),
        }
    }

    fn character(&mut self) -> Parsed<ExprKind> {
        let text = self.text();
        let value = literal::unquote(&text[1..text.len() - 1], '\'');
        let mut chars = value.iter().flat_map(|v| v.chars());
        match (chars.next(), chars.next()) {
            (Some(c), None) => {
                self.next += 1;
                let int = i64::from(u32::from(c));
                let number = super::node::Number { int: Some(int), float: int as f64, is_float: false };
                Ok(ExprKind::Number(number))
            }
            _ => self.fail("malformed character constant"),
        }
    }
}
