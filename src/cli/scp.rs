//! `sealos scp SOURCE TARGET`

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::error::CommandError;
use super::hosts::flags::ChoiceFlags;
use super::hosts::known::KnownFlags;
use super::hosts::reach::on_each;
use super::world::World;
use crate::transport::{Command, Transport, TransportError};

/// Copy a file or a directory to the hosts of a cluster
///
/// A file appears whole or not at all. TARGET is the path that SOURCE gets on the hosts. Links in a directory are copied
/// as links.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos scp ./app.conf /etc/app.conf
  sealos scp --roles node ./certs /etc/app/certs")]
pub(crate) struct Scp {
    /// The file or directory here
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Its path there
    #[arg(value_name = "TARGET")]
    target: PathBuf,
    #[command(flatten)]
    choice: ChoiceFlags,
    #[command(flatten)]
    known: KnownFlags,
}

/// What is copied.
enum Piece {
    Directory(PathBuf),
    File(PathBuf, PathBuf, u32),
    Link(PathBuf, PathBuf),
}

impl Scp {
    pub(crate) fn run(self, _world: &mut World<'_>) -> Result<(), CommandError> {
        if !self.target.is_absolute() {
            return Err(CommandError::Usage(format!("{} is no absolute path", self.target.display())));
        }
        let file = self.known.load()?;
        let hosts = self.choice.of(&file.cluster)?;
        let doing = || CommandError::io(format!("read {}", self.source.display()));
        let pieces = pieces(&self.source, &self.target).map_err(doing())?;
        on_each(&file.cluster, &hosts, &self.known.work, &|_, transport| {
            pieces.iter().try_for_each(|piece| put(piece, transport)).map(|()| None)
        })
    }
}

fn pieces(source: &Path, target: &Path) -> io::Result<Vec<Piece>> {
    let mut all = Vec::new();
    // Of the source itself a link is followed: it is what was named.
    let mut todo = vec![(fs::canonicalize(source)?, target.to_owned())];
    while let Some((from, to)) = todo.pop() {
        let found = from.symlink_metadata()?;
        if found.is_symlink() {
            all.push(Piece::Link(fs::read_link(&from)?, to));
        } else if found.is_dir() {
            let mut names = fs::read_dir(&from)?.collect::<io::Result<Vec<_>>>()?;
            names.sort_by_key(fs::DirEntry::file_name);
            all.push(Piece::Directory(to.clone()));
            todo.extend(names.into_iter().map(|entry| (entry.path(), to.join(entry.file_name()))));
        } else if found.is_file() {
            all.push(Piece::File(from, to, found.permissions().mode() & 0o7777));
        } else {
            return Err(io::Error::other(format!("{} is no file, directory or link", from.display())));
        }
    }
    Ok(all)
}

fn put(piece: &Piece, host: &dyn Transport) -> Result<(), TransportError> {
    match piece {
        Piece::File(from, to, mode) => {
            let failed = |source| TransportError::Upload { host: host.host(), path: to.clone(), source };
            host.upload(&mut File::open(from).map_err(failed)?, to, *mode).map(drop)
        }
        Piece::Directory(to) => shell(host, "mkdir -p -- \"$1\"", to, Path::new("")),
        Piece::Link(target, to) => shell(host, "rm -f -- \"$1\" && ln -s -- \"$2\" \"$1\"", to, target),
    }
}

/// Runs a line of shell with two paths.
fn shell(host: &dyn Transport, text: &str, first: &Path, second: &Path) -> Result<(), TransportError> {
    let paths = [first, second].map(|path| path.to_string_lossy().into_owned());
    let argv = ["/bin/sh", "-c", text, "sh"].map(str::to_owned).into_iter().chain(paths).collect();
    let mut said = Vec::new();
    let status = host.run(&Command { argv, ..Command::default() }, &mut |_, line| said.extend_from_slice(line))?;
    if status.success() {
        return Ok(());
    }
    let source = io::Error::other(String::from_utf8_lossy(&said).trim().to_owned());
    Err(TransportError::Upload { host: host.host(), path: first.to_owned(), source })
}
