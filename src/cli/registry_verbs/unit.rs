//! `sealos registry unit [FLAGS OF serve]`

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use registry::unit::{UnitOptions, Units};

use super::failure::RegistryFailure;
use super::serve::Serve;
use crate::cli::error::CommandError;
use crate::cli::world::World;

/// Print systemd units that serve a registry
///
/// What follows the options is what `sealos registry serve` would be given; paths have to be absolute. The service runs
/// with as few rights as it needs. The socket is optional: with it systemd listens, so that no connection is refused
/// while the registry restarts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos registry unit filesystem /var/lib/registry
  sealos registry unit -o /etc/systemd/system --user registry filesystem /srv/registry \\
      --listen 0.0.0.0:5000 --htpasswd /etc/registry/users --tls-cert /etc/registry/hub.crt --tls-key /etc/registry/hub.key
  systemctl daemon-reload && systemctl enable --now sealos-registry")]
pub(crate) struct Unit {
    /// The name of the units
    #[arg(long, value_name = "NAME", default_value = "sealos-registry", value_parser = name)]
    name: String,
    /// The user that it runs as
    #[arg(long, value_name = "USER", default_value = "root")]
    user: String,
    /// The program [default: this one]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Write the units into this directory instead of printing them
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What `sealos registry serve` is given
    #[arg(value_name = "SERVE ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    serve: Vec<OsString>,
}

/// The arguments of serve, read alone.
#[derive(Parser)]
#[command(name = "sealos registry serve", no_binary_name = true, disable_help_flag = true)]
struct Alone {
    #[command(flatten)]
    serve: Serve,
}

impl Unit {
    pub(crate) fn run(&self, world: &mut World<'_>) -> Result<(), CommandError> {
        let Alone { serve } = Alone::try_parse_from(&self.serve).map_err(|error| {
            let reason = error.to_string();
            CommandError::Usage(reason.trim_start_matches("error: ").trim_end().to_owned())
        })?;
        let (reads, writes) = serve.touches(&world.store_place()?);
        if let Some(relative) = reads.iter().chain(&writes).find(|path| path.is_relative()) {
            return Err(RegistryFailure::RelativePath(relative.clone()).into());
        }
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(CommandError::io("find this program"))?,
        };
        let mut arguments = vec!["registry".to_owned(), "serve".to_owned()];
        arguments.extend(self.serve.iter().map(|word| word.to_string_lossy().into_owned()));
        let options = UnitOptions {
            name: self.name.clone(),
            program,
            arguments,
            user: self.user.clone(),
            reads,
            writes,
            listen: serve.addresses(),
            drain: serve.drain(),
        };
        match &self.output {
            Some(directory) => self.write(directory, &options.units(), world),
            None => self.print(&options.units(), world),
        }
    }

    fn print(&self, units: &Units, world: &mut World<'_>) -> Result<(), CommandError> {
        let name = &self.name;
        world.say(format_args!("# /etc/systemd/system/{name}.service\n{}", units.service))?;
        world.say(format_args!("# /etc/systemd/system/{name}.socket\n{}", units.socket.trim_end()))
    }

    fn write(&self, directory: &Path, units: &Units, world: &mut World<'_>) -> Result<(), CommandError> {
        for (kind, text) in [("service", &units.service), ("socket", &units.socket)] {
            let path = directory.join(format!("{}.{kind}", self.name));
            fs::write(&path, text).map_err(CommandError::io(format!("write {}", path.display())))?;
            world.say(path.display())?;
        }
        Ok(())
    }
}

/// The name of a unit: what systemd allows without escapes.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty() && text.len() < 200 && text.chars().all(plain) && !text.starts_with(['.', '-']) {
        true => Ok(text.to_owned()),
        false => Err("expected letters, digits, dashes, underscores and dots".to_owned()),
    }
}
