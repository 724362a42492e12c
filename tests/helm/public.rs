//! Charts of other people, fetched as Go modules into Go's module cache, rendered by both.
//!
//! Every chart of the repositories below is rendered with its own values and with each values file in its `ci`
//! directory. Dependencies are taken from the same repositories. What Helm makes up (passwords, certificates) is told
//! by rendering twice, and left out of the comparison. A chart that Helm refuses must be refused for the same reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use sealos::charts::{self, Links};
use sealos::helm::{self, Ignore, Manifest, RenderOptions, Rendered, Values, ValuesFile};
use sealos::template::version_satisfies;
use sealos::yaml::{self, Numbers};
use serde_json::{Value as Json, json};

use crate::oracle::{Answer, ask_or_recall, go};
use crate::{answers, binary, process};

/// Module and version; licences: Apache-2.0, and MPL-2.0 for vault-helm. Nothing of them is kept here.
const REPOSITORIES: &[&str] = &[
    "github.com/prometheus-community/helm-charts@v0.0.0-20260828105119-ed5d7d9b5933",
    "github.com/argoproj/argo-helm@v0.0.0-20260904222229-3bbb4305eea9",
    "github.com/grafana/helm-charts@v0.0.0-20260820194520-7a0ab968961a",
    "github.com/bitnami/charts@v0.0.0-20260907150927-c0703daaf78e",
    "k8s.io/ingress-nginx@v0.0.0-20240708192948-52c50467d67d",
    "sigs.k8s.io/metrics-server@v0.9.0",
    "github.com/traefik/traefik-helm-chart@v41.6.0+incompatible",
    "github.com/hashicorp/vault-helm@v0.34.1",
    "istio.io/istio@v0.0.0-20260827124520-eed52ebb66ad",
    "github.com/grafana-community/helm-charts@v0.0.0-20260829030558-dbf9f4fb5fa1",
    "github.com/DandyDeveloper/charts@v0.0.0-20260615041936-2e2539a8960e",
    "github.com/vmware-tanzu/helm-charts@v0.0.0-20260916040517-6b2197350079",
    "github.com/kyverno/kyverno@v1.19.1",
    "sigs.k8s.io/descheduler@v0.36.0",
];

const KUBE: &str = "v1.34.0";

/// One chart of a repository.
#[derive(Clone, Debug)]
struct Public {
    module: &'static str,
    directory: PathBuf,
    name: String,
    version: String,
    kind: String,
    dependencies: Vec<(String, String)>,
}

/// Where each repository lies, downloaded where it is not there.
fn repositories() -> Vec<(&'static str, PathBuf)> {
    let queue = Mutex::new(REPOSITORIES.to_vec());
    let next = || queue.lock().unwrap().pop();
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(module) = next() {
                    let place = repository(module);
                    found.lock().unwrap().push((module, place));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort();
    found
}

fn repository(module: &str) -> PathBuf {
    let output = process::retried(|| {
        let mut command = go();
        command.args(["mod", "download", "-json", module]).current_dir(std::env::temp_dir());
        command
    });
    let said: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    PathBuf::from(said["Dir"].as_str().expect("a directory"))
}

fn find(module: &'static str, directory: &Path, charts: &mut Vec<Public>) {
    if let Ok(text) = fs::read_to_string(directory.join("Chart.yaml")) {
        charts.extend(metadata(module, directory, &text));
        return;
    }
    let mut below: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    below.sort();
    for path in below.into_iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        find(module, &path, charts);
    }
}

fn metadata(module: &'static str, directory: &Path, text: &str) -> Option<Public> {
    let chart = yaml::first(text, Numbers::Exact).ok()?;
    let get = |value: &Json, key: &str| value.get(key).and_then(yaml::text_of).unwrap_or_default();
    let listed = chart.get("dependencies").and_then(Json::as_array).cloned().unwrap_or_default();
    Some(Public {
        module,
        directory: directory.to_owned(),
        name: get(&chart, "name"),
        version: get(&chart, "version"),
        kind: get(&chart, "type"),
        dependencies: listed.iter().map(|d| (get(d, "name"), get(d, "version"))).collect(),
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::write(&target, fs::read(&path).unwrap()).unwrap();
        }
    }
}

