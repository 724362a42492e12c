//! Layers written and read back, with peers, faults and attackers.

mod failing;
mod reading;
mod writing;

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use oci::{Compression, Descriptor};

use super::{Layer, LayerOptions, LayerReader, LayerWriter};
use crate::{ContentError, Memory, Sink, Source};

const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

/// Bytes that compress about as text does, different for each seed.
fn sample(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes.extend_from_slice(format!("{} ", state % 5000).as_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn options(compression: Compression, threads: usize) -> LayerOptions {
    LayerOptions { compression, level: None, threads }
}

/// Writes a layer in pieces of a size.
fn write(sink: &dyn Sink, tar: &[u8], options: &LayerOptions, piece: usize) -> Result<Layer, ContentError> {
    let mut writer = LayerWriter::begin(sink, options)?;
    for piece in tar.chunks(piece) {
        writer.write_all(piece).map_err(ContentError::io("write"))?;
    }
    writer.finish()
}

/// The bytes of a blob.
fn blob(source: &dyn Source, what: &Descriptor) -> Vec<u8> {
    let mut bytes = Vec::new();
    source.fetch(what, 0).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Stores bytes as they are.
fn store(memory: &Memory, bytes: &[u8]) -> Descriptor {
    let what = Descriptor::of("application/octet-stream", bytes);
    crate::store_bytes(memory, &what, bytes).unwrap();
    what
}

fn read(source: &dyn Source, what: &Descriptor) -> Result<Vec<u8>, ContentError> {
    let mut reader = LayerReader::open(source, what)?;
    let mut tar = Vec::new();
    reader.read_to_end(&mut tar).map_err(ContentError::io("read"))?;
    reader.finish()?;
    Ok(tar)
}

/// What a program makes of some bytes.
fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || io::copy(&mut { input }, &mut stdin).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}
