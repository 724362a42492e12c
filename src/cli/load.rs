//! `sealos load -i FILE`

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::Args;
use content::{Disk, Observer, archive};
use registry_client::{Client, ClientOptions, redacted};

use super::error::CommandError;
use super::world::{Silence, World};
use crate::report::Watch;

/// Read images from a file, a directory, a URL or stdin
///
/// What `sealos save`, docker, podman, skopeo and others write is read, compressed or not, with one image or many.
/// Every digest is checked before anything is visible.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos load -i app.tar
  sealos load -i https://files.example/app.tar.gz
  docker save nginx | sealos load")]
pub(crate) struct Load {
    /// The archive: a path or an http(s) URL; - is stdin
    #[arg(value_name = "FILE|URL")]
    path: Option<String>,
    /// The same
    #[arg(short, long, value_name = "FILE|URL", conflicts_with = "path")]
    input: Option<String>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// The kind of archive; it is found out
    #[arg(short, long, hide = true)]
    transport: Option<String>,
}

impl Load {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let from = self.input.or(self.path).filter(|from| from != "-");
        if from.is_none() && io::stdin().is_terminal() {
            return Err(CommandError::StdinIsTerminal);
        }
        let disk = world.disk()?;
        let reporter = world.reporter(Silence::from(self.quiet));
        let loaded = load(from.as_deref(), &disk, &Watch(&*reporter));
        reporter.finish();
        for image in loaded? {
            let name = image.name.map_or_else(|| image.root.digest.to_string(), |name| name.familiar());
            world.say(format_args!("Loaded image: {name}"))?;
        }
        Ok(())
    }
}

fn load(from: Option<&str>, disk: &Disk, observer: &dyn Observer) -> Result<Vec<archive::Loaded>, CommandError> {
    Ok(match from {
        None => archive::load_stream("stdin", &mut io::stdin(), disk, observer)?,
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            let mut body = Client::new(ClientOptions::default()).download(url)?.body;
            archive::load_stream(&redacted(url), &mut body, disk, observer)?
        }
        Some(path) => archive::load(Path::new(path), disk, observer)?,
    })
}
