//! Archives: promises, other tools' archives, damage, killed processes, full disks.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use oci::{Compression, Descriptor, Digest, ImageConfig, ImageManifest, MediaType, Raw, Reference};
use tempfile::TempDir;

use super::*;
use crate::child_process::Part;
use crate::kit::{self, Sample};
use crate::layer::{LayerOptions, LayerWriter};
use crate::tar::{Entry, EntryKind, TarWriter};
use crate::{ContentError, Disk, DockerDir, Layout, Memory, Silent, Sink, Source, Store, store_bytes};

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn fresh(directory: &TempDir, name: &str) -> Disk {
    Disk::open(directory.path().join(name)).unwrap()
}

fn options(directory: &TempDir) -> SaveOptions {
    SaveOptions {
        scratch: directory.path().to_owned(),
        platform: "linux/amd64".parse().unwrap(),
        ..SaveOptions::default()
    }
}

/// The digests in a store.
fn state(store: &Disk) -> (Vec<Digest>, usize, usize) {
    let mut blobs: Vec<Digest> = store.blobs().unwrap().into_iter().map(|(digest, _)| digest).collect();
    blobs.sort();
    let uploads = fs::read_dir(store.root().join("ingest")).unwrap().count();
    (blobs, store.records().unwrap().len(), uploads)
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (path, bytes) in files {
        let kind = EntryKind::File { size: bytes.len() as u64 };
        let entry = Entry {
            path: path.as_bytes().to_vec(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: Default::default(),
        };
        tar.append(&entry, &mut &bytes[..]).unwrap();
    }
    tar.finish().unwrap()
}

/// An image with one layer for each compression, in memory.
fn image() -> (Memory, Descriptor) {
    image_of(&[Compression::None, Compression::Gzip, Compression::Zstd])
}

fn image_of(compressions: &[Compression]) -> (Memory, Descriptor) {
    let source = Memory::default();
    let (mut layers, mut config) = (Vec::new(), ImageConfig::default());
    config.set_platform(&"linux/amd64".parse().unwrap());
    for (number, compression) in compressions.iter().enumerate() {
        let content = vec![number as u8; 300_000];
        let compression = *compression;
        let mut writer = LayerWriter::begin(&source, &LayerOptions { compression, ..LayerOptions::default() }).unwrap();
        writer.write_all(&tar_of(&[(&format!("file{number}"), &content)])).unwrap();
        let layer = writer.finish().unwrap();
        config.rootfs.diff_ids.push(layer.diff_id);
        layers.push(layer.descriptor);
    }
    let config = Raw::write(config).unwrap();
    let what = Descriptor::of(MediaType::OCI_CONFIG, config.bytes());
    store_bytes(&source, &what, config.bytes()).unwrap();
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST.into()),
        artifact_type: None,
        config: what,
        layers,
        subject: None,
        annotations: Default::default(),
    };
    let manifest = Raw::write(manifest).unwrap();
    let root = Descriptor::of(MediaType::OCI_MANIFEST, manifest.bytes());
    source.publish(&root, manifest.bytes()).unwrap();
    (source, root)
}

#[test]
fn layouts_and_image_directories_keep_their_promises() {
    let directory = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU64::new(0);
    let next = || directory.path().join(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
    kit::place(|| Layout::create(next()).unwrap()).unwrap();
    kit::names(&Layout::create(next()).unwrap()).unwrap();
    kit::place(|| DockerDir::create(next()).unwrap()).unwrap();
}

#[test]
fn what_is_saved_can_be_read_in_place_and_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::new(80).unwrap();
    let images =
        [(Some(name("myapp:v1")), sample.root.clone()), (Some(name("localhost/other:v2")), sample.root.clone())];
    for (format, names) in [(Format::OciArchive, 2), (Format::OciDir, 2), (Format::DockerDir, 0)] {
        let path = directory.path().join(format!("{format:?}"));
        save(&sample.source, &images, format, &path, &options(&directory), &Silent).unwrap();
        let archive = open(&path).unwrap();
        kit::source(&archive, &sample).unwrap_or_else(|error| panic!("{format:?}: {error}"));
        let store = fresh(&directory, &format!("{format:?}-store"));
        let loaded = load(&path, &store, &Silent).unwrap();
        let shown: Vec<String> =
            loaded.iter().filter_map(|image| image.name.as_ref()).map(Reference::familiar).collect();
        assert_eq!(shown, ["myapp:v1", "localhost/other:v2"][..names], "{format:?}");
        kit::source(&store, &sample).unwrap_or_else(|error| panic!("{format:?}: {error}"));
        assert_eq!(store.records().unwrap().len(), names.max(1), "{format:?}");
        assert_eq!(load(&path, &store, &Silent).unwrap(), loaded, "loading twice");
    }
}

