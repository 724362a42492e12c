//! In which form images are sent, from the command line.

use clap::{Args, ValueEnum};
use content::convert::{Conversion, Family};
use oci::Compression;

use super::error::CommandError;

/// In which form images are sent.
#[derive(Clone, Debug, Args)]
pub(crate) struct FormArgs {
    /// Compress layers so; those that are compressed so already are sent as they are
    #[arg(long, value_enum, value_name = "gzip|zstd|none", hide_possible_values = true)]
    compression_format: Option<Format>,
    /// How hard, in the compressor's own numbers
    #[arg(long, value_name = "LEVEL", requires = "compression_format", allow_hyphen_values = true)]
    compression_level: Option<i32>,
    /// Whose manifests: oci or docker (also called v2s2) [default: as the image has them]
    #[arg(short, long, value_enum, value_name = "oci|docker", hide_possible_values = true)]
    format: Option<Manifests>,
    /// Layers are sent as they are anyway
    #[arg(short = 'D', long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_compression: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Gzip,
    Zstd,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Manifests {
    Oci,
    #[value(alias = "v2s2")]
    Docker,
    #[value(hide = true)]
    V2s1,
}

impl FormArgs {
    /// What is asked for.
    ///
    /// # Errors
    /// When it cannot be.
    pub(crate) fn conversion(&self) -> Result<Conversion, CommandError> {
        let compression = self.compression_format.map(|format| match format {
            Format::Gzip => Compression::Gzip,
            Format::Zstd => Compression::Zstd,
            Format::None => Compression::None,
        });
        let family = match self.format {
            None => None,
            Some(Manifests::Oci) => Some(Family::Oci),
            Some(Manifests::Docker) => Some(Family::Docker),
            Some(Manifests::V2s1) => {
                let text = "version 2, schema 1 is not written any more: no registry of these years wants it";
                return Err(CommandError::Usage(text.to_owned()));
            }
        };
        let conversion = Conversion { compression, level: self.compression_level, family };
        conversion.check().map_err(|error| CommandError::Usage(error.to_string()))?;
        Ok(conversion)
    }
}
