//! From a context to everything that it asks for.
//!
//! Looked at are `images/shim/*`, `images/*.txt`, `images/skopeo/tar.txt`, `manifests/`, `charts/`, and whatever the
//! image's commands install or apply. What an ignore file keeps out of COPY is looked at all the same: `.sealignore`
//! says what is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::charts::Charts;
use super::commands;
use super::error::CarryError;
use super::files::{Context, Kind, is_backup, is_hidden, origin};
use super::kustomize::Kustomizations;
use super::manifests::Manifests;
use crate::discover::{self, Findings, Ignore, Rules};

/// Names of the files that say what is left out, and where images are.
const IGNORE: &str = ".sealignore";
const RULES: &str = "images.rules.yaml";

/// What a context is looked through with.
#[derive(Clone, Debug, Default)]
pub struct ScanOrder {
    /// The image's environment, without `PATH`.
    pub environment: BTreeMap<String, String>,
    /// The image's commands.
    pub commands: Vec<CommandText>,
    /// What COPY and ADD put where, in order.
    pub copies: Vec<CopiedPath>,
    /// The Kubernetes version that charts are rendered for; none for a current one.
    pub kube_version: Option<String>,
    /// API versions that charts may ask for, besides Kubernetes' own.
    pub api_versions: Vec<String>,
    /// The `helm` program to render charts with; none to render them here.
    pub helm: Option<PathBuf>,
    /// Charts (by name or path) that may fail to render.
    pub allow_chart_failure: Vec<String>,
    /// Names and patterns that are left out, besides those of `.sealignore`.
    pub ignore: Vec<String>,
}

/// One command of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandText {
    /// The file that it stands in.
    pub file: String,
    /// The line that its instruction begins in, from 1.
    pub line: usize,
    /// The instruction's name.
    pub what: String,
    /// The command.
    pub text: String,
}

/// A path of the context and where it is in the image, without leading slashes; a directory's contents for a
/// directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedPath {
    /// In the context.
    pub from: String,
    /// In the image.
    pub to: String,
}

/// Looks through a context.
///
/// # Errors
/// When files cannot be read. What is wrong in them is in the findings.
pub fn scan(directory: &Path, order: &ScanOrder) -> Result<Findings, CarryError> {
    let context = Context::open(directory)?;
    let mut nothing = Findings::new(Ignore::default());
    let mut ignore = Ignore::parse(&context.optional(IGNORE, &mut nothing)?.unwrap_or_default());
    order.ignore.iter().for_each(|name| ignore.add(name));
    let mut findings = Findings::new(ignore);
    nothing.notes().for_each(|note| findings.note(note.origin.clone(), note.text.clone()));
    let rules = rules(&context, &mut findings)?;
    let scan = Scan { context: &context, order, rules: &rules };
    scan.lists(&mut findings)?;
    let asked = commands::read(&scan, &mut findings)?;
    let kustomizations = Kustomizations::find(&scan, &asked, &mut findings)?;
    kustomizations.build(&scan, &mut findings)?;
    Manifests::find(&scan, &asked, &kustomizations, &mut findings)?.read(&scan, &mut findings)?;
    Charts::find(&scan, asked.charts, &mut findings)?.render(&scan, &mut findings)?;
    Ok(findings)
}

/// Looks at one chart, a directory or a `.tgz`, with the values beside it.
///
/// # Errors
/// When files cannot be read. What is wrong in them is in the findings.
pub fn scan_chart(chart: &Path, order: &ScanOrder) -> Result<Findings, CarryError> {
    let chart = std::fs::canonicalize(chart).map_err(CarryError::io("open", chart))?;
    let (Some(directory), Some(name)) = (chart.parent(), chart.file_name().and_then(|name| name.to_str())) else {
        return scan(&chart, order);
    };
    let context = Context::open(directory)?;
    let mut findings = Findings::new(Ignore::default());
    let rules = rules(&context, &mut findings)?;
    let scan = Scan { context: &context, order, rules: &rules };
    Charts::one(name).render(&scan, &mut findings)?;
    Ok(findings)
}

/// A look through a context.
pub(super) struct Scan<'a> {
    pub(super) context: &'a Context,
    pub(super) order: &'a ScanOrder,
    pub(super) rules: &'a Rules,
}

fn rules(context: &Context, findings: &mut Findings) -> Result<Rules, CarryError> {
    let wrong = |file: &str| {
        let file = file.to_owned();
        move |source| CarryError::Rules { file, source }
    };
    let builtin = Rules::builtin().map_err(wrong("the table of known operators"))?;
    match context.optional(RULES, findings)? {
        Some(text) => Ok(builtin.and(Rules::parse(&text).map_err(wrong(RULES))?)),
        None => Ok(builtin),
    }
}

impl Scan<'_> {
    /// The lists of images.
    fn lists(&self, findings: &mut Findings) -> Result<(), CarryError> {
        for path in self.context.below("images/shim", findings)? {
            match is_backup(&path) {
                true => findings.note(origin(&path), "it looks like a backup; it is not read"),
                false => self.list(&path, findings)?,
            }
        }
        for entry in self.context.list("images", findings)? {
            let is_list = entry.kind == Kind::File && entry.path.ends_with(".txt");
            if is_list && !is_hidden(&entry.path) {
                self.list(&entry.path, findings)?;
            }
        }
        if self.context.kind("images/skopeo/tar.txt").is_some() {
            self.list("images/skopeo/tar.txt", findings)?;
        }
        Ok(())
    }

    fn list(&self, path: &str, findings: &mut Findings) -> Result<(), CarryError> {
        if findings.ignore().has_path(path) {
            return Ok(());
        }
        if let Some(text) = self.context.text(path, findings)? {
            discover::list(&text, path, findings);
        }
        Ok(())
    }

    /// The path of the context that a command means: as it is, or as COPY says. A path that is in neither is none.
    pub(super) fn locate(&self, path: &str) -> Option<String> {
        let path = super::files::clean(path)?;
        let copied = self.order.copies.iter().rev().filter_map(|copy| {
            let rest = match (path.strip_prefix(&copy.to), copy.to.is_empty()) {
                (Some(rest), true) => rest,
                (Some(rest), false) => rest.strip_prefix('/').or(rest.is_empty().then_some(""))?,
                (None, _) => return None,
            };
            match rest.is_empty() {
                true => Some(copy.from.clone()),
                false => Some(super::files::join(&copy.from, rest)),
            }
        });
        copied.chain([path.clone()]).find(|path| self.context.kind(path).is_some())
    }
}
