//! Images made by others, loaded, inspected and unpacked by us.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::sandbox::Sandbox;
use crate::tree;

/// An image of two layers, made by buildah: the awkward tree, then a change of it.
fn theirs(sandbox: &Sandbox) {
    tree::awkward(&sandbox.path("theirs/files"));
    build(sandbox);
}

/// The same of whatever files there are.
fn build(sandbox: &Sandbox) {
    let context = sandbox.path("theirs");
    fs::create_dir(context.join("second")).unwrap();
    fs::write(context.join("second/added"), "later").unwrap();
    let text = "FROM scratch\nCOPY files /\nCOPY second /\nENV A=\"b c\"\nLABEL x=y\nCMD [\"echo hello\"]\n";
    fs::write(context.join("Dockerfile"), text).unwrap();
    let context = context.to_str().unwrap().to_owned();
    sandbox.with_store("buildah", &["bud", "--isolation", "chroot", "--layers", "-q", "-t", "theirs:v1", &context]);
}

/// Pushes their image into a file and loads it; the names that were said.
fn load(sandbox: &Sandbox, transport: &str) -> String {
    let file = sandbox.at("theirs.file");
    let destination = format!("{transport}:{file}:theirs:v1");
    let destination = if transport == "dir" { format!("dir:{file}") } else { destination };
    sandbox.with_store("buildah", &["push", "-q", "theirs:v1", &destination]);
    sandbox.sealos(&["load", "-i", &file])
}

/// Where `create` put the files of an image.
fn create(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.sealos(&["create", "--short", name]).trim().into()
}

fn id_of(said: &str) -> String {
    said.trim().rsplit(": ").next().unwrap().to_owned()
}

#[test]
fn every_format_of_buildah_is_loaded_and_unpacked() {
    for transport in ["oci-archive", "docker-archive", "oci", "dir"] {
        let sandbox = Sandbox::new();
        theirs(&sandbox);
        let said = load(&sandbox, transport);
        let name = id_of(&said);
        let env = sandbox.sealos(&["inspect", "-f", "{{index .OCIv1.config.Env 1}}", &name]);
        assert_eq!(env.trim(), "A=b c", "{transport}: {said}");
        let unpacked = create(&sandbox, &name);
        // buildah's COPY takes the setuid bit away.
        let plain = fs::Permissions::from_mode(0o755);
        fs::set_permissions(sandbox.path("theirs/files/setuid"), plain).unwrap();
        fs::write(sandbox.path("theirs/files/added"), "later").unwrap();
        tree::assert_same(&sandbox.path("theirs/files"), &unpacked);
    }
}

#[test]
fn an_archive_that_is_compressed_as_a_whole_is_read_like_any_other() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("theirs/files")).unwrap();
    // More than what is kept of a member that is small.
    fs::write(sandbox.path("theirs/files/data"), "0123456789abcdef".repeat(100_000)).unwrap();
    build(&sandbox);
    let (store, binary) = (sandbox.at("store"), env!("CARGO_BIN_EXE_sealos"));
    for transport in ["docker-archive", "oci-archive"] {
        let archive = sandbox.at(&format!("{transport}.tar"));
        sandbox.with_store("buildah", &["push", "-q", "theirs:v1", &format!("{transport}:{archive}:theirs:v1")]);
        let look = |archive: &str| {
            let inspected = sandbox.sealos(&["inspect", archive]);
            assert!(inspected.contains("echo hello"), "{inspected}");
            [inspected, sandbox.sealos(&["inspect", "--config", archive]), sandbox.sealos(&["history", "-q", archive])]
        };
        let plain = look(&archive);
        for compressor in ["gzip", "zstd", "xz", "bzip2"] {
            let packed = sandbox.at(&format!("{transport}.{compressor}"));
            sandbox.run("bash", &["-c", &format!("{compressor} -c {archive} > {packed}")]);
            assert_eq!(look(&packed), plain, "{packed}");
            let same = sandbox.sealos(&["diff", "-o", "json", &archive, &packed]);
            assert_eq!(
                same.split_whitespace().collect::<String>(),
                r#"{"added":[],"changed":[],"deleted":[]}"#,
                "{packed}"
            );
            for how in [format!("load -i {packed}"), format!("load < {packed}")] {
                let said = sandbox.run("bash", &["-c", &format!("{binary} --root {store} {how}")]);
                assert!(said.contains("Loaded image: ") && said.contains("theirs:v1"), "{how}: {said}");
                sandbox.sealos(&["rmi", &id_of(&said)]);
            }
        }
    }
}

