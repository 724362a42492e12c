//! What bringing a directory to a manifest promises.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use content::Memory;
use content::layer::{LayerOptions, LayerWriter};
use content::tar::{Entry, EntryKind, TarWriter};
use oci::{Descriptor, DiffId};
use tempfile::TempDir;

use super::*;

/// One file of a layer: path, text (`-> x` a symbolic link, `=> x` a hard link, `/` a directory), mode.
type File = (&'static str, &'static str, u32);

fn entry(path: &str, text: &str, mode: u32) -> Entry {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let kind = match (text.strip_prefix("-> "), text.strip_prefix("=> ")) {
        (Some(target), _) => EntryKind::Symlink { target: bytes(target) },
        (_, Some(target)) => EntryKind::HardLink { target: bytes(target) },
        _ if text == "/" => EntryKind::Directory,
        _ => EntryKind::File { size: text.len() as u64 },
    };
    Entry { path: bytes(path), kind, mode, uid: 0, gid: 0, mtime: 1_700_000_000, xattrs: BTreeMap::new() }
}

fn layer(store: &Memory, files: &[File]) -> (Descriptor, DiffId) {
    let mut tar = TarWriter::new(LayerWriter::begin(store, &LayerOptions::default()).unwrap());
    for (path, text, mode) in files {
        let entry = entry(path, text, *mode);
        let mut content = if let EntryKind::File { .. } = entry.kind { text.as_bytes() } else { b"" };
        tar.append(&entry, &mut content).unwrap();
    }
    let layer = tar.finish().unwrap().finish().unwrap();
    (layer.descriptor, layer.diff_id)
}

fn options() -> UnpackOptions {
    UnpackOptions { ownership: Ownership::Caller, ..UnpackOptions::default() }
}

struct Bench {
    directory: TempDir,
    store: Memory,
}

impl Bench {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), store: Memory::default() }
    }

    fn layers(&self, layers: &[&[File]]) -> Vec<IndexedLayer> {
        let read = |files: &&[File]| {
            let (descriptor, diff_id) = layer(&self.store, files);
            let index = LayerIndex::read(&self.store, &descriptor, diff_id).unwrap();
            IndexedLayer { descriptor, diff_id, index }
        };
        layers.iter().map(read).collect()
    }

    fn target(&self) -> std::path::PathBuf {
        self.directory.path().join("target")
    }

    fn record(&self) -> std::path::PathBuf {
        self.directory.path().join("trees/target.tree")
    }

    /// Syncs with bytes out of the layers; returns what was needed by path, and what was done.
    fn sync(&self, layers: &[IndexedLayer], overlays: &[OverlayText]) -> (Vec<String>, Synced) {
        let manifest = TreeManifest::of(layers, &|_| false, overlays).unwrap();
        let mut written = Vec::new();
        manifest.write(&mut written).unwrap();
        assert_eq!(TreeManifest::read(&mut written.as_slice()).unwrap(), manifest, "what is written is read back");
        let mut syncer = Syncer::begin(&self.target(), &self.record(), &manifest, &options()).unwrap();
        let needed = syncer.needed().to_vec();
        for number in &needed {
            let file = &manifest.files[*number];
            let bytes = self.bytes(layers, overlays, file);
            syncer.place(*number, &mut bytes.as_slice()).unwrap();
        }
        let names = needed.iter().map(|number| String::from_utf8(manifest.files[*number].path.0.clone()).unwrap());
        let names = names.collect();
        (names, syncer.finish().unwrap())
    }

    fn bytes(&self, layers: &[IndexedLayer], overlays: &[OverlayText], file: &FileRecord) -> Vec<u8> {
        let Some(layer) = file.layer else {
            let (_, digest) = file.content().unwrap();
            return overlays.iter().find(|text| oci::Digest::of(&text.text) == digest).unwrap().text.clone();
        };
        let layer = &layers[layer as usize];
        let tree = Tree::open(&self.store, &[(layer.descriptor.clone(), layer.diff_id)]).unwrap();
        tree.read_file(file.path_in_layer(), 1 << 20).unwrap().unwrap()
    }
}

