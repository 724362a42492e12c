//! `push`: to a registry that others read.

use std::fs;

use serde_json::Value;

use crate::peers::{build, config_at, digest, digest_at, events, layer_types, manifest, published, say, validate};
use crate::registry::Registry;
use crate::sandbox::{Sandbox, noise};

#[test]
fn the_digest_is_printed_and_is_what_others_see() {
    let (sandbox, registry, one, both) = published();
    for (name, want) in [("one:v1", &one), ("both:v1", &both)] {
        let to = registry.name(&format!("pushed/{name}"));
        let file = sandbox.at("digest");
        let said = sandbox.sealos(&["push", "--digestfile", &file, name, &to]);
        assert_eq!(said.fine().trim(), want);
        assert_eq!(&fs::read_to_string(&file).unwrap(), want);
        assert_eq!(&say("crane", &["digest", "--insecure", &to]), want);
        assert_eq!(&say("oras", &["resolve", "--plain-http", &to]), want);
        assert_eq!(&digest_at(&format!("docker://{to}")), want);
        validate(&to);
        let again = sandbox.sealos(&["--progress", "json", "push", name, &to]);
        assert_eq!(events(&again.stderr).0, 0, "nothing moves twice: {}", again.stderr);
        assert_eq!(again.fine().trim(), want);
    }
    let json: Value = serde_json::from_str(
        &sandbox.sealos(&["push", "-q", "--json", "one:v1", &registry.name("pushed/one:v2")]).fine(),
    )
    .unwrap();
    assert_eq!(
        (json["digest"].as_str(), json["name"].as_str()),
        (Some(one.as_str()), Some(registry.name("pushed/one:v2").as_str()))
    );
}

#[test]
fn a_name_is_where_it_is_pushed_to_and_an_id_needs_one() {
    let (sandbox, registry, one, _) = published();
    let name = registry.name("own/one:v1");
    sandbox.sealos(&["tag", "one:v1", &name]).fine();
    assert_eq!(sandbox.sealos(&["push", "-q", &name]).fine().trim(), one);
    assert_eq!(digest_at(&format!("docker://{name}")), one);
    let id = sandbox.sealos(&["build", "-q", &sandbox.context("nameless", "FROM scratch\nCOPY x /\n", &[("x", b"x")])]);
    let id = id.fine().trim().to_owned();
    sandbox.sealos(&["push", "-q", &id]).refused(&["no name"]);
    sandbox.sealos(&["push", "-q", &id, &registry.name("own/nameless:v1")]).fine();
    sandbox.sealos(&["push", "-q", "--rm", &name]).fine();
    sandbox.sealos(&["inspect", &name]).refused(&["no image"]);
    sandbox.sealos(&["inspect", "one:v1"]).fine();
}

#[test]
fn layers_are_compressed_otherwise_only_where_they_have_to_be() {
    let (sandbox, registry, one, _) = published();
    let config = config_at(&format!("docker://{}", registry.name("team/one:v1")));
    let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
    let plain = "application/vnd.oci.image.layer.v1.tar";
    for (format, want) in [("gzip", gzip), ("none", plain), ("zstd", zstd)] {
        let to = registry.name(&format!("squeezed/one:{format}"));
        let pushed = sandbox.sealos(&["push", "-q", "--compression-format", format, "one:v1", &to]).fine();
        assert_eq!(layer_types(&manifest(&to)), [want; 3], "{format}");
        assert_eq!(config_at(&format!("docker://{to}")), config, "the image's id stays");
        // Built as zstd: that is the image itself.
        assert_eq!(pushed.trim() == one, format == "zstd");
        validate(&to);
    }
    let work = fs::read_dir(sandbox.path("store/work")).unwrap();
    assert_eq!(work.count(), 0, "what was compressed on the way does not stay here");
}

#[test]
fn compressing_again_costs_new_layers_only() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let kubefile = "FROM scratch\nCOPY a /\nCOPY b /\n";
    let build = |b: u64, tag: &str| {
        let context = sandbox.context("app", kubefile, &[("a", &noise(200_000, 1)), ("b", &noise(200_000, b))]);
        sandbox.sealos(&["build", "-q", "-t", tag, &context]).fine();
    };
    let push = |tag: &str| {
        let to = registry.name(&format!("team/{tag}"));
        let said = sandbox.sealos(&["--progress", "json", "push", "--compression-format", "gzip", tag, &to]);
        let events = events(&said.stderr);
        said.fine();
        validate(&to);
        events
    };
    build(2, "app:v1");
    assert_eq!(push("app:v1").0, 2);
    build(3, "app:v2");
    let (moved, _, skipped) = push("app:v2");
    assert_eq!((moved, skipped >= 1), (1, true), "the layer that both have is known");
    assert_eq!(push("app:v2").0, 0);
}

#[test]
fn docker_manifests_are_written_for_whom_wants_them() {
    let (sandbox, registry, ..) = published();
    for (image, format) in [("one:v1", "docker"), ("both:v1", "v2s2")] {
        let to = registry.name(&format!("docker/{image}"));
        sandbox.sealos(&["push", "-q", "-f", format, image, &to]).fine();
        validate(&to);
        let text = say("crane", &["manifest", "--insecure", &to]);
        assert!(text.contains("vnd.docker.distribution") && !text.contains("vnd.oci.image.layer"), "{text}");
        // Docker's own type of store takes it.
        let copied = sandbox.at("copied");
        say(
            "skopeo",
            &["copy", "-q", "--src-tls-verify=false", &format!("docker://{to}"), &format!("docker-archive:{copied}")],
        );
        fs::remove_file(&copied).unwrap();
    }
    for (args, part) in [
        (&["-f", "docker", "--compression-format", "zstd"][..], "zstd"),
        (&["-f", "v2s1"], "schema 1"),
        (&["--compression-format", "gzip", "--compression-level", "99"], "level 99"),
        (&["--compression-level", "3"], "--compression-format"),
    ] {
        let said = sandbox.sealos(&[&["push"], args, &["one:v1", &registry.name("docker/never:v1")]].concat());
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.stderr);
        assert!(said.stderr.contains(part), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn pushes_go_to_files_too() {
    let sandbox = Sandbox::new();
    build(&sandbox);
    let one = digest(&sandbox, "one:v1");
    for target in [format!("oci-archive:{}:v1", sandbox.at("a.tar")), format!("oci:{}:v1", sandbox.at("layout"))] {
        assert_eq!(sandbox.sealos(&["push", "-q", "one:v1", &target]).fine().trim(), one);
        assert_eq!(digest_at(&target), one, "{target}");
    }
}

#[test]
fn large_plain_layers_are_hinted_at() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let text = "all the same\n".repeat(1_000_000);
    let context = sandbox.context("app", "FROM scratch\nCOPY a /\n", &[("a", text.as_bytes())]);
    sandbox.sealos(&["build", "-q", "--compression", "none", "-t", "app:v1", &context]).fine();
    let said = sandbox.sealos(&["push", "app:v1", &registry.name("app:v1")]);
    assert!(said.stderr.contains("not compressed") && said.stderr.contains("--compression-format"), "{}", said.stderr);
    said.fine();
}
