//! Walks nodes and writes text: the evaluation rules of Go's `text/template/exec`.
//!
//! Invariants: every entry into a list, pipeline or call is counted against the limits; the variable stack is cut back
//! at the end of each scope. Functions themselves are in `functions/`.

mod include;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::bytes::bytes_of;
use super::error::{CallError, ErrorKind, Location, Source, TemplateError, nearest};
use super::functions::{self, Builtin};
use super::node::{Binding, Branch, Command, Definition, Expr, ExprKind, Node, Number, Pipe};
use super::value::{Map, Value};
use super::{Engine, Mode, Set, Template, format};

pub(crate) type Run<T> = Result<T, TemplateError>;

/// How a list ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// One rendering, or several of one set after each other.
pub(crate) struct Exec<'e> {
    pub(crate) engine: &'e Engine,
    set: &'e Set,
    /// What the texts of `tpl` that are being rendered define: it comes before the set.
    overlay: Rc<BTreeMap<String, Arc<Definition>>>,
    /// Texts of `tpl` parsed before: charts give the same few again and again.
    parsed: HashMap<Rc<str>, Template>,
    out: Option<&'e mut dyn io::Write>,
    /// Texts being made by `include`, `tpl` and `render`, innermost last.
    buffers: Vec<String>,
    variables: Vec<(Rc<str>, Value)>,
    source: Arc<Source>,
    offset: usize,
    depth: usize,
    steps: u64,
    written: u64,
}

impl<'e> Exec<'e> {
    pub(crate) fn new(engine: &'e Engine, set: &'e Set, out: Option<&'e mut dyn io::Write>) -> Self {
        Self {
            engine,
            set,
            overlay: Rc::default(),
            parsed: HashMap::new(),
            out,
            buffers: Vec::new(),
            variables: Vec::new(),
            source: Arc::new(Source { name: String::new(), text: String::new() }),
            offset: 0,
            depth: 0,
            steps: 0,
            written: 0,
        }
    }

    /// Renders into the writer.
    pub(crate) fn run(&mut self, definition: &Arc<Definition>, data: &Value) -> Run<()> {
        if self.engine.mode != Mode::Helm {
            return self.template(definition, data);
        }
        let text = self.render(definition, data)?;
        self.written = 0;
        self.write(&text)
    }

    /// Renders into a string.
    pub(crate) fn render(&mut self, definition: &Arc<Definition>, data: &Value) -> Run<String> {
        self.buffers.push(String::new());
        let result = self.template(definition, data);
        let text = self.buffers.pop().unwrap_or_default();
        result.map(|()| self.finished(text))
    }

    fn error(&self, kind: ErrorKind) -> TemplateError {
        TemplateError::new(kind, &self.source, self.offset)
    }

    fn refuse<T>(&self, reason: impl Into<String>) -> Run<T> {
        Err(self.error(ErrorKind::Evaluate { reason: reason.into() }))
    }

