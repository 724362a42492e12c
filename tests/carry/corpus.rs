//! A generated corpus of manifests with the traps that searching for `image:` falls into. Every image of it is
//! accounted for: taken, reported, or rightly passed over.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::sandbox::{Bounded, Sandbox};

/// What a shape is asked for: a number that makes its images unique.
type Shape = fn(usize) -> Part;

/// A document, the images that have to be taken from it, and those that have to be reported.
struct Part {
    text: String,
    taken: Vec<String>,
    reported: Vec<String>,
}

fn takes(text: String, taken: &[&str]) -> Part {
    Part { text, taken: taken.iter().map(|name| (*name).to_owned()).collect(), reported: Vec::new() }
}

fn reports(text: String, reported: &[&str]) -> Part {
    Part { text, taken: Vec::new(), reported: reported.iter().map(|name| (*name).to_owned()).collect() }
}

fn workload(kind: &str, image_line: &str) -> String {
    let api = if kind == "Job" { "batch/v1" } else { "apps/v1" };
    format!(
        "apiVersion: {api}\nkind: {kind}\nmetadata:\n  name: w\nspec:\n  template:\n    spec:\n      containers:\n      - name: c\n        {image_line}\n"
    )
}

const HEX: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Shapes whose images have to be taken.
const TAKEN: &[Shape] = &[
    |n| {
        takes(
            workload("Deployment", &format!("image: r.example/comment:{n} # why")),
            &[&format!("r.example/comment:{n}")],
        )
    },
    |n| takes(workload("StatefulSet", &format!("image: 'r.example/single:{n}'")), &[&format!("r.example/single:{n}")]),
    |n| takes(workload("DaemonSet", &format!("image: \"r.example/double:{n}\"")), &[&format!("r.example/double:{n}")]),
    |n| takes(workload("ReplicaSet", &format!("image : r.example/space:{n}")), &[&format!("r.example/space:{n}")]),
    |n| takes(workload("Job", &format!("\"image\": r.example/quotedkey:{n}")), &[&format!("r.example/quotedkey:{n}")]),
    |n| {
        takes(
            workload("Deployment", &format!("image: >-\n          r.example/folded:{n}")),
            &[&format!("r.example/folded:{n}")],
        )
    },
    |n| {
        takes(
            workload("Deployment", &format!("{{}}: 0\n        image: r.example/oddkey:{n}")),
            &[&format!("r.example/oddkey:{n}")],
        )
    },
    |n| {
        let text = format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{{\"containers\":[{{\"name\":\"c\",\"image\":\"r.example/json:{n}\"}}]}}}}"
        );
        takes(text, &[&format!("r.example/json:{n}")])
    },
    |n| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nspec:\n  initContainers: [{{image: r.example/init:{n}}}]\n  ephemeralContainers:\n  - {{image: r.example/ephemeral:{n}}}\n  containers: [{{image: r.example/main:{n}}}]\n  volumes: [{{name: v, image: {{reference: r.example/volume:{n}}}}}]\n"
        );
        let names = ["init", "ephemeral", "main", "volume"].map(|name| format!("r.example/{name}:{n}"));
        takes(text, &names.each_ref().map(String::as_str))
    },
    |n| {
        let text = format!(
            "apiVersion: batch/v1\nkind: CronJob\nspec:\n  jobTemplate: {{spec: {{template: {{spec: {{containers: [{{image: r.example/cron:{n}}}]}}}}}}}}\n"
        );
        takes(text, &[&format!("r.example/cron:{n}")])
    },
    |n| {
        let text = format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ReplicationController\n  spec: {{template: {{spec: {{containers: [{{image: r.example/listed:{n}}}]}}}}}}\n- apiVersion: v1\n  kind: PodTemplate\n  template: {{spec: {{containers: [{{image: r.example/listed2:{n}}}]}}}}\n"
        );
        takes(text, &[&format!("r.example/listed:{n}"), &format!("r.example/listed2:{n}")])
    },
    |n| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nx-c: &c\n  image: r.example/anchor:{n}\nspec:\n  containers:\n  - <<: *c\n    name: a\n"
        );
        takes(text, &[&format!("r.example/anchor:{n}")])
    },
    |n| {
        let digest = format!("r.example/digest{n}@{HEX}");
        takes(workload("Deployment", &format!("image: {digest}")), &[&digest])
    },
    |n| {
        let both = format!("r.example/both:{n}@{HEX}");
        takes(workload("Deployment", &format!("image: {both}")), &[&both])
    },
    |n| {
        let text = format!(
            "{}---\n{}",
            workload("Deployment", &format!("image: one.example/same/path:{n}")),
            workload("Deployment", &format!("image: two.example/same/path:{n}"))
        );
        takes(text, &[&format!("one.example/same/path:{n}"), &format!("two.example/same/path:{n}")])
    },
    |n| {
        let text = workload(
            "Deployment",
            &format!(
                "image: r.example/op:{n}\n        env:\n        - {{name: RELATED_IMAGE_A, value: r.example/related:{n}}}\n        args: ['--prometheus-config-reloader=r.example/reloader:{n}', --log=debug]"
            ),
        );
        let names = ["op", "related", "reloader"].map(|name| format!("r.example/{name}:{n}"));
        takes(text, &names.each_ref().map(String::as_str))
    },
    |n| {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  pod.yaml: |\n    apiVersion: v1\n    kind: Pod\n    spec:\n      containers:\n      - image: r.example/nested:{n}\n"
        );
        takes(text, &[&format!("r.example/nested:{n}")])
    },
    |n| {
        let packed = STANDARD
            .encode(format!("apiVersion: v1\nkind: Pod\nspec: {{containers: [{{image: r.example/secret:{n}}}]}}\n"));
        takes(format!("apiVersion: v1\nkind: Secret\ndata:\n  m: {packed}\n"), &[&format!("r.example/secret:{n}")])
    },
    |n| {
        let text = format!(
            "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nspec:\n  image: r.example/prom{n}\n  containers:\n  - name: extra\n    image: r.example/extra:{n}\n"
        );
        takes(text, &[&format!("r.example/prom{n}:latest"), &format!("r.example/extra:{n}")])
    },
    |n| {
        let text = format!(
            "apiVersion: acme.example/v1\nkind: Widget\nspec:\n  image: r.example/widget:{n}\n  parts:\n  - image:\n      registry: r.example\n      repository: part\n      tag: \"{n}\"\n"
        );
        takes(text, &[&format!("r.example/widget:{n}"), &format!("r.example/part:{n}")])
    },
    |n| {
        let text = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  templates:\n  - container: {{image: r.example/step:{n}}}\n  - script: {{image: '{{{{inputs.parameters.image}}}}'}}\n"
        );
        takes(text, &[&format!("r.example/step:{n}")])
    },
    |n| {
        let long = "x".repeat(6000);
        takes(
            workload("Deployment", &format!("env: [{{name: L, value: {long}}}]\n        image: r.example/long:{n}")),
            &[&format!("r.example/long:{n}")],
        )
    },
    |n| {
        let text = workload("Deployment", &format!("image: r.example/crlf:{n}")).replace('\n', "\r\n");
        takes(text, &[&format!("r.example/crlf:{n}")])
    },
    |n| {
        takes(
            workload("Deployment", &format!("image: r.example:5000/port:{n}")),
            &[&format!("r.example:5000/port:{n}")],
        )
    },
];

