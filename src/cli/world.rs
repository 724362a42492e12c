//! What a verb may touch: the store, stdout, and a reporter on stderr.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use content::Disk;

use super::error::CommandError;
use crate::report::{JsonLines, Plain, Quiet, Reporter, Terminal};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// Live on a terminal, lines otherwise
    Auto,
    /// One line a blob or step
    Plain,
    /// One JSON object a line
    Json,
    /// Not at all
    Quiet,
}

/// What a verb may touch.
pub(crate) struct World<'a> {
    /// The store's place, if the user named one.
    pub(crate) root: Option<PathBuf>,
    pub(crate) progress: Progress,
    /// Results, and nothing else.
    pub(crate) out: &'a mut dyn Write,
}

impl World<'_> {
    /// Where the store is or would be.
    pub(crate) fn store_place(&self) -> Result<PathBuf, CommandError> {
        if let Some(root) = &self.root {
            return Ok(root.clone());
        }
        if is_real_root() {
            return Ok(PathBuf::from("/var/lib/sealos/storage"));
        }
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // The base directory specification: a relative XDG_DATA_HOME is to be ignored.
        let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("sealos/storage")).ok_or(CommandError::NoHome)
    }

    /// Opens the store, making it where there is none.
    pub(crate) fn disk(&self) -> Result<Disk, CommandError> {
        Ok(Disk::open(self.store_place()?)?)
    }

    /// Who hears about the work. Call it after everything that must happen before other threads exist.
    pub(crate) fn reporter(&self, quiet: Silence) -> Box<dyn Reporter> {
        match (self.progress, quiet) {
            (_, Silence::Wanted) | (Progress::Quiet, _) => Box::new(Quiet),
            (Progress::Json, _) => Box::new(JsonLines::new(io::stderr())),
            (Progress::Auto, _) if io::stderr().is_terminal() => Box::new(Terminal::new(io::stderr(), columns)),
            (Progress::Auto | Progress::Plain, _) => Box::new(Plain::new(io::stderr())),
        }
    }

    /// Writes one line of the result.
    pub(crate) fn say(&mut self, line: impl std::fmt::Display) -> Result<(), CommandError> {
        writeln!(self.out, "{line}").map_err(CommandError::Output)
    }
}

/// Whether this is the machine's root: inside a user namespace everybody can be root.
pub(crate) fn is_real_root() -> bool {
    rustix::process::geteuid().is_root() && !crate::sandbox::is_in_user_namespace()
}

/// Whether the user asked a verb to be quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// `-q` was given.
    Wanted,
    /// It was not.
    Unasked,
}

impl From<bool> for Silence {
    fn from(quiet: bool) -> Self {
        if quiet { Self::Wanted } else { Self::Unasked }
    }
}

/// The width of the terminal at stderr; 80 where it cannot be asked.
fn columns() -> usize {
    rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col))
}