/// All that is in a directory: path, kind and text, mode, names of one file.
fn listing(top: &Path) -> Vec<String> {
    let (mut found, mut todo) = (Vec::new(), vec![top.to_owned()]);
    let mut inodes: BTreeMap<u64, String> = BTreeMap::new();
    while let Some(directory) = todo.pop() {
        let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.strip_prefix(top).unwrap().display().to_string();
            let stat = path.symlink_metadata().unwrap();
            let what = if stat.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if stat.is_dir() {
                todo.push(path);
                format!("/ {:o}", stat.permissions().mode() & 0o7777)
            } else if let Some(other) = inodes.get(&stat.ino()) {
                format!("=> {other}")
            } else {
                inodes.insert(stat.ino(), name.clone());
                let text = fs::read_to_string(&path).unwrap();
                format!("{text:?} {:o} {}", stat.permissions().mode() & 0o7777, stat.mtime())
            };
            found.push(format!("{name} {what}"));
        }
    }
    found.sort();
    found
}

const LOWER: &[File] = &[
    ("bin", "/", 0o755),
    ("bin/tool", "tool", 0o755),
    ("bin/alias", "=> bin/tool", 0o755),
    ("bin/link", "-> tool", 0o777),
    ("etc/a.conf", "a", 0o640),
    ("etc/gone", "x", 0o644),
    ("lib", "-> usr/lib", 0o777),
    ("usr/lib", "/", 0o700),
    ("empty", "", 0o644),
    ("set", "s", 0o4755),
];
const UPPER: &[File] = &[
    ("etc/.wh.gone", "", 0),
    ("etc/a.conf", "aa", 0o600),
    ("lib/new", "n", 0o644),
    ("bin/tool", "second", 0o755),
    ("twice", "one", 0o644),
    ("twice", "two", 0o644),
];

#[test]
fn a_directory_that_is_not_there_becomes_what_unpacking_makes() {
    let bench = Bench::new();
    let layers = bench.layers(&[LOWER, UPPER]);
    let (_, done) = bench.sync(&layers, &[]);
    let unpacked = bench.directory.path().join("unpacked");
    let pairs: Vec<_> = layers.iter().map(|layer| (layer.descriptor.clone(), layer.diff_id)).collect();
    unpack(&bench.store, &pairs, &unpacked, &options()).unwrap();
    assert_eq!(listing(&bench.target()), listing(&unpacked));
    assert_eq!((done.removed, done.kept), (0, 0));
    assert!(!bench.directory.path().join(".target.syncing").exists());
}

#[test]
fn only_what_changed_is_needed_and_what_is_gone_is_removed() {
    let bench = Bench::new();
    let first = bench.layers(&[LOWER]);
    bench.sync(&first, &[]);
    assert_eq!(bench.sync(&first, &[]).0, [""; 0], "a second time nothing is needed");
    fs::write(bench.target().join("etc/mine"), "mine").unwrap();
    let second = bench.layers(&[LOWER, UPPER]);
    let (needed, done) = bench.sync(&second, &[]);
    assert_eq!(needed, ["bin/tool", "etc/a.conf", "twice", "usr/lib/new"]);
    assert_eq!(done.removed, 1);
    let listed = listing(&bench.target());
    assert!(!listed.iter().any(|line| line.starts_with("etc/gone")), "{listed:?}");
    // The other name of the replaced file keeps the old bytes, as in the image.
    assert_eq!(fs::read_to_string(bench.target().join("bin/alias")).unwrap(), "tool");
    let (needed, done) = bench.sync(&first, &[]);
    assert_eq!(needed, ["etc/a.conf", "etc/gone"], "and back; the tool's bytes are there under its other name");
    assert_eq!(done.removed, 2);
    assert!(bench.target().join("etc/mine").exists(), "files of others stay");
}

