//! The `helm` binary itself: what it prints for a chart is what we make of it in process, document by document and in
//! its order; and what it prints is what `--helm` hands on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sealos::charts::{self, Links};
use sealos::helm::{self, Manifest, RenderOptions};
use sealos::yaml::{self, Numbers};
use serde_json::Value as Json;

use crate::generated::{Case, cases};
use crate::{oracle, process};

/// The binary, of the same module version as the library that the other tests ask.
pub(crate) fn helm() -> &'static Path {
    static HELM: OnceLock<PathBuf> = OnceLock::new();
    HELM.get_or_init(|| oracle::build("helm", "helm.sh/helm/v3/cmd/helm", "helm"))
}

/// `helm template` with nothing of this machine's configuration.
pub(crate) fn template(chart: &Path, arguments: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(helm());
    command
        .args(["template", "release-name"])
        .arg(chart)
        .args(["--kube-version", "v1.34.0"])
        .args(arguments)
        .env("HOME", home.path())
        .env_remove("KUBECONFIG");
    let output = process::run(&mut command, Vec::new(), process::RENDERING);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The documents that Helm prints: where each comes from, and what it says.
pub(crate) fn printed(text: &str) -> Vec<(String, Json)> {
    let mut documents: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix("# Source: "), documents.last_mut()) {
            (Some(source), _) => documents.push((source.trim_end().to_owned(), String::new())),
            (None, Some((_, body))) if line.trim_end() != "---" => body.push_str(line),
            _ => {}
        }
    }
    let read =
        |(source, body): (String, String)| (source, yaml::first(body.trim(), Numbers::Exact).expect("Helm's own YAML"));
    documents.into_iter().map(read).filter(|(_, value)| !value.is_null()).collect()
}

/// What we make of the same.
pub(crate) fn ours(manifests: Vec<Manifest>) -> Vec<(String, Json)> {
    manifests.into_iter().map(|one| (one.template, one.value)).filter(|(_, value)| !value.is_null()).collect()
}

fn written(case: &Case) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("chart");
    for (path, bytes) in &case.files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    (place, root)
}

#[test]
fn hooks_and_kinds_come_in_the_order_in_which_helm_prints_them() {
    let all = cases("");
    let case = all.iter().find(|case| case.name == "hooks").unwrap();
    let (_place, root) = written(case);
    let theirs = printed(&template(&root, &[]).unwrap());
    let chart = charts::read(&root, Links::Anywhere).unwrap();
    let options = RenderOptions { kube_version: "v1.34.0".to_owned(), ..RenderOptions::default() };
    let rendered = helm::render(&chart, &options).unwrap();
    assert_eq!(ours(helm::manifests(&rendered).unwrap()), theirs);
    assert!(theirs.len() >= 10, "{} documents", theirs.len());
    // With CRDs, Helm prints them first.
    let with = printed(&template(&root, &["--include-crds"]).unwrap());
    let crds: Vec<&str> = chart.crds().iter().map(|crd| crd.path.as_str()).collect();
    assert_eq!(with[0].0, crds[0]);
}

#[test]
fn the_helm_binary_renders_with_every_option_when_it_is_asked_for() {
    let mut count = 0;
    for case in cases("") {
        let (_place, root) = written(&case);
        let with = charts::render_with(helm(), &root, &case.options);
        let chart = charts::read(&root, Links::Anywhere).unwrap();
        let own = helm::render(&chart, &case.options).and_then(|rendered| helm::manifests(&rendered));
        match (with, own) {
            (Ok(with), Ok(own)) => {
                assert_eq!(ours(with), ours(own), "{}", case.name);
                count += 1;
            }
            // Most of these charts are made to be looked at, not to be YAML.
            (Err(_), Err(_)) => {}
            (with, own) => panic!("{}: {:?} {:?}", case.name, with.err(), own.err()),
        }
    }
    assert!(count >= 4, "{count} charts");
}

#[test]
fn what_helm_refuses_is_told_with_its_own_words() {
    let all = cases("wrong");
    let case = all.iter().find(|case| case.name == "requires").unwrap();
    let (_place, root) = written(case);
    let error = charts::render_with(helm(), &root, &case.options).expect_err("helm refuses").to_string();
    assert!(error.contains("template` failed on") && error.contains("give x"), "{error}");
}
