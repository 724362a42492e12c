//! Questions to whoever sits at the terminal.
//!
//! They are asked on the terminal itself, not on stdin and stdout, which belong to data.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use registry_client::Secret;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::error::CommandError;

/// No password is longer, in bytes.
const LONGEST: u64 = 64 << 10;
/// What Ctrl-C types where it does not interrupt.
const INTERRUPT: u8 = 3;

/// Asks for a line.
///
/// # Errors
/// When there is no terminal, or it was closed.
pub(crate) fn line(question: &str) -> Result<String, CommandError> {
    let terminal = open()?;
    answer(&terminal, question)
}

/// Asks for a line that is not shown while it is typed.
///
/// # Errors
/// As [`line`].
pub(crate) fn secret(question: &str) -> Result<Secret, CommandError> {
    let terminal = open()?;
    let silence = Silence::begin(&terminal)?;
    let text = answer(&terminal, question);
    drop(silence);
    // The line feed was not shown either.
    (&terminal).write_all(b"\n").map_err(CommandError::io("write to the terminal"))?;
    text.map(Secret::new)
}

/// Reads a secret from stdin, to its end; one line end behind it does not belong to it.
///
/// # Errors
/// When stdin cannot be read, or holds no text.
pub(crate) fn secret_on_stdin() -> Result<Secret, CommandError> {
    let mut text = String::new();
    let read = io::stdin().lock().take(LONGEST).read_to_string(&mut text);
    read.map_err(CommandError::io("read the password from stdin"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}

fn open() -> Result<File, CommandError> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
    opened.map_err(|_none| CommandError::NobodyToAsk)
}

fn answer(mut terminal: &File, question: &str) -> Result<String, CommandError> {
    terminal.write_all(question.as_bytes()).map_err(CommandError::io("write to the terminal"))?;
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = terminal.read(&mut piece).map_err(CommandError::io("read from the terminal"))?;
        bytes.extend_from_slice(&piece[..count]);
        match bytes.last() {
            _ if count == 0 => return Err(CommandError::NobodyToAsk),
            Some(&INTERRUPT) => return Err(CommandError::Interrupted),
            Some(b'\n') => break,
            _ if bytes.len() as u64 > LONGEST => return Err(CommandError::NobodyToAsk),
            _ => {}
        }
    }
    let text = String::from_utf8(bytes).map_err(|_bytes| CommandError::NobodyToAsk)?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn begin(terminal: &'a File) -> Result<Self, CommandError> {
        let doing = |error: rustix::io::Errno| CommandError::io("switch off the terminal's echo")(error.into());
        let before = tcgetattr(terminal).map_err(doing)?;
        let mut silent = before.clone();
        // An interrupt would leave the terminal silent: Ctrl-C ends the line instead.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(doing)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        tcsetattr(self.terminal, OptionalActions::Flush, &self.before).unwrap_or_default();
    }
}

/// Asks whether something is wanted.
///
/// # Errors
/// When it is not, or nobody can be asked.
pub(crate) fn confirm(question: &str) -> Result<(), CommandError> {
    match line(&format!("{question}? [y/N] ")) {
        Ok(answer) if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") => Ok(()),
        Ok(_) => Err(CommandError::Declined(question.to_owned())),
        Err(CommandError::NobodyToAsk) => Err(CommandError::NobodyToConfirm { question: question.to_owned() }),
        Err(error) => Err(error),
    }
}
