//! Handlebars templates (`*.hbs`), strict: a missing key is an error that names file and line.

use std::sync::Arc;

use handlebars::{Handlebars, no_escape};

use super::error::{ErrorKind, Source, TemplateError};
use super::value::Value;

/// Renders a Handlebars text; nothing is HTML-escaped, since what is made are configuration files.
///
/// # Errors
/// `ErrorKind::Handlebars` with the place, for a syntax error or a missing key; `ErrorKind::Call` when the data cannot
/// be handed over (it nests too deep).
pub fn render(name: &str, text: &str, data: &Value) -> Result<String, TemplateError> {
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    let json = data.to_json().map_err(|error| {
        TemplateError::new(ErrorKind::Call { function: "handlebars".to_owned(), error }, &source, 0)
    })?;
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_escape_fn(no_escape);
    registry.register_template_string(name, text).map_err(|error| {
        let at = error.pos().map(|(line, column)| (line, column.saturating_sub(1)));
        failed(error.reason().to_string(), &source, at)
    })?;
    registry.render(name, &json).map_err(|error| {
        let at = error.line_no.map(|line| (line, error.column_no.unwrap_or(1).saturating_sub(1)));
        failed(error.reason().to_string(), &source, at)
    })
}

fn failed(reason: String, source: &Arc<Source>, at: Option<(usize, usize)>) -> TemplateError {
    let (line, column) = at.unwrap_or((1, 0));
    let start: usize = source.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    TemplateError::new(ErrorKind::Handlebars { reason }, source, start + column)
}
