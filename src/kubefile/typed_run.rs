//! Words -> `RUN`, `CMD`, `ENTRYPOINT` and `HEALTHCHECK`: the instructions with a command line. And `FROM`.

use std::time::Duration;

use super::duration;
use super::error::Problem;
use super::expand::{self, Escape, ExpandError};
use super::flags::{Flags, Shape};
use super::instruction::{CommandLine, Healthcheck, Instruction, Network, Probe, Run, Security};
use super::keyword::Keyword;
use super::mount::{Device, Mount, MountError, RunMount};
use super::span::{Fault, Mark};
use super::typed::{Request, is_blank};
use super::warning::Caution;
use super::words::{self, Command};

/// `CMD` and `ENTRYPOINT`.
pub(crate) fn command(request: &mut Request<'_>) -> Result<CommandLine, Fault> {
    request.no_flags()?;
    command_line(request)
}

fn command_line(request: &mut Request<'_>) -> Result<CommandLine, Fault> {
    let command = match request.json()? {
        Some(strings) => CommandLine::Exec(strings),
        None => CommandLine::Shell(request.command.rest.clone()),
    };
    if is_blank(&command) {
        request.cautions.push((Caution::NoCommand { instruction: request.keyword }, Mark::Keyword));
    }
    Ok(command)
}

const RUN_FLAGS: &[(&str, Shape)] =
    &[("mount", Shape::Values), ("network", Shape::Value), ("security", Shape::Value), ("device", Shape::Values)];

/// `RUN`.
pub(crate) fn run(request: &mut Request<'_>) -> Result<Instruction, Fault> {
    let flags = request.flags(RUN_FLAGS)?;
    let mounts = flags.values("mount").into_iter().map(|text| written_mount(text, request.escape));
    let mounts = mounts.collect::<Result<Vec<_>, _>>()?;
    let devices = flags.values("device").into_iter().map(|text| {
        Device::read(&text).map_err(|reason| Fault::at(&text, Problem::Mount { mount: text.clone(), reason }))
    });
    let devices = devices.collect::<Result<Vec<_>, _>>()?;
    let network =
        choice(&flags, "network", &["default", "none", "host"], &[Network::Default, Network::None, Network::Host])?;
    let security = choice(&flags, "security", &["sandbox", "insecure"], &[Security::Sandbox, Security::Insecure])?;
    let command = command_line(request)?;
    let heredocs = match command {
        CommandLine::Shell(_) => std::mem::take(&mut request.heredocs),
        CommandLine::Exec(_) => Vec::new(),
    };
    Ok(Instruction::Run(Run { command, heredocs, mounts, network, security, devices }))
}

fn choice<T: Clone + Default>(
    flags: &Flags,
    flag: &'static str,
    allowed: &'static [&'static str],
    meanings: &[T],
) -> Result<T, Fault> {
    let Some(value) = flags.values(flag).into_iter().next() else { return Ok(T::default()) };
    let found = allowed.iter().zip(meanings).find(|(word, _)| **word == value).map(|(_, meaning)| meaning.clone());
    found.ok_or_else(|| Fault::at(&format!("--{flag}={value}"), Problem::FlagValue { flag, value, allowed }))
}

/// A mount without variables is typed at once, so that its mistakes show at once.
fn written_mount(text: String, escape: Escape) -> Result<RunMount, Fault> {
    if !text.contains('$') {
        return mount(&text, escape, &|_| None).map(|mount| RunMount::Ready(Box::new(mount)));
    }
    let from_variable = |field: &str| {
        let (key, value) = field.split_once('=')?;
        let dollar = value.find('$')?;
        (key.eq_ignore_ascii_case("from") && dollar + 1 != value.len()).then(|| value.to_owned())
    };
    match text.split(',').find_map(from_variable) {
        Some(value) => Err(Fault::at(&value, Problem::Mount { mount: text, reason: MountError::VariableInFrom })),
        None => Ok(RunMount::Written(text)),
    }
}

