//! Helm's own library behind a pipe: questions in, answers out, one JSON document a line.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value as Json;

/// What the oracle said.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) value: Json,
    #[serde(default)]
    pub(crate) rendered: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// `go`, where a machine for tests has it.
pub(crate) fn go() -> Command {
    let installed = Path::new("/usr/local/go/bin/go");
    let mut go = Command::new(if installed.exists() { installed } else { Path::new("go") });
    go.env("CGO_ENABLED", "0");
    go
}

/// Builds a package of the oracle's module, whose `go.sum` pins every version.
pub(crate) fn build(package: &str, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/helm");
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let status = go()
        .args(["build", "-o"])
        .arg(&binary)
        .arg(package)
        .current_dir(source)
        .status()
        .expect("go must be installed: the tests compare with the real Helm");
    assert!(status.success(), "go build of {package} failed");
    binary
}

fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build(".", "helm-oracle"))
}

/// Asks everything at once; one answer a question, in order.
pub(crate) fn ask(questions: &[Json]) -> Vec<Answer> {
    let mut child =
        Command::new(binary()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle was just built");
    let mut input = child.stdin.take().expect("piped");
    let lines: String = questions.iter().map(|q| format!("{q}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("the oracle ends");
    writer.join().expect("no panic").expect("the oracle reads all");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let answers: Vec<Answer> =
        text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect();
    assert_eq!(answers.len(), questions.len(), "one answer a question");
    answers
}
