//! Where lines end up: gathered, written in one piece, and what cannot be written is counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::Destination;

/// So many bytes are written at a time.
const PIECE: usize = 256 << 10;

/// An open destination.
pub(super) struct Output {
    target: Target,
    gathered: Vec<u8>,
    /// Lines in `gathered`.
    lines: u64,
    /// Lines that could not be written since the last flush; none when everything could.
    lost: Option<u64>,
    /// Whether it was said that nothing can be written.
    is_told: bool,
}

enum Target {
    Stderr,
    Stdout,
    File { path: PathBuf, file: File },
}

impl Output {
    pub(super) fn open(destination: &Destination) -> io::Result<Self> {
        let target = match destination {
            Destination::Stderr => Target::Stderr,
            Destination::Stdout => Target::Stdout,
            Destination::File(path) => Target::File { path: path.clone(), file: open(path)? },
        };
        Ok(Self { target, gathered: Vec::new(), lines: 0, lost: None, is_told: false })
    }

    /// Opens the file anew. When that fails the old one is kept: better there than nowhere.
    pub(super) fn reopen(&mut self) {
        if let Target::File { path, file } = &mut self.target {
            match open(path) {
                Ok(new) => *file = new,
                Err(error) => say(&format!("error: cannot open the access log `{}` anew: {error}\n", path.display())),
            }
        }
    }

    /// Adds bytes with that many lines of requests in them.
    pub(super) fn add(&mut self, bytes: &[u8], lines: u64) {
        self.gathered.extend_from_slice(bytes);
        self.lines += lines;
        if self.gathered.len() >= PIECE {
            self.write();
        }
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// How many lines could not be written since the last flush.
    pub(super) fn flush(&mut self) -> Result<(), u64> {
        self.write();
        self.lost.take().map_or(Ok(()), Err)
    }

    fn write(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let result = match &mut self.target {
            Target::Stderr => io::stderr().write_all(&self.gathered),
            Target::Stdout => io::stdout().write_all(&self.gathered),
            Target::File { file, .. } => file.write_all(&self.gathered),
        };
        self.gathered.clear();
        let lines = std::mem::take(&mut self.lines);
        match result {
            Ok(()) => self.is_told = false,
            Err(error) => {
                self.lost = Some(self.lost.unwrap_or(0) + lines);
                if !self.is_told {
                    say(&format!("error: cannot write the access log: {error}; lines are left out\n"));
                }
                self.is_told = true;
            }
        }
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn say(text: &str) {
    // With stderr gone there is nobody left to tell; the figure still says it.
    io::stderr().write_all(text.as_bytes()).unwrap_or_default();
}
