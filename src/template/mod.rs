//! Our engine for Go's `text/template` with the Sprig and Helm functions, and Handlebars for `*.hbs`.
//!
//! Used for `*.tmpl` files of cluster images (data: the environment map), for `--format` of commands, and made so that
//! Helm charts can be rendered: shared mutable maps, objects with methods, `include` and `tpl`.
//!
//! Invariants: pure (no file, socket, process, clock or random: those functions come from a [`Provider`] or are an
//! error that says why); no panic on any input; depth, steps and output are bounded by [`Limits`]. A template set is
//! made afresh per file, so nothing of one file can show in the next.
//!
//! Values behave as Go's would: numbers read from JSON or YAML are `float64` (so `1000000` prints as `1e+06`, and
//! `int` makes it whole) unless they were converted with [`Numbers::Typed`]. `Local` is UTC.

mod bytes;
mod error;
mod exec;
mod format;
mod functions;
pub mod handlebars;
mod lexer;
mod literal;
mod node;
mod parse;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use bytes::Bytes;
use error::Source;
pub(crate) use error::nearest;
pub use error::{CallError, ErrorKind, Location, TemplateError};
use exec::Exec;
pub use format::display;
pub use functions::{Time, go_regex, version_is_valid, version_satisfies, yaml_of};
use node::Definition;
pub use value::{Element, List, Map, Numbers, Object, Value};

/// What a missing map key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// A missing key is an error when printed or given to a function that cannot take nil; conditions, `default`,
    /// `empty`, `coalesce` and the like see it as empty.
    #[default]
    Strict,
    /// Go's `missingkey=default`: prints `<no value>`.
    GoDefault,
    /// Helm's: `missingkey=zero`, and `<no value>` is removed from the output.
    Helm,
}

/// Bounds on one rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How deep actions, pipelines and included templates may nest together.
    pub depth: usize,
    /// How many nodes and calls may be evaluated.
    pub steps: u64,
    /// How many bytes may be written, counting those of included templates each time.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 200, steps: 50_000_000, output: 256 << 20 }
    }
}

/// Supplies the functions that are not pure: `env`, `expandenv`, `now`, `ago`, `randAlphaNum`, `uuidv4`, `genCA`,
/// `htpasswd`, `lookup`, `getHostByName` and their like.
pub trait Provider: Send + Sync {
    /// Runs the function; `None` when this provider does not have it.
    fn call(&self, function: &str, args: &[Value]) -> Option<Result<Value, CallError>>;
}

type Closure = dyn Fn(&[Value]) -> Result<Value, CallError> + Send + Sync;

/// A function set, a mode and limits: renders templates.
#[derive(Clone, Default)]
pub struct Engine {
    /// What a missing key does.
    pub mode: Mode,
    /// Bounds on one rendering.
    pub limits: Limits,
    extra: BTreeMap<String, Arc<Closure>>,
    provider: Option<Arc<dyn Provider>>,
}

