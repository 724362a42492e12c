//! Layers that were really written, unpacked, merged and walked; and tars of attackers.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use content::Memory;
use content::layer::{LayerOptions, LayerWriter};
use content::tar::{Entry, EntryKind, TarReader, TarWriter};
use oci::{Descriptor, DiffId};

use super::*;

fn entry(path: &str, kind: EntryKind) -> Entry {
    let mode = if kind == EntryKind::Directory { 0o755 } else { 0o644 };
    Entry { path: path.as_bytes().to_vec(), kind, mode, uid: 0, gid: 0, mtime: 1_000_000_000, xattrs: BTreeMap::new() }
}

fn file(path: &str, content: &str) -> (Entry, Vec<u8>) {
    (entry(path, EntryKind::File { size: content.len() as u64 }), content.as_bytes().to_vec())
}

fn directory(path: &str) -> (Entry, Vec<u8>) {
    (entry(path, EntryKind::Directory), Vec::new())
}

fn link(path: &str, target: &str) -> (Entry, Vec<u8>) {
    (entry(path, EntryKind::Symlink { target: target.as_bytes().to_vec() }), Vec::new())
}

fn hard(path: &str, target: &str) -> (Entry, Vec<u8>) {
    (entry(path, EntryKind::HardLink { target: target.as_bytes().to_vec() }), Vec::new())
}

/// A layer in a store.
fn layer(store: &Memory, entries: &[(Entry, Vec<u8>)]) -> (Descriptor, DiffId) {
    let mut writer = TarWriter::new(LayerWriter::begin(store, &LayerOptions::default()).expect("begins"));
    for (entry, content) in entries {
        writer.append(entry, &mut content.as_slice()).expect("fits into a tar");
    }
    let layer = writer.finish().expect("finishes").finish().expect("finishes");
    (layer.descriptor, layer.diff_id)
}

/// What a directory has: path and content, link target or kind.
fn shown(root: &Path) -> Vec<(String, String)> {
    let mut walk = DirWalk::new(root).expect("walks");
    let mut found = Vec::new();
    while let Some(walked) = walk.next() {
        let entry = walked.expect("walks").entry;
        let text = match &entry.kind {
            EntryKind::File { .. } => {
                let mut text = String::new();
                walk.open(&entry.path).expect("opens").read_to_string(&mut text).expect("reads");
                text
            }
            EntryKind::Symlink { target } => format!("-> {}", String::from_utf8_lossy(target)),
            EntryKind::HardLink { target } => format!("= {}", String::from_utf8_lossy(target)),
            EntryKind::Directory => "/".to_owned(),
            other => format!("{other:?}"),
        };
        found.push((String::from_utf8_lossy(&entry.path).into_owned(), text));
    }
    found
}

/// The same of a tree, contents spooled.
fn shown_tree(tree: &Tree<'_>, scratch: &Path) -> Vec<(String, String)> {
    let paths: Vec<&[u8]> = tree.nodes().map(|node| node.entry.path.as_slice()).filter(|it| !it.is_empty()).collect();
    let spool = tree.spool(&paths, scratch).expect("spools");
    let show = |node: &Node| {
        let text = match &node.entry.kind {
            EntryKind::File { .. } => {
                let mut text = String::new();
                spool.open(&node.entry.path).expect("spooled").read_to_string(&mut text).expect("reads");
                text
            }
            EntryKind::Symlink { target } => format!("-> {}", String::from_utf8_lossy(target)),
            EntryKind::Directory => "/".to_owned(),
            other => format!("{other:?}"),
        };
        (String::from_utf8_lossy(&node.entry.path).into_owned(), text)
    };
    tree.nodes().filter(|node| !node.entry.path.is_empty()).map(show).collect()
}

/// A layer's entries with their contents.
type Files = Vec<(Entry, Vec<u8>)>;

/// A name, layers, and what they come to.
type Case<'a> = (&'a str, Vec<Files>, &'a [(&'a str, &'a str)]);

