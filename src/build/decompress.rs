//! Streams that may be compressed: contexts, and the archives that ADD unpacks.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;
use oci::Compression;

/// How a stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// In a way that is understood, or not at all.
    Known(Compression),
    /// In a way that is not.
    Foreign(&'static str),
}

/// A stream whose first bytes were looked at.
pub(crate) type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Looks at a stream's first bytes; they are read again from the stream that is returned.
pub(crate) fn detect<R: Read>(mut input: R) -> io::Result<(Packing, Peeked<R>)> {
    let mut head = Vec::new();
    input.by_ref().take(6).read_to_end(&mut head)?;
    let packing = match &head[..] {
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Foreign("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Packing::Foreign("xz"),
        head => Packing::Known(Compression::detect(head)),
    };
    Ok((packing, Cursor::new(head).chain(input)))
}

/// The bytes behind the packing; a foreign one is handed on as it is.
pub(crate) fn open<'a>(packing: Packing, input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match packing {
        Packing::Known(Compression::Gzip) => Box::new(MultiGzDecoder::new(input)),
        Packing::Known(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::new(input)?),
        Packing::Known(Compression::None) | Packing::Foreign(_) => Box::new(input),
    })
}
