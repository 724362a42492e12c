//! `sealos save NAME… -o FILE`

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use content::{Disk, archive};
use oci::{Descriptor, Reference};

use super::error::CommandError;
use super::world::{Silence, World};
use crate::report::{Event, Reporter, Watch};

/// Write images to a file or a directory
///
/// All images go into one archive; what they share is written once. Without `-o` the archive goes to stdout. The file
/// appears when it is complete.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos save app:v1 -o app.tar
  sealos save app:v1 db:v2 -o bundle.tar
  sealos save --format docker-archive app:v1 | docker load
  sealos save --compress zstd app:v1 -o app.tar.zst")]
pub(crate) struct Save {
    /// Images of the store: a name or id
    #[arg(required = true)]
    names: Vec<String>,
    /// The file or directory to write
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value_t = Form::OciArchive)]
    format: Form,
    /// Compress the archive as a whole; its layers are compressed already
    #[arg(long, value_enum, value_name = "HOW")]
    compress: Option<Outer>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// Layers are written as they are
    #[arg(long, hide = true)]
    uncompressed: bool,
    /// All arguments are always images
    #[arg(short, long, hide = true)]
    multi_image_archive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A tar of an OCI layout
    OciArchive,
    /// An OCI layout
    OciDir,
    /// What `docker load` reads
    DockerArchive,
    /// The same unpacked
    DockerDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Outer {
    Gzip,
    Zstd,
}
