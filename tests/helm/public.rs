//! Charts of other people, fetched as Go modules into Go's module cache, rendered by both.
//!
//! Every chart of the repositories below is rendered with its own values and with each values file in its `ci`
//! directory. Dependencies are taken from the same repositories. What Helm makes up (passwords, certificates) is told
//! by rendering twice, and left out of the comparison.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealos::charts::{self, Links};
use sealos::helm::{self, Ignore, RenderOptions, Values, ValuesFile};
use sealos::template::version_satisfies;
use sealos::yaml::{self, Numbers};
use serde_json::{Value as Json, json};

use crate::oracle::{Answer, ask, go};

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
struct Found {
    directory: PathBuf,
    name: String,
    version: String,
    kind: String,
    dependencies: Vec<(String, String)>,
}

fn repository(module: &str) -> PathBuf {
    let output = go().args(["mod", "download", "-json", module]).current_dir(std::env::temp_dir()).output();
    let output = output.expect("go runs");
    assert!(output.status.success(), "{module}: {}", String::from_utf8_lossy(&output.stdout));
    let said: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    PathBuf::from(said["Dir"].as_str().expect("a directory"))
}

fn find(directory: &Path, charts: &mut Vec<Found>) {
    if let Ok(text) = fs::read_to_string(directory.join("Chart.yaml")) {
        charts.extend(metadata(directory, &text));
        return;
    }
    let mut below: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    below.sort();
    for path in below.into_iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        find(&path, charts);
    }
}

fn metadata(directory: &Path, text: &str) -> Option<Found> {
    let chart = yaml::first(text, Numbers::Exact).ok()?;
    let get = |value: &Json, key: &str| value.get(key).and_then(yaml::text_of).unwrap_or_default();
    let listed = chart.get("dependencies").and_then(Json::as_array).cloned().unwrap_or_default();
    Some(Found {
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
fn assemble(chart: &Found, to: &Path, all: &[Found]) -> Result<(), String> {
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
            let pairs: Vec<(Json, Json)> =
                a.iter().zip(b).zip(c).map(|((theirs, again), ours)| masked(theirs, again, ours)).collect();
            pairs.into_iter().unzip::<Json, Json, Vec<Json>, Vec<Json>>().into_json()
        }
        (a, b, _) if a != b => (Json::Null, Json::Null),
        (a, _, c) => (a.clone(), c.clone()),
    }
}

trait IntoJson {
    fn into_json(self) -> (Json, Json);
}
impl IntoJson for (Vec<Json>, Vec<Json>) {
    fn into_json(self) -> (Json, Json) {
        (self.0.into(), self.1.into())
    }
}

fn documents(text: &str) -> Result<Json, String> {
    let all = yaml::all(text, Numbers::Exact).map_err(|e| e.to_string())?;
    Ok(all.into_iter().map(|document| document.value).filter(|value| !value.is_null()).collect())
}

/// What is different, if anything is.
fn compare(
    theirs: &Answer,
    again: impl FnOnce() -> Answer,
    ours: Result<Vec<helm::Rendered>, String>,
) -> Result<Outcome, String> {
    let ours = match (&theirs.error, ours) {
        (Some(_), Err(_)) => return Ok(Outcome::BothRefuse),
        (Some(error), Ok(_)) => return Err(format!("helm refuses: {error}")),
        (None, Err(error)) => return Err(format!("we refuse: {error}")),
        (None, Ok(ours)) => ours,
    };
    let ours: BTreeMap<String, String> = ours.into_iter().map(|r| (r.template, r.text)).collect();
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

#[test]
fn charts_of_other_people_render_as_helm_renders_them() {
    let mut all = Vec::new();
    for module in REPOSITORIES {
        find(&repository(module), &mut all);
    }
    let only = std::env::var("CHART").ok();
    let queue = Mutex::new(
        all.iter()
            .filter(|c| c.kind != "library")
            .filter(|c| only.as_ref().is_none_or(|o| c.name == *o))
            .collect::<Vec<_>>(),
    );
    let results = Mutex::new((BTreeMap::new(), BTreeMap::new(), BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(chart) = queue.lock().unwrap().pop() else { return };
                    let place = format!("{} {}", chart.name, chart.directory.display());
                    let assembled = tempfile::tempdir().unwrap();
                    let root = assembled.path().join(&chart.name);
                    if let Err(why) = assemble(chart, &root, &all) {
                        results.lock().unwrap().1.insert(place, why);
                        continue;
                    }
                    let mut contents = BTreeMap::new();
                    let ignore = fs::read_to_string(root.join(Ignore::FILE));
                    let ignore = ignore.map_or_else(|_| Ignore::default(), |text| Ignore::parse(&text).unwrap());
                    files(&root, &root, &ignore, &mut contents);
                    let tries = tries(&root);
                    let ask_one = |values: &[String]| json!({"ask": "render", "files": contents, "values_files": values, "kube": KUBE});
                    let questions: Vec<Json> = tries.iter().map(|(_, values)| ask_one(values)).collect();
                    let answers = ask(&questions);
                    let loaded = charts::read(&root, Links::Anywhere).map_err(|e| e.to_string());
                    for ((name, values), theirs) in tries.iter().zip(&answers) {
                        let ours = loaded.as_ref().map_err(Clone::clone).and_then(|chart| {
                            helm::render(chart, &options(values)).map_err(|e| e.to_string())
                        });
                        let again = || ask(&[ask_one(values)]).remove(0);
                        match compare(theirs, again, ours) {
                            Ok(outcome) => *results.lock().unwrap().0.entry(outcome).or_insert(0) += 1,
                            Err(why) => {
                                results.lock().unwrap().2.insert(format!("{place} {name}"), why);
                            }
                        }
                    }
                }
            });
        }
    });
    let (equal, skipped, wrong) = results.into_inner().unwrap();
    for (chart, why) in &skipped {
        println!("skipped {chart}: {why}");
    }
    println!("{equal:?}, {} charts skipped", skipped.len());
    for (chart, why) in &wrong {
        println!("=== {chart}\n{why}");
    }
    assert!(wrong.is_empty(), "{} differ", wrong.len());
}