/// Shapes that hold nothing to be carried.
const EMPTY: &[Shape] = &[
    |n| takes(workload("Deployment", &format!("# image: r.example/commented:{n}\n        image: ''")), &[]),
    |n| {
        takes(
            format!(
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec:\n  image: {{type: string, description: 'such as r.example/schema:{n}'}}\n"
            ),
            &[],
        )
    },
    |n| {
        takes(
            format!(
                "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec:\n  rules:\n  - validate: {{pattern: {{spec: {{containers: [{{image: '!*:latest | r{n}'}}]}}}}}}\n"
            ),
            &[],
        )
    },
    |n| {
        takes(
            format!(
                "apiVersion: acme.example/v1\nkind: Machine\nspec: {{image: ubuntu-22.{n}, endpoint: 'host{n}.example:8080', mount: '/a:/b:ro', time: '12:30:45'}}\n"
            ),
            &[],
        )
    },
    |n| {
        takes(
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}}}\nspec: {{externalName: 'h.example', ports: [{{port: 80}}], imagePullPolicy: Always}}\n"
            ),
            &[],
        )
    },
    |n| {
        takes(
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{n}}}\ndata:\n  nginx.conf: |\n    server {{\n      listen 80;\n      location ~ \\.(png|jpg)$ {{ root /images; }}\n    }}\n  url: http://h.example:9090/path\n"
            ),
            &[],
        )
    },
    |n| {
        takes(
            format!(
                "apiVersion: v1\nkind: Node\nmetadata: {{name: n{n}}}\nstatus: {{images: [{{names: ['r.example/onnode:{n}']}}]}}\n"
            ),
            &[],
        )
    },
    |_| takes("# nothing\n".to_owned(), &[]),
];

