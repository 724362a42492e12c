//! How results are written: JSON with four spaces as the Go sealos has it (and `<`, `>`, `&` as they are), and Go
//! templates.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value};

use super::error::CommandError;
use super::world::World;
use crate::report::table::Table;
use crate::template::{self, Engine, Mode, Numbers, Template};

/// Writes a value as JSON.
pub(crate) fn json(world: &mut World<'_>, value: &impl Serialize) -> Result<(), CommandError> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    ")))?;
    bytes.push(b'\n');
    world.out.write_all(&bytes).map_err(CommandError::Output)
}

/// A Go template for one document or row.
pub(crate) struct Format {
    template: Template,
    mode: Mode,
}

impl Format {
    /// For documents: what a document lacks prints as `<no value>`.
    pub(crate) fn of_document(text: &str) -> Result<Self, CommandError> {
        Ok(Self { template: Template::parse("--format", &unescape(text))?, mode: Mode::GoDefault })
    }

    /// For rows: a field that rows do not have is an error.
    fn of_rows(text: &str) -> Result<Self, CommandError> {
        Ok(Self { template: Template::parse("--format", &unescape(text))?, mode: Mode::Strict })
    }

    pub(crate) fn render(&self, data: &Value) -> Result<String, CommandError> {
        let data = template::Value::from_json(data, Numbers::Typed);
        Ok(Engine::new(self.mode).render(&self.template, &data)?)
    }
}

/// Writes rows by a template: one line a row, or with the prefix `table ` a table with headings.
pub(crate) fn rows(
    world: &mut World<'_>,
    format: &str,
    headings: &[(&str, &str)],
    rows: &[Value],
) -> Result<(), CommandError> {
    let (text, table) = format.strip_prefix("table ").map_or((format, false), |text| (text, true));
    let format = Format::of_rows(text)?;
    if !table {
        return rows.iter().try_for_each(|row| world.say(format.render(row)?));
    }
    let heading: Map<String, Value> = headings.iter().map(|(key, text)| ((*key).to_owned(), (*text).into())).collect();
    let mut table = Table::new();
    table.row(format.render(&Value::Object(heading))?.split('\t'));
    for row in rows {
        table.row(format.render(row)?.split('\t'));
    }
    table.write(world.out).map_err(CommandError::Output)
}

/// Shells pass `\t` and `\n` on as two characters; users mean one.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}
