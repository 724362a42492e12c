//! Renders the templates among an image's files: `*.tmpl` and `*.hbs` under `etc`, `scripts` and `manifests`, each to
//! the file of its name without the suffix, with its mode. Templates stay where they are, so that rendering again with
//! another environment is possible.
//!
//! Links are neither followed nor written through: an image cannot have files outside its directory changed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::cluster::Environment;
use crate::execute::ExecuteError;
use crate::template::{CallError, Engine, Map, Template, TemplateError, Value, handlebars};

/// Where templates are looked for.
const PLACES: [&str; 3] = ["etc", "scripts", "manifests"];
/// No template is larger, in bytes.
const LIMIT: u64 = 16 << 20;

/// The language of a template.
#[derive(Clone, Copy)]
enum Dialect {
    Go,
    Handlebars,
}

/// Renders all templates below `directory`, in the order of their names.
///
/// # Errors
/// When one cannot be read, rendered or written, or two give one file.
pub fn render(image: &str, directory: &Path, environment: &Environment, engine: &Engine) -> Result<(), ExecuteError> {
    let engine = with_environment(engine, environment);
    let data = data(environment);
    let mut outputs = BTreeSet::new();
    for (template, dialect) in find(directory)? {
        let name = template.strip_prefix(directory).unwrap_or(&template).display().to_string();
        let output = template.with_extension("");
        if !outputs.insert(output.clone()) {
            let file = output.strip_prefix(directory).unwrap_or(&output).display().to_string();
            return Err(ExecuteError::SameOutput { image: image.to_owned(), file });
        }
        let text = read(image, &name, &template)?;
        let failed = |source| ExecuteError::Render { image: image.to_owned(), file: name.clone(), source };
        let rendered = one(&engine, dialect, &name, &text, &data).map_err(failed)?;
        write(&template, &output, &rendered).map_err(ExecuteError::io("write", &output))?;
    }
    Ok(())
}

fn one(engine: &Engine, dialect: Dialect, name: &str, text: &str, data: &Value) -> Result<String, TemplateError> {
    match dialect {
        Dialect::Go => engine.render(&Template::parse(name, text)?, data),
        Dialect::Handlebars => handlebars::render(name, text, data),
    }
}

/// The variables by name, and all of them again in `Env`.
fn data(environment: &Environment) -> Value {
    let variables = || environment.iter().map(|(name, value)| (name.into(), Value::string(value)));
    let all: Map = variables().collect();
    let data: Map = [("Env".into(), Value::Map(all))].into_iter().chain(variables()).collect();
    Value::Map(data)
}

/// The engine with an `env` that tells the image's variables, not ours; an unknown one is empty, as in Go.
fn with_environment(engine: &Engine, environment: &Environment) -> Engine {
    let mut engine = engine.clone();
    let environment = environment.clone();
    engine.function("env", move |arguments| match arguments {
        [name] => match name.as_str() {
            Some(name) => Ok(Value::string(environment.get(name).unwrap_or_default())),
            None => Err(CallError::WrongType { expected: "string", got: name.type_name() }),
        },
        _ => Err(CallError::ArgumentCount { want: "1".to_owned(), got: arguments.len() }),
    });
    engine
}

fn find(directory: &Path) -> Result<Vec<(PathBuf, Dialect)>, ExecuteError> {
    let is_directory = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let mut todo: Vec<_> = PLACES.iter().map(|place| directory.join(place)).filter(is_directory).collect();
    let mut found = Vec::new();
    while let Some(directory) = todo.pop() {
        let failed = || ExecuteError::io("read the directory", &directory);
        for entry in fs::read_dir(&directory).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed())?);
            if kind.is_dir() {
                todo.push(path);
            } else if let (true, Some(dialect)) = (kind.is_file(), dialect(&path)) {
                found.push((path, dialect));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn dialect(path: &Path) -> Option<Dialect> {
    match path.extension()?.to_str()? {
        "tmpl" => Some(Dialect::Go),
        "hbs" => Some(Dialect::Handlebars),
        _ => None,
    }
}

fn read(image: &str, name: &str, path: &Path) -> Result<String, ExecuteError> {
    let failed = || ExecuteError::io("read", path);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed())?.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed())?;
    if bytes.len() as u64 > LIMIT {
        return Err(ExecuteError::TemplateTooLarge { image: image.to_owned(), file: name.to_owned(), limit: LIMIT });
    }
    String::from_utf8(bytes).map_err(|error| ExecuteError::TemplateNotText {
        image: image.to_owned(),
        file: name.to_owned(),
        source: error.utf8_error(),
    })
}

/// Writes the output whole or not at all, with the template's mode.
fn write(template: &Path, output: &Path, text: &str) -> io::Result<()> {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let fresh = output.with_file_name(format!(".{name}.rendering"));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(fs::metadata(template)?.permissions())?;
    file.sync_data()?;
    fs::rename(fresh, output)
}
