//! `sealos save NAME… -o FILE`

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use content::archive::{self, SaveOptions};
use content::{ClusterImage, Disk, Sink, present};
use oci::{Compression, Descriptor, Platform, Reference};

use super::error::CommandError;
use super::pack;
use super::whole_file::WholeFile;
use super::world::{Silence, World};
use crate::report::{Event, Reporter, Watch};
use crate::transfer::{Platforms, choose};

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
    /// Of an index, the image for this platform only, and what it carries
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
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
    /// The `dir:` directory of skopeo and podman
    DockerDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Outer {
    Gzip,
    Zstd,
}

impl From<Form> for archive::Format {
    fn from(form: Form) -> Self {
        match form {
            Form::OciArchive => Self::OciArchive,
            Form::OciDir => Self::OciDir,
            Form::DockerArchive => Self::DockerArchive,
            Form::DockerDir => Self::DockerDir,
        }
    }
}

impl From<Outer> for Compression {
    fn from(outer: Outer) -> Self {
        match outer {
            Outer::Gzip => Self::Gzip,
            Outer::Zstd => Self::Zstd,
        }
    }
}

type Images = Vec<(Option<Reference>, Descriptor)>;

impl Save {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let directory = matches!(self.format, Form::OciDir | Form::DockerDir);
        if self.output.is_none() && (directory || io::stdout().is_terminal()) {
            return Err(if directory { CommandError::DirectoryNeedsName } else { CommandError::StdoutIsTerminal });
        }
        let disk = world.disk()?;
        let reporter = world.reporter(Silence::from(self.quiet));
        let images = self.names.iter().map(|name| self.find(&disk, name, &*reporter)).collect::<Result<Images, _>>()?;
        if self.uncompressed {
            let text = "layers are written as they are; --uncompressed changes nothing";
            reporter.event(&Event::Warning(text.to_owned()));
        }
        // Only a docker-archive unpacks layers on the way; the others need no place in a store that may be read-only.
        let scratch = matches!(self.format, Form::DockerArchive).then(|| disk.scratch("save")).transpose()?;
        let mut options =
            SaveOptions { platform: self.platform.clone().unwrap_or_else(Platform::host), ..SaveOptions::default() };
        if let Some(scratch) = &scratch {
            options.scratch = scratch.path().to_owned();
        }
        let work = Work { disk: &disk, images: &images, options: &options, watch: Watch(&*reporter) };
        let result = match &self.output {
            Some(path) if directory => {
                let saved = archive::save(&disk, &images, self.format.into(), path, &options, &work.watch);
                saved.map_err(CommandError::from)
            }
            Some(path) => self.to_file(&work, path),
            None => self.to_stdout(&work, world.out),
        };
        reporter.finish();
        result
    }

    /// An image and the name it is saved under: the one that was asked for, none if it was asked for by its id. Of an
    /// index that was pulled for some platforms, those are saved.
    fn find(
        &self,
        disk: &Disk,
        text: &str,
        reporter: &dyn Reporter,
    ) -> Result<(Option<Reference>, Descriptor), CommandError> {
        let record = disk.find(text)?;
        if matches!(self.format, Form::DockerArchive) {
            let carried = ClusterImage::load(disk, &record.root)?.lock.images.len();
            if carried > 0 {
                return Err(CommandError::CannotCarry { name: text.to_owned(), carried });
            }
        }
        if let (Some(platform), false) = (&self.platform, matches!(self.format, Form::DockerArchive)) {
            let platforms = Platforms::Only(vec![platform.clone()]);
            let (root, made) = choose(disk, &record.root, text, &platforms)?.whole()?;
            if let Some((what, bytes)) = made {
                disk.publish(&what, &bytes)?;
            }
            return Ok((record.name, root));
        }
        if self.platform.is_some() && matches!(self.format, Form::DockerArchive) {
            return Ok((record.name, record.root));
        }
        let found = present(disk, &record.root)?;
        let platforms = found.missing.iter().filter_map(|image| Some(image.platform.as_ref()?.to_string()));
        let platforms: Vec<String> = platforms.filter(|platform| !platform.starts_with("unknown/")).collect();
        if !platforms.is_empty() {
            let text = format!("{text} is saved without {}, which the store does not have", platforms.join(", "));
            reporter.event(&Event::Warning(text));
        }
        Ok((record.name, found.root))
    }

    fn to_file(&self, work: &Work<'_>, path: &Path) -> Result<(), CommandError> {
        let mut file = WholeFile::begin(path)?;
        {
            let mut out = BufWriter::with_capacity(1 << 20, &mut file);
            self.write(work, &mut out)?;
            out.flush().map_err(CommandError::io(format!("write {}", path.display())))?;
        }
        file.commit()
    }

    fn to_stdout(&self, work: &Work<'_>, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut out = Stdout { inner: out, failed: None };
        let result = self.write(work, &mut out).and_then(|()| out.flush().map_err(CommandError::Output));
        // What became of stdout says more than what the archive writer made of it.
        match out.failed {
            Some(error) => Err(CommandError::Output(error)),
            None => result,
        }
    }

    fn write(&self, work: &Work<'_>, out: &mut dyn Write) -> Result<(), CommandError> {
        let compression = self.compress.map_or(Compression::None, Compression::from);
        let Work { disk, images, options, watch } = work;
        pack::compressed(out, compression, |out| {
            Ok(archive::save_stream(*disk, images, self.format.into(), out, options, watch)?)
        })
    }
}

/// What is saved, and how.
struct Work<'a> {
    disk: &'a Disk,
    images: &'a Images,
    options: &'a SaveOptions,
    watch: Watch<'a>,
}

/// Stdout, remembering how it failed.
struct Stdout<'a> {
    inner: &'a mut dyn Write,
    failed: Option<io::Error>,
}

impl Stdout<'_> {
    fn watch<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(io::Error::new(error.kind(), error.to_string()));
        }
        result
    }
}

impl Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        self.watch(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        self.watch(result)
    }
}
