//! Manifests of a context: the files below `manifests/`, and those that commands apply.

use std::collections::BTreeSet;

use super::error::CarryError;
use super::files::{Kind, is_backup, is_hidden, origin};
use super::kustomize::Kustomizations;
use super::scan::Scan;
use crate::discover::{self, Asked, Findings};
use crate::kubefile::glob::Pattern;
use crate::template::{CallError, Engine, Map, Mode, Template, Value, handlebars};

/// Files that are manifests.
pub(super) struct Manifests(BTreeSet<String>);

impl Manifests {
    pub(super) fn find(
        scan: &Scan<'_>,
        asked: &Asked,
        kustomizations: &Kustomizations,
        findings: &mut Findings,
    ) -> Result<Self, CarryError> {
        let mut files: BTreeSet<String> = BTreeSet::new();
        for path in scan.context.below("manifests", findings)? {
            if is_manifest(&path) && !is_backup(&path) && !kustomizations.has(&path) {
                files.insert(path);
            }
        }
        for wanted in &asked.manifests {
            if wanted.path.contains("://") {
                let text = format!("`{}` is fetched when this runs; its images are not known", wanted.path);
                findings.note(wanted.origin.clone(), text);
                continue;
            }
            let paths = located(scan, &wanted.path, findings)?;
            if paths.is_empty() {
                let text = match wanted.path.contains(['$', '`']) {
                    true => format!("which file `{}` is cannot be known before this runs", wanted.path),
                    false => format!("`{}` is not in the context; its images are not known", wanted.path),
                };
                findings.note(wanted.origin.clone(), text);
            }
            for path in paths {
                let found = scan.context.below(&path, findings)?;
                let is_file = scan.context.kind(&path) == Some(Kind::File);
                files.extend(found.into_iter().filter(|path| is_file || is_manifest(path) && !is_backup(path)));
            }
        }
        Ok(Self(files))
    }

    pub(super) fn read(&self, scan: &Scan<'_>, findings: &mut Findings) -> Result<(), CarryError> {
        let engine = engine(scan);
        let data = data(scan);
        for path in &self.0 {
            if findings.ignore().has_path(path) {
                continue;
            }
            let Some(text) = scan.context.text(path, findings)? else { continue };
            let rendered = match path.rsplit('.').next() {
                Some("tmpl") => Template::parse(path, &text).and_then(|template| engine.render(&template, &data)),
                Some("hbs") => handlebars::render(path, &text, &data),
                _ => {
                    discover::manifests(&text, path, scan.rules, findings);
                    continue;
                }
            };
            match rendered {
                Ok(output) => discover::rendered(&text, &output, path, scan.rules, findings),
                Err(error) => {
                    let origin = content::Origin { line: Some(error.location.line), ..origin(path) };
                    findings.mistake(origin, error.kind.to_string(), error.help());
                }
            }
        }
        Ok(())
    }
}

/// The paths that a command means: one, or those that a pattern in the last part of it fits, as a shell has it.
fn located(scan: &Scan<'_>, path: &str, findings: &mut Findings) -> Result<Vec<String>, CarryError> {
    if let Some(found) = scan.locate(path) {
        return Ok(vec![found]);
    }
    let (directory, pattern) = path.rsplit_once('/').unwrap_or(("", path));
    let pattern = Pattern::parse(pattern).ok().filter(|_| Pattern::is_pattern(pattern));
    let (Some(pattern), Some(directory)) = (pattern, scan.locate(directory)) else { return Ok(Vec::new()) };
    let listed = scan.context.list(&directory, findings)?.into_iter().map(|entry| entry.path);
    let fits = |path: &str| pattern.matches(path.rsplit('/').next().unwrap_or_default());
    Ok(listed.filter(|path| !is_hidden(path) && fits(path)).collect())
}

fn is_manifest(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    [".yaml", ".yml", ".json", ".tmpl", ".hbs"].iter().any(|ending| lower.ends_with(ending))
}

/// The variables by name, and all of them again in `Env`, as when the image runs.
fn data(scan: &Scan<'_>) -> Value {
    let variables =
        || scan.order.environment.iter().map(|(name, value)| (name.as_str().into(), Value::string(value.as_str())));
    let all: Map = variables().collect();
    let data: Map = [("Env".into(), Value::Map(all))].into_iter().chain(variables()).collect();
    Value::Map(data)
}

fn engine(scan: &Scan<'_>) -> Engine {
    let mut engine = Engine::new(Mode::Strict);
    let environment = scan.order.environment.clone();
    engine.function("env", move |arguments| match arguments {
        [name] => match name.as_str() {
            Some(name) => Ok(Value::string(environment.get(name).map(String::as_str).unwrap_or_default())),
            None => Err(CallError::WrongType { expected: "string", got: name.type_name() }),
        },
        _ => Err(CallError::ArgumentCount { want: "1".to_owned(), got: arguments.len() }),
    });
    engine
}
