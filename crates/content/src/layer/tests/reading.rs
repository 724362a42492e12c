//! What is read is verified, and nothing but what it should be is taken.

use oci::{DiffId, Digest};
use proptest::prelude::*;

use super::*;
use crate::layer::ExpandLimit;
use crate::layer::block::BLOCK;

#[test]
fn what_gzip_and_zstd_write_is_read() {
    let tar = sample(2 * BLOCK + 77, 1);
    let half = tar.len() / 2;
    let halves = |program, arguments: &[&str]| {
        [pipe(program, arguments, &tar[..half]), pipe(program, arguments, &tar[half..])].concat()
    };
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat();
    let zstd = pipe("zstd", &["-c"], &tar);
    let padded = |count| [pipe("gzip", &["-c"], &tar), vec![0; count]].concat();
    for (name, bytes) in [
        ("gzip", pipe("gzip", &["-c"], &tar)),
        ("gzip, two members", halves("gzip", &["-c"])),
        ("gzip, padded", padded(3)),
        ("gzip, padded with more than a chunk", padded(600_000)),
        ("zstd", zstd.clone()),
        ("zstd, two frames", halves("zstd", &["-c"])),
        ("zstd, skippable frame in front", [&skippable[..], &zstd].concat()),
        ("zstd, skippable frame behind", [&zstd[..], &skippable].concat()),
        ("zstd, window of 128 MiB", pipe("zstd", &["-c", "--long=27"], &tar)),
        ("plain", tar.clone()),
    ] {
        let memory = Memory::default();
        let what = store(&memory, &bytes);
        assert!(read(&memory, &what).unwrap() == tar, "{name}");
        let reader = LayerReader::open(&memory, &what).unwrap();
        reader.verify_diff_id(DiffId(Digest::of(&tar))).unwrap().finish().unwrap();
        let wrong = LayerReader::open(&memory, &what).unwrap().verify_diff_id(DiffId(Digest::of(b"x"))).unwrap();
        let error = wrong.finish().unwrap_err();
        assert!(matches!(error, ContentError::DiffIdMismatch { .. }), "{name}: {error}");
    }
}

#[test]
fn streams_that_are_not_whole_or_not_alone_are_refused() {
    let tar = sample(BLOCK + 77, 2);
    let (gzip, zstd) = (pipe("gzip", &["-c"], &tar), pipe("zstd", &["-c"], &tar));
    let cut = |bytes: &[u8], less| bytes[..bytes.len() - less].to_vec();
    let broken = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        bytes
    };
    for (name, bytes) in [
        ("gzip without its trailer", cut(&gzip, 8)),
        ("gzip without its last byte", cut(&gzip, 1)),
        ("gzip, cut in the middle", cut(&gzip, 9000)),
        ("gzip, only magic", gzip[..2].to_vec()),
        ("gzip, wrong size in its trailer", broken(&gzip)),
        ("gzip, garbage behind", [&gzip[..], b"garbage"].concat()),
        ("gzip, garbage behind zeros", [&gzip[..], &[0; 9], b"x"].concat()),
        ("gzip, half a member behind", [&gzip[..], &gzip[..99]].concat()),
        ("zstd, cut", cut(&zstd, 1)),
        ("zstd, only magic", zstd[..4].to_vec()),
        ("zstd, wrong checksum", broken(&zstd)),
        ("zstd, garbage behind", [&zstd[..], b"garbage"].concat()),
        // A frame that asks for a window of 2 GiB.
        ("zstd, huge window", vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00]),
    ] {
        let memory = Memory::default();
        let what = store(&memory, &bytes);
        let error = read(&memory, &what).expect_err(name);
        assert!(matches!(error, ContentError::LayerEncoding { .. }), "{name}: {error}");
    }
}

