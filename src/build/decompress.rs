//! Streams that may be compressed: contexts, and the archives that ADD unpacks.

use std::io::{self, Cursor, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use oci::Compression;

/// What unpacking xz may take, in KiB: `xz -9` needs 65 MiB, and a file that asks for gigabytes is refused.
const XZ_MEMORY: u32 = 128 << 10;

/// How a stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As layers may be, or not at all.
    Layer(Compression),
    /// With bzip2.
    Bzip2,
    /// With xz.
    Xz,
}

/// A stream whose first bytes were looked at.
pub(crate) type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Looks at a stream's first bytes; they are read again from the stream that is returned.
pub(crate) fn detect<R: Read>(mut input: R) -> io::Result<(Packing, Peeked<R>)> {
    let mut head = Vec::new();
    input.by_ref().take(6).read_to_end(&mut head)?;
    let packing = match &head[..] {
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Packing::Xz,
        head => Packing::Layer(Compression::detect(head)),
    };
    Ok((packing, Cursor::new(head).chain(input)))
}

/// The bytes behind the packing.
pub(crate) fn open<'a>(packing: Packing, input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match packing {
        Packing::Layer(Compression::Gzip) => Box::new(MultiGzDecoder::new(input)),
        Packing::Layer(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::new(input)?),
        Packing::Layer(Compression::None) => Box::new(input),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(input)),
        Packing::Xz => Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY)),
    })
}
