//! `helm template` run as a process: for charts that need exactly what a certain helm does.
//!
//! The texts of values files reach it as files in a private directory, not as arguments: they may hold secrets, and
//! arguments are seen by every user of the machine. What was given with `--set` was an argument before.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::ChartsError;
use crate::helm::{ChartError, Manifest, RenderOptions, Rendered, Stage, manifests};

/// Renders with `helm template` of the given binary instead of in process; the manifests come in its order.
///
/// # Errors
/// The binary cannot be run, or says what is wrong with the chart.
pub fn render_with(helm: &Path, chart: &Path, options: &RenderOptions) -> Result<Vec<Manifest>, ChartsError> {
    let wrong = |source| ChartsError::Chart { path: chart.to_owned(), source: Box::new(source) };
    let private = tempfile::tempdir().map_err(|source| ChartsError::Start { helm: helm.to_owned(), source })?;
    let mut count = 0;
    let mut private_file = |text: &str| {
        count += 1;
        let path = private.path().join(format!("{count}.yaml"));
        write(&path, text).map_err(|source| ChartsError::Write { path: path.clone(), source })?;
        Ok(path)
    };

    let mut command = Command::new(helm);
    command.arg("template").arg(&options.release_name).arg(chart);
    let values = &options.values;
    for file in &values.files {
        command.arg("--values").arg(private_file(&file.text)?);
    }
    for (flag, texts) in [
        ("--set-json", &values.set_json),
        ("--set", &values.set),
        ("--set-string", &values.set_string),
        ("--set-literal", &values.set_literal),
    ] {
        for text in texts {
            command.arg(flag).arg(text);
        }
    }
    for (key, text) in values.file_pairs().map_err(wrong)? {
        command.arg("--set-file").arg(format!("{key}={}", private_file(text)?.display()));
    }
    command.args(["--namespace", &options.namespace, "--kube-version", &options.kube_version]);
    for version in &options.api_versions {
        command.args(["--api-versions", version]);
    }
    if options.stage == Stage::Upgrade {
        command.arg("--is-upgrade");
    }
    let output =
        command.stdin(Stdio::null()).output().map_err(|source| ChartsError::Start { helm: helm.to_owned(), source })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ChartsError::Helm { helm: helm.to_owned(), path: chart.to_owned(), message });
    }
    printed(&String::from_utf8_lossy(&output.stdout)).map_err(wrong)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// The documents of what `helm template` printed; a comment says where each comes from.
fn printed(text: &str) -> Result<Vec<Manifest>, ChartError> {
    const SOURCE: &str = "# Source: ";
    let mut rendered: Vec<Rendered> = Vec::new();
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix(SOURCE), rendered.last_mut()) {
            (Some(template), _) => {
                rendered.push(Rendered { template: template.trim_end().to_owned(), text: String::new() });
            }
            (None, Some(last)) => last.text.push_str(line),
            (None, None) => {}
        }
    }
    let mut all = Vec::new();
    for one in rendered {
        all.extend(manifests(&[one])?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::printed;

    #[test]
    fn documents_are_told_apart_by_where_they_come_from() {
        let text = "---\n# Source: a/templates/x.yaml\nkind: Pod\n---\n# Source: a/templates/x.yaml\nkind: Job\n---\n\
                    # Source: a/charts/b/templates/y.yaml\nkind: Secret\n";
        let all = printed(text).expect("YAML");
        let shown: Vec<_> = all.iter().map(|m| (m.template.as_str(), m.kind())).collect();
        let expected =
            [("a/templates/x.yaml", "Pod"), ("a/templates/x.yaml", "Job"), ("a/charts/b/templates/y.yaml", "Secret")];
        assert_eq!(shown, expected);
    }
}
