//! `manifest`: lists of images, as crane, skopeo and buildah see them.

use serde_json::Value;

use crate::peers::{BOTH, digest, manifest, other, published, say, validate};
use crate::registry::Registry;
use crate::sandbox::{Sandbox, ended, run};

/// A registry with one image a platform, under tags as the pipelines of cluster images have them.
fn by_architecture() -> (Sandbox, Registry) {
    let (sandbox, registry, ..) = published();
    for platform in BOTH.split(',') {
        let arch = platform.split('/').next_back().unwrap();
        let to = registry.name(&format!("team/app:v1-{arch}"));
        sandbox.sealos(&["push", "-q", "--platform", platform, "both:v1", &to]).fine();
    }
    (sandbox, registry)
}

#[test]
fn the_pipeline_of_cluster_images_works() {
    let (_, registry) = by_architecture();
    let sandbox = Sandbox::new();
    let list = registry.name("team/app:v1");
    let id = sandbox.sealos(&["manifest", "create", &list]).fine();
    assert_eq!(id.trim().len(), 64);
    sandbox.sealos(&["manifest", "exists", &list]).fine();
    for arch in ["amd64", "arm64"] {
        let image = format!("docker://{}", registry.name(&format!("team/app:v1-{arch}")));
        let said = sandbox.sealos(&["manifest", "add", &list, &image]).fine();
        let want = say("crane", &["digest", "--insecure", image.trim_start_matches("docker://")]);
        assert!(said.trim().ends_with(&format!(": {want}")), "{said}");
    }
    let layers = sandbox.blobs().len();
    let pushed = sandbox.sealos(&["manifest", "push", "--all", &list, &format!("docker://{list}")]).fine();
    assert_eq!(pushed.trim(), say("crane", &["digest", "--insecure", &list]));
    assert_eq!(sandbox.blobs().len(), layers, "images of a registry are not brought here to push them");
    validate(&list);
    for (platform, text) in [("linux/amd64", "this is amd64"), ("linux/arm64", "this is arm64")] {
        let exported =
            say("bash", &["-c", &format!("crane export --insecure --platform {platform} {list} - | tar -xO arch")]);
        assert_eq!(exported, text);
    }
    let inspected: Value = serde_json::from_str(&sandbox.sealos(&["manifest", "inspect", &list]).fine()).unwrap();
    assert_eq!(inspected, manifest(&list));
    // To another registry, from where the images are.
    let elsewhere = Registry::plain();
    let to = elsewhere.name("mirror/app:v1");
    assert_eq!(sandbox.sealos(&["manifest", "push", "-q", &list, &to]).fine(), pushed);
    validate(&to);
    sandbox.sealos(&["manifest", "push", "-q", "--rm", &list, &to]).fine();
    let gone = sandbox.sealos(&["manifest", "exists", &list]);
    assert_eq!((gone.code, gone.stderr.as_str(), gone.stdout.as_str()), (Some(1), "", ""));
    let remote = sandbox.sealos(&["manifest", "inspect", &list]).fine();
    assert_eq!(serde_json::from_str::<Value>(&remote).unwrap(), manifest(&list));
}