#[test]
fn layers_merge_to_the_same_on_disk_and_in_a_tree() {
    let cases: Vec<Case<'_>> = vec![
        ("parents are made", vec![vec![file("a/b/c", "1")]], &[("a", "/"), ("a/b", "/"), ("a/b/c", "1")]),
        ("the last of one name wins", vec![vec![file("a", "1"), file("a", "2")]], &[("a", "2")]),
        ("a file is replaced", vec![vec![file("a", "long")], vec![file("a", "2")]], &[("a", "2")]),
        (
            "a whiteout hides a file",
            vec![vec![file("d/a", "1"), file("d/b", "2")], vec![file("d/.wh.a", "")]],
            &[("d", "/"), ("d/b", "2")],
        ),
        ("a whiteout hides a directory", vec![vec![file("d/e/a", "1")], vec![file("d/.wh.e", "")]], &[("d", "/")]),
        ("a whiteout of nothing is nothing", vec![vec![file("a", "1"), file("x/.wh.b", "")]], &[("a", "1")]),
        (
            "a whiteout does not hide its own layer's file",
            vec![vec![file("d/a", "1")], vec![file("d/a", "2"), file("d/.wh.a", "")]],
            &[("d", "/"), ("d/a", "2")],
        ),
        (
            "a whiteout in front of its own layer's directory clears it",
            vec![vec![file("d/a", "1")], vec![file(".wh.d", ""), file("d/b", "2")]],
            &[("d", "/"), ("d/b", "2")],
        ),
        (
            "an opaque directory hides lower layers only",
            vec![
                vec![file("d/a", "1"), file("d/e/f", "2")],
                vec![directory("d"), file("d/b", "3"), file("d/.wh..wh..opq", ""), file("d/e/g", "4")],
            ],
            &[("d", "/"), ("d/b", "3"), ("d/e", "/"), ("d/e/g", "4")],
        ),
        (
            "an opaque mark after its own layer's deep files keeps those",
            vec![vec![file("d/e/f", "2"), file("d/x", "1")], vec![file("d/e/g", "4"), file("d/.wh..wh..opq", "")]],
            &[("d", "/"), ("d/e", "/"), ("d/e/g", "4")],
        ),
        (
            "a directory becomes a file",
            vec![vec![file("d/e/f", "1"), file("d/g", "2")], vec![file("d", "3")]],
            &[("d", "3")],
        ),
        (
            "a file becomes a directory",
            vec![vec![file("d", "1")], vec![directory("d"), file("d/a", "2")]],
            &[("d", "/"), ("d/a", "2")],
        ),
        (
            "a link to a directory is followed inside",
            vec![vec![directory("usr/lib"), link("lib", "usr/lib")], vec![file("lib/x", "1")]],
            &[("lib", "-> usr/lib"), ("usr", "/"), ("usr/lib", "/"), ("usr/lib/x", "1")],
        ),
        (
            "an absolute link means the image's root, and so does one that climbs out",
            vec![
                vec![directory("var"), link("a", "/var"), link("b", "../../../../var")],
                vec![file("a/x", "1"), file("b/y", "2")],
            ],
            &[("a", "-> /var"), ("b", "-> ../../../../var"), ("var", "/"), ("var/x", "1"), ("var/y", "2")],
        ),
        (
            "a directory replaces a link",
            vec![vec![directory("a"), link("b", "a")], vec![directory("b"), file("b/x", "1")]],
            &[("a", "/"), ("b", "/"), ("b/x", "1")],
        ),
        (
            "a link is never written through",
            vec![vec![file("a", "1"), link("b", "a")], vec![file("b", "2")]],
            &[("a", "1"), ("b", "2")],
        ),
        (
            "a replaced parent is looked up again",
            vec![vec![file("a/x", "1"), directory("b")], vec![file("a/y", "2"), link("a", "b"), file("a/z", "3")]],
            &[("a", "-> b"), ("b", "/"), ("b/z", "3")],
        ),
    ];
    for (name, layers, want) in cases {
        let store = Memory::default();
        let layers: Vec<_> = layers.iter().map(|entries| layer(&store, entries)).collect();
        let want: Vec<_> = want.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let room = tempfile::tempdir().expect("a directory");
        let into = room.path().join("root");
        unpack(&store, &layers, &into, &UnpackOptions::default()).expect(name);
        assert_eq!(shown(&into), want, "unpacked: {name}");
        let scratch = room.path().join("scratch");
        fs::create_dir(&scratch).expect("a directory");
        let tree = Tree::open(&store, &layers).expect(name);
        assert_eq!(shown_tree(&tree, &scratch), want, "tree: {name}");
    }
}