#[test]
fn what_others_did_to_files_is_undone() {
    let bench = Bench::new();
    let layers = bench.layers(&[LOWER]);
    bench.sync(&layers, &[]);
    let (target, before) = (bench.target(), listing(&bench.target()));
    fs::write(target.join("bin/tool"), "evil").unwrap();
    fs::remove_file(target.join("etc/a.conf")).unwrap();
    fs::create_dir(target.join("etc/a.conf")).unwrap();
    fs::write(target.join("etc/a.conf/x"), "").unwrap();
    fs::set_permissions(target.join("empty"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_dir_all(target.join("usr")).unwrap();
    symlink("/tmp", target.join("usr")).unwrap();
    fs::remove_file(target.join("bin/link")).unwrap();
    let (needed, _) = bench.sync(&layers, &[]);
    assert_eq!(needed, ["bin/alias", "etc/a.conf"]);
    assert_eq!(listing(&target), before);
    assert!(!Path::new("/tmp/lib").exists());
}

#[test]
fn what_an_interrupted_sync_placed_is_found_again() {
    let bench = Bench::new();
    let layers = bench.layers(&[LOWER, UPPER]);
    let manifest = TreeManifest::of(&layers, &|_| false, &[]).unwrap();
    let mut syncer = Syncer::begin(&bench.target(), &bench.record(), &manifest, &options()).unwrap();
    let needed = syncer.needed().to_vec();
    for number in &needed[..3] {
        let bytes = bench.bytes(&layers, &[], &manifest.files[*number]);
        syncer.place(*number, &mut bytes.as_slice()).unwrap();
    }
    // Torn: it ends early; wrong: it is something else.
    let (_, last) = (needed[0], needed[needed.len() - 1]);
    assert!(syncer.place(last, &mut &b""[..]).is_err());
    let wrong = syncer.place(last, &mut &b"wrong bytes"[..]);
    assert!(matches!(wrong, Err(RootfsError::WrongContent { .. })), "{wrong:?}");
    drop(syncer);
    assert!(!bench.target().exists(), "nothing is visible before it is whole");
    let (again, _) = bench.sync(&layers, &[]);
    assert_eq!(again.len(), needed.len() - 3);
    let text = listing(&bench.target()).join("\n");
    assert!(!text.contains("syncing"), "{text}");

    fs::remove_file(bench.record()).unwrap();
    assert_eq!(bench.sync(&layers, &[]).0, [""; 0], "a lost record costs reading, not writing");
}

#[test]
fn texts_lie_over_files_and_leaving_them_out_brings_the_files_back() {
    let bench = Bench::new();
    let layers = bench.layers(&[LOWER]);
    let overlay = |path: &str, text: &str| OverlayText { path: path.into(), text: text.into() };
    let (needed, _) = bench.sync(&layers, &[overlay("bin/alias", "mine"), overlay("lib/deep/new", "n")]);
    assert!(needed.contains(&"usr/lib/deep/new".to_owned()), "{needed:?}");
    let read = |path: &str| fs::read_to_string(bench.target().join(path)).unwrap();
    assert_eq!((read("bin/alias"), read("bin/tool"), read("lib/deep/new")), ("mine".into(), "tool".into(), "n".into()));
    let (needed, done) = bench.sync(&layers, &[]);
    assert_eq!(needed, ["bin/alias"]);
    assert_eq!(done.removed, 2);
    assert_eq!(listing(&bench.target()).len(), LOWER.len() + 2, "with two directories that no entry describes");
}

#[test]
fn parts_are_left_out_and_all_is_runnable() {
    let bench = Bench::new();
    let layers = bench.layers(&[&[("registry/x", "x", 0o644), ("registry2", "y", 0o640), ("s", "z", 0o604)]]);
    let left_out = |path: &[u8]| path == b"registry" || path.starts_with(b"registry/");
    let mut manifest = TreeManifest::of(&layers, &left_out, &[]).unwrap();
    manifest.make_runnable();
    let modes: Vec<_> =
        manifest.files.iter().map(|file| (String::from_utf8(file.path.0.clone()).unwrap(), file.mode)).collect();
    assert_eq!(modes, [("registry2".to_owned(), 0o750), ("s".to_owned(), 0o705)]);
}

#[test]
fn removing_takes_what_was_synced_and_nothing_else() {
    let bench = Bench::new();
    let layers = bench.layers(&[LOWER]);
    bench.sync(&layers, &[]);
    fs::write(bench.target().join("etc/mine"), "mine").unwrap();
    remove_synced(&bench.target(), &bench.record()).unwrap();
    assert_eq!(listing(&bench.target()).len(), 2);
    fs::remove_file(bench.target().join("etc/mine")).unwrap();
    fs::remove_dir(bench.target().join("etc")).unwrap();
    bench.sync(&layers, &[]);
    remove_synced(&bench.target(), &bench.record()).unwrap();
    assert!(!bench.target().exists() && !bench.record().exists());
    remove_synced(&bench.target(), &bench.record()).unwrap();
}

#[test]
fn a_manifest_that_would_leave_the_directory_is_refused() {
    for path in ["../x", "/x", "a/../x", "a//b"] {
        let line = format!("{{\"path\":\"{path}\",\"kind\":\"directory\",\"mode\":493}}\n");
        assert!(TreeManifest::read(&mut line.as_bytes()).is_err(), "{path}");
    }
}