/// Puts a chart's dependencies into its `charts/`; the name of one that is nowhere otherwise.
fn assemble(chart: &Public, to: &Path, all: &[Public]) -> Result<(), String> {
    copy(&chart.directory, to);
    for (name, version) in &chart.dependencies {
        let target = to.join("charts").join(name);
        if target.exists() {
            continue;
        }
        // Another version than wanted is taken without its alias, by Helm too: no less a case to compare.
        let named = || all.iter().filter(|found| found.name == *name);
        let fitting = named().find(|found| version_satisfies(&found.version, version).unwrap_or(false));
        let found = fitting.or_else(|| named().next()).ok_or_else(|| format!("needs {name} {version}"))?;
        assemble(found, &target, all)?;
    }
    Ok(())
}

fn files(root: &Path, below: &Path, ignore: &Ignore, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            files(root, &path, ignore, found);
        } else if !ignore.leaves_out(&name) {
            found.insert(name, STANDARD.encode(fs::read(&path).unwrap()));
        }
    }
}

/// The values that a chart is tried with: none, and those of its own continuous integration.
fn tries(chart: &Path) -> Vec<(String, Vec<String>)> {
    let mut tries = vec![("defaults".to_owned(), Vec::new())];
    let ci = fs::read_dir(chart.join("ci")).into_iter().flatten();
    let mut names: Vec<PathBuf> = ci.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names.into_iter().filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        tries.push((name, vec![fs::read_to_string(&path).unwrap()]));
    }
    tries
}

fn options(values: &[String]) -> RenderOptions {
    let files = values.iter().map(|text| ValuesFile { name: "values".to_owned(), text: text.clone() });
    RenderOptions {
        kube_version: KUBE.to_owned(),
        values: Values { files: files.collect(), ..Values::default() },
        ..RenderOptions::default()
    }
}

/// Leaves out what differs between two renderings of Helm's own.
fn masked(theirs: &Json, again: &Json, ours: &Json) -> (Json, Json) {
    match (theirs, again, ours) {
        (Json::Object(a), Json::Object(b), Json::Object(c)) => {
            let (mut left, mut right) = (a.clone(), c.clone());
            for (key, value) in a {
                if let (Some(second), Some(own)) = (b.get(key), c.get(key)) {
                    let (x, y) = masked(value, second, own);
                    left.insert(key.clone(), x);
                    right.insert(key.clone(), y);
                }
            }
            (left.into(), right.into())
        }
        (Json::Array(a), Json::Array(b), Json::Array(c)) if a.len() == b.len() && a.len() == c.len() => {
            let pairs = a.iter().zip(b).zip(c).map(|((theirs, again), ours)| masked(theirs, again, ours));
            let (left, right): (Vec<Json>, Vec<Json>) = pairs.unzip();
            (left.into(), right.into())
        }
        (a, b, _) if a != b => (Json::Null, Json::Null),
        (a, _, c) => (a.clone(), c.clone()),
    }
}

fn documents(text: &str) -> Result<Json, String> {
    let all = yaml::all(text, Numbers::Exact).map_err(|e| e.to_string())?;
    Ok(all.into_iter().map(|document| document.value).filter(|value| !value.is_null()).collect())
}

/// What we say where the reason is not a line of a template, and what Helm says then.
const REASONS: [(&str, &str); 4] = [
    ("needs the dependenc", "missing in charts/"),
    ("do not fit the schema", "the specifications of the schema"),
    ("is for Kubernetes", "kubeVersion"),
    ("does not make what Kubernetes takes", "YAML parse error"),
];

/// Both must name the same line of a template, or the same reason where it is none.
fn same_reason(theirs: &str, ours: &str) -> Result<(), String> {
    let place = Regex::new(r"([\w./-]+)(?: \(tpl\))?:([0-9]+):[0-9]+").unwrap();
    let mut places = place.captures_iter(ours).map(|found| format!("{}:{}:", &found[1], &found[2]));
    let is_named = places.any(|place| theirs.contains(&place));
    let is_known = REASONS.iter().any(|(own, other)| ours.contains(own) && theirs.contains(other));
    if is_named || is_known { Ok(()) } else { Err(format!("helm refuses: {theirs}\nwe refuse: {ours}")) }
}