#[test]
fn an_archive_depends_on_the_images_only() {
    let directory = tempfile::tempdir().unwrap();
    let (source, root) = image();
    for format in [Format::OciArchive, Format::DockerArchive] {
        let paths = ["a.tar", "b.tar"].map(|file| directory.path().join(file));
        for path in &paths {
            save(&source, &[(Some(name("a:1")), root.clone())], format, path, &options(&directory), &Silent).unwrap();
        }
        assert!(fs::read(&paths[0]).unwrap() == fs::read(&paths[1]).unwrap(), "{format:?}");
    }
}

#[test]
fn archives_are_loaded_from_streams_and_compressed() {
    let directory = tempfile::tempdir().unwrap();
    let (source, root) = image();
    for format in [Format::OciArchive, Format::DockerArchive] {
        let mut plain = Vec::new();
        let images = [(Some(name("myapp:v1")), root.clone()), (Some(name("myapp:v2")), root.clone())];
        save_stream(&source, &images, format, &mut plain, &options(&directory), &Silent).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        for (kind, bytes) in [("plain", plain.clone()), ("gzip", gzip.finish().unwrap()), ("zstd", zstd)] {
            let place = format!("{format:?}-{kind}");
            let store = fresh(&directory, &place);
            let from_stream = load_stream("stdin", &mut &bytes[..], &store, &Silent).unwrap();
            let path = directory.path().join(format!("{place}.tar"));
            fs::write(&path, &bytes).unwrap();
            let other = fresh(&directory, &format!("{place}-file"));
            let from_file = load(&path, &other, &Silent).unwrap();
            assert_eq!(from_stream, from_file, "{place}");
            assert_eq!(from_file.len(), 2, "{place}");
            assert_eq!(state(&store), state(&other), "{place}");
            let image = crate::load_image(&store, &from_file[0].root, &"linux/amd64".parse().unwrap()).unwrap();
            assert_eq!(image.layers.len(), 3, "{place}");
            for layer in &image.layers {
                let reader = crate::layer::LayerReader::open(&store, &layer.descriptor).unwrap();
                reader.verify_diff_id(layer.diff_id).unwrap().finish().unwrap_or_else(|e| panic!("{place}: {e}"));
            }
        }
    }
}

/// A docker-archive with one compressed layer, as some tools write, and another one behind links.
fn foreign_docker_archive(first: &str, second: &str) -> Vec<u8> {
    let tars = [tar_of(&[("a", b"1")]), tar_of(&[("b", b"2")])];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tars[0]).unwrap();
    let mut config = ImageConfig::default();
    config.rootfs.diff_ids = tars.iter().map(|tar| oci::DiffId(Digest::of(tar))).collect();
    let config = Raw::write(config).unwrap();
    let manifest = format!(r#"[{{"Config":"abc.json","RepoTags":["old:1","x/y:2"],"Layers":["{first}","{second}"]}}]"#);
    let mut tar = TarWriter::new(Vec::new());
    let mut put = |path: &str, kind: EntryKind, mut bytes: &[u8]| {
        let path = path.as_bytes().to_vec();
        let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: Default::default() };
        tar.append(&entry, &mut bytes).unwrap();
    };
    let file = |bytes: &[u8]| EntryKind::File { size: bytes.len() as u64 };
    let gzip = gzip.finish().unwrap();
    put("linked/layer.tar", EntryKind::Symlink { target: b"../real/layer.tar".to_vec() }, b"");
    put("first/layer.tar", file(&gzip), &gzip);
    put("first/VERSION", file(b"1.0"), b"1.0");
    put("first/json", file(b"{}"), b"{}");
    put("real/layer.tar", file(&tars[1]), &tars[1]);
    put("abc.json", file(config.bytes()), config.bytes());
    put("manifest.json", file(manifest.as_bytes()), manifest.as_bytes());
    tar.finish().unwrap()
}