    fn step(&mut self) -> Run<()> {
        self.steps += 1;
        if self.steps > self.engine.limits.steps {
            return Err(self.error(ErrorKind::Steps { limit: self.engine.limits.steps }));
        }
        Ok(())
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Run<T>) -> Run<T> {
        if self.depth >= self.engine.limits.depth {
            return Err(self.error(ErrorKind::Depth { limit: self.engine.limits.depth }));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn write(&mut self, text: &str) -> Run<()> {
        self.written += text.len() as u64;
        if self.written > self.engine.limits.output {
            return Err(self.error(ErrorKind::Output { limit: self.engine.limits.output }));
        }
        match self.buffers.last_mut() {
            Some(buffer) => {
                buffer.push_str(text);
                Ok(())
            }
            None => match self.out.as_mut() {
                Some(out) => out.write_all(&bytes_of(text)).map_err(|source| self.error(ErrorKind::Write { source })),
                None => Ok(()),
            },
        }
    }

    /// Renders a definition with its own variables, then returns to the caller's.
    fn template(&mut self, definition: &Arc<Definition>, data: &Value) -> Run<()> {
        let variables = std::mem::replace(&mut self.variables, vec![("$".into(), data.clone())]);
        let source = std::mem::replace(&mut self.source, Arc::clone(&definition.source));
        let offset = self.offset;
        let result = self.deeper(|e| e.list(data, &definition.body));
        self.variables = variables;
        self.source = source;
        self.offset = offset;
        result.map(drop).map_err(|mut error| {
            if !self.source.name.is_empty() {
                error.trail.push(Location::find(&self.source, self.offset));
            }
            error
        })
    }

    fn list(&mut self, dot: &Value, nodes: &[Node]) -> Run<Flow> {
        let mark = self.variables.len();
        let mut flow = Flow::Next;
        for node in nodes {
            flow = self.node(dot, node)?;
            if flow != Flow::Next {
                break;
            }
        }
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn node(&mut self, dot: &Value, node: &Node) -> Run<Flow> {
        self.step()?;
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.offset = pipe.offset;
                    self.print(dot, &value)?;
                }
            }
            Node::If(branch) | Node::With(branch) => {
                let mark = self.variables.len();
                let value = self.pipe(dot, &branch.pipe)?;
                let with = matches!(node, Node::With(_));
                let flow = if value.truth() {
                    let dot = if with { &value } else { dot };
                    self.deeper(|e| e.list(dot, &branch.body))?
                } else {
                    self.deeper(|e| e.list(dot, &branch.otherwise))?
                };
                self.variables.truncate(mark);
                return Ok(flow);
            }
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template { offset, name, data } => {
                let data = match data {
                    Some(pipe) => self.pipe(dot, pipe)?,
                    None => Value::Null,
                };
                self.offset = *offset;
                let definition = self.find(name).map_err(|kind| self.error(kind))?;
                self.template(&definition, &data)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, dot: &Value, value: &Value) -> Run<()> {
        if self.engine.mode == Mode::Strict && value.is_nil() {
            return Err(self.missing(dot, value));
        }
        match value {
            Value::Undefined(_) | Value::Null => self.write(format::NO_VALUE),
            Value::String(text) => self.write(text),
            other => self.write(&format::display(other)),
        }
    }

    fn missing(&self, dot: &Value, value: &Value) -> TemplateError {
        let name = match value {
            Value::Undefined(name) => name.to_string(),
            _ => "nil".to_owned(),
        };
        let keys = match dot {
            Value::Map(map) => map.entries(),
            _ => Vec::new(),
        };
        let near = nearest(&name, keys.iter().map(|(k, _)| k.as_ref()));
        self.error(ErrorKind::Missing { name, nearest: near })
    }

    fn range(&mut self, dot: &Value, branch: &Branch) -> Run<Flow> {
        let mark = self.variables.len();
        let over = self.commands(dot, &branch.pipe)?;
        self.offset = branch.pipe.offset;
        let over = match &over {
            Value::Object(object) => object.data().unwrap_or(over),
            _ => over,
        };
        let two = branch.pipe.variables.len() > 1;
        let mut ran = false;
        let mut turn = |exec: &mut Self, key: Value, item: Value| -> Run<bool> {
            ran = true;
            exec.step()?;
            exec.bind_turn(&branch.pipe, key, &item)?;
            let flow = exec.deeper(|e| e.list(&item, &branch.body))?;
            exec.variables.truncate(mark);
            Ok(flow == Flow::Break)
        };
        match &over {
            Value::List(list) => {
                for (i, item) in list.items().iter().enumerate() {
                    if turn(self, Value::Int(i as i64), item.clone())? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in map.entries() {
                    if turn(self, Value::String(key), item)? {
                        break;
                    }
                }
            }
            Value::Int(_) | Value::Int64(_) | Value::Uint(_) => {
                if two {
                    return self.refuse(format!(
                        "can't use {} to iterate over more than one variable",
                        format::display(&over)
                    ));
                }
                for i in 0..over.as_int().unwrap_or(i64::MAX) {
                    let item = match over {
                        Value::Int64(_) => Value::Int64(i),
                        Value::Uint(_) => Value::Uint(i.unsigned_abs()),
                        _ => Value::Int(i),
                    };
                    if turn(self, Value::Null, item)? {
                        break;
                    }
                }
            }
            Value::Undefined(_) | Value::Null => {}
            other => return self.refuse(format!("range can't iterate over {}", format::display(other))),
        }
        self.variables.truncate(mark);
        if ran {
            return Ok(Flow::Next);
        }
        let flow = self.deeper(|e| e.list(dot, &branch.otherwise))?;
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn bind_turn(&mut self, pipe: &Pipe, key: Value, item: &Value) -> Run<()> {
        match pipe.variables.as_slice() {
            [one] => self.bind(pipe.binding, one, item.clone()),
            [first, second, ..] => {
                self.bind(pipe.binding, first, key)?;
                self.bind(pipe.binding, second, item.clone())
            }
            [] => Ok(()),
        }
    }

    fn bind(&mut self, binding: Binding, name: &str, value: Value) -> Run<()> {
        if binding == Binding::Declare {
            self.variables.push((name.into(), value));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|(n, _)| &**n == name) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => self.refuse(format!("undefined variable: {name}")),
        }
    }

    fn pipe(&mut self, dot: &Value, pipe: &Pipe) -> Run<Value> {
        let value = self.commands(dot, pipe)?;
        let value = self.stripped(value);
        for name in &pipe.variables {
            self.bind(pipe.binding, name, value.clone())?;
        }
        Ok(value)
    }

    /// A nil that a pipeline made has lost its type in Go: a field of it is nothing, where a field of a nil that lies in
    /// a map is an error.
    fn stripped(&self, value: Value) -> Value {
        match value {
            Value::Null if self.engine.mode != Mode::Strict => Value::Undefined("".into()),
            value => value,
        }
    }

    fn commands(&mut self, dot: &Value, pipe: &Pipe) -> Run<Value> {
        self.deeper(|exec| {
            let mut last = None;
            for command in &pipe.commands {
                exec.step()?;
                last = Some(exec.command(dot, command, last)?);
            }
            Ok(last.unwrap_or(Value::Null))
        })
    }

    fn command(&mut self, dot: &Value, command: &Command, last: Option<Value>) -> Run<Value> {
        let Some((first, args)) = command.args.split_first() else { return Ok(Value::Null) };
        self.offset = first.offset;
        match &first.kind {
            ExprKind::Field(path) => self.chain(dot, dot.clone(), path, args, last),
            ExprKind::Variable(name, path) => {
                let value = self.variable(name)?;
                if path.is_empty() && !(args.is_empty() && last.is_none()) {
                    return self.refuse(format!("can't give argument to non-function {name}"));
                }
                self.chain(dot, value, path, args, last)
            }
            ExprKind::Chain(inner, path) => {
                let value = self.expr(dot, inner)?;
                self.offset = first.offset;
                self.chain(dot, value, path, args, last)
            }
            ExprKind::Function(name) => self.function(dot, name, args, last),
            ExprKind::Nil => self.refuse("nil is not a command"),
            _ if !(args.is_empty() && last.is_none()) => {
                self.refuse("can't give argument to a value that is not a function")
            }
            _ => self.expr(dot, first),
        }
    }

    fn variable(&self, name: &str) -> Run<Value> {
        match self.variables.iter().rev().find(|(n, _)| &**n == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.refuse(format!("undefined variable: {name}")),
        }
    }

    /// An expression that stands alone, as an argument or as a whole command.
    fn expr(&mut self, dot: &Value, expr: &Expr) -> Run<Value> {
        self.offset = expr.offset;
        Ok(match &expr.kind {
            ExprKind::Dot => dot.clone(),
            ExprKind::Nil => Value::Null,
            ExprKind::Bool(b) => Value::Bool(*b),
            ExprKind::Text(text) => Value::string(text.as_str()),
            ExprKind::Number(number) => self.constant(number)?,
            ExprKind::Field(path) => self.chain(dot, dot.clone(), path, &[], None)?,
            ExprKind::Variable(name, path) => {
                let value = self.variable(name)?;
                self.chain(dot, value, path, &[], None)?
            }
            ExprKind::Function(name) => self.function(dot, name, &[], None)?,
            ExprKind::Pipe(pipe) => self.pipe(dot, pipe)?,
            ExprKind::Chain(inner, path) => {
                let value = self.expr(dot, inner)?;
                self.offset = expr.offset;
                self.chain(dot, value, path, &[], None)?
            }
        })
    }

    fn constant(&self, number: &Number) -> Run<Value> {
        match number {
            Number { is_float: true, float, .. } => Ok(Value::Float(*float)),
            Number { int: Some(int), .. } => Ok(Value::Int(*int)),
            _ => self.refuse("integer overflow"),
        }
    }

    /// `.a.b.c args`: only the last field gets the arguments.
    fn chain(
        &mut self,
        dot: &Value,
        mut value: Value,
        path: &[String],
        args: &[Expr],
        last: Option<Value>,
    ) -> Run<Value> {
        let offset = self.offset;
        let Some((method, inner)) = path.split_last() else { return Ok(value) };
        for name in inner {
            value = self.field(&value, name)?;
        }
        if args.is_empty() && last.is_none() {
            return self.field(&value, method);
        }
        let Value::Object(object) = &value else {
            return self.refuse(format!("{method} is not a method but has arguments"));
        };
        let mut given = Vec::with_capacity(args.len() + 1);
        for arg in args {
            given.push(self.expr(dot, arg)?);
        }
        given.extend(last);
        self.offset = offset;
        match object.call(method, &given) {
            Some(result) => result.map_err(|error| self.call_error(method, error)),
            None => self.refuse(format!("{method} is not a method but has arguments")),
        }
    }

    fn field(&self, value: &Value, name: &str) -> Run<Value> {
        let none = || ErrorKind::NoField { field: name.to_owned(), type_name: value.type_name() };
        match value {
            Value::Map(map) => Ok(map.get(name).unwrap_or_else(|| self.absent(map, name))),
            Value::Undefined(_) => Ok(value.clone()),
            Value::Null => Err(self.error(ErrorKind::NilField { field: name.to_owned() })),
            Value::Object(object) => {
                if let Some(found) = object.field(name) {
                    return Ok(found);
                }
                match object.call(name, &[]) {
                    Some(result) => result.map_err(|error| self.call_error(name, error)),
                    None => Err(self.error(none())),
                }
            }
            _ => Err(self.error(none())),
        }
    }

    fn absent(&self, map: &Map, name: &str) -> Value {
        match (self.engine.mode, map.element()) {
            (Mode::Helm, super::value::Element::String) => Value::string(""),
            (Mode::Helm, _) => Value::Null,
            _ => Value::Undefined(name.into()),
        }
    }

    fn call_error(&self, function: &str, error: CallError) -> TemplateError {
        match error {
            CallError::Rendering(inner) => *inner,
            error => self.error(ErrorKind::Call { function: function.to_owned(), error }),
        }
    }

    fn function(&mut self, dot: &Value, name: &str, args: &[Expr], last: Option<Value>) -> Run<Value> {
        self.step()?;
        let offset = self.offset;
        if let Some(custom) = self.engine.extra.get(name).map(Arc::clone) {
            let mut given = Vec::with_capacity(args.len() + 1);
            for arg in args {
                given.push(self.expr(dot, arg)?);
            }
            given.extend(last);
            self.offset = offset;
            return custom(&given).map_err(|error| self.call_error(name, error));
        }
        let Some(builtin) = functions::find(name) else {
            let near = nearest(name, functions::names());
            return Err(self.error(ErrorKind::UnknownFunction { name: name.to_owned(), nearest: near }));
        };
        let count = args.len() + usize::from(last.is_some());
        builtin.check_count(count).map_err(|error| self.call_error(name, error))?;
        if matches!(name, "and" | "or") {
            return self.short_circuit(dot, name == "or", args, last);
        }
        let mut given = Vec::with_capacity(count);
        for (i, arg) in args.iter().enumerate() {
            let value = self.argument(dot, builtin, i, arg)?;
            given.push(value);
        }
        self.offset = offset;
        if let Some(last) = last {
            let value = self.accept(dot, builtin, args.len(), last)?;
            given.push(value);
        }
        let result = (builtin.run)(self, &given);
        self.offset = offset;
        result.map_err(|error| self.call_error(name, error))
    }

    fn short_circuit(&mut self, dot: &Value, or: bool, args: &[Expr], last: Option<Value>) -> Run<Value> {
        let mut value = Value::Null;
        for arg in args {
            value = self.expr(dot, arg)?;
            if value.truth() == or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// An argument as written: numeric constants take the parameter's type.
    fn argument(&mut self, dot: &Value, builtin: &Builtin, index: usize, arg: &Expr) -> Run<Value> {
        let value = match (&arg.kind, builtin.parameter(index)) {
            (ExprKind::Number(number), b'f') => Value::Float(number.float),
            (ExprKind::Number(number), b'i') if number.int.is_some() => Value::Int(number.int.unwrap_or(0)),
            _ => self.expr(dot, arg)?,
        };
        self.offset = arg.offset;
        self.accept(dot, builtin, index, value)
    }

    fn accept(&self, dot: &Value, builtin: &Builtin, index: usize, value: Value) -> Run<Value> {
        let strict = self.engine.mode == Mode::Strict;
        if strict && matches!(value, Value::Undefined(_)) && builtin.prints() {
            return Err(self.missing(dot, &value));
        }
        let undefined = matches!(value, Value::Undefined(_)).then(|| value.clone());
        match builtin.accept(index, value) {
            Ok(value) => Ok(value),
            Err(error) => match undefined {
                Some(value) if strict => Err(self.missing(dot, &value)),
                _ => Err(self.call_error(builtin.name, error)),
            },
        }
    }
}
