//! What is written is what was meant, in the same bytes every time.

use std::io::{self, Read, Write};

use proptest::prelude::*;

use super::*;
use crate::tar::TarIndex;

#[test]
fn the_bytes_of_a_tar_are_pinned() {
    let mut secret = file(b"bin/su", 5);
    (secret.mode, secret.uid, secret.mtime) = (0o4755, 3_000_000, -7);
    secret.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2, b'\n', b'=', 255]);
    let entries = vec![
        (entry(b"", EntryKind::Directory), vec![]),
        (entry(b"bin", EntryKind::Directory), vec![]),
        (secret, b"hello".to_vec()),
        (entry(b"bin/sh", EntryKind::HardLink { target: b"bin/su".to_vec() }), vec![]),
        (entry(&[b'n'; 300], EntryKind::Symlink { target: vec![0xff; 120] }), vec![]),
        (entry("ünïcode".as_bytes(), EntryKind::Fifo), vec![]),
        (entry(b"dev/null", EntryKind::CharDevice { major: 1, minor: 3 }), vec![]),
        (entry(b"dev/vda", EntryKind::BlockDevice { major: 254, minor: 1 << 20 }), vec![]),
    ];
    let bytes = tar(&entries);
    assert_eq!(read(&bytes).unwrap(), entries);
    // A change here changes the digest of every layer: it has to be wanted.
    let want = "sha256:977b68fb360c19192d9f8101b605907df53d3d3a9825cf493f58dc53324bbee7";
    assert_eq!(oci::Digest::of(&bytes).to_string(), want);
}

#[test]
fn a_path_that_fits_into_prefix_and_name_needs_no_pax_header() {
    for (path, blocks) in [
        ("a".repeat(100), 3),
        (format!("{}/{}", "p".repeat(155), "n".repeat(100)), 3),
        (format!("{}/{}", "p".repeat(156), "n".repeat(100)), 5),
        (format!("{}/{}", "p".repeat(10), "n".repeat(101)), 5),
        (format!("{}/b/{}", "p".repeat(90), "n".repeat(90)), 3),
        ("a".repeat(101), 5),
    ] {
        let entries = vec![(file(path.as_bytes(), 0), vec![])];
        let bytes = tar(&entries);
        assert_eq!(bytes.len(), blocks * 512, "{path}");
        assert_eq!(read(&bytes).unwrap(), entries, "{path}");
    }
}

#[test]
fn a_file_that_changed_while_it_was_read_is_named() {
    for (promised, there, got) in [(5, 4, 4), (5, 0, 0), (5, 6, 6), (0, 1, 1), (600_000, 599_999, 599_999)] {
        let mut writer = TarWriter::new(io::sink());
        let error = writer.append(&file(b"var/log/x", promised), &mut io::repeat(1).take(there)).unwrap_err();
        let TarError::Changed { path, expected, actual } = &error else { panic!("{error}") };
        assert_eq!((&path[..], *expected, *actual), (&b"var/log/x"[..], promised as u64, got), "{promised} {there}");
        assert!(error.to_string().contains("`var/log/x`"), "{error}");
    }
}

#[test]
fn what_a_reader_would_refuse_is_not_written() {
    let link = |target: &[u8]| EntryKind::HardLink { target: target.to_vec() };
    let mut attribute = file(b"a", 0);
    attribute.xattrs.insert(b"user.a=b".to_vec(), vec![]);
    for entry in [
        file(b"/etc/passwd", 0),
        file(b"../x", 0),
        file(b"a//b", 0),
        file(b"a/", 0),
        file(b"", 0),
        file(b"a\0b", 0),
        entry(b"a", link(b"")),
        entry(b"a", link(b"../b")),
        entry(b"a", EntryKind::Symlink { target: vec![] }),
        entry(b"a", EntryKind::CharDevice { major: 1 << 30, minor: 0 }),
        attribute,
    ] {
        let result = TarWriter::new(io::sink()).append(&entry, &mut io::empty());
        assert!(matches!(result, Err(TarError::Unrepresentable { .. })), "{entry:?}: {result:?}");
    }
}