/// A mount with its variables replaced.
pub(crate) fn mount(text: &str, escape: Escape, lookup: expand::Lookup<'_>) -> Result<Mount, Fault> {
    enum Why {
        Mount(MountError),
        Expand(ExpandError),
    }
    impl From<MountError> for Why {
        fn from(error: MountError) -> Self {
            Self::Mount(error)
        }
    }
    let mount = Mount::read::<Why>(text, &|value| expand::word(value, escape, lookup).map_err(Why::Expand));
    mount.map_err(|why| match why {
        Why::Mount(reason) => Fault::at(text, Problem::Mount { mount: text.to_owned(), reason }),
        Why::Expand(error) => Fault::at(text, Problem::Expansion(error)),
    })
}

const HEALTHCHECK_FLAGS: &[(&str, Shape)] = &[
    ("interval", Shape::Value),
    ("timeout", Shape::Value),
    ("start-period", Shape::Value),
    ("start-interval", Shape::Value),
    ("retries", Shape::Value),
];

/// `HEALTHCHECK`.
pub(crate) fn healthcheck(request: &mut Request<'_>) -> Result<Healthcheck, Fault> {
    let rest = &request.command.rest;
    let (kind, after) = rest.split_once(char::is_whitespace).unwrap_or((rest.as_str(), ""));
    let after = after.trim_start();
    if kind.is_empty() {
        return Err(request.missing("`NONE` or `CMD` and a command"));
    }
    if kind.eq_ignore_ascii_case("NONE") {
        request.ignore_flags();
        return if after.is_empty() { Ok(Healthcheck::None) } else { Err(Fault::at(after, Problem::HealthcheckNone)) };
    }
    let flags = request.flags(HEALTHCHECK_FLAGS)?;
    if !kind.eq_ignore_ascii_case("CMD") {
        return Err(Fault::at(kind, Problem::HealthcheckKind { word: kind.to_owned() }));
    }
    let command = match request.json_of(after)? {
        Some(strings) if strings.is_empty() => return Err(request.missing("a command after `CMD`")),
        Some(strings) => CommandLine::Exec(strings),
        None if after.is_empty() => return Err(request.missing("a command after `CMD`")),
        None => CommandLine::Shell(after.to_owned()),
    };
    Ok(Healthcheck::Probe(Probe {
        command,
        interval: interval(&flags, "interval")?,
        timeout: interval(&flags, "timeout")?,
        start_period: interval(&flags, "start-period")?,
        start_interval: interval(&flags, "start-interval")?,
        retries: retries(&flags)?,
    }))
}

fn interval(flags: &Flags, flag: &'static str) -> Result<Duration, Fault> {
    let Some(value) = flags.value(flag) else { return Ok(Duration::ZERO) };
    duration::parse_interval(&value)
        .map_err(|reason| Fault::at(&format!("--{flag}={value}"), Problem::Duration { flag, value, reason }))
}

fn retries(flags: &Flags) -> Result<u32, Fault> {
    let Some(value) = flags.value("retries") else { return Ok(0) };
    match value.parse::<i32>().ok().and_then(|retries| u32::try_from(retries).ok()) {
        Some(retries) => Ok(retries),
        None => Err(Fault::at(&format!("--retries={value}"), Problem::Retries { value })),
    }
}

/// The words of `FROM`.
pub(crate) struct FromWords {
    pub(crate) base: String,
    pub(crate) name: Option<String>,
    pub(crate) platform: Option<String>,
}

/// `FROM`.
pub(crate) fn from(command: &Command) -> Result<FromWords, Fault> {
    let words = words::split_blank(&command.rest);
    let (base, name) = match words.as_slice() {
        [base] => (base, None),
        [base, r#as, name] if r#as.eq_ignore_ascii_case("as") => (base, Some(stage_name(name)?)),
        [] => {
            let needed = "an image, or `scratch`";
            return Err(Fault::keyword(Problem::MissingArguments { instruction: Keyword::From, needed }));
        }
        _ => return Err(Fault::at(&command.rest, Problem::FromWords)),
    };
    let flags = Flags::read(Keyword::From, &command.flags, &[("platform", Shape::Value)])?;
    Ok(FromWords { base: base.clone(), name, platform: flags.value("platform") })
}

fn stage_name(name: &str) -> Result<String, Fault> {
    let lower = name.to_lowercase();
    let mut chars = lower.chars();
    let fine = chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    if fine { Ok(lower) } else { Err(Fault::at_last(name, Problem::StageName { name: name.to_owned() })) }
}
