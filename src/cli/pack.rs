//! Compressing a whole file that is written.

use std::io::Write;

use oci::Compression;

use super::error::CommandError;

/// Lets `act` write to `out` through a compressor.
pub(crate) fn compressed(
    out: &mut dyn Write,
    compression: Compression,
    act: impl FnOnce(&mut dyn Write) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let failed = || CommandError::io("compress the output");
    match compression {
        Compression::None => act(out),
        Compression::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            act(&mut gzip)?;
            gzip.finish().map(drop).map_err(failed())
        }
        Compression::Zstd => {
            let mut zstd = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(failed())?;
            act(&mut zstd)?;
            zstd.finish().map(drop).map_err(failed())
        }
    }
}