#[test]
fn hard_links_are_one_file_on_disk_and_nodes_alike_in_a_tree() {
    let store = Memory::default();
    let layers =
        [layer(&store, &[file("a", "1"), hard("d/b", "a")]), layer(&store, &[file(".wh.a", ""), hard("c", "d/b")])];
    let room = tempfile::tempdir().expect("a directory");
    unpack(&store, &layers, room.path(), &UnpackOptions::default()).expect("unpacks");
    assert_eq!(shown(room.path()), [("c", "1"), ("d", "/"), ("d/b", "= c")].map(|(p, t)| (p.to_owned(), t.to_owned())));
    let tree = Tree::open(&store, &layers).expect("opens");
    assert_eq!(tree.read_file(b"c", 9).expect("reads"), Some(b"1".to_vec()));
    assert_eq!(tree.get(b"d/b").map(|node| node.layer), Some(0));
    assert_eq!(tree.get(b"c").and_then(|node| tree.digest(node)), None, "nobody asked for it");
    let tree = Tree::open_hashed(&store, &layers).expect("opens");
    assert_eq!(tree.get(b"c").and_then(|node| tree.digest(node)), Some(oci::Digest::of(b"1")));
    assert_eq!(tree.get(b"d").and_then(|node| tree.digest(node)), None);
    let missing = [layer(&store, &[hard("x", "nowhere/y")])];
    let error = unpack(&store, &missing, &room.path().join("new"), &UnpackOptions::default()).expect_err("no target");
    assert_eq!(error.to_string(), "the entry `x` is a hard link to `nowhere/y`, which does not exist");
}

#[test]
fn a_tree_resolves_lists_and_reads() {
    let store = Memory::default();
    let layers = [layer(
        &store,
        &[
            link("bin", "usr/bin"),
            file("usr/bin/sh", "#!"),
            link("usr/bin/loop", "loop"),
            link("etc/alt", "/bin/../bin"),
            file("usr/bin-x", "1"),
            directory("usr/bin/sub/deep"),
        ],
    )];
    let tree = Tree::open(&store, &layers).expect("opens");
    for (path, want) in [
        ("/bin/../lib/x", Some("usr/lib/x")),
        ("bin/sh", Some("usr/bin/sh")),
        ("etc/alt/sh", Some("usr/bin/sh")),
        ("../../bin", Some("usr/bin")),
        ("new/./file", Some("new/file")),
        ("/", Some("")),
        ("bin/loop/x", None),
    ] {
        let found = tree.resolve(path.as_bytes()).ok().map(|it| String::from_utf8_lossy(&it).into_owned());
        assert_eq!(found.as_deref(), want, "{path}");
    }
    let children = |path: &str| -> Vec<String> {
        tree.children(path.as_bytes()).map(|it| String::from_utf8_lossy(&it.entry.path).into_owned()).collect()
    };
    assert_eq!(children(""), ["bin", "etc", "usr"]);
    assert_eq!(children("usr"), ["usr/bin", "usr/bin-x"]);
    assert_eq!(children("usr/bin"), ["usr/bin/loop", "usr/bin/sh", "usr/bin/sub"]);
    assert_eq!(tree.read_file(b"bin/sh", 2).expect("reads"), Some(b"#!".to_vec()));
    assert_eq!(tree.read_file(b"bin/none", 2).expect("reads"), None);
    assert!(matches!(tree.read_file(b"bin/sh", 1), Err(RootfsError::FileTooLarge { size: 2, limit: 1, .. })));
}

