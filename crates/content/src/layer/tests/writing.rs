//! The same tar gives the same layer, and other tools can read it.

use std::collections::BTreeSet;

use flate2::bufread::GzDecoder;
use oci::{DiffId, Digest, MediaType};

use super::*;
use crate::layer::block::BLOCK;
use crate::layer::diff_id;

#[test]
fn the_bytes_depend_on_neither_threads_nor_write_sizes() {
    let tar = sample(5 * BLOCK + 4321, 1);
    for compression in ALL {
        let memory = Memory::default();
        let mut layers = Vec::new();
        for threads in [1, 2, 4] {
            for piece in [333, BLOCK, BLOCK + 1] {
                layers.push(write(&memory, &tar, &options(compression, threads), piece).unwrap());
            }
        }
        layers.push(write(&memory, &tar, &options(compression, 2), 1).unwrap());
        for layer in &layers {
            assert_eq!(layer, &layers[0], "{compression}");
        }
        assert_eq!(layers[0].diff_id, DiffId(Digest::of(&tar)), "{compression}");
        assert_eq!(layers[0].uncompressed_size, tar.len() as u64, "{compression}");
        assert_eq!(layers[0].descriptor.media_type, MediaType::oci_layer(compression));
    }
}

#[test]
fn a_layer_of_any_size_is_read_back() {
    for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK] {
        let tar = sample(length, 2);
        for compression in ALL {
            let memory = Memory::default();
            let layer = write(&memory, &tar, &options(compression, 2), 100_000).unwrap();
            assert!(read(&memory, &layer.descriptor).unwrap() == tar, "{compression} {length}");
            assert_eq!(layer.diff_id, diff_id(&tar[..]).unwrap(), "{compression} {length}");
        }
    }
}

#[test]
fn gzip_and_zstd_read_what_is_written() {
    let tar = sample(3 * BLOCK + 99, 3);
    for (compression, program) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let memory = Memory::default();
        let layer = write(&memory, &tar, &options(compression, 2), 65_536).unwrap();
        assert!(pipe(program, &["-dc"], &blob(&memory, &layer.descriptor)) == tar, "{program}");
    }
}

#[test]
fn a_gzip_layer_is_one_member_without_name_or_time() {
    let tar = sample(3 * BLOCK, 4);
    let memory = Memory::default();
    let layer = write(&memory, &tar, &options(Compression::Gzip, 2), 65_536).unwrap();
    let bytes = blob(&memory, &layer.descriptor);
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut decoder = GzDecoder::new(&bytes[..]);
    let mut first = Vec::new();
    decoder.read_to_end(&mut first).unwrap();
    assert!(first == tar);
    assert!(decoder.into_inner().is_empty());
}

#[test]
fn every_level_works_and_others_are_refused() {
    let tar = sample(BLOCK + 5, 5);
    let memory = Memory::default();
    for (compression, levels) in [(Compression::Gzip, 0..=9), (Compression::Zstd, 1..=5)] {
        let mut digests = BTreeSet::new();
        for level in levels {
            let options = LayerOptions { compression, level: Some(level), threads: 2 };
            let layer = write(&memory, &tar, &options, 65_536).unwrap();
            assert!(read(&memory, &layer.descriptor).unwrap() == tar, "{compression} {level}");
            digests.insert(layer.descriptor.digest);
        }
        assert!(digests.len() > 3, "{compression}: the level has no effect");
        for level in [-1, 20, 100] {
            let options = LayerOptions { compression, level: Some(level), threads: 2 };
            let error = write(&memory, &tar, &options, 65_536).unwrap_err();
            assert!(matches!(error, ContentError::CompressionLevel { .. }), "{compression} {level}: {error}");
        }
    }
}

#[test]
fn blocks_refer_to_the_block_before_them() {
    // One block of noise, repeated: without a dictionary the second would not get smaller where it joins the first.
    let noise: Vec<u8> = (0..40).flat_map(|seed| sample(800, seed)).collect();
    let mut tar = sample(BLOCK - noise.len(), 6);
    tar.extend_from_slice(&noise);
    let memory = Memory::default();
    let single = write(&memory, &tar, &options(Compression::Gzip, 1), 65_536).unwrap().descriptor.size;
    tar.extend_from_slice(&noise);
    let joined = write(&memory, &tar, &options(Compression::Gzip, 1), 65_536).unwrap().descriptor.size;
    assert!(joined - single < noise.len() as u64 / 20, "{} bytes more", joined - single);
}