/// What is different, if anything is.
fn compare(
    theirs: &Answer,
    again: impl FnOnce() -> Answer,
    ours: Result<&[Rendered], String>,
) -> Result<Outcome, String> {
    let ours = match (&theirs.error, ours) {
        (Some(theirs), Err(ours)) => return same_reason(theirs, &ours).map(|()| Outcome::BothRefuse),
        (Some(error), Ok(_)) => return Err(format!("helm refuses: {error}")),
        (None, Err(error)) => return Err(format!("we refuse: {error}")),
        (None, Ok(ours)) => ours,
    };
    let ours: BTreeMap<String, String> = ours.iter().map(|one| (one.template.clone(), one.text.clone())).collect();
    if theirs.rendered == ours {
        return Ok(Outcome::Equal);
    }
    let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>().join(" ");
    if theirs.rendered.keys().ne(ours.keys()) {
        return Err(format!("templates: helm {} / ours {}", names(&theirs.rendered), names(&ours)));
    }
    let again = again();
    for (name, their_text) in &theirs.rendered {
        let (our_text, second) = (&ours[name], again.rendered.get(name).cloned().unwrap_or_default());
        if their_text == our_text {
            continue;
        }
        if *their_text == second {
            return Err(format!("{name}:\n{}", first_difference(their_text, our_text)));
        }
        let (a, b, c) = (documents(their_text)?, documents(&second)?, documents(our_text)?);
        let (left, right) = masked(&a, &b, &c);
        if left != right {
            return Err(format!(
                "{name} (besides what is random):\n{}",
                first_difference(&format!("{left:#}"), &format!("{right:#}"))
            ));
        }
    }
    Ok(Outcome::EqualButRandom)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Equal,
    EqualButRandom,
    BothRefuse,
}

fn first_difference(theirs: &str, ours: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (theirs.lines().collect(), ours.lines().collect());
    let at = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let around = |lines: &[&str]| lines[at.saturating_sub(2)..(at + 4).min(lines.len())].join("\n    ");
    format!("  line {}\n  helm:\n    {}\n  ours:\n    {}", at + 1, around(&a), around(&b))
}

/// What was found out about charts.
#[derive(Default)]
struct Found {
    outcomes: BTreeMap<Outcome, usize>,
    /// Charts that came out equal with everything that they were tried with, and rendered at least once.
    charts: usize,
    /// Charts whose documents are those that the helm binary prints, in its order.
    printed: usize,
    skipped: BTreeMap<String, String>,
    wrong: BTreeMap<String, String>,
}

impl Found {
    fn add(&mut self, other: Self) {
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.charts += other.charts;
        self.printed += other.printed;
        self.skipped.extend(other.skipped);
        self.wrong.extend(other.wrong);
    }

    /// Renders one chart with everything it is tried with.
    fn look(&mut self, chart: &Public, all: &[Public]) {
        let place = format!("{} of {}", chart.name, chart.module);
        let assembled = tempfile::tempdir().unwrap();
        let root = assembled.path().join(&chart.name);
        if let Err(why) = assemble(chart, &root, all) {
            self.skipped.insert(place, why);
            return;
        }
        let ignore = fs::read_to_string(root.join(Ignore::FILE));
        let ignore = ignore.map_or_else(|_| Ignore::default(), |text| Ignore::parse(&text).unwrap());
        let mut contents = BTreeMap::new();
        files(&root, &root, &ignore, &mut contents);
        let question =
            |values: &[String]| json!({"ask": "render", "files": contents, "values_files": values, "kube": KUBE});
        let tries = tries(&root);
        let questions: Vec<Json> = tries.iter().map(|(_, values)| question(values)).collect();
        let answers = ask_or_recall("first", &questions);
        let loaded = charts::read(&root, Links::Anywhere).map_err(|error| error.to_string());
        let (mut rendered, wrong) = (0, self.wrong.len());
        for ((name, values), theirs) in tries.iter().zip(&answers) {
            let ours = loaded
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|chart| helm::render(chart, &options(values)).map_err(|error| error.to_string()));
            let again = || ask_or_recall("again", &[question(values)]).remove(0);
            let compared = compare(theirs, again, ours.as_deref().map_err(Clone::clone));
            match compared {
                Ok(outcome) => {
                    rendered += usize::from(outcome != Outcome::BothRefuse);
                    *self.outcomes.entry(outcome).or_default() += 1;
                }
                Err(why) => drop(self.wrong.insert(format!("{place} with {name}"), why)),
            }
            if values.is_empty() && !chart.module.contains("bitnami") {
                let own = ours.and_then(|ours| helm::manifests(&ours).map_err(|error| error.to_string()));
                match print(&Printer { root: &root, chart: question(values) }, own) {
                    Ok(true) => self.printed += 1,
                    Ok(false) => {}
                    Err(why) => drop(self.wrong.insert(format!("{place}, by the binary"), why)),
                }
            }
        }
        self.charts += usize::from(rendered > 0 && self.wrong.len() == wrong);
    }
}

