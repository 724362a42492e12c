//! `sealos env`

use clap::Args;

use super::error::CommandError;
use super::world::World;

/// Variables that sealos reads: name, what holds without it, meaning.
const VARIABLES: [(&str, &str, &str); 7] = [
    (
        "SEALOS_STORAGE_ROOT",
        "/var/lib/sealos/storage",
        "where images are kept (for others than root ~/.local/share/sealos/storage)",
    ),
    ("SEALOS_DATA_ROOT", "/var/lib/sealos/data", "where the files of clusters are, on every host"),
    ("SEALOS_RUNTIME_ROOT", "~/.sealos", "where clusters are kept on the machine that runs sealos"),
    ("SEALOS_EXECUTION_TIMEOUT", "0", "how long one command of an image may take; 0 is as long as it wants"),
    ("SEALOS_SSH_PASSWORD", "", "the password for login and sudo"),
    ("SEALOS_SSH_PASSPHRASE", "", "what decrypts the private key"),
    ("REGISTRY_AUTH_FILE", "", "the file with credentials for registries"),
];

/// Names whose values nobody is to read over a shoulder.
const SECRET: [&str; 2] = ["SEALOS_SSH_PASSWORD", "SEALOS_SSH_PASSPHRASE"];

/// Print the environment variables that sealos reads
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos env
  sealos env -v")]
pub(crate) struct Env {
    /// Say what each means
    #[arg(short, long)]
    verbose: bool,
}

impl Env {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        for (name, usual, meaning) in VARIABLES {
            let value = match std::env::var(name) {
                Ok(_) if SECRET.contains(&name) => "(set)".to_owned(),
                Ok(value) => value,
                Err(_) => usual.to_owned(),
            };
            let meaning = if self.verbose { format!("\t# {meaning}") } else { String::new() };
            world.say(format!("{name}={value}{meaning}"))?;
        }
        Ok(())
    }
}