/// Shapes whose strings look like images and are not taken.
const REPORTED: &[Shape] = &[
    |n| {
        reports(
            format!("apiVersion: acme.example/v1\nkind: Widget\nspec: {{runner: r.example/runner:{n}}}\n"),
            &[&format!("r.example/runner:{n}")],
        )
    },
    |n| {
        let mut part = takes(
            workload(
                "Deployment",
                &format!("image: r.example/known:{n}\n        env: [{{name: SIDECAR, value: r.example/side:{n}}}]"),
            ),
            &[&format!("r.example/known:{n}")],
        );
        part.reported.push(format!("r.example/side:{n}"));
        part
    },
    |n| {
        reports(
            format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  run.sh: \"docker run r.example/script:{n} --flag\"\n"),
            &[&format!("r.example/script:{n}")],
        )
    },
];

fn names(document: &Value, key: &str) -> BTreeSet<String> {
    document[key].as_array().unwrap().iter().map(|it| it["reference"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_image_of_a_corpus_is_taken_reported_or_rightly_passed_over() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\n", &[]);
    let (mut taken, mut reported) = (BTreeSet::new(), BTreeSet::new());
    let shapes: Vec<Shape> = TAKEN.iter().chain(EMPTY).chain(REPORTED).copied().collect();
    let mut documents = 0;
    for round in 0..12 {
        // Shapes stand in files in ever other orders, one to five in a file.
        let mut rest: Vec<usize> = (0..shapes.len()).collect();
        rest.rotate_left(round * 7 % shapes.len());
        for (number, chunk) in rest.chunks(1 + round % 5).enumerate() {
            let parts: Vec<Part> = chunk.iter().map(|at| shapes[*at](round * 100 + number)).collect();
            let text: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
            let directory = format!("{context}/manifests/{}", ["", "deep/er", "x"][number % 3]);
            fs::create_dir_all(&directory).unwrap();
            let bom = if number % 7 == 0 { "\u{feff}" } else { "" };
            let name = ["yaml", "yml", "YAML"][round % 3];
            fs::write(format!("{directory}/r{round}-{number}.{name}"), format!("{bom}{}", text.join("\n---\n")))
                .unwrap();
            documents += parts.len();
            for part in parts {
                taken.extend(part.taken);
                reported.extend(part.reported);
            }
        }
    }
    // What editors and people leave around.
    let stray = workload("Deployment", "image: r.example/stray:1");
    for name in
        ["manifests/a.yaml~", "manifests/.b.yaml", "manifests/c.yaml.bak", "manifests/d.yaml.orig", "manifests/e.md"]
    {
        fs::write(format!("{context}/{name}"), &stray).unwrap();
    }
    fs::create_dir_all(format!("{context}/outside")).unwrap();
    fs::write(format!("{context}/outside/linked.yaml"), workload("Deployment", "image: r.example/linked:1")).unwrap();
    symlink("../outside", format!("{context}/manifests/linked")).unwrap();
    symlink("..", format!("{context}/manifests/loop")).unwrap();
    symlink("/etc", format!("{context}/manifests/etc")).unwrap();
    taken.insert("r.example/linked:1".to_owned());

    let said = sandbox.sealos(&["images", "list", "--json", &context]).fine();
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(found["mistakes"], Value::Array(Vec::new()));
    let (got, likely) = (names(&found, "images"), names(&found, "likely"));
    let missed: Vec<_> = taken.difference(&got).collect();
    let false_positives: Vec<_> = got.difference(&taken).collect();
    assert!(missed.is_empty() && false_positives.is_empty(), "missed {missed:?}, taken wrongly {false_positives:?}");
    let unreported: Vec<_> = reported.difference(&likely).collect();
    let reported_wrongly: Vec<_> = likely.difference(&reported).collect();
    assert!(unreported.is_empty() && reported_wrongly.is_empty(), "{unreported:?} {reported_wrongly:?}");
    assert!(documents > 400 && taken.len() > 300, "the corpus is large: {documents} documents, {} images", taken.len());
    for image in found["images"].as_array().unwrap() {
        for origin in image["origins"].as_array().unwrap() {
            assert!(origin["line"].as_u64().is_some_and(|line| line > 0), "{image}");
        }
    }
}

#[test]
fn lists_and_ignore_files_are_read_line_by_line() {
    let sandbox = Sandbox::new();
    let context = sandbox.context(
        "app",
        "FROM scratch\n",
        &[
            ("images/shim/core", b"# core\nnginx:1.27   # web\n'redis:7'\n\nquay.io/a/b\r\nnot-wanted:1\n".as_slice()),
            ("images/shim/core~", b"old:1\n"),
            ("images/shim/#core#", b"older:1\n"),
            ("images/more.txt", b"- image: \"team/app:2\"\ngcr.io/x/y-debug:1\n"),
            ("images/notes.md", b"not/a/list:1\n"),
            (".sealignore", b"not-wanted\n*-debug:*  # too large\n# comment\n"),
        ],
    );
    let said = sandbox.sealos(&["images", "list", &context]);
    assert_eq!(said.stdout, "nginx:1.27\nredis:7\nteam/app:2\nquay.io/a/b:latest\n", "{}", said.stderr);
    assert!(said.stderr.contains("images/shim/core~") && said.stderr.contains("backup"), "{}", said.stderr);
    let why = sandbox.sealos(&["images", "why", "nginx", "in", &context]).fine();
    assert_eq!(why, "nginx:1.27\n    images/shim/core:2 [list]\n");
    let said = sandbox.sealos(&["images", "why", "postgres", "in", &context]);
    said.refused(&["asks for `postgres`", "redis:7"]);
}

#[test]
fn mistakes_fail_and_name_their_lines() {
    let sandbox = Sandbox::new();
    let context = sandbox.context(
        "app",
        "FROM scratch\n",
        &[
            ("images/shim/core", b"ok:1\nNot An Image\n".as_slice()),
            ("manifests/broken.yaml", b"apiVersion: v1\nkind: Pod\nspec: [\n"),
            ("manifests/placeholder.yaml", b"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: $(IMAGE)\n"),
            ("manifests/t.yaml.tmpl", b"a: {{ .nothing }}\n"),
        ],
    );
    for verb in [&["images", "list", &context][..], &["build", "-q", &context]] {
        let said = sandbox.sealos(verb);
        assert_eq!(said.code, Some(1), "{verb:?}");
        for place in
            ["images/shim/core:2", "manifests/broken.yaml:3", "manifests/placeholder.yaml:5", "manifests/t.yaml.tmpl:1"]
        {
            assert!(said.stderr.contains(place), "{place} is not in {}", said.stderr);
        }
    }
    sandbox.is_empty();
    fs::write(format!("{context}/.sealignore"), "./manifests\nNot An Image\n").unwrap();
    assert_eq!(sandbox.sealos(&["images", "list", &context]).fine(), "ok:1\n");
}

#[test]
fn kustomizations_are_built_by_a_program_that_is_there_or_asked_for() {
    let sandbox = Sandbox::new();
    let base = workload("Deployment", "image: r.example/base:1");
    let context = sandbox.context(
        "app",
        "FROM scratch\nCMD [\"kubectl apply -k manifests/over\"]\n",
        &[
            ("manifests/base/kustomization.yaml", b"resources: [d.yaml]\n".as_slice()),
            ("manifests/base/d.yaml", base.as_bytes()),
            (
                "manifests/over/kustomization.yaml",
                b"bases: [../base]\nimages:\n- {name: r.example/base, newName: r.example/patched, newTag: \"2\"}\n",
            ),
        ],
    );
    assert_eq!(sandbox.sealos(&["images", "list", &context]).fine(), "r.example/patched:2\n");
    let without = sandbox.command(&["images", "list", &context]).env("PATH", "/nonexistent").bounded().unwrap();
    let said = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(!without.status.success() && said.contains("kubectl") && said.contains("manifests/over"), "{said}");
}

#[test]
fn rules_of_the_context_say_where_else_images_are() {
    let sandbox = Sandbox::new();
    let rules = "rules:\n- name: acme\n  for: [acme.example/*]\n  images: [spec.runner, \"spec.workers[*].what\"]\n  triples:\n  - {at: spec.server, registry: host, repository: path, tag: version}\n  compose: [{image: \"r.example/engine:{spec.version}\"}]\n- name: words\n  env: [ACME_SIDECAR]\n  args: [--acme-helper]\n";
    let manifests = "apiVersion: acme.example/v1\nkind: Widget\nspec:\n  version: 4.5\n  runner: r.example/runner:1\n  workers: [{what: r.example/w1}, {what: \"r.example/w2:2\"}]\n  server: {host: r.example, path: team/server, version: \"3\"}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - image: r.example/p:1\n    env: [{name: ACME_SIDECAR, value: r.example/side:1}]\n    args: [--acme-helper=r.example/helper:1, --log=debug]\n";
    let files: &[(&str, &[u8])] =
        &[("images.rules.yaml", rules.as_bytes()), ("manifests/a.yaml", manifests.as_bytes())];
    let context = sandbox.context("app", "FROM scratch\n", files);
    let said = sandbox.sealos(&["images", "list", &context]);
    let want = ["engine:4.5", "helper:1", "p:1", "runner:1", "side:1", "team/server:3", "w1:latest", "w2:2"];
    assert_eq!(said.stdout, want.map(|name| format!("r.example/{name}\n")).concat(), "{}", said.stderr);
    fs::write(format!("{context}/images.rules.yaml"), "rules: [{name: x, imagez: [a]}]\n").unwrap();
    sandbox.sealos(&["images", "list", &context]).refused(&["images.rules.yaml", "line 1", "`imagez`"]);
}