/// The binary, and one chart.
struct Printer<'a> {
    root: &'a Path,
    /// All that it is made of.
    chart: Json,
}

impl Printer<'_> {
    fn says(&self, turn: &str) -> Result<String, String> {
        let run = |_: &[Json]| vec![json!(binary::template(self.root, &[]))];
        let said = answers::of(&format!("binary, {turn}"), std::slice::from_ref(&self.chart), run).remove(0);
        serde_json::from_value(said).expect("a result")
    }
}

/// Holds our documents against those that the binary prints; false if neither had any, for the same reason.
fn print(printer: &Printer<'_>, own: Result<Vec<Manifest>, String>) -> Result<bool, String> {
    let (theirs, own) = match (printer.says("first"), own) {
        (Ok(theirs), Ok(own)) => (binary::printed(&theirs), binary::ours(own)),
        (Err(theirs), Err(own)) => return same_reason(&theirs, &own).map(|()| false),
        (theirs, own) => return Err(format!("helm: {:?}, ours: {:?}", theirs.err(), own.err())),
    };
    let names = |documents: &[(String, Json)]| documents.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(&theirs) != names(&own) {
        return Err(format!("helm prints {:?}, we {:?}", names(&theirs), names(&own)));
    }
    let values = |documents: &[(String, Json)]| documents.iter().map(|(_, value)| value.clone()).collect::<Json>();
    let (left, right) = (values(&theirs), values(&own));
    if left == right {
        return Ok(true);
    }
    let again = binary::printed(&printer.says("again")?);
    let (left, right) = masked(&left, &values(&again), &right);
    match left == right {
        true => Ok(true),
        false => Err(first_difference(&format!("{left:#}"), &format!("{right:#}"))),
    }
}

/// Charts that cannot be put together from these repositories, and what they need besides.
const SKIPPED: [(&str, &str); 3] = [
    ("grafana-sampling", "needs alloy"),
    ("kyverno", "needs kyverno-api"),
    ("lgtm-distributed", "needs mimir-distributed"),
];

#[test]
fn charts_of_other_people_render_as_helm_renders_them() {
    let mut all = Vec::new();
    for (module, place) in repositories() {
        find(module, &place, &mut all);
    }
    // CHART=name looks at one.
    let only = std::env::var("CHART").ok();
    let wanted = |chart: &&Public| chart.kind != "library" && only.as_ref().is_none_or(|name| chart.name == *name);
    let queue = Mutex::new(all.iter().filter(wanted).collect::<Vec<_>>());
    let next = || queue.lock().unwrap().pop();
    let total = Mutex::new(Found::default());
    let cores = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut found = Found::default();
                while let Some(chart) = next() {
                    found.look(chart, &all);
                }
                total.lock().unwrap().add(found);
            });
        }
    });
    let found = total.into_inner().unwrap();
    println!(
        "{:?}; {} charts are equal, {} also as the binary prints them; skipped: {:?}",
        found.outcomes, found.charts, found.printed, found.skipped
    );
    let wrong: String = found.wrong.iter().map(|(chart, why)| format!("=== {chart}\n{why}\n")).collect();
    assert!(wrong.is_empty(), "{} differ:\n{wrong}", found.wrong.len());
    if only.is_none() {
        let count = |outcome| found.outcomes.get(&outcome).copied().unwrap_or_default();
        assert!(count(Outcome::Equal) >= 400, "{:?}", found.outcomes);
        assert!(count(Outcome::BothRefuse) <= 15, "{:?}", found.outcomes);
        assert!(found.charts >= 200, "{} charts are equal", found.charts);
        assert!(found.printed >= 30, "{} charts as the binary prints them", found.printed);
        let skipped: Vec<(&str, &str)> = found
            .skipped
            .iter()
            .map(|(name, why)| (name.split(' ').next().unwrap(), why.rsplit_once(' ').unwrap().0))
            .collect();
        assert_eq!(skipped, SKIPPED);
    }
}