#[test]
fn layers_behind_links_and_compressed_layers_are_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = foreign_docker_archive("first/layer.tar", "linked/layer.tar");
    let path = directory.path().join("old.tar");
    fs::write(&path, &bytes).unwrap();
    let stores = [fresh(&directory, "file"), fresh(&directory, "stream")];
    let loaded = load(&path, &stores[0], &Silent).unwrap();
    assert_eq!(load_stream("stdin", &mut &bytes[..], &stores[1], &Silent).unwrap(), loaded);
    let shown: Vec<String> = loaded.iter().filter_map(|image| image.name.as_ref()).map(Reference::familiar).collect();
    assert_eq!(shown, ["old:1", "x/y:2"]);
    assert_eq!(state(&stores[0]), state(&stores[1]));
    let image = crate::load_image(&stores[1], &loaded[0].root, &oci::Platform::host()).unwrap();
    assert_eq!(image.layers[0].descriptor.media_type.as_str(), MediaType::DOCKER_LAYER_GZIP);
    assert_eq!(image.layers[1].descriptor.media_type.as_str(), MediaType::DOCKER_LAYER);
}

#[test]
fn a_damaged_archive_names_what_is_wrong_and_leaves_the_store_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::new(81).unwrap();
    let images = [(Some(name("a:1")), sample.root.clone())];
    let mut whole = Vec::new();
    save_stream(&sample.source, &images, Format::OciArchive, &mut whole, &options(&directory), &Silent).unwrap();
    let layer = &sample.blobs[0];
    let mut layer_bytes = Vec::new();
    std::io::Read::read_to_end(&mut sample.source.fetch(layer, 0).unwrap(), &mut layer_bytes).unwrap();
    let at = whole.windows(64).position(|window| *window == layer_bytes[..64]).unwrap();
    let mut flipped = whole.clone();
    flipped[at + 1_000_000] ^= 1;
    let hex = layer.digest.hex();
    let renamed = String::from_utf8_lossy(&whole[at - 512..at - 412]).contains(&hex);
    assert!(renamed, "the header stands in front of the layer");
    let without = {
        let graph: Vec<(String, Vec<u8>)> = sample
            .all()
            .filter(|what| what.digest != layer.digest)
            .map(|what| {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut sample.source.fetch(what, 0).unwrap(), &mut bytes).unwrap();
                (format!("blobs/sha256/{}", what.digest.hex()), bytes)
            })
            .collect();
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, serde_json::to_string(&sample.root).unwrap());
        let mut files: Vec<(&str, &[u8])> = vec![("index.json", index.as_bytes())];
        files.extend(graph.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
        tar_of(&files)
    };
    let wrong_layer = format!("the blob {} is corrupt", layer.digest);
    let lacks_layer = format!("lacks the blob {}", layer.digest);
    let cases: Vec<(&str, Vec<u8>, String)> = vec![
        ("flipped byte", flipped, wrong_layer),
        ("truncated", whole[..at + 1_000_000].to_vec(), hex.clone()),
        ("missing blob", without, lacks_layer),
        ("empty file", Vec::new(), "it is empty".to_owned()),
        ("a tar of nothing", vec![0; 1024], "neither an index.json nor a manifest.json".to_owned()),
        ("a text", vec![b'x'; 5000], "it is a text that begins with `xxx".to_owned()),
        (
            "index not JSON",
            tar_of(&[("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", b"{")]),
            "index.json: EOF".to_owned(),
        ),
        (
            "unknown version",
            tar_of(&[("oci-layout", br#"{"imageLayoutVersion":"9"}"#), ("index.json", b"{}")]),
            "its version is 9".to_owned(),
        ),
        ("manifest.json not JSON", tar_of(&[("manifest.json", b"nothing")]), "manifest.json: expected".to_owned()),
        (
            "docker layer missing",
            foreign_docker_archive("absent/layer.tar", "linked/layer.tar"),
            "it lacks absent/layer.tar".to_owned(),
        ),
        (
            "docker layer swapped",
            foreign_docker_archive("linked/layer.tar", "linked/layer.tar"),
            "is corrupt: its bytes hash to".to_owned(),
        ),
        (
            "docker layer swapped, compressed",
            foreign_docker_archive("first/layer.tar", "first/layer.tar"),
            "but the image's configuration says".to_owned(),
        ),
    ];
    for (case, bytes, want) in cases {
        for way in ["file", "stream"] {
            let store = fresh(&directory, &format!("{case}-{way}"));
            let before = state(&store);
            let path = directory.path().join("case.tar");
            fs::write(&path, &bytes).unwrap();
            let result = match way {
                "file" => load(&path, &store, &Silent),
                _ => load_stream("stdin", &mut &bytes[..], &store, &Silent),
            };
            let error = result.err().unwrap_or_else(|| panic!("{case}, {way}: was loaded"));
            assert!(error.to_string().contains(&want), "{case}, {way}: {error}");
            assert_eq!(state(&store), before, "{case}, {way}: {error}");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 48, ..Default::default() })]
    #[test]
    fn no_damage_makes_a_name_visible_or_leaves_a_trace(at in 0_usize..60_000, value: u8, cut: bool, docker: bool) {
        let directory = tempfile::tempdir().unwrap();
        let mut bytes = if docker { foreign_docker_archive("first/layer.tar", "linked/layer.tar") } else {
            let (source, root) = image_of(&[Compression::Gzip]);
            let mut bytes = Vec::new();
            let images = [(Some(name("a:1")), root)];
            save_stream(&source, &images, Format::OciArchive, &mut bytes, &options(&directory), &Silent).unwrap();
            bytes
        };
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = value }
        let path = directory.path().join("a.tar");
        fs::write(&path, &bytes).unwrap();
        for way in ["file", "stream"] {
            let store = fresh(&directory, way);
            let before = state(&store);
            let result = match way {
                "file" => load(&path, &store, &Silent),
                _ => load_stream("stdin", &mut &bytes[..], &store, &Silent),
            };
            match result {
                Err(_) => proptest::prop_assert_eq!(state(&store), before),
                // The damage is where nobody looks; then everything else is right.
                Ok(loaded) => for image in loaded {
                    let copied = crate::copy(&store, &Memory::default(), &[image.root], &crate::CopyOptions::default(), &Silent);
                    proptest::prop_assert!(copied.is_ok(), "{:?}", copied);
                },
            }
        }
    }
}

