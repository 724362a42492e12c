//! What a Kubefile says, typed. Values are as written until `expand` (see `resolve.rs`).

use std::time::Duration;

use super::expand::Escape;
use super::heredoc::Heredoc;
use super::keyword::Keyword;
use super::mount::{Device, RunMount};
use super::span::{Located, Origin};
use super::warning::Warning;

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubefile {
    /// The escape character of the file.
    pub escape: Escape,
    /// The value of `# syntax=`; kept to be shown, never acted upon.
    pub syntax: Option<String>,
    /// The `ARG`s before the first `FROM`; they may be used in `FROM` and be asked for by an `ARG` without value.
    pub global_args: Vec<Located<Vec<ArgDeclaration>>>,
    /// At least one.
    pub stages: Vec<Stage>,
    /// What is legal but probably not meant.
    pub warnings: Vec<Warning>,
}

/// `FROM` and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The image or stage it starts from, as written. See [`Stage::resolve`](Stage::resolve).
    pub base: String,
    /// The name, in lower case.
    pub name: Option<String>,
    /// The value of `--platform`, as written.
    pub platform: Option<String>,
    /// The `FROM` itself.
    pub origin: Origin,
    /// What is done to the base.
    pub instructions: Vec<Located<Instruction>>,
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// Files from a context, a URL or a repository.
    Add(Add),
    /// Build arguments.
    Arg(Vec<ArgDeclaration>),
    /// What a container does by default.
    Cmd(CommandLine),
    /// Files from the context, a stage or an image.
    Copy(Copy),
    /// What a container always does.
    Entrypoint(CommandLine),
    /// Environment variables.
    Env(Vec<Pair>),
    /// Ports; as written, or `number/protocol` each once expanded.
    Expose(Vec<String>),
    /// How to see whether a container is well.
    Healthcheck(Healthcheck),
    /// Labels.
    Label(Vec<Pair>),
    /// Who made it.
    Maintainer(String),
    /// An instruction for those who build upon this image.
    Onbuild(Onbuild),
    /// A command run while building.
    Run(Run),
    /// The shell that shell forms use.
    Shell(Vec<String>),
    /// The signal that stops a container.
    StopSignal(String),
    /// The user (and group).
    User(String),
    /// Mount points.
    Volume(Vec<String>),
    /// The working directory.
    Workdir(String),
}

impl Instruction {
    /// The keyword that starts it.
    pub fn keyword(&self) -> Keyword {
        match self {
            Self::Add(_) => Keyword::Add,
            Self::Arg(_) => Keyword::Arg,
            Self::Cmd(_) => Keyword::Cmd,
            Self::Copy(_) => Keyword::Copy,
            Self::Entrypoint(_) => Keyword::Entrypoint,
            Self::Env(_) => Keyword::Env,
            Self::Expose(_) => Keyword::Expose,
            Self::Healthcheck(_) => Keyword::Healthcheck,
            Self::Label(_) => Keyword::Label,
            Self::Maintainer(_) => Keyword::Maintainer,
            Self::Onbuild(_) => Keyword::Onbuild,
            Self::Run(_) => Keyword::Run,
            Self::Shell(_) => Keyword::Shell,
            Self::StopSignal(_) => Keyword::StopSignal,
            Self::User(_) => Keyword::User,
            Self::Volume(_) => Keyword::Volume,
            Self::Workdir(_) => Keyword::Workdir,
        }
    }
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Text for the shell of the stage.
    Shell(String),
    /// An argument vector, from a JSON array. May be empty: `ENTRYPOINT []` takes the base's away.
    Exec(Vec<String>),
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name; expanded too.
    pub name: String,
    /// The value.
    pub value: String,
    /// Whether it was written `NAME value` instead of `NAME=value`.
    pub legacy: bool,
}

/// One `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDeclaration {
    /// The name; never expanded.
    pub name: String,
    /// The value when no build argument gives one.
    pub default: Option<String>,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path or pattern (or, with `ADD`, a URL).
    Path(String),
    /// A file whose content is in the Kubefile.
    Inline {
        /// Its name.
        name: String,
        /// Its content; leading tabs are gone already where `<<-` asked for that.
        content: String,
        /// Whether variables in it are still to be expanded.
        expand: bool,
    },
}

/// `COPY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// At least one.
    pub sources: Vec<Source>,
    /// The directory (ending in `/`) or file.
    pub destination: String,
    /// `--from`: a stage name, a stage index or an image; never holds variables.
    pub from: Option<String>,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`, as ignore patterns; never expanded.
    pub exclude: Vec<String>,
}

/// `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// At least one.
    pub sources: Vec<Source>,
    /// The directory (ending in `/`) or file.
    pub destination: String,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--exclude`, as ignore patterns; never expanded.
    pub exclude: Vec<String>,
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--keep-git-dir`, when given.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`, when given; otherwise local archives are unpacked and downloaded ones are not.
    pub unpack: Option<bool>,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command as written. [`Run::script`] says what is to be run.
    pub command: CommandLine,
    /// The heredocs below it.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`.
    pub mounts: Vec<RunMount>,
    /// `--network`.
    pub network: Network,
    /// `--security`.
    pub security: Security,
    /// `--device`.
    pub devices: Vec<Device>,
}

/// What a `RUN` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// An argument vector.
    Exec(Vec<String>),
    /// Text for the shell of the stage.
    Shell(String),
    /// A file that starts with `#!`: to be made executable and run by itself.
    File {
        /// Its name.
        name: String,
        /// Its content.
        content: String,
    },
}

impl Run {
    /// What is to be run: heredocs put where the shell, or nobody, needs them.
    ///
    /// A command that is nothing but a heredoc is replaced by its content; otherwise the heredocs follow the command
    /// line and the shell reads them. Variables in them are the shell's affair.
    pub fn script(&self) -> Script {
        let line = match &self.command {
            CommandLine::Exec(arguments) => return Script::Exec(arguments.clone()),
            CommandLine::Shell(line) => line,
        };
        let Some(first) = self.heredocs.first() else { return Script::Shell(line.clone()) };
        if Heredoc::start(line).is_some() {
            let content = first.text();
            return if content.starts_with("#!") {
                Script::File { name: first.name.clone(), content }
            } else {
                Script::Shell(content)
            };
        }
        let bodies = self.heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name));
        Script::Shell(std::iter::once(line.clone()).chain(bodies).collect())
    }
}

/// `RUN --network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The network of the build.
    #[default]
    Default,
    /// No network.
    None,
    /// The host's network.
    Host,
}

/// `RUN --security`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Confined.
    #[default]
    Sandbox,
    /// With every capability.
    Insecure,
}

/// `HEALTHCHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `NONE`: the base's is taken away.
    None,
    /// `CMD`.
    Probe(Probe),
}

/// `HEALTHCHECK CMD`. Zero, here and in an image, stands for the engine's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What tells whether the container is well.
    pub command: CommandLine,
    /// `--interval`.
    pub interval: Duration,
    /// `--timeout`.
    pub timeout: Duration,
    /// `--start-period`.
    pub start_period: Duration,
    /// `--start-interval`.
    pub start_interval: Duration,
    /// `--retries`.
    pub retries: u32,
}

/// `ONBUILD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The trigger as an image's configuration holds it, heredocs included.
    pub text: String,
    /// The same, parsed.
    pub trigger: Box<Instruction>,
}