#[test]
fn an_archive_of_podman_with_two_images_is_loaded_whole() {
    let sandbox = Sandbox::new();
    theirs(&sandbox);
    sandbox.with_store("buildah", &["tag", "theirs:v1", "theirs:v2"]);
    let archive = sandbox.at("two.tar");
    sandbox.with_store("podman", &["save", "-q", "-m", "-o", &archive, "theirs:v1", "theirs:v2"]);
    let said = sandbox.sealos(&["load", "-q", "-i", &archive]);
    assert!(said.contains("theirs:v1") && said.contains("theirs:v2"), "{said}");
}

#[test]
fn an_image_of_umoci_is_loaded_built_upon_and_unpacked_by_umoci_again() {
    let sandbox = Sandbox::new();
    let layout = sandbox.at("umoci");
    sandbox.run("umoci", &["init", "--layout", &layout]);
    sandbox.run("umoci", &["new", "--image", &format!("{layout}:base")]);
    tree::awkward(&sandbox.path("files"));
    sandbox.run("umoci", &["insert", "--image", &format!("{layout}:base"), &sandbox.at("files"), "/"]);
    let said = sandbox.sealos(&["load", "-i", &layout]);
    sandbox.sealos(&["tag", &id_of(&said), "base:v1"]);

    let context = sandbox.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("more"), "more").unwrap();
    fs::write(context.join("Kubefile"), "FROM base:v1\nCOPY more /dir/deep/\n").unwrap();
    sandbox.sealos(&["build", "--compression", "gzip", "-t", "child:v1", context.to_str().unwrap()]);
    sandbox.sealos(&["save", "-o", &sandbox.at("child.tar"), "child:v1"]);
    let from = format!("oci-archive:{}", sandbox.at("child.tar"));
    sandbox.run("skopeo", &["copy", "-q", &from, &format!("oci:{layout}:child")]);
    sandbox.run("umoci", &["unpack", "--image", &format!("{layout}:child"), &sandbox.at("bundle")]);
    fs::write(sandbox.path("files/dir/deep/more"), "more").unwrap();
    tree::assert_same(&sandbox.path("files"), &sandbox.path("bundle/rootfs"));
}

#[test]
fn whiteouts_of_others_are_obeyed() {
    let sandbox = Sandbox::new();
    let layout = sandbox.at("umoci");
    let image = format!("{layout}:base");
    sandbox.run("umoci", &["init", "--layout", &layout]);
    sandbox.run("umoci", &["new", "--image", &image]);
    fs::create_dir_all(sandbox.path("files/keep")).unwrap();
    fs::write(sandbox.path("files/keep/a"), "a").unwrap();
    fs::write(sandbox.path("files/gone"), "b").unwrap();
    sandbox.run("umoci", &["insert", "--image", &image, &sandbox.at("files"), "/"]);
    sandbox.run("umoci", &["unpack", "--image", &image, &sandbox.at("bundle")]);
    fs::remove_file(sandbox.path("bundle/rootfs/gone")).unwrap();
    fs::write(sandbox.path("bundle/rootfs/keep/new"), "n").unwrap();
    sandbox.run("umoci", &["repack", "--image", &image, &sandbox.at("bundle")]);
    let said = sandbox.sealos(&["load", "-i", &layout]);
    tree::assert_same(&sandbox.path("bundle/rootfs"), &create(&sandbox, &id_of(&said)));
}
