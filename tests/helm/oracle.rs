//! Helm's own library behind a pipe: questions in, answers out, one JSON document a line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value as Json;

use crate::{answers, process};

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

/// An oracle's module, whose `go.sum` pins every version.
pub(crate) fn source(oracle: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles").join(oracle)
}

/// Builds a package of an oracle's module.
pub(crate) fn build(oracle: &str, package: &str, name: &str) -> PathBuf {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    process::retried(|| {
        let mut command = go();
        command.args(["build", "-o"]).arg(&binary).arg(package).current_dir(source(oracle));
        command
    });
    binary
}

fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build("helm", ".", "helm-oracle"))
}

/// Asks everything at once; one answer a question, in order.
pub(crate) fn ask(questions: &[Json]) -> Vec<Answer> {
    raw(questions).into_iter().map(answer).collect()
}

/// The same, where the answers may be those of an earlier run; `turn` tells repetitions of one question apart.
pub(crate) fn ask_or_recall(turn: &str, questions: &[Json]) -> Vec<Answer> {
    answers::of(turn, questions, raw).into_iter().map(answer).collect()
}

fn answer(said: Json) -> Answer {
    serde_json::from_value(said).expect("an answer")
}

fn raw(questions: &[Json]) -> Vec<Json> {
    let lines: String = questions.iter().map(|q| format!("{q}\n")).collect();
    let output = process::run(&mut Command::new(binary()), lines.into_bytes(), process::RENDERING);
    assert!(output.status.success(), "the oracle: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let answers: Vec<Json> =
        text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect();
    assert_eq!(answers.len(), questions.len(), "one answer a question");
    answers
}