/// A header that no honest program writes.
fn raw(path: &str, flag: u8, target: &str, content: &str) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = flag;
    header[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(content.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[test]
fn an_entry_that_would_leave_the_directory_is_named_and_writes_nothing() {
    let cases: &[(&str, Vec<Vec<u8>>, &str)] = &[
        ("climbs", vec![raw("../evil", b'0', "", "x")], "../evil"),
        ("climbs inside", vec![raw("a/../../evil", b'0', "", "x")], "a/../../evil"),
        ("absolute", vec![raw("/OUTSIDE/evil", b'0', "", "x")], "/OUTSIDE/evil"),
        ("hard link that climbs", vec![raw("evil", b'1', "../victim", "")], "../victim"),
        ("hard link that is absolute", vec![raw("evil", b'1', "/OUTSIDE/victim", "")], "/OUTSIDE/victim"),
    ];
    for (name, parts, named) in cases {
        let room = tempfile::tempdir().expect("a directory");
        let root = room.path().join("root");
        fs::create_dir(&root).expect("a directory");
        fs::write(room.path().join("victim"), "safe").expect("a file");
        let bytes: Vec<u8> = parts.concat();
        let mut reader = TarReader::new(bytes.as_slice());
        let mut extractor = Extractor::new(&root, &UnpackOptions::default()).expect("opens");
        let outcome = loop {
            match reader.next() {
                Ok(Some(entry)) => {
                    if let Err(error) = extractor.apply(&entry, &mut reader) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(RootfsError::Tar(error)),
            }
        };
        let error = outcome.expect_err(name);
        assert!(error.to_string().contains(named), "{name}: {error}");
        assert_eq!(fs::read_dir(&root).expect("lists").count(), 0, "{name}");
    }
}

#[test]
fn links_lead_attackers_only_around_inside() {
    let room = tempfile::tempdir().expect("a directory");
    let outside = room.path().join("outside");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("victim"), "safe").expect("a file");
    let outside_text = outside.to_string_lossy().into_owned();
    let attacks: Vec<(&str, Files)> = vec![
        ("file through a link", vec![link("l", &outside_text), file("l/evil", "x")]),
        ("file through a climbing link", vec![link("l", "../outside"), file("l/victim", "x")]),
        ("file over a link", vec![link("l", &format!("{outside_text}/victim")), file("l", "x")]),
        ("whiteout through a link", vec![link("l", &outside_text), file("l/.wh.victim", "")]),
        ("opaque through a link", vec![link("l", &outside_text), file("l/.wh..wh..opq", "")]),
        ("hard link through a link", vec![link("l", &outside_text), hard("evil", "l/victim"), file("evil", "x")]),
        ("directory over a link", vec![link("l", &outside_text), directory("l"), file("l/victim", "x")]),
        ("mode of a directory through a link", vec![directory("d/e"), link("m", &outside_text), directory("m/e")]),
    ];
    for (index, (name, entries)) in attacks.iter().enumerate() {
        let root = room.path().join(format!("root-{index}"));
        fs::create_dir(&root).expect("a directory");
        let mut extractor = Extractor::new(&root, &UnpackOptions::default()).expect("opens");
        // Refused or led around inside: both are fine, so the outcome is what is outside.
        let refused = entries.iter().find_map(|(entry, content)| extractor.apply(entry, &mut content.as_slice()).err());
        if refused.is_none() {
            extractor.finish().expect(name);
        }
        let names: Vec<_> = fs::read_dir(&outside).expect("lists").map(|it| it.expect("lists").file_name()).collect();
        assert_eq!(names, ["victim"], "{name}");
        assert_eq!(fs::read_to_string(outside.join("victim")).expect("reads"), "safe", "{name}");
        assert_eq!(fs::metadata(outside.join("victim")).expect("there").nlink(), 1, "{name}");
    }
}

#[test]
fn a_directory_swapped_for_a_link_meanwhile_does_not_lead_out() {
    let room = tempfile::tempdir().expect("a directory");
    let (root, outside) = (room.path().join("root"), room.path().join("outside"));
    for path in [&root, &outside] {
        fs::create_dir(path).expect("a directory");
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let moved = fs::rename(root.join("d"), root.join("aside"));
                if moved.is_ok() && symlink(&outside, root.join("d")).is_ok() {
                    fs::remove_file(root.join("d")).expect("the link is ours");
                }
                let back = fs::rename(root.join("aside"), root.join("d"));
                assert!(moved.is_err() || back.is_ok() || root.join("d").exists());
            }
        });
        let mut failures = 0;
        for round in 0..300 {
            let mut extractor = Extractor::new(&root, &UnpackOptions::default()).expect("opens");
            let (entry, content) = file(&format!("d/f{round}"), "x");
            failures += usize::from(extractor.apply(&entry, &mut content.as_slice()).is_err());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(failures < 300, "nothing was written at all");
    });
    assert_eq!(fs::read_dir(&outside).expect("lists").count(), 0, "something was written outside");
}

