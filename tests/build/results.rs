//! What a build leaves behind: names, manifests, outputs.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use content::{Source, fetch_document};
use oci::{Compression, Index, MediaType};
use sealos::build::{ContextPlace, Format, KubefilePlace, Layering, Output, Platforms, build, needs_privilege};

use super::support::{Lab, name, platform};

use crate::bounded::Bounded;

#[test]
fn names_are_given_at_the_end_and_a_nameless_image_is_kept() {
    let lab = Lab::new();
    let built = lab.build_with("FROM scratch\nENV A=1\n", |it| it.tags = vec![name("x:1"), name("y:2")]).unwrap();
    for text in ["x:1", "y:2", &built.outcome.id.hex()[..12]] {
        assert_eq!(lab.store.find(text).unwrap().root.digest, built.outcome.root.digest, "{text}");
    }
    let nameless = lab.build("FROM scratch\nENV A=2\n").unwrap();
    let records = lab.store.records().unwrap();
    assert!(records.iter().any(|it| it.name.is_none() && it.root.digest == nameless.outcome.root.digest));
}

#[test]
fn formats_have_their_media_types() {
    let lab = Lab::new();
    lab.file("a", "A");
    for (format, compression, manifest, layer) in [
        (Format::Oci, None, MediaType::OCI_MANIFEST, MediaType::OCI_LAYER_ZSTD),
        (Format::Oci, Some(Compression::None), MediaType::OCI_MANIFEST, MediaType::OCI_LAYER),
        (Format::Oci, Some(Compression::Gzip), MediaType::OCI_MANIFEST, MediaType::OCI_LAYER_GZIP),
        (Format::Docker, None, MediaType::DOCKER_MANIFEST, MediaType::DOCKER_LAYER_GZIP),
    ] {
        let built = lab.build_with("FROM scratch\nCOPY a /\n", |it| {
            it.format = format;
            it.compression = compression;
        });
        let built = built.unwrap();
        let document = built.image.manifest.value();
        assert_eq!(built.outcome.root.media_type.as_str(), manifest, "{format:?} {compression:?}");
        assert_eq!(document.layers[0].media_type.as_str(), layer, "{format:?} {compression:?}");
        assert_eq!(built.plain(), ["a=A"], "{format:?} {compression:?}");
    }
}

#[test]
fn several_platforms_become_an_index() {
    let lab = Lab::new();
    lab.file("amd64.txt", "x").file("arm64.txt", "y");
    let built = lab
        .build_with("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH.txt /arch\n", |it| {
            it.platforms = Platforms::Listed(vec![platform("linux/amd64"), platform("linux/arm64")]);
            it.tags = vec![name("multi")];
            it.outputs = vec![Output::Directory("out".into())];
            it.metadata_file = Some("facts.json".into());
        })
        .unwrap();
    let root = lab.store.resolve(&name("multi")).unwrap();
    let index: Index = serde_json::from_slice(&fetch_document(&lab.store, &root).unwrap()).unwrap();
    let platforms: Vec<_> = index.manifests.iter().map(|it| it.platform.as_ref().unwrap().to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(built.outcome.id, root.digest);
    let read = |path| fs::read_to_string(lab.place.path().join(path)).unwrap();
    assert_eq!((read("out/linux_amd64/arch"), read("out/linux_arm64/arch")), ("x".to_owned(), "y".to_owned()));
    assert!(read("facts.json").contains(&root.digest.to_string()));
}

#[test]
fn squashed_layers_become_one() {
    let lab = Lab::new();
    lab.file("a", "1").file("b", "2").file("d/f", "3");
    lab.build_with("FROM scratch\nCOPY a /base\n", |it| it.tags = vec![name("base")]).unwrap();
    for from in ["scratch", "base"] {
        let kubefile = format!("FROM {from}\nCOPY a /x\nCOPY b /x\nCOPY d /d\nCOPY b /d/f\n");
        let built = lab.build_with(&kubefile, |it| it.layering = Layering::Squashed).unwrap();
        assert_eq!(built.layers.len(), 1 + usize::from(from == "base"), "{from}");
        let own = built.layers.last().unwrap();
        let names: Vec<_> = own.iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path).into_owned()).collect();
        assert_eq!(names.iter().filter(|name| *name == "x" || *name == "d/f").count(), 2, "{from}: {names:?}");
        let files = built.files();
        assert_eq!((files["x"].as_str(), files["d/f"].as_str()), ("2", "2"), "{from}");
        let made = built.config().history.iter().filter(|step| !step.empty_layer).count();
        assert_eq!(made, built.layers.len(), "{from}");
    }
}