/// Keeps the beginning of what is written.
struct Head(Vec<u8>);

impl Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = 4096_usize.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(&bytes[..room]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn files_above_eight_gibibytes_have_their_size() {
    let size = (8 << 30) + 1;
    let mut writer = TarWriter::new(Head(Vec::new()));
    let entry = entry(b"image.qcow2", EntryKind::File { size });
    writer.append(&entry, &mut io::repeat(7).take(size)).unwrap();
    let head = writer.finish().unwrap().0;
    let mut reader = TarReader::new(&head[..]);
    assert_eq!(reader.next().unwrap(), Some(entry));
    assert_eq!(reader.content_offset(), 3 * 512);
    assert!(matches!(reader.next(), Err(TarError::Truncated(_))));
}

#[test]
fn an_index_finds_contents_without_reading_them() {
    let entries = vec![
        (file(b"a", 3), b"one".to_vec()),
        (file(&[b'l'; 200], 700), vec![7; 700]),
        (file(b"a", 3), b"two".to_vec()),
    ];
    let bytes = tar(&entries);
    let index = TarIndex::scan(io::Cursor::new(&bytes)).unwrap();
    for ((entry, offset), (want, content)) in index.entries.iter().zip(&entries) {
        assert_eq!(entry, want);
        assert_eq!(&bytes[*offset as usize..][..content.len()], &content[..]);
    }
    let (_, offset) = index.find(b"a").unwrap();
    assert_eq!(&bytes[offset as usize..][..3], b"two");
    assert!(index.find(b"b").is_none());
    for cut in [513, 512 * 3 + 100, 512 * 4 + 600] {
        let cut_off = TarIndex::scan(io::Cursor::new(&bytes[..cut]));
        assert!(matches!(cut_off, Err(TarError::Truncated(_))), "{cut}: {cut_off:?}");
    }
}

fn paths() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::collection::vec(any::<u8>().prop_filter("no NUL, no slash", |b| *b != 0 && *b != b'/'), 1..130);
    let part = part.prop_filter("no dots", |part| part != b"." && part != b"..");
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join(&b'/'))
}

fn entries() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let kind = prop_oneof![
        3 => (0_u64..2000).prop_map(|size| EntryKind::File { size }),
        1 => Just(EntryKind::Directory),
        1 => paths().prop_map(|target| EntryKind::Symlink { target }),
        1 => paths().prop_map(|target| EntryKind::HardLink { target }),
        1 => (0..2_097_152_u32, 0..2_097_152_u32).prop_map(|(major, minor)| EntryKind::CharDevice { major, minor }),
        1 => Just(EntryKind::Fifo),
    ];
    let name = prop::collection::vec(any::<u8>().prop_filter("no NUL or `=`", |b| *b != 0 && *b != b'='), 1..40);
    let xattrs = prop::collection::btree_map(name, prop::collection::vec(any::<u8>(), 0..100), 0..3);
    // PAX numbers that a reader takes: offsets and ids are signed in most places.
    let ids = (0..=i64::MAX as u64, 0..=i64::MAX as u64);
    (paths(), kind, 0..0o10000_u32, ids, -(1_i64 << 60)..1 << 60, xattrs).prop_map(
        |(path, kind, mode, (uid, gid), mtime, xattrs)| {
            let content = match kind {
                EntryKind::File { size } => (0..size).map(|at| (at * 7) as u8).collect(),
                _ => Vec::new(),
            };
            (Entry { path, kind, mode, uid, gid, mtime, xattrs }, content)
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(entries in prop::collection::vec(entries(), 0..6)) {
        prop_assert_eq!(read(&tar(&entries)).unwrap(), entries);
    }

    #[test]
    fn a_cut_tar_gives_a_beginning_or_an_error(entries in prop::collection::vec(entries(), 1..4), at in 0.0..1.0) {
        let bytes = tar(&entries);
        let cut = (bytes.len() as f64 * at) as usize;
        match read(&bytes[..cut]) {
            Ok(found) => prop_assert!(entries.starts_with(&found)),
            Err(error) => prop_assert!(matches!(error, TarError::Truncated(_)), "{}", error),
        }
    }
}