#[test]
fn limits_stop_bombs_before_they_are_written() {
    let store = Memory::default();
    let layers = [layer(&store, &[file("a", "12345"), file("b/c/d", "12345")])];
    for (limits, want) in [
        (Limits { bytes: 9, files: 9 }, "the entry `b/c/d` goes beyond the limit of 9 bytes"),
        (Limits { bytes: 99, files: 1 }, "the entry `b/c/d` goes beyond the limit of 1 files"),
        (Limits { bytes: 99, files: 3 }, "the entry `b/c` goes beyond the limit of 3 files"),
    ] {
        let room = tempfile::tempdir().expect("a directory");
        let options = UnpackOptions { limits, ..UnpackOptions::default() };
        let error = unpack(&store, &layers, room.path(), &options).expect_err(want);
        assert_eq!(error.to_string(), want);
        assert!(!room.path().join("b/c/d").exists(), "{want}");
    }
}

#[test]
fn what_is_not_the_layer_promised_is_an_error() {
    let store = Memory::default();
    let (one, other) = (layer(&store, &[file("a", "1")]), layer(&store, &[file("a", "2")]));
    let room = tempfile::tempdir().expect("a directory");
    let swapped = [(one.0, other.1)];
    assert!(matches!(unpack(&store, &swapped, room.path(), &UnpackOptions::default()), Err(RootfsError::Content(_))));
    assert!(matches!(unpack(&store, &swapped, room.path(), &UnpackOptions::default()), Err(RootfsError::NotEmpty(_))));
}

#[test]
fn a_caller_without_rights_gets_files_of_its_own_and_hears_of_devices() {
    let store = Memory::default();
    let mut owned = file("a", "1");
    (owned.0.uid, owned.0.gid, owned.0.mode) = (1234, 5678, 0o4711);
    let device = (entry("null", EntryKind::CharDevice { major: 1, minor: 3 }), Vec::new());
    let layers = [layer(&store, &[owned, device])];
    let room = tempfile::tempdir().expect("a directory");
    let options = UnpackOptions { ownership: Ownership::Caller, ..UnpackOptions::default() };
    let unpacked = unpack(&store, &layers, room.path(), &options).expect("unpacks");
    assert_eq!(unpacked.warnings, [Warning::DeviceSkipped { path: b"null".to_vec() }]);
    let metadata = fs::metadata(room.path().join("a")).expect("there");
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (rustix::process::geteuid().as_raw(), 0o4711));
    assert!(!room.path().join("null").exists());
}

/// A tree of all that is awkward. Needs root.
fn awkward(root: &Path) {
    let place = |name: &[u8]| root.join(OsStr::from_bytes(name));
    fs::create_dir_all(root.join("empty/dirs")).expect("a directory");
    fs::create_dir_all(place(&[b'd'; 200]).join("e".repeat(200)).join("f".repeat(200))).expect("deep");
    fs::write(place(b"\xff\xfe not text \n"), "bytes").expect("a file");
    fs::write(place(&[b'n'; 255]), "long").expect("a file");
    let deep = (0..60).map(|_| "deeper").collect::<Vec<_>>().join("/");
    fs::create_dir_all(root.join(&deep)).expect("a directory");
    fs::write(root.join(deep).join("bottom"), "!").expect("a file");
    fs::write(root.join("first"), "shared").expect("a file");
    fs::hard_link(root.join("first"), root.join("empty/second")).expect("a link");
    symlink("/absolute/../target", root.join("link")).expect("a link");
    symlink("x".repeat(3000), root.join("long-link")).expect("a link");
    let mut sparse = fs::File::create(root.join("sparse")).expect("a file");
    sparse.set_len(8 << 20).expect("sized");
    sparse.write_all(b"start").expect("written");
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), rustix::fs::Mode::from_raw_mode(0o640)).expect("a pipe");
    fs::write(root.join("setuid"), "#!").expect("a file");
    std::os::unix::fs::chown(root.join("setuid"), Some(33), Some(44)).expect("chown");
    fs::set_permissions(root.join("setuid"), fs::Permissions::from_mode(0o6755)).expect("chmod");
    fs::write(root.join("attributes"), "x").expect("a file");
    let set = |name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(root.join("attributes"), name, value, rustix::fs::XattrFlags::empty()).expect(name);
    };
    set("user.comment", b"\0binary\xff");
    // Revision 2, effective, cap_net_raw.
    set("security.capability", &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    fs::create_dir(root.join("closed")).expect("a directory");
    fs::write(root.join("closed/file"), "x").expect("a file");
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o000)).expect("chmod");
    fs::create_dir(root.join("sticky")).expect("a directory");
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o3777)).expect("chmod");
    let device = rustix::fs::makedev(1, 3);
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("null"), kind, rustix::fs::Mode::from_raw_mode(0o666), device)
        .expect("a device");
    drop(std::os::unix::net::UnixListener::bind(root.join("socket")).expect("a socket"));
}

