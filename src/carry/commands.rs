//! The commands of an image, and the scripts that they run.

use std::collections::BTreeSet;

use super::error::CarryError;
use super::files::Kind;
use super::scan::Scan;
use crate::discover::{self, Asked, CommandPlace, Findings, Variables, Wanted};

/// Scripts that run scripts.
const MAX_DEPTH: usize = 8;

/// Reads the commands, and the scripts of the context that they lead to.
pub(super) fn read(scan: &Scan<'_>, findings: &mut Findings) -> Result<Asked, CarryError> {
    let environment = scan.order.environment.iter();
    let mut variables: Variables = environment.map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let mut all = Asked::default();
    let mut scripts = Vec::new();
    for command in &scan.order.commands {
        let place = CommandPlace { file: &command.file, line: command.line, what: &command.what };
        let asked = discover::command(&command.text, place, &mut variables, findings);
        for (line, text) in &asked.documents {
            discover::embedded(text, &command.file, *line, &command.what, scan.rules, findings);
        }
        scripts.extend(asked.scripts.iter().cloned().map(|script| (script, 0)));
        add(&mut all, asked);
    }
    let mut seen = BTreeSet::new();
    while let Some((script, depth)) = scripts.pop() {
        let Some(path) = scan.locate(&script.path).filter(|path| scan.context.kind(path) == Some(Kind::File)) else {
            continue;
        };
        if depth >= MAX_DEPTH || !seen.insert((path.clone(), script.arguments.clone())) || is_program(scan, &path) {
            continue;
        }
        let Some(text) = scan.context.text(&path, findings)? else { continue };
        let mut own = variables.clone();
        arguments(&script, &mut own);
        let asked = discover::script(&text, CommandPlace { file: &path, line: 1, what: "" }, &mut own, findings);
        for (line, text) in &asked.documents {
            discover::embedded(text, &path, *line, "", scan.rules, findings);
        }
        scripts.extend(asked.scripts.iter().cloned().map(|script| (script, depth + 1)));
        add(&mut all, asked);
    }
    for call in all.charts.iter().filter(|call| call.is_remote()) {
        let text =
            format!("the chart `{}` comes over the network when this runs; its images are not known", call.chart);
        findings.note(call.origin.clone(), text);
    }
    all.charts.retain(|call| !call.is_remote());
    Ok(all)
}

fn add(all: &mut Asked, asked: Asked) {
    all.charts.extend(asked.charts);
    all.manifests.extend(asked.manifests);
    all.kustomizations.extend(asked.kustomizations);
}

/// What `$1` and so on are in a script.
fn arguments(script: &Wanted, variables: &mut Variables) {
    for (at, argument) in script.arguments.iter().enumerate() {
        let is_known = !argument.contains(['$', '`']);
        variables.insert((at + 1).to_string(), is_known.then(|| argument.clone()));
    }
}

/// Whether a file is a program rather than a script: ELF files and those with other interpreters than a shell.
fn is_program(scan: &Scan<'_>, path: &str) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = std::fs::File::open(scan.context.at(path)).and_then(|file| file.take(64).read_to_end(&mut head));
    let first = String::from_utf8_lossy(&head);
    let first = first.lines().next().unwrap_or_default();
    // What cannot be opened is reported by whoever reads it as a text.
    read.is_ok() && (head.starts_with(b"\x7fELF") || first.starts_with("#!") && !first.contains("sh"))
}
