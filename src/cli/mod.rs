//! The command line: one file a verb, each an adapter. Read the arguments, make one call, print one fact.
//!
//! ```text
//! argv ──▶ Cli (clap) ──▶ verb(args, World) ──▶ stdout: results only
//!                              └─▶ CommandError ──▶ stderr, exit code
//! ```
//!
//! Invariants: results go to stdout, progress and errors to stderr. Exit codes: 0 done (also when the reader of stdout
//! went away), 1 the task failed, 2 the command line was wrong, 130 interrupted. Where nothing wants to be told of an
//! interrupt it is left to the system: a later command tidies up what there is to tidy. No verb knows another one.

mod add;
mod apply;
mod apps;
mod ask;
mod build;
mod build_request;
mod build_world;
mod carried_tree;
mod carrying;
mod completion;
mod conversion;
mod convert;
mod copy;
mod create;
mod delete;
mod diff;
mod env;
mod error;
mod exec;
mod execution;
mod filter;
mod find_or_pull;
mod gen_verb;
mod go_bool;
mod history;
mod hosts;
mod image_files;
mod image_layers;
mod images;
mod images_verbs;
mod inspect;
mod interrupts;
mod load;
mod locate;
mod login;
mod logout;
mod man;
mod manifest;
mod merge;
mod node;
mod pack;
mod plan_verb;
mod platforms;
mod prune;
mod pull;
mod push;
mod registry;
mod registry_verbs;
mod reset;
mod rmi;
mod row;
mod run;
mod run_hosts;
mod run_registry;
mod save;
mod schema;
mod scp;
mod search;
mod sent;
mod show;
mod status;
mod summary;
mod sync;
mod tag;
mod tags;
mod version;
mod whole_file;
mod world;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use self::error::CommandError;
use self::world::{Progress, World};

/// Builds, carries and runs cluster images
///
/// A cluster image is an ordinary OCI image that holds an application, or a whole Kubernetes cluster: files, charts,
/// binaries, the command that installs them, and the container images they need.
#[derive(Debug, Parser)]
#[command(name = "sealos", version, max_term_width = 100, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Verb,
}

const EXAMPLES: &str = "\
Examples:
  sealos build -t app:v1 .            build a cluster image from the Kubefile here
  sealos save app:v1 -o app.tar       write it to a file, to carry it over an air gap
  sealos load -i app.tar              read it in on the other side
  sealos run app:v1                   unpack it and run its commands
  sealos COMMAND --help               everything about one command";

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Where images are kept [default: /var/lib/sealos/storage for root, ~/.local/share/sealos/storage otherwise]
    #[arg(
        long,
        global = true,
        env = "SEALOS_STORAGE_ROOT",
        hide_env_values = true,
        value_name = "DIR",
        display_order = 1000
    )]
    root: Option<PathBuf>,
    /// How progress is shown on stderr: auto (live on a terminal, lines otherwise), plain, json or quiet
    #[arg(long, global = true, value_enum, default_value_t = Progress::Auto, value_name = "HOW",
          hide_possible_values = true, hide_default_value = true, display_order = 1001, overrides_with = "progress")]
    progress: Progress,
    /// Say more about errors
    #[arg(long, global = true, display_order = 1002)]
    debug: bool,
    #[command(flatten)]
    ignored: Ignored,
}

