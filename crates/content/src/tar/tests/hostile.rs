//! Archives that are damaged or made to harm.

use proptest::prelude::*;

use super::*;
use crate::tar::header::Header;
use crate::tar::pax;

/// A header as an attacker writes it.
fn raw(flag: u8, path: &[u8], link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::ustar(flag);
    header.set_path(b"", path);
    header.set_link(link);
    header.set_size(content.len() as u64);
    let mut bytes = header.seal().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pax_header(flag: u8, facts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut records = Vec::new();
    for (keyword, value) in facts {
        pax::push(&mut records, keyword.as_bytes(), value);
    }
    raw(flag, b"PaxHeaders/x", b"", &records)
}

#[test]
fn an_entry_that_would_leave_the_directory_is_named_and_the_next_one_can_be_read() {
    let long = [&b"a/"[..], &[b'b'; 200], b"/../../../x"].concat();
    for (bytes, want) in [
        (raw(b'0', b"../evil", b"", b"x"), &b"../evil"[..]),
        (raw(b'0', b"/etc/passwd", b"", b"x"), b"/etc/passwd"),
        (raw(b'5', b"a/..", b"", b""), b"a/.."),
        (raw(b'2', b"a/../../b", b"x", b""), b"a/../../b"),
        (raw(b'1', b"a", b"../../etc/shadow", b""), b"../../etc/shadow"),
        (raw(b'1', b"a", b"/etc/shadow", b""), b"/etc/shadow"),
        ([pax_header(b'x', &[("path", b"../evil")]), raw(b'0', b"good", b"", b"x")].concat(), b"../evil"),
        ([pax_header(b'x', &[("linkpath", b"/x")]), raw(b'1', b"a", b"good", b"")].concat(), b"/x"),
        ([raw(b'L', b"././@LongLink", b"", &long), raw(b'0', b"good", b"", b"x")].concat(), &long),
    ] {
        let bytes = [bytes, raw(b'0', b"next", b"", b"content")].concat();
        let mut reader = TarReader::new(&bytes[..]);
        let error = reader.next().unwrap_err();
        assert!(matches!(&error, TarError::Escape { path, .. } if path == want), "{error}");
        assert!(error.to_string().contains(&want.escape_ascii().to_string()), "{error}");
        assert_eq!(reader.next().unwrap().unwrap().path, b"next", "{error}");
    }
}

#[test]
fn broken_archives_are_errors_that_say_where() {
    let sparse =
        |facts: &[(&str, &[u8])], content: &[u8]| [pax_header(b'x', facts), raw(b'0', b"s", b"", content)].concat();
    let big = |flag: u8, size: u64| {
        let mut header = Header::ustar(flag);
        header.set_size(size);
        header.seal().to_vec()
    };
    let mut bad_number = raw(b'0', b"n", b"", b"");
    bad_number[100..108].copy_from_slice(b"0000zzz\0");
    let fix = |mut block: Vec<u8>| {
        let header = Header(block[..512].try_into().unwrap()).seal();
        block[..512].copy_from_slice(&header);
        block
    };
    let bad_number = fix(bad_number);
    let mut negative = raw(b'0', b"n", b"", b"");
    negative[124..136].fill(0xff);
    let negative = fix(negative);
    let mut flipped = raw(b'0', b"n", b"", b"");
    flipped[3] ^= 1;
    for (bytes, want) in [
        (flipped, "no valid header at byte 0"),
        (vec![b'x'; 512], "no valid header at byte 0"),
        (raw(b'0', b"n", b"", b"xyz")[..514].to_vec(), "truncated: entry `n` at byte 514"),
        (vec![1; 100], "truncated: byte 100"),
        (pax_header(b'x', &[("path", b"x")]), "truncated: byte 1024"),
        (bad_number, "entry `n` at byte 0 has an invalid mode"),
        (negative, "entry `n` at byte 0 has an invalid size"),
        (big(b'L', 1 << 32), "name of 4294967296 bytes, more than the limit of 1048576"),
        (big(b'x', 2 << 20), "PAX header of 2097152 bytes"),
        (raw(b'x', b"x", b"", b"99999999999999999999 path=x\n"), "invalid PAX header"),
        (sparse(&[("size", b"99999999999999999999")], b""), "invalid size"),
        (sparse(&[("size", b"-1")], b""), "invalid size"),
        (sparse(&[("uid", b"root")], b""), "invalid uid"),
        (sparse(&[("path", b"a\0b")], b""), "NUL"),
        (pax_header(b'g', &[("path", b"all")]), "only one entry"),
        (pax_header(b'g', &[("size", b"0")]), "only one entry"),
        (pax_header(b'g', &[("SCHILY.xattr.user.a", b"0")]), "only one entry"),
        (raw(b'x', b"x", b"", &[0; 1 << 20]).repeat(3), "PAX header of 1048576 bytes, more than the limit of 0"),
        (raw(b'V', b"label", b"", b""), "entry `label` at byte 0 is of the unknown type `V`"),
        (raw(b'0', b"./", b"", b""), "only a directory can be the root"),
        (raw(b'2', b"l", b"", b""), "link to nothing"),
        ([vec![0; 512], raw(b'0', b"a", b"", b"")].concat(), "single block of zeros in front of byte 512"),
        (sparse(&[("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0")], b""), "format is not known"),
        (sparse(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,1,0,1")], b"ab"), "overlap"),
        (sparse(&[("GNU.sparse.size", b"1"), ("GNU.sparse.map", b"0,2")], b"ab"), "behind the file's end"),
        (sparse(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,3")], b"ab"), "do not add up"),
        (sparse(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0")], b"ab"), "incomplete"),
        (
            sparse(
                &[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")],
                b"999999999\n",
            ),
            "map is longer than its content",
        ),
    ] {
        let error = read(&bytes).expect_err(want);
        assert!(error.to_string().contains(want), "{error} (wanted: {want})");
    }
}

#[test]
fn a_pax_size_counts_for_content_and_never_for_extension_headers() {
    // A reader that took the ustar size would see the entry hidden in the content.
    let hidden = raw(b'0', b"hidden", b"", b"");
    let mut outer = raw(b'0', b"outer", b"", b"");
    outer.extend_from_slice(&hidden);
    let bytes = [pax_header(b'x', &[("size", b"512")]), outer, raw(b'0', b"last", b"", b"")].concat();
    let found = read(&bytes).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1, hidden);
    // Of the long name that follows, the header's own size counts.
    let bytes = [
        pax_header(b'x', &[("size", b"3")]),
        raw(b'L', b"././@LongLink", b"", b"long\0"),
        pax_header(b'g', &[("comment", b"a commit")]),
        raw(b'0', b"short", b"", b"abc"),
        raw(b'0', b"last", b"", b""),
    ];
    let found = read(&bytes.concat()).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((&found[0].0.path[..], &found[0].1[..]), (&b"long"[..], &b"abc"[..]));
    assert_eq!(found[1].0.path, b"last");
}

#[test]
fn links_and_directories_have_no_content_whatever_their_size_says() {
    for flag in [b'1', b'2', b'3', b'4', b'5', b'6'] {
        let mut header = Header::ustar(flag);
        header.set_path(b"", b"x");
        header.set_link(b"y");
        header.set_size(512);
        let bytes = [header.seal().to_vec(), raw(b'0', b"seen", b"", b"")].concat();
        let found = read(&bytes).unwrap();
        assert_eq!(found.len(), 2, "{}", flag as char);
        assert_eq!(found[1].0.path, b"seen", "{}", flag as char);
    }
}

#[test]
fn global_facts_hold_until_an_entry_says_otherwise() {
    let bytes = [
        pax_header(b'g', &[("uid", b"7"), ("mtime", b"99.5")]),
        raw(b'0', b"a", b"", b""),
        pax_header(b'x', &[("uid", b"8")]),
        raw(b'0', b"b", b"", b""),
        pax_header(b'x', &[("uid", b"")]),
        raw(b'0', b"c", b"", b""),
        pax_header(b'x', &[("uid", b"9")]),
        pax_header(b'g', &[("uid", b"10")]),
        raw(b'0', b"d", b"", b""),
        raw(b'0', b"e", b"", b""),
    ];
    let ids: Vec<_> = read(&bytes.concat()).unwrap().iter().map(|(entry, _)| (entry.uid, entry.mtime)).collect();
    assert_eq!(ids, [(7, 99), (8, 99), (0, 99), (9, 99), (10, 99)]);
}

#[test]
fn an_archive_may_end_without_its_blocks_of_zeros() {
    for bytes in [vec![], vec![0; 512], vec![0; 1024], vec![0; 10240]] {
        assert_eq!(read(&bytes).unwrap(), [], "{} bytes", bytes.len());
    }
    assert_eq!(read(&raw(b'0', b"a", b"", b"")).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        drop(read(&bytes));
    }

    #[test]
    fn archives_with_flipped_bits_never_panic(
        flips in prop::collection::vec((0_usize..8192, 0_u8..8), 0..6),
        sealed in any::<bool>(),
    ) {
        let mut bytes = [
            pax_header(b'x', &[("path", b"some/path"), ("size", b"700"), ("SCHILY.xattr.user.a", b"b")]),
            raw(b'0', b"short", b"", &[1; 700]),
            pax_header(b'x', &[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"4096")]),
            raw(b'0', b"sparse", b"", &[&b"1\n0\n512\n"[..], &[0; 504], &[7; 512]].concat()),
            pax_header(b'x', &[("GNU.sparse.size", b"99"), ("GNU.sparse.map", b"5,3")]),
            raw(b'0', b"sparse", b"", b"abc"),
            raw(b'L', b"././@LongLink", b"", &[b'n'; 150]),
            raw(b'S', b"old", b"", b""),
        ].concat();
        for (at, bit) in flips {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if sealed {
                // With a checksum that is right again, the damage gets past it.
                let start = at / 512 * 512;
                let header = Header(bytes[start..start + 512].try_into().unwrap()).seal();
                bytes[start..start + 512].copy_from_slice(&header);
            }
        }
        let mut reader = TarReader::new(&bytes[..]);
        let mut buffer = [0; 512];
        for _ in 0..100 {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(_)) => drop(reader.content().read(&mut buffer)),
                Err(_) => {}
            }
        }
    }
}
