//! `merge`: several images as one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::peers::{other, say, validate};
use crate::registry::Registry;
use crate::sandbox::Sandbox;

fn build(sandbox: &Sandbox, name: &str, kubefile: &str, files: &[(&str, &[u8])]) {
    let context = sandbox.context(&format!("context-{}", name.replace(':', "-")), kubefile, files);
    sandbox.sealos(&["build", "-q", "-t", name, &context]).fine();
}

fn config(sandbox: &Sandbox, name: &str) -> Value {
    let text = sandbox.sealos(&["inspect", "--config", name]).fine();
    serde_json::from_str::<Value>(&text).unwrap()
}

/// The files of an image by path.
fn files(sandbox: &Sandbox, name: &str) -> BTreeMap<String, String> {
    let root = sandbox.sealos(&["create", "--short", name]).fine();
    let root = Path::new(root.trim()).to_owned();
    let mut all = BTreeMap::new();
    let mut todo = vec![root.clone()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => todo.push(path),
                false => {
                    let inside = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    all.insert(inside, fs::read_to_string(&path).unwrap());
                }
            }
        }
    }
    all
}

#[test]
fn commands_and_variables_survive_spaces_dollars_and_quotes() {
    let sandbox = Sandbox::new();
    let first = "FROM scratch\nCOPY one /\nENV A=\"one two\" B='$HOME \"q\"' PATH=/bin\nLABEL k=1 l=\"a b\"\n\
                 CMD [\"echo \\\"$A\\\" '$B'\", \"cat one\"]\n";
    let second = "FROM scratch\nCOPY two /\nENV A=\"x=y z\" C=\"\"\nLABEL k=2\nENTRYPOINT [\"echo e\"]\nCMD echo shell; cat two\n";
    build(&sandbox, "first:v1", first, &[("one", b"1\n")]);
    build(&sandbox, "second:v1", second, &[("two", b"2\n")]);
    let id = sandbox.sealos(&["merge", "-t", "merged:v1", "-t", "also:v1", "first:v1", "second:v1"]).fine();
    let merged = config(&sandbox, "merged:v1");
    assert_eq!(merged["config"]["Env"], serde_json::json!(["A=x=y z", "B=$HOME \"q\"", "C="]));
    assert_eq!(merged["config"]["Entrypoint"], serde_json::json!(["echo e"]));
    let cmd = ["echo \"$A\" '$B'", "cat one", "/bin/sh", "-c", "echo shell; cat two"];
    assert_eq!(merged["config"]["Cmd"], serde_json::json!(cmd));
    assert_eq!((&merged["config"]["Labels"]["k"], &merged["config"]["Labels"]["l"]), (&"2".into(), &"a b".into()));
    assert!(id.contains(sandbox.sealos(&["inspect", "-f", "{{.FromImageID}}", "also:v1"]).fine().trim()), "{id}");

    let said = sandbox.sealos(&["run", "merged:v1"]).fine();
    let lines: Vec<&str> = said.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(lines, ["e", "x=y z $HOME \"q\"", "1", "shell", "2"]);
}