#[test]
fn names_stand_in_the_manifest_json_of_newer_docker_archives() {
    let directory = tempfile::tempdir().unwrap();
    let (source, root) = image();
    let mut whole = Vec::new();
    save_stream(&source, &[(None, root.clone())], Format::OciArchive, &mut whole, &options(&directory), &Silent)
        .unwrap();
    let image = crate::load_image(&source, &root, &oci::Platform::host()).unwrap();
    let manifest = format!(
        r#"[{{"Config":"blobs/sha256/{}","RepoTags":["new:1","quay.io/x/new:2"],"Layers":[]}}]"#,
        image.config.digest().hex()
    );
    // Behind the last member, in place of the end mark.
    whole.truncate(whole.len() - 1024);
    whole.extend(tar_of(&[("manifest.json", manifest.as_bytes())]));
    let path = directory.path().join("a.tar");
    fs::write(&path, &whole).unwrap();
    for way in ["file", "stream"] {
        let store = fresh(&directory, way);
        match way {
            "file" => load(&path, &store, &Silent).unwrap(),
            _ => load_stream("stdin", &mut &whole[..], &store, &Silent).unwrap(),
        };
        let records = store.records().unwrap();
        let shown: Vec<String> = records.iter().filter_map(|r| r.name.as_ref()).map(Reference::familiar).collect();
        assert_eq!(shown, ["new:1", "quay.io/x/new:2"], "{way}");
        assert!(records.iter().all(|record| record.root == root), "{way}");
    }
}

