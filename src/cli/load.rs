//! `sealos load -i FILE`

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::Args;
use content::{Disk, Observer, archive};
use registry_client::redacted;

use super::error::CommandError;
use super::registry::{Registry, client};
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
    #[command(flatten)]
    server: Registry,
    /// The kind of archive; it is found out
    #[arg(short, long, hide = true)]
    transport: Option<String>,
}

impl Load {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let from = self.input.as_deref().or(self.path.as_deref()).filter(|from| *from != "-");
        if from.is_none() && io::stdin().is_terminal() {
            return Err(CommandError::StdinIsTerminal);
        }
        let disk = world.disk()?;
        let reporter = world.reporter(Silence::from(self.quiet));
        let loaded = self.load(from, &disk, &Watch(&*reporter));
        reporter.finish();
        for image in loaded? {
            let name = image.name.map_or_else(|| image.root.digest.to_string(), |name| name.familiar());
            world.say(format_args!("Loaded image: {name}"))?;
        }
        Ok(())
    }

    fn load(
        &self,
        from: Option<&str>,
        disk: &Disk,
        observer: &dyn Observer,
    ) -> Result<Vec<archive::Loaded>, CommandError> {
        let Some(from) = from else { return Ok(archive::load_stream("stdin", &mut io::stdin(), disk, observer)?) };
        match scheme(from) {
            Some("http" | "https") => {
                let mut body = client(&self.server, "", None).download(&self.with_credentials(from))?.body;
                Ok(archive::load_stream(&redacted(from), &mut body, disk, observer)?)
            }
            Some(scheme) => Err(CommandError::Scheme { text: redacted(from), scheme: scheme.to_owned() }),
            None => Ok(archive::load(Path::new(from), disk, observer)?),
        }
    }

    /// The URL with `--creds` in it: a file server has no token service, it is told who asks.
    fn with_credentials(&self, text: &str) -> String {
        let (Some(creds), Ok(mut url)) = (&self.server.creds, url::Url::parse(text)) else { return text.to_owned() };
        let (user, password) = creds.split_once(':').unwrap_or((creds, ""));
        match url.set_username(user).and_then(|()| url.set_password(Some(password))) {
            Ok(()) => url.into(),
            // A URL that cannot carry them is refused by whoever fetches it.
            Err(()) => text.to_owned(),
        }
    }
}

/// The scheme of a URL; none for a path, whatever it looks like, where something is.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|it: char| it.is_ascii_alphabetic())
        && scheme.bytes().all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it));
    (is_scheme && !Path::new(text).exists()).then_some(scheme)
}
