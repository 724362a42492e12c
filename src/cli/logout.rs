//! `sealos logout [REGISTRY]`

use std::path::PathBuf;

use clap::Args;

use super::error::CommandError;
use super::login::key;
use super::registry::{Registry, Trust, client};
use super::world::World;

/// Forget the credentials for a registry
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos logout hub.example
  sealos logout --all")]
pub(crate) struct Logout {
    /// The registry, or a part of it: HOST[:PORT][/PATH]
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    registry: Option<String>,
    /// Forget all credentials
    #[arg(short, long)]
    all: bool,
    /// The file with credentials
    #[arg(long, env = "REGISTRY_AUTH_FILE", hide_env = true, value_name = "FILE")]
    authfile: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "FILE")]
    registries_conf: Option<PathBuf>,
}

impl Logout {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let (authfile, registries_conf) = (self.authfile.clone(), self.registries_conf.clone());
        let logins =
            client(&Registry::from(Trust { authfile, registries_conf, ..Trust::default() }), "", None).logins()?;
        let Some(registry) = &self.registry else {
            let forgotten = logins.erase_all()?;
            return forgotten.iter().try_for_each(|login| said(world, &login.key));
        };
        let key = key(registry)?;
        match logins.erase(&key)?.is_empty() {
            true => Err(CommandError::NotLoggedIn { key }),
            false => said(world, &key),
        }
    }
}

fn said(world: &mut World<'_>, key: &str) -> Result<(), CommandError> {
    world.say(format_args!("Removed login credentials for {key}"))
}
