//! GNU tar and Python's tarfile read what is written here, and what they write is read here.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use super::*;

fn run(directory: &Path, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).current_dir(directory).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A directory with what the old formats can hold too.
fn tree(directory: &Path) {
    fs::create_dir_all(directory.join("t/sub")).unwrap();
    fs::write(directory.join("t/sub/file"), b"content").unwrap();
    fs::set_permissions(directory.join("t/sub/file"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(directory.join("t/sub/file"), directory.join("t/sub/link")).unwrap();
    symlink("sub/file", directory.join("t/symlink")).unwrap();
}

fn find<'a>(found: &'a [(Entry, Vec<u8>)], path: &str) -> &'a (Entry, Vec<u8>) {
    found.iter().find(|(entry, _)| entry.path == path.as_bytes()).unwrap_or_else(|| panic!("no {path}"))
}

#[test]
fn every_format_of_gnu_tar_is_read() {
    for format in ["v7", "oldgnu", "gnu", "ustar", "posix"] {
        let directory = tempfile::tempdir().unwrap();
        tree(directory.path());
        let long = format!("t/{}", "n".repeat(180));
        let takes_long_names = !matches!(format, "v7" | "ustar");
        if takes_long_names {
            fs::write(directory.path().join(&long), b"long").unwrap();
            symlink("s".repeat(150), directory.path().join("t/long-link")).unwrap();
        }
        let arguments = ["--sort=name", "--owner=user:3000", "--group=group:0", "-cf", "x.tar", "t"];
        run(directory.path(), "tar", &[&[&format!("--format={format}")[..]], &arguments[..]].concat());
        let found = read(&fs::read(directory.path().join("x.tar")).unwrap()).unwrap();
        assert_eq!(find(&found, "t").0.kind, EntryKind::Directory, "{format}");
        let (entry, content) = find(&found, "t/sub/file");
        assert_eq!((entry.mode, entry.uid, entry.gid, &content[..]), (0o4755, 3000, 0, &b"content"[..]), "{format}");
        let target = b"t/sub/file".to_vec();
        assert_eq!(find(&found, "t/sub/link").0.kind, EntryKind::HardLink { target }, "{format}");
        let target = b"sub/file".to_vec();
        assert_eq!(find(&found, "t/symlink").0.kind, EntryKind::Symlink { target }, "{format}");
        if takes_long_names {
            assert_eq!(find(&found, &long).1, b"long", "{format}");
            assert_eq!(find(&found, "t/long-link").0.kind, EntryKind::Symlink { target: vec![b's'; 150] }, "{format}");
        }
    }
}

#[test]
fn every_kind_of_sparse_file_is_read_with_its_holes() {
    let kinds: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ];
    for kind in kinds {
        let directory = tempfile::tempdir().unwrap();
        let sparse = fs::File::create(directory.path().join("disk")).unwrap();
        // More ranges than a header has room for, so that the map goes on behind it.
        for at in 0..40_u64 {
            sparse.write_all_at(&[at as u8 + 1; 4096], at * 65536).unwrap();
        }
        sparse.set_len(40 * 65536 + 12_345).unwrap();
        fs::write(directory.path().join("end"), b"end").unwrap();
        run(directory.path(), "tar", &[kind, &["--hole-detection=raw", "-S", "-cf", "x.tar", "disk", "end"]].concat());
        let bytes = fs::read(directory.path().join("x.tar")).unwrap();
        assert!(bytes.len() < 400_000, "{kind:?}: it is not sparse");
        let found = read(&bytes).unwrap();
        let (entry, content) = find(&found, "disk");
        assert_eq!(entry.kind, EntryKind::File { size: 40 * 65536 + 12_345 }, "{kind:?}");
        assert!(*content == fs::read(directory.path().join("disk")).unwrap(), "{kind:?}");
        assert_eq!(find(&found, "end").1, b"end", "{kind:?}");
        // Contents that are not read are skipped by their stored size.
        let mut reader = TarReader::new(&bytes[..]);
        let mut names = Vec::new();
        while let Some(entry) = reader.next().unwrap() {
            names.push(entry.path);
        }
        assert_eq!(names, [b"disk".to_vec(), b"end".to_vec()], "{kind:?}");
    }
}

#[test]
fn gnu_tar_unpacks_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let deep = [&[b'd'; 120][..], b"/", &[b'f'; 120]].concat();
    let mut past = file(b"past", 0);
    past.mtime = -5;
    let entries = vec![
        (entry(b"", EntryKind::Directory), vec![]),
        (entry(&[b'd'; 120], EntryKind::Directory), vec![]),
        (file(&deep, 600), vec![9; 600]),
        (entry(b"hard", EntryKind::HardLink { target: deep.clone() }), vec![]),
        (entry(b"soft", EntryKind::Symlink { target: vec![b't'; 200] }), vec![]),
        (file("größe".as_bytes(), 2), b"ok".to_vec()),
        (entry(b"pipe", EntryKind::Fifo), vec![]),
        (past, vec![]),
    ];
    fs::write(directory.path().join("x.tar"), tar(&entries)).unwrap();
    fs::create_dir(directory.path().join("out")).unwrap();
    run(directory.path(), "tar", &["-xf", "x.tar", "-C", "out"]);
    let out = directory.path().join("out");
    assert_eq!(fs::read(out.join(str::from_utf8(&deep).unwrap())).unwrap(), vec![9; 600]);
    assert_eq!(fs::read(out.join("hard")).unwrap(), vec![9; 600]);
    assert_eq!(fs::read_link(out.join("soft")).unwrap().as_os_str().len(), 200);
    assert_eq!(fs::read(out.join("größe")).unwrap(), b"ok");
    let past = fs::metadata(out.join("past")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mtime(&past), -5);
}

#[test]
fn python_reads_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut odd = file(b"odd", 3);
    (odd.uid, odd.gid, odd.mode) = (1 << 40, 2_097_152, 0o6711);
    odd.xattrs.insert(b"user.k".to_vec(), b"v".to_vec());
    let entries = vec![(odd, b"abc".to_vec()), (file(&[b'a', 0xfe, b'z'], 0), vec![])];
    fs::write(directory.path().join("x.tar"), tar(&entries)).unwrap();
    let script = "import tarfile\n\
        t = tarfile.open('x.tar')\n\
        for m in t: print(m.name.encode('utf-8', 'surrogateescape'), m.size, m.uid, m.gid, oct(m.mode), \
        m.pax_headers.get('SCHILY.xattr.user.k'))\n";
    let output = run(directory.path(), "python3", &["-c", script]);
    let want = "b'odd' 3 1099511627776 2097152 0o6711 v\nb'a\\xfez' 0 0 0 0o644 None\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), want);
}