impl Engine {
    /// An engine with the whole pure function set.
    pub fn new(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Adds or replaces a function.
    pub fn function(
        &mut self,
        name: &str,
        run: impl Fn(&[Value]) -> Result<Value, CallError> + Send + Sync + 'static,
    ) -> &mut Self {
        self.extra.insert(name.to_owned(), Arc::new(run));
        self
    }

    /// Supplies the functions that need a clock, randomness or an environment.
    pub fn provider(&mut self, provider: Arc<dyn Provider>) -> &mut Self {
        self.provider = Some(provider);
        self
    }

    /// Renders one template to a string.
    ///
    /// # Errors
    /// See [`ErrorKind`]; the error holds the place.
    pub fn render(&self, template: &Template, data: &Value) -> Result<String, TemplateError> {
        let set = Set::of(template.clone());
        self.render_set(&set, template.name(), data)
    }

    /// Renders one template into a writer; what was written before an error stays written.
    ///
    /// # Errors
    /// See [`ErrorKind`]; a writer's error is `ErrorKind::Write`.
    pub fn render_to(
        &self,
        template: &Template,
        data: &Value,
        out: &mut dyn std::io::Write,
    ) -> Result<(), TemplateError> {
        let set = Set::of(template.clone());
        self.run(&set, template.name(), data, out)
    }

    /// Renders a template of a set by name.
    ///
    /// # Errors
    /// See [`ErrorKind`]; the error holds the place.
    pub fn render_set(&self, set: &Set, name: &str, data: &Value) -> Result<String, TemplateError> {
        self.session(set)?.render(name, data)
    }

    /// Renders several templates of a set after each other; the limits hold for all of them together.
    ///
    /// # Errors
    /// A template of the set calls a function that does not exist.
    pub fn session<'e>(&'e self, set: &'e Set) -> Result<Session<'e>, TemplateError> {
        for template in &set.templates {
            self.check(template)?;
        }
        Ok(Session { exec: Exec::new(self, set, None) })
    }

    fn run(&self, set: &Set, name: &str, data: &Value, out: &mut dyn std::io::Write) -> Result<(), TemplateError> {
        for template in &set.templates {
            self.check(template)?;
        }
        let mut exec = Exec::new(self, set, Some(out));
        let definition = exec.find(name).map_err(|kind| unknown(kind, name))?;
        exec.run(&definition, data)
    }

    /// Refuses a template that calls a function nobody defines, even where the call would not be reached.
    fn check(&self, template: &Template) -> Result<(), TemplateError> {
        for (name, offset) in template.functions.iter() {
            if !functions::exists(name) && !self.extra.contains_key(name) {
                let known = functions::names().chain(self.extra.keys().map(String::as_str));
                let kind = ErrorKind::UnknownFunction { name: name.clone(), nearest: nearest(name, known) };
                return Err(TemplateError::new(kind, &template.root.source, *offset));
            }
        }
        Ok(())
    }
}

/// A template that is not there is an error without a place: no template named it.
fn unknown(kind: ErrorKind, name: &str) -> TemplateError {
    TemplateError::new(kind, &Arc::new(Source { name: name.to_owned(), text: String::new() }), 0)
}

/// A set that is being rendered, template by template.
pub struct Session<'e> {
    exec: Exec<'e>,
}

impl Session<'_> {
    /// Renders a template by name.
    ///
    /// # Errors
    /// See [`ErrorKind`]; the error holds the place.
    pub fn render(&mut self, name: &str, data: &Value) -> Result<String, TemplateError> {
        let definition = self.exec.find(name).map_err(|kind| unknown(kind, name))?;
        self.exec.render(&definition, data).map(bytes::shown)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("mode", &self.mode).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A parsed template text, with the templates it defines.
#[derive(Clone, Debug)]
pub struct Template {
    root: Arc<Definition>,
    definitions: Arc<BTreeMap<String, Arc<Definition>>>,
    functions: Arc<Vec<(String, usize)>>,
}

impl Template {
    /// Parses a text; `name` is what errors and `template` actions call it, usually its path.
    ///
    /// # Errors
    /// `ErrorKind::Syntax`, with the place.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        let tree = parse::parse(&source)?;
        Ok(Self { root: tree.root, definitions: Arc::new(tree.definitions), functions: Arc::new(tree.functions) })
    }

    /// The name given to `parse`.
    pub fn name(&self) -> &str {
        &self.root.source.name
    }
}

/// Templates that can call each other by name. A later definition replaces an earlier one unless it is blank, as in Go.
#[derive(Clone, Debug, Default)]
pub struct Set {
    definitions: BTreeMap<String, Arc<Definition>>,
    templates: Vec<Template>,
}

impl Set {
    /// A set of one text.
    pub fn of(template: Template) -> Self {
        let mut set = Self::default();
        set.add(template);
        set
    }

    /// Adds a text and all it defines.
    pub fn add(&mut self, template: Template) -> &mut Self {
        let own = template.definitions.iter().map(|(n, d)| (n.clone(), d));
        for (name, definition) in own.chain([(template.name().to_owned(), &template.root)]) {
            let replaces = !definition.is_blank() || !self.definitions.contains_key(&name);
            if replaces {
                self.definitions.insert(name, Arc::clone(definition));
            }
        }
        self.templates.push(template);
        self
    }

    /// The names of all templates, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }
}
