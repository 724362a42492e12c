//! The parsed form of a template. Offsets are bytes in the definition's source. It holds no behaviour.

use std::sync::Arc;

use super::error::Source;

/// One named template and the source its offsets refer to.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) source: Arc<Source>,
    pub(crate) body: Vec<Node>,
}

impl Definition {
    /// Go's notion of an empty template: nothing but white space. Such a one never replaces another.
    pub(crate) fn is_blank(&self) -> bool {
        self.body.iter().all(|n| matches!(n, Node::Text(t) if t.trim().is_empty()))
    }
}

#[derive(Debug)]
pub(crate) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { offset: usize, name: String, data: Option<Pipe> },
    Break,
    Continue,
}

/// `if`, `with` or `range` with its two lists.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// How a pipeline hands its value to variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    Declare,
    Assign,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) offset: usize,
    pub(crate) binding: Binding,
    pub(crate) variables: Vec<String>,
    pub(crate) commands: Vec<Command>,
}

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) args: Vec<Expr>,
}

#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) offset: usize,
    pub(crate) kind: ExprKind,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Dot,
    Nil,
    Bool(bool),
    Text(String),
    Number(Number),
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Box<Pipe>),
    Chain(Box<Expr>, Vec<String>),
}

/// A numeric constant: Go's ideal constants are integers and floats at once until used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) float: f64,
    /// Written as a float (`1.0`, `1e3`).
    pub(crate) is_float: bool,
}
