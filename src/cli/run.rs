//! `sealos run IMAGE…`

use clap::Args;
use oci::Platform;

use super::error::CommandError;
use super::world::World;

/// Unpack images and run their commands on this machine
///
/// Each argument is an image, an archive that `sealos save` wrote, or a directory with a Kubefile, which is built
/// first. Their files are unpacked, templates are filled in, and their commands run, in the order given; the first
/// that fails ends it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos run labring/helm:v3.8.2
  sealos run ./app.tar
  sealos run -e replicas=3 --cmd 'helm install app charts/app' app:v1
  sealos run --dry-run app:v1")]
pub(crate) struct Run {
    /// Images, archives, or directories with a Kubefile
    #[arg(required = true, value_name = "IMAGE|ARCHIVE|DIR")]
    pub(crate) images: Vec<String>,
    /// An environment variable for templates and commands; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// A command instead of the image's own; may be given several times
    #[arg(long, value_name = "COMMAND")]
    pub(crate) cmd: Vec<String>,
    /// Run again what has run already
    #[arg(short = 'F', long)]
    pub(crate) force: bool,
    /// The name of the cluster that this belongs to
    #[arg(short, long, default_value = "default", value_name = "NAME", value_parser = cluster_name)]
    pub(crate) cluster: String,
    /// Of an index, the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
    /// The recipe in a directory argument
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    hosts: Hosts,
    /// The kind of archive; it is found out
    #[arg(short, long, hide = true)]
    pub(crate) transport: Option<String>,
}

/// What clusters of several hosts would need.
#[derive(Debug, Args)]
struct Hosts {
    #[arg(short, long, hide = true)]
    masters: Option<String>,
    #[arg(short, long, hide = true)]
    nodes: Option<String>,
    #[arg(long, hide = true)]
    single: bool,
}

impl Hosts {
    fn refuse(&self) -> Result<(), CommandError> {
        match () {
            () if self.masters.is_some() => Err(CommandError::HostsNotSupported("--masters")),
            () if self.nodes.is_some() => Err(CommandError::HostsNotSupported("--nodes")),
            // One host, this one, is what is done anyway.
            () => Ok(()),
        }
    }
}

/// `NAME=VALUE`; commas belong to the value.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A cluster's name becomes a directory's.
pub(crate) fn cluster_name(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.starts_with('.') || text.len() > 63 || !text.bytes().all(fits) {
        return Err("expected letters, digits, `-`, `_` and `.`, at most 63, and no `.` in front".to_owned());
    }
    Ok(text.to_owned())
}
impl Run {
    pub(crate) fn run(self, _: &mut World<'_>) -> Result<(), CommandError> {
        self.hosts.refuse()
    }
}