#[test]
fn what_was_there_before_a_failed_load_stays() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::new(82).unwrap();
    let store = fresh(&directory, "store");
    let layer = &sample.blobs[0];
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut sample.source.fetch(layer, 0).unwrap(), &mut bytes).unwrap();
    store_bytes(&store, layer, &bytes).unwrap();
    let before = state(&store);
    let mut whole = Vec::new();
    let images = [(Some(name("a:1")), sample.root.clone())];
    save_stream(&sample.source, &images, Format::OciArchive, &mut whole, &options(&directory), &Silent).unwrap();
    whole.truncate(whole.len() - 5000);
    load_stream("stdin", &mut &whole[..], &store, &Silent).unwrap_err();
    assert_eq!(state(&store), before);
    assert!(store.has(layer).unwrap());
}

#[test]
fn saving_a_damaged_image_names_the_blob_and_keeps_the_older_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = fresh(&directory, "store");
    let sample = Sample::new(83).unwrap();
    crate::copy(&sample.source, &store, std::slice::from_ref(&sample.root), &crate::CopyOptions::default(), &Silent)
        .unwrap();
    let layer = &sample.blobs[0];
    let path = directory.path().join("out.tar");
    fs::write(&path, "older").unwrap();
    let images = [(None, sample.root.clone())];
    let mut bytes = fs::read(store.blob_path(&layer.digest)).unwrap();
    bytes[12345] ^= 1;
    fs::write(store.blob_path(&layer.digest), bytes).unwrap();
    for format in [Format::OciArchive, Format::DockerArchive] {
        let error = save(&store, &images, format, &path, &options(&directory), &Silent).unwrap_err();
        assert!(matches!(error, ContentError::DigestMismatch { expected, .. } if expected == layer.digest), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"older", "{format:?}");
    }
    let left: Vec<PathBuf> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), 2, "no temporary file stays: {left:?}");
}

#[test]
fn an_index_without_a_child_is_refused_unless_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::new(84).unwrap();
    let gone = &sample.manifests[1];
    sample.source.delete(&gone.digest).unwrap();
    let images = [(None, sample.root.clone())];
    let mut allowed = options(&directory);
    let error = save_stream(&sample.source, &images, Format::OciArchive, Vec::new(), &allowed, &Silent).unwrap_err();
    assert!(matches!(error, ContentError::MissingBlob { digest, .. } if digest == gone.digest), "{error}");
    allowed.sparse = crate::Sparse::Allow;
    save_stream(&sample.source, &images, Format::OciArchive, Vec::new(), &allowed, &Silent).unwrap();
}

#[test]
fn indexes_that_never_end_are_refused() {
    let source = Memory::default();
    let mut what = Descriptor::of(MediaType::OCI_LAYER, b"");
    for _ in 0..20 {
        let index = Raw::write(oci::Index::new(vec![what])).unwrap();
        what = Descriptor::of(MediaType::OCI_INDEX, index.bytes());
        source.publish(&what, index.bytes()).unwrap();
    }
    let error = save_stream(&source, &[(None, what)], Format::OciArchive, Vec::new(), &SaveOptions::default(), &Silent);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("indexes inside each other, more than the limit of 16"), "{error}");
    let huge = Descriptor::new(MediaType::OCI_INDEX, Digest::of(b"huge"), 1 << 40);
    let error = save_stream(&source, &[(None, huge)], Format::OciArchive, Vec::new(), &SaveOptions::default(), &Silent);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("more than the limit of 33554432"), "{error}");
}

const PART_ARCHIVE: &str = "CONTENT_TEST_LOAD_ARCHIVE";
const PART_STORE: &str = "CONTENT_TEST_LOAD_INTO";

/// What the process does that is killed.
fn load_and_save(archive: &str) {
    let store = Disk::open(std::env::var(PART_STORE).unwrap()).unwrap();
    let loaded = load(archive.as_ref(), &store, &Silent).unwrap();
    let images: Vec<_> = loaded.into_iter().map(|image| (image.name, image.root)).collect();
    save(&store, &images, Format::OciArchive, format!("{archive}.again").as_ref(), &SaveOptions::default(), &Silent)
        .unwrap();
}

