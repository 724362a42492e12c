//! How files are packed as a whole: archives of images, contexts, what ADD unpacks. Found out from their first bytes.

use std::io::{self, BufRead, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use oci::Compression;

/// What unpacking xz may take, in KiB: `xz -9` needs 65 MiB, and a file that asks for gigabytes is refused.
const XZ_MEMORY: u32 = 128 << 10;
/// Bytes that tell how a file is packed.
const MAGIC: u64 = 6;

/// How a stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As layers may be, or not at all.
    Layer(Compression),
    /// With bzip2.
    Bzip2,
    /// With xz.
    Xz,
}

/// A stream whose first bytes were looked at.
pub type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

impl Packing {
    /// No packing at all.
    pub const NONE: Self = Self::Layer(Compression::None);

    /// Looks at a stream's first bytes; they are read again from the stream that is returned.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn detect<R: BufRead>(mut input: R) -> io::Result<(Self, Peeked<R>)> {
        let mut head = Vec::new();
        input.by_ref().take(MAGIC).read_to_end(&mut head)?;
        let packing = match &head[..] {
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Self::Xz,
            head => Self::Layer(Compression::detect(head)),
        };
        Ok((packing, Cursor::new(head).chain(input)))
    }

    /// The bytes behind the packing.
    ///
    /// # Errors
    /// When a decoder cannot be made.
    pub fn open<'a>(self, input: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Layer(Compression::Gzip) => Box::new(MultiGzDecoder::new(input)),
            Self::Layer(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
            Self::Layer(Compression::None) => Box::new(input),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(input)),
            Self::Xz => Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY)),
        })
    }
}