#[test]
fn images_of_the_store_are_listed_described_and_taken_out() {
    let (sandbox, registry, one, _) = published();
    sandbox.sealos(&["manifest", "create", "--annotation", "who=me", "list:v1", "one:v1"]).fine();
    sandbox.sealos(&["manifest", "create", "list:v1"]).refused(&["taken", "--amend"]);
    sandbox.sealos(&["manifest", "create", "--amend", "list:v1"]).fine();
    sandbox.sealos(&["manifest", "add", "--all", "list:v1", "both:v1"]).fine();
    let list =
        || -> Value { serde_json::from_str(&sandbox.sealos(&["manifest", "inspect", "list:v1"]).fine()).unwrap() };
    assert_eq!((list()["manifests"].as_array().unwrap().len(), &list()["annotations"]["who"]), (3, &Value::from("me")));

    let args = ["--arch", "arm", "--variant", "v7", "--os-features", "x,y", "--annotation", "a=b c"];
    sandbox.sealos(&[&["manifest", "annotate"], &args[..], &["list:v1", &one]].concat()).fine();
    let entry = list()["manifests"][0].clone();
    assert_eq!(entry["platform"]["architecture"], "arm");
    assert_eq!(entry["platform"]["variant"], "v7");
    assert_eq!(entry["platform"]["os.features"], serde_json::json!(["x", "y"]));
    assert_eq!(entry["annotations"]["a"], "b c");
    let absent = format!("sha256:{}", "0".repeat(64));
    sandbox.sealos(&["manifest", "annotate", "--arch", "arm", "list:v1", &absent]).refused(&["does not have"]);

    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&sandbox.sealos(&[&["manifest"], args, &["--json"]].concat()).fine()).unwrap()
    };
    let annotated = json(&["annotate", "--annotation", "c=d", "list:v1", &one]);
    assert_eq!(
        (annotated["digest"].as_str().unwrap(), &annotated["images"]),
        (&digest(&sandbox, "list:v1")[..], &serde_json::json!([one]))
    );
    let made = json(&["create", "other:v1", "one:v1"]);
    assert_eq!((&made["digest"], &made["images"]), (&digest(&sandbox, "other:v1").into(), &serde_json::json!([one])));
    sandbox.sealos(&["manifest", "rm", "other:v1"]).fine();

    sandbox.sealos(&["manifest", "remove", "list:v1", "one:v1"]).fine();
    assert_eq!(list()["manifests"].as_array().unwrap().len(), 2);
    sandbox.sealos(&["manifest", "remove", "list:v1", &one]).refused(&["does not have"]);
    let to = registry.name("lists/list:v1");
    sandbox.sealos(&["manifest", "push", "-q", "list:v1", &to]).fine();
    validate(&to);
    // A list is an image like any other, for `push` as well.
    sandbox.sealos(&["push", "-q", "list:v1", &registry.name("lists/list:v2")]).fine();

    for args in [&["add", "one:v1", "both:v1"][..], &["push", "one:v1", "x:v1"], &["rm", "one:v1"]] {
        sandbox.sealos(&[&["manifest"], args].concat()).refused(&["not a list"]);
    }
    assert_eq!(sandbox.sealos(&["manifest", "exists", "one:v1"]).code, Some(1));
    sandbox.sealos(&["manifest", "rm", "list:v1"]).fine();
    assert_eq!(sandbox.sealos(&["images", "-q", "-a"]).fine().lines().count(), 2, "no list is left without a name");
}

#[test]
fn of_an_index_the_image_for_the_platform_is_added() {
    let (sandbox, registry, ..) = published();
    let other = other();
    let arch = other.split('/').next_back().unwrap();
    sandbox.sealos(&["manifest", "create", "list:v1"]).fine();
    let image = format!("docker://{}", registry.name("team/both:v1"));
    sandbox.sealos(&["manifest", "add", "--arch", arch, "list:v1", &image]).fine();
    let list: Value = serde_json::from_str(&sandbox.sealos(&["manifest", "inspect", "list:v1"]).fine()).unwrap();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(list["manifests"][0]["platform"]["architecture"], arch);
    sandbox.sealos(&["manifest", "add", "--arch", "s390x", "list:v1", &image]).refused(&["s390x"]);
    assert_eq!(digest(&sandbox, "list:v1").len(), 71);
}

#[test]
fn additions_at_the_same_time_are_all_kept() {
    let (sandbox, registry, ..) = published();
    sandbox.sealos(&["manifest", "create", "list:v1"]).fine();
    for at in 0..8 {
        let context = sandbox.context("x", "FROM scratch\nCOPY x /\n", &[("x", format!("{at}").as_bytes())]);
        sandbox.sealos(&["build", "-q", "-t", &format!("image:v{at}"), &context]).fine();
    }
    let names: Vec<String> = (0..8).map(|at| format!("image:v{at}")).collect();
    let children: Vec<_> = names.iter().map(|name| sandbox.start(&["manifest", "add", "list:v1", name])).collect();
    for mut child in children {
        assert!(ended(&mut child).success());
    }
    let list: Value = serde_json::from_str(&sandbox.sealos(&["manifest", "inspect", "list:v1"]).fine()).unwrap();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 8);
    let to = registry.name("lists/eight:v1");
    sandbox.sealos(&["manifest", "push", "-q", "list:v1", &to]).fine();
    // skopeo copies the whole list without changing it.
    let copied = format!("docker://{}", registry.name("lists/copied:v1"));
    let flags = ["copy", "-q", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"];
    run("skopeo", &[&flags[..], &[&format!("docker://{to}"), &copied]].concat());
    assert_eq!(
        say("crane", &["digest", "--insecure", copied.trim_start_matches("docker://")]),
        digest(&sandbox, "list:v1")
    );
}