#[test]
fn after_being_killed_loading_and_saving_work_again() {
    if let Ok(archive) = std::env::var(PART_ARCHIVE) {
        return load_and_save(&archive);
    }
    let directory = tempfile::tempdir().unwrap();
    let sample = Sample::new(85).unwrap();
    let path = directory.path().join("a.tar");
    let images = [(Some(name("a:1")), sample.root.clone())];
    save(&sample.source, &images, Format::OciArchive, &path, &options(&directory), &Silent).unwrap();
    let again = directory.path().join("a.tar.again");
    for round in 0..8_u64 {
        let store = directory.path().join(format!("store{round}"));
        let variables = [(PART_ARCHIVE, path.as_os_str()), (PART_STORE, store.as_os_str())];
        let mut child = Part::start("archive::tests::after_being_killed_loading_and_saving_work_again", &variables);
        thread::sleep(Duration::from_millis(4 + 9 * round));
        child.kill();
        assert!(!again.exists() || fs::read(&again).unwrap() == fs::read(&path).unwrap(), "never half a file");
        let store = Disk::open(&store).unwrap();
        load(&path, &store, &Silent).unwrap_or_else(|error| panic!("round {round}: {error}"));
        kit::source(&store, &sample).unwrap();
        save(&store, &images, Format::OciArchive, &again, &options(&directory), &Silent).unwrap();
        assert!(fs::read(&again).unwrap() == fs::read(&path).unwrap());
        fs::remove_file(&again).unwrap();
    }
    let hidden = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    assert_eq!(fs::read_dir(directory.path()).unwrap().map(Result::unwrap).filter(hidden).count(), 0);
}

#[test]
fn other_tools_read_what_is_saved_and_their_archives_are_loaded() {
    let directory = tempfile::tempdir().unwrap();
    // Other tools do not put zstd into Docker's formats.
    let (source, root) = image_of(&[Compression::None, Compression::Gzip]);
    let images = [(Some(name("myapp:v1")), root.clone())];
    let skopeo = |arguments: &[String]| {
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "--tmpdir"]).arg(directory.path()).args(arguments);
        let output = command.output().expect("skopeo is installed (tests/run does it)");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let at = |file: &str| directory.path().join(file).display().to_string();
    for (format, transport) in [
        (Format::OciArchive, "oci-archive"),
        (Format::OciDir, "oci"),
        (Format::DockerArchive, "docker-archive"),
        (Format::DockerDir, "dir"),
    ] {
        let ours = at(transport);
        save(&source, &images, format, ours.as_ref(), &options(&directory), &Silent).unwrap();
        for theirs in ["oci-archive", "oci", "docker-archive", "dir"] {
            let target = at(&format!("{transport}-{theirs}"));
            let suffix = if theirs == "docker-archive" { ":copied:v2" } else { "" };
            skopeo(&["copy".to_owned(), format!("{transport}:{ours}"), format!("{theirs}:{target}{suffix}")]);
            let store = fresh(&directory, &format!("store-{transport}-{theirs}"));
            let loaded = load(target.as_ref(), &store, &Silent).unwrap_or_else(|e| panic!("{transport} {theirs}: {e}"));
            let image = crate::load_image(&store, &loaded[0].root, &"linux/amd64".parse().unwrap()).unwrap();
            assert_eq!(
                image.config.digest(),
                crate::load_image(&source, &root, &"linux/amd64".parse().unwrap()).unwrap().config.digest()
            );
            let want = (theirs == "docker-archive").then(|| name("copied:v2").normal());
            assert_eq!(loaded[0].name.as_ref().map(Reference::normal), want, "{transport} {theirs}");
        }
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_the_store_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&small).output();
    assert!(mounted.is_ok_and(|output| output.status.success()), "this test mounts a small disk: run it as root");
    let outcome = std::panic::catch_unwind(|| {
        let store = Disk::open(small.join("store")).unwrap();
        let sample = Sample::new(86).unwrap();
        let path = directory.path().join("a.tar");
        let images = [(Some(name("a:1")), sample.root.clone())];
        save(&sample.source, &images, Format::OciArchive, &path, &options(&directory), &Silent).unwrap();
        let before = state(&store);
        let errors = [
            load(&path, &store, &Silent).unwrap_err(),
            save(&sample.source, &images, Format::OciArchive, &small.join("b.tar"), &options(&directory), &Silent)
                .unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains("No space left on device"), "{error}");
            assert_eq!(error.help().unwrap(), "free some space (`sealos prune`) and repeat the command");
        }
        assert_eq!(state(&store), before);
        assert_eq!(fs::read_dir(&small).unwrap().count(), 1);
    });
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    outcome.unwrap();
}
