//! Awkward files, and trees compared file by file with everything a tar can carry.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use sha2::Digest;

use crate::bounded::Bounded;

/// Everything that is compared of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    /// Device numbers of devices.
    device: u64,
    /// Size and SHA-256 of a regular file, target of a link.
    content: Vec<u8>,
    /// The other names of the same file.
    links: Vec<Vec<u8>>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The facts of all files under `root`, by relative path; `root` itself is the empty path and not part of it.
pub(crate) fn facts(root: &Path) -> BTreeMap<Vec<u8>, Facts> {
    let mut found = BTreeMap::new();
    let mut names: BTreeMap<(u64, u64), Vec<Vec<u8>>> = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    let mut inodes = BTreeMap::new();
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let kind = metadata.file_type();
            if kind.is_dir() {
                todo.push(path.clone());
            }
            let relative = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            if kind.is_file() {
                let inode = (metadata.dev(), metadata.ino());
                names.entry(inode).or_default().push(relative.clone());
                inodes.insert(relative.clone(), inode);
            }
            found.insert(relative, one(&path, &metadata));
        }
    }
    for (path, inode) in inodes {
        let mut links: Vec<_> = names[&inode].iter().filter(|name| **name != path).cloned().collect();
        links.sort();
        found.get_mut(&path).unwrap().links = links;
    }
    found
}

fn one(path: &Path, metadata: &fs::Metadata) -> Facts {
    let kind = metadata.file_type();
    let (name, content) = if kind.is_dir() {
        ("directory", Vec::new())
    } else if kind.is_symlink() {
        ("symlink", fs::read_link(path).unwrap().into_os_string().into_vec())
    } else if kind.is_fifo() {
        ("fifo", Vec::new())
    } else if kind.is_char_device() {
        ("char", Vec::new())
    } else if kind.is_block_device() {
        ("block", Vec::new())
    } else {
        let bytes = fs::read(path).unwrap();
        ("file", format!("{} {:x?}", bytes.len(), sha2::Sha256::digest(&bytes)).into_bytes())
    };
    let device = if matches!(name, "char" | "block") { metadata.rdev() } else { 0 };
    let mode = if name == "symlink" { 0 } else { metadata.mode() & 0o7777 };
    let owner = (metadata.uid(), metadata.gid());
    Facts { kind: name, mode, owner, device, content, links: Vec::new(), xattrs: xattrs(path) }
}

/// The attributes that images carry; the kernel's and the overlay's own are not theirs.
fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut list = vec![0; 64 << 10];
    let Ok(count) = rustix::fs::llistxattr(path, &mut list) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for name in list[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"user.") && !name.starts_with(b"user.rootlesscontainers") || name == b"security.capability"
        {
            let mut value = vec![0; 64 << 10];
            let size = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value).unwrap();
            found.insert(name.to_vec(), value[..size].to_vec());
        }
    }
    found
}

/// Says which files differ, and how.
#[track_caller]
pub(crate) fn assert_same(ours: &Path, theirs: &Path) {
    let (mut left, mut right) = (facts(ours), facts(theirs));
    let mut differences = Vec::new();
    for (path, facts) in &mut left {
        let name = String::from_utf8_lossy(path).into_owned();
        match right.remove(path) {
            None => differences.push(format!("{name}: only in {}", ours.display())),
            Some(other) if other != *facts => differences.push(format!("{name}:\n  {facts:?}\n  {other:?}")),
            Some(_) => {}
        }
    }
    for path in right.keys() {
        differences.push(format!("{}: only in {}", String::from_utf8_lossy(path), theirs.display()));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Makes a tree of everything that packers trip over. Owner 0:0 throughout, as our layers have it.
pub(crate) fn awkward(root: &Path) {
    fs::create_dir_all(root.join("dir/deep/er")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("dir/plain"), "text\n").unwrap();
    fs::write(root.join("dir/nothing"), "").unwrap();
    fs::hard_link(root.join("dir/plain"), root.join("dir/deep/linked")).unwrap();
    symlink("../plain", root.join("dir/deep/up")).unwrap();
    symlink("/absolute/and/dangling", root.join("dangling")).unwrap();
    symlink("x".repeat(180), root.join("long-target")).unwrap();
    let setuid = root.join("setuid");
    fs::write(&setuid, "#!/bin/true\n").unwrap();
    fs::set_permissions(&setuid, fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(root.join("read-only"), "x").unwrap();
    fs::set_permissions(root.join("read-only"), fs::Permissions::from_mode(0o400)).unwrap();
    let long = root.join("l".repeat(120)).join("m".repeat(200));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("n".repeat(255)), "long").unwrap();
    fs::write(root.join("späße in ümlauts"), "utf-8").unwrap();
    fs::write(root.join("with\nnewline and = sign"), "odd").unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(5 << 20).unwrap();
    rustix::io::pwrite(&sparse, b"end", (5 << 20) - 3).unwrap();
    run("mkfifo", &[root.join("fifo").to_str().unwrap()]);
    fs::write(root.join("attributes"), "x").unwrap();
    run("setfattr", &["-n", "user.note", "-v", "a value", root.join("attributes").to_str().unwrap()]);
    fs::copy("/bin/true", root.join("capable")).unwrap();
    run("setcap", &["cap_net_raw+ep", root.join("capable").to_str().unwrap()]);
    fs::write(root.join("big"), (0..3_000_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).bounded().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
