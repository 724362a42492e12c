//! Charts of a context: those in `charts/`, and those that commands install, with the values that they will have.
//!
//! A chart that a command installs is rendered as that command does it. A file `charts/NAME.values.yaml` beside a chart
//! adds to this what else may be wanted: with it, the chart is rendered once more, the command's values on top. A chart
//! that no command installs is rendered with its own values and that file's.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::CarryError;
use super::files::{Kind, clean, is_backup, is_hidden, join, origin};
use super::scan::Scan;
use crate::charts::{self, ChartsError, Links};
use crate::discover::{self, ChartOutput, Findings, HelmCall};
use crate::helm::{self, Chart, RenderOptions, Rendered, Values, ValuesFile};

/// Directories of `charts/` inside each other.
const MAX_DEPTH: usize = 4;

/// Charts, by path, with the commands that install them.
pub(super) struct Charts(BTreeMap<String, Vec<HelmCall>>);

impl Charts {
    /// One chart that no command installs.
    pub(super) fn one(path: &str) -> Self {
        Self(BTreeMap::from([(path.to_owned(), Vec::new())]))
    }

    pub(super) fn find(scan: &Scan<'_>, calls: Vec<HelmCall>, findings: &mut Findings) -> Result<Self, CarryError> {
        let mut charts = BTreeMap::new();
        let mut todo = vec![("charts".to_owned(), 0)];
        while let Some((directory, depth)) = todo.pop() {
            for entry in scan.context.list(&directory, findings)? {
                if is_hidden(&entry.path) || is_backup(&entry.path) || findings.ignore().has_path(&entry.path) {
                    continue;
                }
                match entry.kind {
                    Kind::File if is_packed(&entry.path) => drop(charts.insert(entry.path, Vec::new())),
                    Kind::File => {}
                    Kind::Directory if is_chart(scan, &entry.path) => drop(charts.insert(entry.path, Vec::new())),
                    Kind::Directory if depth < MAX_DEPTH => todo.push((entry.path, depth + 1)),
                    Kind::Directory => {}
                }
            }
        }
        for call in calls {
            let found = scan.locate(&call.chart).filter(|path| is_packed(path) || is_chart(scan, path));
            match found {
                Some(path) if !findings.ignore().has_path(&path) => {
                    charts.entry(path).or_insert_with(Vec::new).push(call);
                }
                Some(_) => {}
                None => {
                    let text = match call.unknown.contains(&call.chart) {
                        true => format!("which chart `{}` is cannot be known before this runs", call.chart),
                        false => format!("the chart `{}` is not in the context; its images are not known", call.chart),
                    };
                    findings.note(call.origin, text);
                }
            }
        }
        Ok(Self(charts))
    }

    pub(super) fn render(self, scan: &Scan<'_>, findings: &mut Findings) -> Result<(), CarryError> {
        for (path, calls) in &self.0 {
            let context = scan.context.at("");
            let chart = match charts::read(&scan.context.at(path), Links::Below(&context)) {
                Ok(chart) => chart,
                Err(error) => {
                    fail(scan, path, path, &Failure::of(&error, error.help()), findings);
                    continue;
                }
            };
            One { scan, path, chart: &chart }.render(calls, findings)?;
        }
        Ok(())
    }
}

/// One chart.
struct One<'a> {
    scan: &'a Scan<'a>,
    path: &'a str,
    chart: &'a Chart,
}