#[test]
fn the_root_file_system_can_be_written_out() {
    let lab = Lab::new();
    lab.file("a", "A").file("d/b", "B");
    lab.build_with("FROM scratch\nCOPY . /\nCOPY a /d/b\n", |it| {
        it.outputs = vec![Output::Directory("out".into()), Output::Tar("out.tar".into())];
        it.iidfile = Some("id".into());
    })
    .unwrap();
    let place = lab.place.path();
    assert_eq!(fs::read_to_string(place.join("out/d/b")).unwrap(), "A");
    let listed = Command::new("tar").arg("-xOf").arg(place.join("out.tar")).arg("d/b").bounded().unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "A");
    assert!(fs::read_to_string(place.join("id")).unwrap().starts_with("sha256:"));
    assert_eq!(fs::metadata(place.join("out.tar")).unwrap().mode() & 0o777, 0o644);
    assert_eq!(lab.store.records().unwrap().len(), 0, "what is written out is not kept without a name");
}

#[test]
fn what_is_in_an_output_directory_stays_where_the_image_has_nothing() {
    let lab = Lab::new();
    lab.file("a", "A").file("d/b", "B").link("link", "a");
    let place = lab.place.path();
    let write = |name: &str, text: &str| {
        let path = place.join("out").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (name, text) in
        [("own", "mine"), ("gone", "not the image's"), ("d/own", "mine"), ("d/b", "old"), ("a/x", "old")]
    {
        write(name, text);
    }
    std::os::unix::fs::symlink("/nonexistent", place.join("out/link")).unwrap();
    let mode = |name: &str| fs::metadata(place.join(name)).unwrap().mode() & 0o7777;
    fs::set_permissions(place.join("out"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let base = "FROM scratch\nCOPY a /gone\n";
    lab.build_with(base, |it| it.tags = vec![name("base")]).unwrap();
    for _ in 0..2 {
        lab.build_with("FROM base\nCOPY . /\n", |it| it.outputs = vec![Output::Directory("out".into())]).unwrap();
        let read = |name: &str| fs::read_to_string(place.join("out").join(name)).unwrap();
        for (name, text) in [("own", "mine"), ("d/own", "mine"), ("d/b", "B"), ("a", "A"), ("link", "A"), ("gone", "A")]
        {
            assert_eq!(read(name), text, "{name}");
        }
        assert_eq!((mode("out"), mode("out/d")), (0o700, mode("context/d")));
    }
}

#[test]
fn a_context_can_come_from_stdin_and_so_can_the_kubefile() {
    let lab = Lab::new();
    lab.file("f", "F");
    let mut world = lab.world();
    world.stdin = std::sync::Mutex::new(Box::new(&b"FROM scratch\nCOPY f /g\n"[..]));
    let mut request = lab.request();
    request.kubefile = KubefilePlace::Stdin;
    assert_eq!(lab.look(build(&request, &world).unwrap()).plain(), ["g=F"]);

    // A Kubefile where the context should be: it has no files.
    let alone = |text: &'static str| {
        let mut world = lab.world();
        world.stdin = std::sync::Mutex::new(Box::new(text.as_bytes()));
        let mut request = lab.request();
        request.context = ContextPlace::Stdin;
        build(&request, &world)
    };
    let built = lab.look(alone("FROM scratch\nCOPY <<X /g\nF\nX\n").unwrap());
    assert_eq!(built.plain(), ["g=F\n"]);
    for (text, part) in
        [("FROM scratch\nCOPY f /g\n", "`f` matches nothing"), ("FORM x\n", "did you mean"), ("", "Kubefile")]
    {
        let error = alone(text).err().map(|error| super::support::explained(&error)).unwrap_or_default();
        assert!(error.contains(part), "{text}: {error}");
    }

    lab.file("Kubefile", "FROM scratch\nCOPY f /g\n");
    for flag in ["--gzip", "--zstd", "--no-auto-compress"] {
        let packed = Command::new("tar").arg("-C").arg(lab.context()).args([flag, "-c", "."]).bounded().unwrap();
        assert!(packed.status.success(), "{flag}");
        let mut world = lab.world();
        let bytes: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(packed.stdout));
        world.stdin = std::sync::Mutex::new(bytes);
        let mut request = lab.request();
        request.context = ContextPlace::Stdin;
        assert_eq!(lab.look(build(&request, &world).unwrap()).plain(), ["g=F"], "{flag}");
    }
}

#[test]
fn only_commands_need_privileges() {
    for (kubefile, target, want) in [
        ("FROM scratch\nCOPY . /\n", None, false),
        ("FROM scratch\nRUN x\n", None, true),
        ("FROM scratch AS a\nRUN x\nFROM scratch\n", None, false),
        ("FROM scratch AS a\nRUN x\nFROM scratch\nCOPY --from=a x /\n", None, true),
        ("FROM scratch AS a\nRUN x\nFROM a AS b\nFROM b\n", None, true),
        ("FROM scratch AS a\nRUN x\nFROM scratch AS b\n", Some("a"), true),
        ("ARG B=a\nFROM scratch AS a\nRUN x\nFROM $B\n", None, true),
    ] {
        let parsed = sealos::kubefile::parse(kubefile, "Kubefile").unwrap();
        assert_eq!(needs_privilege(&parsed, target), want, "{kubefile}");
    }
}