#[test]
fn layers_stay_what_they_are_and_the_same_again_is_the_same() {
    let sandbox = Sandbox::new();
    build(&sandbox, "first:v1", "FROM scratch\nCOPY a /\nCOPY b /\n", &[("a", b"1"), ("b", b"1")]);
    build(&sandbox, "second:v1", "FROM scratch\nCOPY b /\nCOPY c /\n", &[("b", b"2"), ("c", b"2")]);
    let layers = |name: &str| -> Vec<String> {
        let text = sandbox.sealos(&["inspect", "-f", "{{range .Layers}}{{.Digest}} {{end}}", name]).fine();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let before = sandbox.blobs().len();
    let id = sandbox.sealos(&["merge", "-t", "merged:v1", "first:v1", "second:v1"]).fine();
    assert_eq!(sandbox.blobs().len(), before + 2, "a configuration and a manifest are new");
    assert_eq!(layers("merged:v1"), [layers("first:v1"), layers("second:v1")].concat());
    let want = [("a", "1"), ("b", "2"), ("c", "2")].map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(files(&sandbox, "merged:v1"), BTreeMap::from(want));
    assert_eq!(sandbox.sealos(&["merge", "-t", "again:v1", "first:v1", "second:v1"]).fine(), id);
    let dated = sandbox.sealos(&["merge", "--timestamp", "1", "-t", "dated:v1", "first:v1", "second:v1"]).fine();
    assert_ne!(dated, id);
}

#[test]
fn what_an_image_takes_away_of_its_own_it_does_not_take_from_others() {
    let sandbox = Sandbox::new();
    build(
        &sandbox,
        "first:v1",
        "FROM scratch\nCOPY shared /\nCOPY mine /dir/mine\n",
        &[("shared", b"1"), ("mine", b"1")],
    );
    // `shared` and `dir` are in the second image, and taken away again.
    build(
        &sandbox,
        "base:v1",
        "FROM scratch\nCOPY shared /\nCOPY theirs /dir/theirs\n",
        &[("shared", b"2"), ("theirs", b"2")],
    );
    let layout = sandbox.at("layout");
    sandbox.sealos(&["copy", "-q", "--compression-format", "gzip", "base:v1", &format!("oci:{layout}:base")]).fine();
    let image = format!("{layout}:base");
    let bundle = sandbox.at("bundle");
    say("umoci", &["unpack", "--image", &image, &bundle]);
    fs::remove_file(sandbox.path("bundle/rootfs/shared")).unwrap();
    fs::remove_dir_all(sandbox.path("bundle/rootfs/dir")).unwrap();
    fs::write(sandbox.path("bundle/rootfs/new"), "3").unwrap();
    say("umoci", &["repack", "--image", &image, &bundle]);
    sandbox.sealos(&["copy", "-q", &format!("oci:{image}"), "second:v1"]).fine();
    assert_eq!(files(&sandbox, "second:v1").into_keys().collect::<Vec<_>>(), ["new"]);
    sandbox.sealos(&["merge", "-q", "-t", "merged:v1", "first:v1", "second:v1"]).fine();
    let merged = files(&sandbox, "merged:v1");
    let want =
        [("dir/mine", "1"), ("new", "3"), ("shared", "1")].map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(merged, BTreeMap::from(want));
}

#[test]
fn a_rootfs_stays_one_and_what_is_missing_is_pulled() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let rootfs = "FROM scratch\nCOPY a /\nLABEL sealos.io.type=rootfs sealos.io.version=v1beta1\n";
    registry.publish("team/rootfs:v1", rootfs, &[("a", b"1")], &[]);
    let app = "FROM scratch\nCOPY b /\nLABEL sealos.io.type=application\n";
    build(&sandbox, "app:v1", app, &[("b", b"2")]);
    sandbox.sealos(&["merge", "-t", "merged:v1", &registry.name("team/rootfs:v1"), "app:v1"]).fine();
    let labels = config(&sandbox, "merged:v1")["config"]["Labels"].clone();
    assert_eq!((&labels["sealos.io.type"], &labels["sealos.io.version"]), (&"rootfs".into(), &"v1beta1".into()));
    let to = registry.name("team/merged:v1");
    sandbox.sealos(&["push", "-q", "merged:v1", &to]).fine();
    validate(&to);
}

#[test]
fn what_cannot_be_merged_is_refused() {
    let sandbox = Sandbox::new();
    build(&sandbox, "first:v1", "FROM scratch\nCOPY a /\n", &[("a", b"1")]);
    let context = sandbox.context("other", "FROM scratch\nCOPY a /\n", &[("a", b"1")]);
    let other = other();
    sandbox.sealos(&["build", "-q", "-t", "other:v1", "--platform", &other, &context]).fine();
    for (args, code, part) in [
        (&["first:v1", "first:v1"][..], 2, "--tag"),
        (&["-t", "x:v1", "first:v1"], 2, "IMAGE"),
        (&["-t", "X", "first:v1", "first:v1"], 2, "lower case"),
        (&["-t", "x:v1", "first:v1", "127.0.0.1:1/absent:v1", "--retry", "0"], 1, "absent:v1"),
        (&["-t", "x:v1", "first:v1", "other:v1"], 1, &other),
    ] {
        let said = sandbox.sealos(&[&["merge"], args].concat());
        assert_eq!(said.code, Some(code), "{args:?}: {}", said.stderr);
        assert!(said.stderr.contains(part), "{args:?}: {}", said.stderr);
    }
    sandbox.sealos(&["inspect", "x:v1"]).refused(&["no image"]);
}