/// Global flags of the Go sealos that mean nothing here; scripts pass them.
#[derive(Debug, Args)]
struct Ignored {
    #[arg(long, global = true, hide = true)]
    runroot: Option<OsString>,
    #[arg(long, global = true, hide = true)]
    storage_driver: Option<OsString>,
    #[arg(long, global = true, hide = true)]
    storage_opt: Vec<OsString>,
    #[arg(long, global = true, hide = true)]
    log_level: Option<OsString>,
    #[arg(long, global = true, hide = true)]
    cgroup_manager: Option<OsString>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(Box<add::Add>),
    Apply(Box<apply::Apply>),
    Apps(Box<apps::Apps>),
    Build(Box<build::Build>),
    Completion(completion::Completion),
    Convert(Box<convert::Convert>),
    Copy(Box<copy::Copy>),
    Create(create::Create),
    Delete(Box<delete::Delete>),
    Diff(diff::Diff),
    Env(env::Env),
    Exec(Box<exec::Exec>),
    Gen(Box<gen_verb::Gen>),
    History(history::History),
    Images(images::Images),
    Inspect(inspect::Inspect),
    Load(Box<load::Load>),
    Login(login::Login),
    Logout(logout::Logout),
    Man(man::Man),
    Manifest(Box<manifest::Manifest>),
    Merge(Box<merge::Merge>),
    #[command(hide = true)]
    Node(node::Node),
    Plan(Box<plan_verb::Plan>),
    Prune(prune::Prune),
    Pull(Box<pull::Pull>),
    Push(Box<push::Push>),
    Registry(registry_verbs::Registry),
    Reset(Box<reset::Reset>),
    Rmi(rmi::Rmi),
    Run(Box<run::Run>),
    Save(save::Save),
    Schema(schema::Schema),
    Scp(Box<scp::Scp>),
    Search(search::Search),
    Status(Box<status::Status>),
    Sync(Box<sync::Sync>),
    Tag(tag::Tag),
    #[command(alias = "list-tags")]
    Tags(tags::Tags),
    Version(version::Version),
}

impl Verb {
    fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        match self {
            Self::Add(verb) => verb.run(world),
            Self::Apply(verb) => verb.run(world),
            Self::Apps(verb) => verb.run(world),
            Self::Build(verb) => verb.run(world),
            Self::Completion(verb) => verb.run(world),
            Self::Convert(verb) => verb.run(world),
            Self::Copy(verb) => verb.run(world),
            Self::Create(verb) => verb.run(world),
            Self::Delete(verb) => verb.run(world),
            Self::Diff(verb) => verb.run(world),
            Self::Env(verb) => verb.run(world),
            Self::Exec(verb) => verb.run(world),
            Self::Gen(verb) => verb.run(world),
            Self::History(verb) => verb.run(world),
            Self::Images(verb) => verb.run(world),
            Self::Inspect(verb) => verb.run(world),
            Self::Load(verb) => verb.run(world),
            Self::Login(verb) => verb.run(world),
            Self::Logout(verb) => verb.run(world),
            Self::Man(verb) => verb.run(world),
            Self::Manifest(verb) => verb.run(world),
            Self::Merge(verb) => verb.run(world),
            Self::Node(verb) => verb.run(world),
            Self::Plan(verb) => verb.run(world),
            Self::Prune(verb) => verb.run(world),
            Self::Pull(verb) => verb.run(world),
            Self::Push(verb) => verb.run(world),
            Self::Registry(verb) => verb.run(world),
            Self::Reset(verb) => verb.run(world),
            Self::Rmi(verb) => verb.run(world),
            Self::Run(verb) => verb.run(world),
            Self::Save(verb) => verb.run(world),
            Self::Schema(verb) => verb.run(world),
            Self::Scp(verb) => verb.run(world),
            Self::Search(verb) => verb.run(world),
            Self::Status(verb) => verb.run(world),
            Self::Sync(verb) => verb.run(world),
            Self::Tag(verb) => verb.run(world),
            Self::Tags(verb) => verb.run(world),
            Self::Version(verb) => verb.run(world),
        }
    }
}

/// The whole command line as clap sees it, for completions and manual pages.
fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program: reads the command line, does what it says, and tells how it went.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    // Not locked: a build writes there from its own threads.
    let mut stdout = io::stdout();
    let mut world = World { root: cli.global.root, progress: cli.global.progress, out: &mut stdout };
    let result = cli.command.run(&mut world).and_then(|()| world.out.flush().map_err(CommandError::Output));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_text();
            if cli.global.debug {
                text.push_str(&format!("debug: {error:?}\n"));
            }
            // With stderr gone there is nobody left to tell; the exit code still says it.
            io::stderr().write_all(text.as_bytes()).unwrap_or_default();
            let code = if interrupts::was_asked() { interrupts::EXIT } else { error.exit_code() };
            ExitCode::from(code)
        }
    }
}

/// Help and version go to stdout with 0; a wrong command line goes to stderr with 2. A reader that went away is no error.
fn refuse(error: &clap::Error) -> ExitCode {
    error.print().unwrap_or_default();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Says something on stderr that belongs to no result.
pub(crate) fn note(text: std::fmt::Arguments<'_>) {
    // Nobody is left to be told that stderr cannot be written.
    writeln!(io::stderr(), "{text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
