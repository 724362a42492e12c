//! What instructions without files do to an image's configuration.

use oci::{Healthcheck as HealthcheckConfig, History, ImageConfig, Platform};
use serde_json::{Map, Value};

use super::destination::absolute;
use super::error::BuildError;
use crate::kubefile::{CommandLine, Healthcheck, Instruction, Probe};

/// The PATH of an image made from nothing, as container engines have it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The shell of shell forms where SHELL said nothing.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The configuration of `FROM scratch`.
pub(crate) fn scratch(platform: &Platform) -> ImageConfig {
    let mut config = ImageConfig::default();
    config.set_platform(platform);
    config.set_env("PATH", DEFAULT_PATH);
    config
}

/// What an instruction needs to know besides the configuration.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Whether this file had a CMD: ENTRYPOINT clears only an inherited one.
    pub(crate) has_cmd: bool,
}

/// Applies an instruction, whose variables are expanded. Those that change files (and ARG) leave it as it is.
///
/// # Errors
/// When a value cannot be used.
pub(crate) fn apply(config: &mut ImageConfig, instruction: &Instruction, said: &mut Said) -> Result<(), BuildError> {
    let shell = shell(config);
    let runtime = &mut config.config;
    match instruction {
        Instruction::Cmd(command) => {
            runtime.cmd = Some(argv(command, &shell));
            said.has_cmd = true;
        }
        Instruction::Entrypoint(command) => {
            runtime.entrypoint = Some(argv(command, &shell)).filter(|argv| !argv.is_empty());
            if !said.has_cmd {
                runtime.cmd = None;
            }
        }
        Instruction::Env(pairs) => pairs.iter().for_each(|pair| config.set_env(&pair.name, &pair.value)),
        Instruction::Label(pairs) => {
            runtime.labels.extend(pairs.iter().map(|pair| (pair.name.clone(), pair.value.clone())));
        }
        Instruction::Expose(ports) => {
            runtime.exposed_ports.extend(ports.iter().map(|port| (port.clone(), empty())));
        }
        Instruction::Volume(paths) => runtime.volumes.extend(paths.iter().map(|path| (path.clone(), empty()))),
        Instruction::User(user) => runtime.user.clone_from(user),
        Instruction::Workdir(path) => runtime.working_dir = workdir(&runtime.working_dir, path),
        Instruction::StopSignal(signal) => runtime.stop_signal = Some(signal.clone()),
        Instruction::Shell(shell) => runtime.shell = Some(shell.clone()),
        Instruction::Maintainer(author) => config.author = Some(author.clone()),
        Instruction::Healthcheck(Healthcheck::None) => {
            runtime.healthcheck = Some(HealthcheckConfig { test: vec!["NONE".to_owned()], ..Default::default() });
        }
        Instruction::Healthcheck(Healthcheck::Probe(probe)) => runtime.healthcheck = Some(healthcheck(probe)?),
        Instruction::Onbuild(onbuild) => runtime.on_build.push(onbuild.text.clone()),
        Instruction::Arg(_) | Instruction::Copy(_) | Instruction::Add(_) | Instruction::Run(_) => {}
    }
    Ok(())
}

/// The shell of shell forms.
pub(crate) fn shell(config: &ImageConfig) -> Vec<String> {
    let own = config.config.shell.clone().filter(|shell| !shell.is_empty());
    own.unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec())
}

/// A command as an argument vector.
pub(crate) fn argv(command: &CommandLine, shell: &[String]) -> Vec<String> {
    match command {
        CommandLine::Exec(argv) => argv.clone(),
        CommandLine::Shell(text) => shell.iter().cloned().chain([text.clone()]).collect(),
    }
}

/// A working directory below another one: absolute and normalised.
pub(crate) fn workdir(current: &str, path: &str) -> String {
    format!("/{}", String::from_utf8_lossy(&absolute(path, current)))
}

fn healthcheck(probe: &Probe) -> Result<HealthcheckConfig, BuildError> {
    let test = match &probe.command {
        CommandLine::Exec(argv) => std::iter::once("CMD".to_owned()).chain(argv.iter().cloned()).collect(),
        CommandLine::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
    };
    let nanos = |duration: std::time::Duration| {
        i64::try_from(duration.as_nanos()).map_err(|_too_long| BuildError::Value {
            what: "the duration",
            text: format!("{duration:?}"),
            reason: "it is longer than 292 years".to_owned(),
        })
    };
    Ok(HealthcheckConfig {
        test,
        interval: nanos(probe.interval)?,
        timeout: nanos(probe.timeout)?,
        start_period: nanos(probe.start_period)?,
        start_interval: nanos(probe.start_interval)?,
        retries: i64::from(probe.retries),
    })
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// Notes in the history what an instruction was, and whether it made a layer.
pub(crate) fn note(config: &mut ImageConfig, created: &str, created_by: String, made_layer: MadeLayer) {
    config.history.push(History {
        created: Some(created.to_owned()),
        created_by: Some(created_by),
        author: config.author.clone(),
        empty_layer: made_layer == MadeLayer::No,
        ..History::default()
    });
}

/// Whether an instruction made a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MadeLayer {
    /// It did.
    Yes,
    /// It did not.
    No,
}
