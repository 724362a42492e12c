//! Kustomizations: what `kubectl kustomize` or `kustomize build` makes of them.
//!
//! Files that a kustomization uses are no manifests of their own: what is applied is what it makes of them.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::error::CarryError;
use super::files::{Kind, clean, join};
use super::scan::Scan;
use crate::discover::{self, Asked, Findings};

/// Names of the file that makes a directory a kustomization.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The kustomizations of a context.
#[derive(Debug, Default)]
pub(super) struct Kustomizations {
    /// Directories that no other kustomization uses.
    tops: BTreeSet<String>,
    /// Files and directories that kustomizations use.
    used: BTreeSet<String>,
}

impl Kustomizations {
    pub(super) fn find(scan: &Scan<'_>, asked: &Asked, findings: &mut Findings) -> Result<Self, CarryError> {
        let mut all = BTreeSet::new();
        for path in scan.context.below("manifests", findings)? {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if NAMES.contains(&name) {
                all.insert(directory.to_owned());
            }
        }
        let mut applied = BTreeSet::new();
        for wanted in &asked.kustomizations {
            match scan.locate(&wanted.path).filter(|path| scan.context.kind(path) == Some(Kind::Directory)) {
                Some(path) => {
                    applied.insert(path.clone());
                    all.insert(path);
                }
                None => {
                    let text = format!("`{}` is not in the context; its images are not known", wanted.path);
                    findings.note(wanted.origin.clone(), text);
                }
            }
        }
        let mut found = Self { tops: all.clone(), used: BTreeSet::new() };
        let mut todo: Vec<String> = all.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(directory) = todo.pop() {
            let file = NAMES.iter().map(|name| join(&directory, name)).find(|path| scan.context.kind(path).is_some());
            let Some(file) = file.filter(|_| seen.insert(directory.clone())) else { continue };
            found.used.insert(file.clone());
            let Some(text) = scan.context.text(&file, findings)? else { continue };
            for used in discover::kustomization(&text, &file, findings) {
                let Some(path) = clean(&join(&directory, &used)) else { continue };
                if scan.context.kind(&path) == Some(Kind::Directory) {
                    // What a command applies by itself is looked at by itself, too.
                    if path != directory && !applied.contains(&path) {
                        found.tops.remove(&path);
                    }
                    todo.push(path.clone());
                }
                found.used.insert(path);
            }
        }
        Ok(found)
    }

    /// Whether a kustomization uses a file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.used.contains(path)
    }

    pub(super) fn build(&self, scan: &Scan<'_>, findings: &mut Findings) -> Result<(), CarryError> {
        for directory in &self.tops {
            if findings.ignore().has_path(directory) {
                continue;
            }
            let output = build(scan, directory)?;
            discover::generated(&output, directory, scan.rules, findings);
        }
        Ok(())
    }
}

/// What a kustomization makes.
fn build(scan: &Scan<'_>, directory: &str) -> Result<String, CarryError> {
    let path = scan.context.at(directory);
    for (program, arguments) in [("kubectl", &["kustomize"][..]), ("kustomize", &["build"])] {
        let mut command = Command::new(program);
        let run = command.args(arguments).arg(&path).stdin(Stdio::null()).output();
        let output = match run {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            output => output.map_err(|error| CarryError::Program {
                program: program.to_owned(),
                reason: format!("cannot be run: {error}"),
                help: None,
            })?,
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let reason = format!("cannot build the kustomization `{directory}`: {}", said.trim());
            let help = format!("correct it; or {}", instead(directory));
            return Err(CarryError::Program { program: program.to_owned(), reason, help: Some(help) });
        }
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(CarryError::Program {
        program: "kubectl".to_owned(),
        reason: format!("is needed to build the kustomization `{directory}`, and neither it nor `kustomize` is here"),
        help: Some(format!("install kubectl or kustomize; or {}", instead(directory))),
    })
}

/// What to do without what a kustomization makes.
fn instead(directory: &str) -> String {
    format!("put `./{directory}` on a line of .sealignore and list its images in a file of images/shim")
}
