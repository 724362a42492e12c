//! Templates that call each other: by name, as texts, and what their texts are made of.

use std::rc::Rc;
use std::sync::Arc;

use super::super::error::{CallError, ErrorKind, Location, nearest};
use super::super::node::Definition;
use super::super::value::Value;
use super::super::{Mode, Template, format};
use super::{Exec, Run};

/// How many parsed texts of `tpl` are kept.
const KEPT: usize = 4096;

/// What is put after a file's name where a text of `tpl` in it is meant.
const TPL: &str = " (tpl)";

impl Exec<'_> {
    /// Helm takes what a missing value printed out of a whole text, not out of what `include` hands around.
    pub(super) fn finished(&self, text: String) -> String {
        if self.engine.mode == Mode::Helm && text.contains(format::NO_VALUE) {
            return text.replace(format::NO_VALUE, "");
        }
        text
    }

    /// The template of that name, the innermost `tpl`'s first.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Definition>, ErrorKind> {
        match self.overlay.get(name).or_else(|| self.set.definitions.get(name)) {
            Some(definition) => Ok(Arc::clone(definition)),
            None => {
                let known = self.overlay.keys().chain(self.set.definitions.keys());
                let near = nearest(name, known.map(String::as_str));
                Err(ErrorKind::UnknownTemplate { name: name.to_owned(), nearest: near })
            }
        }
    }

    /// Renders a named template to a string: `include`.
    pub(crate) fn include(&mut self, name: &str, data: &Value) -> Result<Value, CallError> {
        let definition = self.find(name).map_err(|kind| CallError::Rendering(Box::new(self.error(kind))))?;
        self.captured(&definition, data).map(Value::from)
    }

    /// Renders a text as a template that sees all templates of this set: `tpl`.
    pub(crate) fn tpl(&mut self, text: &str, data: &Value) -> Result<Value, CallError> {
        if !text.contains("{{") {
            return Ok(Value::from(self.finished(text.to_owned())));
        }
        let template = self.parsed(text).map_err(|error| CallError::Rendering(Box::new(error)))?;
        let outer = Rc::clone(&self.overlay);
        for (name, definition) in template.definitions.iter() {
            let replaces = !definition.is_blank() || self.find(name).is_err();
            if replaces {
                Rc::make_mut(&mut self.overlay).insert(name.clone(), Arc::clone(definition));
            }
        }
        let result = self.captured(&template.root, data);
        self.overlay = outer;
        result.map(|text| Value::from(self.finished(text)))
    }

    fn parsed(&mut self, text: &str) -> Run<Template> {
        if let Some(template) = self.parsed.get(text) {
            return Ok(template.clone());
        }
        let name = self.source.name.strip_suffix(TPL).unwrap_or(&self.source.name);
        let parsed = Template::parse(&format!("{name}{TPL}"), text).and_then(|template| {
            self.engine.check(&template)?;
            Ok(template)
        });
        let template = parsed.map_err(|mut error| {
            error.trail.push(Location::find(&self.source, self.offset));
            error
        })?;
        if self.parsed.len() >= KEPT {
            self.parsed.clear();
        }
        self.parsed.insert(text.into(), template.clone());
        Ok(template)
    }

    fn captured(&mut self, definition: &Arc<Definition>, data: &Value) -> Result<String, CallError> {
        self.buffers.push(String::new());
        let result = self.template(definition, &self.stripped(data.clone()));
        let text = self.buffers.pop().unwrap_or_default();
        result.map(|()| text).map_err(|error| CallError::Rendering(Box::new(error)))
    }
}
