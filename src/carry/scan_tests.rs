//! What a whole context gives.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{CommandText, CopiedPath, ScanOrder, scan};
use crate::discover::Findings;

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn pod(image: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: c\n    image: {image}\n")
}

fn found(findings: &Findings) -> Vec<String> {
    let one = |found: &crate::discover::Found| {
        let at = &found.origins[0];
        format!("{} {}:{}", found.reference.familiar(), at.file, at.line.unwrap_or(0))
    };
    findings.images().map(one).collect()
}

#[test]
fn lists_manifests_and_commands_of_a_context_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(
        root,
        &[
            ("images/shim/core", "# core\nshim:1 # why\n"),
            ("images/shim/core~", "old:1\n"),
            ("images/shim/.core.swp", "swap:1\n"),
            ("images/more.txt", "'more:1'\n"),
            ("images/readme.md", "not an image\n"),
            ("images/skopeo/tar.txt", "docker-archive:x.tar@library/x:1\n"),
            ("manifests/a.yaml", &pod("plain:1 # trailing")),
            ("manifests/deep/b.YML", &pod("'deep:1'")),
            (
                "manifests/c.json",
                "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"spec\":{\"containers\":[{\"image\":\"json:1\"}]}}",
            ),
            ("manifests/t.yaml.tmpl", &pod("{{ .registry }}/templated:{{ .tag }}")),
            ("manifests/old.yaml.bak", &pod("backup:1")),
            ("manifests/left/out.yaml", &pod("left:1")),
            ("elsewhere/d.yaml", &pod("applied:1")),
            ("src/e.yaml", &pod("copied:1")),
            ("shared/f.yaml", &pod("linked:1")),
            (
                "scripts/install.sh",
                "#!/bin/sh\nkubectl apply -f elsewhere/d.yaml\nkubectl apply -f - <<EOF\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: heredoc:1}]}\nEOF\n",
            ),
            ("images.rules.yaml", "rules:\n- name: mine\n  for: acme.example/Widget\n  images: [spec.runner]\n"),
            ("manifests/w.yaml", "apiVersion: acme.example/v1\nkind: Widget\nspec: {runner: ruled}\n"),
            (".sealignore", "./manifests/left\nignored:*  # not wanted\n"),
            ("manifests/i.yaml", &pod("ignored:1")),
        ],
    );
    symlink("../shared", root.join("manifests/shared")).unwrap();
    symlink(".", root.join("manifests/loop")).unwrap();
    let command = |text: &str| CommandText { file: "Kubefile".into(), line: 7, what: "CMD".into(), text: text.into() };
    let order = ScanOrder {
        environment: [("registry".to_owned(), "r.example".to_owned()), ("tag".to_owned(), "2".to_owned())].into(),
        commands: vec![
            command("bash scripts/install.sh"),
            command("kubectl apply -f app/e.yaml"),
            command("helm install x oci://r/c"),
        ],
        copies: vec![CopiedPath { from: "src".into(), to: "app".into() }],
        ..ScanOrder::default()
    };
    let findings = scan(root, &order).unwrap();
    assert_eq!(findings.mistakes().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(
        found(&findings),
        [
            "applied:1 elsewhere/d.yaml:7",
            "copied:1 src/e.yaml:7",
            "deep:1 manifests/deep/b.YML:7",
            "heredoc:1 scripts/install.sh:6",
            "json:1 manifests/c.json:1",
            "linked:1 manifests/shared/f.yaml:7",
            "more:1 images/more.txt:1",
            "plain:1 manifests/a.yaml:7",
            "ruled:latest manifests/w.yaml:3",
            "shim:1 images/shim/core:2",
            "r.example/templated:2 manifests/t.yaml.tmpl:7",
        ]
    );
    assert_eq!(findings.archives().len(), 1);
    let notes: Vec<String> = findings.notes().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("oci://r/c") && notes[1].contains("backup"), "{notes:?}");
}

#[test]
fn mistakes_name_their_files_and_lines() {
    let directory = tempfile::tempdir().unwrap();
    write(
        directory.path(),
        &[
            ("images/shim/x", "ok:1\nNot An Image\n"),
            ("manifests/a.yaml", "kind: Pod\nspec: [\n"),
            ("manifests/b.yaml.tmpl", "a: 1\nb: {{ .nothing }}\n"),
            ("manifests/c.yaml", &pod("UPPER")),
        ],
    );
    fs::write(directory.path().join("manifests/d.yaml"), b"a: 1\nb: \xff\n").unwrap();
    let findings = scan(directory.path(), &ScanOrder::default()).unwrap();
    let places: Vec<String> =
        findings.mistakes().map(|m| format!("{}:{}", m.origin.file, m.origin.line.unwrap())).collect();
    assert_eq!(
        places,
        [
            "images/shim/x:2",
            "manifests/a.yaml:2",
            "manifests/b.yaml.tmpl:2",
            "manifests/c.yaml:7",
            "manifests/d.yaml:2"
        ]
    );
}

#[test]
fn rules_that_are_wrong_end_the_look() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[("images.rules.yaml", "rules:\n- nmae: x\n")]);
    let error = scan(directory.path(), &ScanOrder::default()).unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
}