#[test]
fn an_awkward_tree_comes_back_as_it_was() {
    assert!(rustix::process::geteuid().is_root(), "this test makes device nodes and gives files away: run it as root");
    let room = tempfile::tempdir().expect("a directory");
    let (from, into) = (room.path().join("from"), room.path().join("into"));
    fs::create_dir(&from).expect("a directory");
    awkward(&from);
    let store = Memory::default();
    let mut walk = DirWalk::new(&from).expect("walks");
    let mut writer = TarWriter::new(LayerWriter::begin(&store, &LayerOptions::default()).expect("begins"));
    let mut entries = Vec::new();
    while let Some(walked) = walk.next() {
        let entry = walked.expect("walks").entry;
        match entry.kind {
            EntryKind::File { .. } => {
                writer.append(&entry, &mut walk.open(&entry.path).expect("opens")).expect("packs");
            }
            _ => writer.append(&entry, &mut std::io::empty()).expect("packs"),
        }
        entries.push(entry);
    }
    assert_eq!(walk.warnings(), [Warning::SocketSkipped { path: b"socket".to_vec() }]);
    let layer = writer.finish().expect("finishes").finish().expect("finishes");
    let layers = [(layer.descriptor, layer.diff_id)];
    let unpacked = unpack(&store, &layers, &into, &UnpackOptions::default()).expect("unpacks");
    assert_eq!(unpacked.warnings, []);
    let back: Vec<_> = DirWalk::new(&into).expect("walks").map(|it| it.expect("walks").entry).collect();
    assert_eq!(back, entries);
    let sparse = fs::metadata(into.join("sparse")).expect("there");
    assert!(sparse.len() == 8 << 20 && sparse.blocks() * 512 < 1 << 20, "{} blocks", sparse.blocks());
    assert!(fs::metadata(into.join("null")).expect("there").file_type().is_char_device());
    assert_eq!(fs::metadata(into.join("first")).expect("there").mtime_nsec(), 0);
    assert_eq!(fs::read(into.join(OsStr::from_bytes(b"\xff\xfe not text \n"))).expect("there"), b"bytes");
}

#[test]
fn contents_are_opened_beneath_the_walked_directory_only() {
    let room = tempfile::tempdir().expect("a directory");
    let root = room.path().join("root");
    fs::create_dir_all(root.join("d")).expect("a directory");
    fs::write(room.path().join("secret"), "x").expect("a file");
    fs::write(root.join("d/file"), "x").expect("a file");
    symlink("../secret", root.join("l")).expect("a link");
    symlink("..", root.join("up")).expect("a link");
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).expect("a pipe");
    let walk = DirWalk::new(&root).expect("walks");
    for (path, is_readable) in
        [("d/file", true), ("../secret", false), ("l", false), ("up/secret", false), ("fifo", false), ("d", false)]
    {
        assert_eq!(walk.open(path.as_bytes()).is_ok(), is_readable, "{path}");
    }
    let absolute = room.path().join("secret");
    assert!(walk.open(absolute.as_os_str().as_bytes()).is_err());
}
