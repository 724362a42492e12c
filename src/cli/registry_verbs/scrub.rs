//! `sealos registry scrub`

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use oci::Digest;
use registry::backend::{BackendError, Step};
use registry::names::Name;
use registry_client::{Client, ClientOptions};
use serde_json::json;

use super::failure::RegistryFailure;
use super::place::{self, Use};
use crate::cli::error::CommandError;
use crate::cli::show;
use crate::cli::world::World;
use crate::report::size;

/// Read everything and find what is damaged
///
/// A blob whose bytes are not what its name says is put aside, so that it can be pushed again; with `--repair` it is
/// fetched from another registry that has it. Can be run while the registry is served.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos registry scrub /var/lib/registry
  sealos registry scrub /var/lib/registry --repair http://10.0.0.2:5000")]
pub(crate) struct Scrub {
    /// The registry's directory, or s3://BUCKET/PREFIX
    directory: PathBuf,
    /// A registry with the same repositories that damaged blobs are fetched from
    #[arg(long, value_name = "URL")]
    repair: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Scrub {
    pub(crate) fn run(&self, world: &mut World<'_>) -> Result<(), CommandError> {
        let tree = place::tree(&self.directory, Use::Write)?;
        let mut tell = |step: &Step| match step {
            Step::Blob(digest, bytes) => {
                crate::cli::note(format_args!("damaged: {digest}, {}", size::human(*bytes)));
            }
            Step::Odd(text) => crate::cli::note(format_args!("warning: {text}")),
            _ => {}
        };
        let repair = |digest: &Digest, names: &[Name]| self.fetch(digest, names);
        let repair: Option<registry::backend::Repair<'_>> = self.repair.as_ref().map(|_| &repair as _);
        let scrubbed = tree.scrub(repair, &mut tell).map_err(RegistryFailure::from)?;
        for text in &scrubbed.odd {
            crate::cli::note(format_args!("warning: {text}"));
        }
        if self.json {
            let document = json!({
                "blobs": scrubbed.blobs,
                "bytes": scrubbed.bytes,
                "corrupt": scrubbed.corrupt,
                "repaired": scrubbed.repaired,
                "warnings": scrubbed.odd,
            });
            show::json(world, &document)?;
        } else {
            world.say(format_args!("Read {} blobs, {}", scrubbed.blobs, size::human(scrubbed.bytes)))?;
        }
        let left = scrubbed.corrupt.iter().filter(|digest| !scrubbed.repaired.contains(digest)).count();
        match left {
            0 => Ok(()),
            _ => Err(RegistryFailure::Damaged {
                corrupt: scrubbed.corrupt.len(),
                blobs: scrubbed.blobs,
                repaired: scrubbed.repaired.len(),
            }
            .into()),
        }
    }

    /// Fetches a blob from the other registry, from the first repository there that has it.
    fn fetch(&self, digest: &Digest, names: &[Name]) -> Result<Box<dyn Read>, BackendError> {
        let peer = self.repair.clone().unwrap_or_default();
        let failed = |reason: String| BackendError::Upstream { upstream: peer.clone(), reason };
        let mut why = "no repository here names it".to_owned();
        for name in names {
            match fetch_from(&peer, name, digest) {
                Ok(bytes) => return Ok(bytes),
                Err(reason) => why = reason,
            }
        }
        Err(failed(why))
    }
}

/// Fetches a blob or a manifest; what it is called here, it is called there.
fn fetch_from(peer: &str, name: &Name, digest: &Digest) -> Result<Box<dyn Read>, String> {
    let client = Client::new(ClientOptions::default());
    let peer = if peer.contains("://") { peer.to_owned() } else { format!("https://{peer}") };
    let fetch = |kind: &str| client.download(&format!("{}/v2/{name}/{kind}/{digest}", peer.trim_end_matches('/')));
    let found = fetch("blobs").or_else(|_not_a_blob| fetch("manifests"));
    found.map(|download| download.body as Box<dyn Read>).map_err(|error| error.to_string())
}
