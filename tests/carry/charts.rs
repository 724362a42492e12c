//! Charts in all their shapes: what is rendered, what is not, and what happens when one cannot be.

use crate::sandbox::{Sandbox, run};
use crate::upstream::go_program;
use std::fs;
use std::path::Path;

fn pod(name: &str, image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: \"{image}\"}}]}}\n"
    )
}

fn put(root: &str, files: &[(&str, String)]) {
    for (path, text) in files {
        let path = Path::new(root).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn chart(name: &str, more: &str) -> String {
    format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n{more}")
}

#[test]
fn dependencies_hooks_tests_definitions_and_annotations_are_looked_at() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY . .\n", &[]);
    put(
        &context,
        &[
            (
                "charts/app/Chart.yaml",
                chart(
                    "app",
                    "dependencies:\n- {name: db, version: 1.0.0, condition: db.enabled}\n- {name: cache, version: 1.0.0, condition: cache.enabled}\n- {name: lib, version: 1.0.0}\nannotations:\n  artifacthub.io/images: |\n    - {name: hub, image: r.example/hub:1}\n  helm.sh/images: |\n    - {name: sh, image: r.example/sh:1}\n",
                ),
            ),
            ("charts/app/values.yaml", "db: {enabled: true}\ncache: {enabled: false}\n".to_owned()),
            (
                "charts/app/templates/main.yaml",
                "{{ include \"lib.pod\" (dict \"image\" \"r.example/main:1\") }}".to_owned(),
            ),
            (
                "charts/app/templates/hook.yaml",
                format!(
                    "{}",
                    pod("hook", "r.example/hook:1")
                        .replace("{name: hook}", "{name: hook, annotations: {helm.sh/hook: pre-install}}")
                ),
            ),
            (
                "charts/app/templates/tests/t.yaml",
                pod("test", "r.example/test:1")
                    .replace("{name: test}", "{name: test, annotations: {helm.sh/hook: test}}"),
            ),
            ("charts/app/templates/NOTES.txt", "Now run\nimage: r.example/notes:1\n".to_owned()),
            (
                "charts/app/templates/new.yaml",
                format!(
                    "{{{{- if semverCompare \">=1.30-0\" .Capabilities.KubeVersion.Version }}}}\n{}{{{{- end }}}}\n",
                    pod("new", "r.example/new:1")
                ),
            ),
            (
                "charts/app/templates/api.yaml",
                format!(
                    "{{{{- if .Capabilities.APIVersions.Has \"acme.example/v1\" }}}}\n{}{{{{- end }}}}\n",
                    pod("api", "r.example/api:1")
                ),
            ),
            ("charts/app/crds/extra.yaml", pod("crd", "r.example/crd:1")),
            ("charts/app/charts/db/Chart.yaml", chart("db", "")),
            ("charts/app/charts/db/templates/p.yaml", pod("db", "r.example/db:1")),
            ("charts/app/charts/cache/Chart.yaml", chart("cache", "")),
            ("charts/app/charts/cache/templates/p.yaml", pod("cache", "r.example/cache:1")),
            ("charts/app/charts/lib/Chart.yaml", chart("lib", "type: library\n")),
            (
                "charts/app/charts/lib/templates/_pod.tpl",
                format!("{{{{ define \"lib.pod\" }}}}\n{}{{{{ end }}}}\n", pod("main", "{{ .image }}")),
            ),
            ("charts/library/Chart.yaml", chart("library", "type: library\n")),
            ("charts/library/templates/_x.tpl", "{{ define \"x\" }}{{ end }}\n".to_owned()),
        ],
    );
    // A packed chart with a packed dependency.
    let packed = sandbox.at("packed");
    put(
        &packed,
        &[
            ("inner/Chart.yaml", chart("inner", "")),
            ("inner/templates/p.yaml", pod("inner", "r.example/inner:1")),
            ("outer/Chart.yaml", chart("outer", "")),
            ("outer/templates/p.yaml", pod("outer", "r.example/outer:1")),
            ("outer/charts/.keep", String::new()),
        ],
    );
    run("tar", &["-czf", &format!("{packed}/outer/charts/inner-1.0.0.tgz"), "-C", &packed, "inner"]);
    run("tar", &["-czf", &format!("{context}/charts/outer-1.0.0.tgz"), "-C", &packed, "outer"]);

    let want = ["crd", "db", "hook", "hub", "inner", "main", "new", "outer", "sh", "test"];
    let all = |names: &[&str]| names.iter().map(|name| format!("r.example/{name}:1\n")).collect::<String>();
    assert_eq!(sandbox.sealos(&["images", "list", &context]).fine(), all(&want));
    let older = ["images", "list", "--kube-version", "1.29", "--api-versions", "acme.example/v1", &context];
    let want = ["api", "crd", "db", "hook", "hub", "inner", "main", "outer", "sh", "test"];
    assert_eq!(sandbox.sealos(&older).fine(), all(&want));

    let one = sandbox.sealos(&["images", "list", "--why", &format!("{context}/charts/outer-1.0.0.tgz")]).fine();
    assert!(one.contains("outer-1.0.0.tgz/templates/p.yaml:4 (Pod outer, container c) [pod]"), "{one}");
    let why = sandbox.sealos(&["images", "why", "r.example/db:1", "in", &context]).fine();
    assert!(why.contains("charts/app/charts/db/templates/p.yaml:4"), "{why}");
}

#[test]
fn a_chart_that_cannot_be_rendered_is_an_error_unless_allowed() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY . .\n", &[]);
    put(
        &context,
        &[
            ("charts/bad/Chart.yaml", chart("bad", "")),
            (
                "charts/bad/templates/p.yaml",
                format!(
                    "# one\n# two\n# {{{{ required \"a password is needed\" .Values.password }}}}\n{}",
                    pod("p", "r.example/p:1")
                ),
            ),
            ("charts/good/Chart.yaml", chart("good", "")),
            ("charts/good/templates/p.yaml", pod("p", "r.example/good:1")),
        ],
    );
    for verb in [&["images", "list"][..], &["build", "-q"]] {
        let said = sandbox.sealos(&[verb, &[&context]].concat());
        assert_eq!(said.code, Some(1), "{verb:?}");
        for part in ["charts/bad", "bad/templates/p.yaml:3", "a password is needed"] {
            assert!(said.stderr.contains(part), "`{part}` is not in {}", said.stderr);
        }
    }
    let said = sandbox.sealos(&["images", "list", "--allow-chart-failure", "bad", &context]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "r.example/good:1\n"), "{}", said.stderr);
    assert!(said.stderr.contains("charts/bad"), "{}", said.stderr);
    fs::write(format!("{context}/charts/bad.values.yaml"), "password: x\n").unwrap();
    assert_eq!(sandbox.sealos(&["images", "list", &context]).fine(), "r.example/good:1\nr.example/p:1\n");
}

#[test]
fn the_helm_binary_finds_the_same_when_it_is_asked() {
    let helm = go_program("helm", "helm.sh/helm/v3/cmd/helm");
    let sandbox = Sandbox::new();
    let kubefile = "FROM scratch\nCOPY . .\nCMD [\"helm install x charts/app --set tag=2 -f charts/v.yaml\"]\n";
    let context = sandbox.context("app", kubefile, &[]);
    put(
        &context,
        &[
            ("charts/app/Chart.yaml", chart("app", "")),
            ("charts/app/values.yaml", "name: none\ntag: 1\n".to_owned()),
            ("charts/v.yaml", "name: r.example/app\n".to_owned()),
            ("charts/app/templates/p.yaml", pod("p", "{{ .Values.name }}:{{ .Values.tag }}")),
        ],
    );
    let here = sandbox.sealos(&["images", "list", &context]).fine();
    assert_eq!(here, "r.example/app:2\n");
    assert_eq!(sandbox.sealos(&["images", "list", "--helm", &helm, &context]).fine(), here);
}
