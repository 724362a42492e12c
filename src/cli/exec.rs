//! `sealos exec COMMAND…`

use std::io::{self, Write};
use std::sync::Mutex;

use clap::Args;

use super::error::CommandError;
use super::hosts::flags::ChoiceFlags;
use super::hosts::known::KnownFlags;
use super::hosts::reach::on_each;
use super::world::World;
use crate::transport::{Command, Stream};

/// Run commands on the hosts of a cluster
///
/// Each argument is a command line for bash; on each host they run one after the other up to the first that fails. In
/// front of every line of output stands the host. The exit code is 1 if a command failed anywhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos exec 'uname -r'
  sealos exec --roles node 'systemctl restart app' 'systemctl is-active app'
  sealos exec --ips 10.0.0.2,10.0.0.3 'df -h /var'")]
pub(crate) struct Exec {
    /// Command lines
    #[arg(required = true, value_name = "COMMAND")]
    commands: Vec<String>,
    #[command(flatten)]
    choice: ChoiceFlags,
    #[command(flatten)]
    known: KnownFlags,
}

impl Exec {
    pub(crate) fn run(self, _world: &mut World<'_>) -> Result<(), CommandError> {
        let file = self.known.load()?;
        let hosts = self.choice.of(&file.cluster)?;
        let out = Mutex::new(io::stdout());
        on_each(&file.cluster, &hosts, &self.known.work, &|host, transport| {
            for text in &self.commands {
                let argv = ["/bin/bash", "-c", text].map(str::to_owned).to_vec();
                let command = Command { argv, timeout: self.known.work.limit(), ..Command::default() };
                let status = transport.run(&command, &mut |stream, line| {
                    let line = line.strip_suffix(b"\n").unwrap_or(line);
                    let whole = [host.address.to_string().as_bytes(), b": ", line, b"\n"].concat();
                    let _in_turn = out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    // A reader that went away does not end the commands.
                    match stream {
                        Stream::Stdout => io::stdout().write_all(&whole).unwrap_or_default(),
                        Stream::Stderr => io::stderr().write_all(&whole).unwrap_or_default(),
                    }
                })?;
                if !status.success() {
                    return Ok(Some(format!("`{text}` ended with {status}")));
                }
            }
            Ok(None)
        })
    }
}