#[test]
fn a_blob_that_is_not_the_promised_one_is_refused_even_if_it_does_not_decompress() {
    let tar = sample(3 * BLOCK, 3);
    for compression in ALL {
        let memory = Memory::default();
        let layer = write(&memory, &tar, &options(compression, 2), BLOCK).unwrap();
        let good = blob(&memory, &layer.descriptor);
        for at in [0, 20, good.len() / 2, good.len() - 1] {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            let served = Lying { bytes };
            let error = read(&served, &layer.descriptor).unwrap_err();
            assert!(matches!(error, ContentError::DigestMismatch { .. }), "{compression} {at}: {error}");
        }
        for length in [0, 1, 100, good.len() - 1] {
            let served = Lying { bytes: good[..length].to_vec() };
            let error = read(&served, &layer.descriptor).unwrap_err();
            let is_size = matches!(error, ContentError::SizeMismatch { actual, .. } if actual == length as u64);
            assert!(is_size, "{compression} {length}: {error}");
        }
        let served = Lying { bytes: [&good[..], b"x"].concat() };
        let error = read(&served, &layer.descriptor).unwrap_err();
        assert!(matches!(error, ContentError::SizeMismatch { .. }), "{compression}: {error}");
    }
}

#[test]
fn a_bomb_ends_at_the_limit() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let memory = Memory::default();
        let layer = write(&memory, &vec![0; 20 * BLOCK], &options(compression, 2), BLOCK).unwrap();
        for (limit, fits) in [
            (ExpandLimit::Bytes(20 * BLOCK as u64), true),
            (ExpandLimit::Bytes(20 * BLOCK as u64 - 1), false),
            (ExpandLimit::Bytes(0), false),
            (ExpandLimit::Plausible, true),
            (ExpandLimit::Unlimited, true),
        ] {
            let result = LayerReader::open(&memory, &layer.descriptor).unwrap().limit(limit).finish();
            match result {
                Ok(()) => assert!(fits, "{compression} {limit:?}"),
                Err(ContentError::LayerTooLarge { .. }) => assert!(!fits, "{compression} {limit:?}"),
                Err(error) => panic!("{compression} {limit:?}: {error}"),
            }
        }
    }
    assert_eq!(ExpandLimit::Plausible.bytes(10), 1 << 30);
    assert_eq!(ExpandLimit::Plausible.bytes(100 << 20), 20_000 << 20);
    assert_eq!(ExpandLimit::Plausible.bytes(u64::MAX), u64::MAX);
}

#[test]
fn a_reader_that_is_given_up_ends_its_threads() {
    let tar = sample(12 * BLOCK, 4);
    for compression in ALL {
        let memory = Memory::default();
        let layer = write(&memory, &tar, &options(compression, 2), BLOCK).unwrap();
        for count in [0, 1, BLOCK, 3 * BLOCK + 1] {
            let reader = LayerReader::open(&memory, &layer.descriptor).unwrap();
            let mut reader = reader.verify_diff_id(layer.diff_id).unwrap();
            reader.read_exact(&mut vec![0; count]).unwrap();
            // It returns: nobody waits for anybody.
            drop(reader);
        }
    }
}

#[test]
fn after_an_error_there_are_no_more_bytes() {
    let memory = Memory::default();
    let what = store(&memory, &[&pipe("gzip", &["-c"], b"abc")[..], b"garbage"].concat());
    let mut reader = LayerReader::open(&memory, &what).unwrap();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap_err();
    for _ in 0..2 {
        reader.read(&mut [0; 10]).unwrap_err();
    }
    reader.finish().unwrap_err();
}

/// A source that serves other bytes than those asked for.
struct Lying {
    bytes: Vec<u8>,
}

impl Source for Lying {
    fn place(&self) -> String {
        "a liar".to_owned()
    }

    fn resolve(&self, name: &oci::Reference) -> Result<Descriptor, ContentError> {
        Err(ContentError::UnknownImage { place: self.place(), name: name.familiar(), similar: Vec::new() })
    }

    fn fetch(&self, _what: &Descriptor, _from: u64) -> Result<crate::BlobReader<'_>, ContentError> {
        Ok(Box::new(&self.bytes[..]))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_blobs_never_panic(magic in 0..3, bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let magic: &[u8] = match magic {
            0 => &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255],
            1 => &[0x28, 0xb5, 0x2f, 0xfd],
            _ => &[],
        };
        let memory = Memory::default();
        let what = store(&memory, &[magic, &bytes].concat());
        let tar = read(&memory, &what);
        // Bytes that begin like a compressed stream are read as one.
        let is_plain = magic.is_empty() && Compression::detect(&bytes) == Compression::None;
        prop_assert!(!is_plain || tar.unwrap() == bytes);
    }
}