impl One<'_> {
    fn render(&self, calls: &[HelmCall], findings: &mut Findings) -> Result<(), CarryError> {
        discover::chart(self.chart, self.path, self.scan.rules, findings);
        if self.chart.is_library() {
            return Ok(());
        }
        let beside = self.beside();
        let beside_file = match &beside {
            Some(path) => {
                let text = self.scan.context.text(path, findings)?;
                text.map(|text| ValuesFile { name: path.clone(), text })
            }
            None => None,
        };
        if calls.is_empty() {
            let options = self.options(None);
            self.once(&with_file(options, beside_file), findings);
            return Ok(());
        }
        for call in calls {
            let Some(options) = self.of_call(call, findings)? else { continue };
            for unknown in &call.unknown {
                let text = format!("`{unknown}` cannot be known before this runs; the chart is rendered without it");
                findings.note(call.origin.clone(), text);
            }
            self.once(&options, findings);
            let uses_beside = beside.as_ref().is_some_and(|path| options.values.files.iter().any(|f| f.name == *path));
            if let Some(file) = beside_file.clone().filter(|_| !uses_beside) {
                self.once(&with_file(options, Some(file)), findings);
            }
        }
        Ok(())
    }

    /// The file of values beside the chart: called after the chart's name, or else after its directory or archive.
    fn beside(&self) -> Option<String> {
        let (directory, own) = self.path.rsplit_once('/').unwrap_or(("", self.path));
        let own = own.trim_end_matches(".tgz").trim_end_matches(".tar.gz");
        let names = [self.chart.name(), own];
        let paths = names.iter().flat_map(|name| ["yaml", "yml"].map(|end| format!("{name}.values.{end}")));
        paths.map(|name| join(directory, &name)).find(|path| self.scan.context.kind(path) == Some(Kind::File))
    }

    fn options(&self, call: Option<&HelmCall>) -> RenderOptions {
        let mut options = RenderOptions::default();
        if let Some(version) = &self.scan.order.kube_version {
            options.kube_version.clone_from(version);
        }
        options.api_versions.clone_from(&self.scan.order.api_versions);
        options.release_name = self.chart.name().to_owned();
        if let Some(call) = call {
            if !call.release.is_empty() {
                options.release_name.clone_from(&call.release);
            }
            options.namespace = call.namespace.clone().unwrap_or(options.namespace);
            options.kube_version = call.kube_version.clone().unwrap_or(options.kube_version);
            options.api_versions.extend(call.api_versions.iter().cloned());
        }
        options
    }

    /// What a command renders the chart with; none if a file that it names is not there.
    fn of_call(&self, call: &HelmCall, findings: &mut Findings) -> Result<Option<RenderOptions>, CarryError> {
        let mut values = Values {
            set: call.set.clone(),
            set_string: call.set_string.clone(),
            set_json: call.set_json.clone(),
            set_file: call.set_file.clone(),
            set_literal: call.set_literal.clone(),
            ..Values::default()
        };
        for name in &call.values {
            match self.file(name, call, findings)? {
                Some(file) => values.files.push(file),
                None => return Ok(None),
            }
        }
        for pair in call.set_file.iter().flat_map(|text| text.split(',')) {
            let Some((_, name)) = pair.split_once('=') else { continue };
            match self.file(name, call, findings)? {
                Some(file) => values.set_files.push(ValuesFile { name: name.to_owned(), ..file }),
                None => return Ok(None),
            }
        }
        Ok(Some(RenderOptions { values, ..self.options(Some(call)) }))
    }

    /// A file that a command names. One that is not there is a mistake: the command would fail.
    fn file(&self, name: &str, call: &HelmCall, findings: &mut Findings) -> Result<Option<ValuesFile>, CarryError> {
        let found = self.scan.locate(name).filter(|path| self.scan.context.kind(path) == Some(Kind::File));
        let Some(path) = found else {
            let reason = format!("`{name}`, which this command gives to helm, is not in the context");
            let help = match clean(name) {
                Some(path) => format!("put the file to `{path}`, or correct the command"),
                None => "correct the command".to_owned(),
            };
            findings.mistake(call.origin.clone(), reason, Some(help));
            return Ok(None);
        };
        Ok(self.scan.context.text(&path, findings)?.map(|text| ValuesFile { name: path, text }))
    }

    fn once(&self, options: &RenderOptions, findings: &mut Findings) {
        let rendered = match &self.scan.order.helm {
            None => helm::render(self.chart, options).map_err(|error| Failure::of(&error, error.help())),
            Some(program) => with_helm(program, &self.scan.context.at(self.path), options)
                .map_err(|error| Failure::of(&error, error.help())),
        };
        match rendered {
            Ok(rendered) => {
                let output = ChartOutput { chart: self.chart, path: self.path, rendered: &rendered };
                discover::chart_output(&output, self.scan.rules, findings);
            }
            Err(error) => fail(self.scan, self.path, self.chart.name(), &error, findings),
        }
    }
}

fn with_helm(program: &Path, chart: &Path, options: &RenderOptions) -> Result<Vec<Rendered>, ChartsError> {
    let manifests = charts::render_with(program, chart, options)?;
    Ok(manifests.into_iter().map(|it| Rendered { template: it.template, text: it.text }).collect())
}

/// Values of a file below those that are there.
fn with_file(mut options: RenderOptions, file: Option<ValuesFile>) -> RenderOptions {
    if let Some(file) = file {
        options.values.files.insert(0, file);
    }
    options
}

/// Why a chart cannot be read or rendered, and what can be done about it.
struct Failure {
    reason: String,
    help: Option<String>,
}

impl Failure {
    fn of(error: &impl std::fmt::Display, help: Option<String>) -> Self {
        Self { reason: error.to_string(), help }
    }
}

/// A chart that cannot be rendered: a mistake, or a note where the user allows it.
fn fail(scan: &Scan<'_>, path: &str, name: &str, failure: &Failure, findings: &mut Findings) {
    let own = path.rsplit('/').next().unwrap_or_default();
    let is_allowed =
        scan.order.allow_chart_failure.iter().any(|allowed| allowed == name || allowed == path || allowed == own);
    match is_allowed {
        true => {
            findings.note(origin(path), format!("the chart cannot be rendered, which is allowed: {}", failure.reason))
        }
        false => {
            let help = failure.help.clone().unwrap_or_else(|| {
                format!("correct the chart or its values; `--allow-chart-failure {name}` goes on without its images")
            });
            findings.mistake(origin(path), format!("the chart cannot be rendered: {}", failure.reason), Some(help));
        }
    }
}

fn is_packed(path: &str) -> bool {
    path.ends_with(".tgz") || path.ends_with(".tar.gz")
}

fn is_chart(scan: &Scan<'_>, path: &str) -> bool {
    scan.context.kind(&join(path, "Chart.yaml")) == Some(Kind::File)
}
