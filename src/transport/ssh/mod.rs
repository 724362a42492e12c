//! Acts on another host by SSH.
//!
//! ```text
//! SshNetwork (settings, known hosts, threads) ─ host ─▶ Ssh ─ Link (one connection, reused) ─▶ channels
//! ```
//!
//! `russh` speaks the protocol; it is asynchronous, and nothing of that leaves this directory: the threads it runs on
//! belong to [`SshNetwork`], and every call here blocks. One connection a host, made when it is first needed, made again
//! when it was lost.
//!
//! Invariants: a host whose key is not the known one is not talked to; arguments and values are quoted once
//! ([`script`]) and stand in no process list; a command that is given up is stopped on the host, as far as the host can
//! be reached.

mod auth;
mod config_file;
mod conversation;
mod known_hosts;
mod link;
mod options;
mod running;
mod script;

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use russh::ChannelMsg;

use self::link::Link;
use self::running::{Ran, run_on};
use self::script::{Become, quote};
use crate::transport::{
    Command, Connection, Conversation, ErrorLines, Interrupt, Output, Status, Transport, TransportError,
};

pub use config_file::SshConfig;
pub use known_hosts::{HostKeys, KnownHosts};
pub use options::{Ask, Question, SshNetwork, SshOptions};

/// A host by SSH.
pub struct Ssh {
    network: Arc<SshNetwork>,
    options: SshOptions,
    interrupt: Interrupt,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    become_root: Option<Become>,
}

impl Ssh {
    /// A host; nothing is connected yet.
    pub fn new(network: Arc<SshNetwork>, options: SshOptions, interrupt: Interrupt) -> Self {
        Self { network, options, interrupt, state: Mutex::default() }
    }

    /// The connection and how to become root on it: those there are, else new ones.
    fn link(&self) -> Result<(Arc<Link>, Become), TransportError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let link = match state.link.as_ref().filter(|link| !link.is_closed()) {
            Some(link) => link.clone(),
            None => {
                let link = self.network.block_on(link::connect(&self.network, &self.options, &self.interrupt))?;
                state.link.insert(Arc::new(link)).clone()
            }
        };
        let become_root = match state.become_root {
            Some(known) => known,
            None => *state.become_root.insert(self.find_become(&link)?),
        };
        Ok((link, become_root))
    }

    /// Finds out whether the user is root, or how sudo makes it so.
    fn find_become(&self, link: &Arc<Link>) -> Result<Become, TransportError> {
        let ask = |line: &str, input: &[u8]| self.network.block_on(link.plain(&self.host(), line, input));
        let (_, uid) = ask("id -u", b"")?;
        if uid.lines().last().is_some_and(|uid| uid.trim() == "0") {
            return Ok(Become::Already);
        }
        let sudo = |reason: String| TransportError::Sudo { host: self.host(), user: link.user.clone(), reason };
        if ask("sudo -n true", b"")?.0.success() {
            return Ok(Become::Sudo);
        }
        let Some(password) = self.options.password.as_ref().or(link.password.as_ref()) else {
            return Err(sudo("sudo wants a password, and none is known".to_owned()));
        };
        // One attempt: after it sudo finds the end of its input.
        let input = format!("{}\n", password.reveal());
        let (status, said) = ask("sudo -k -S -p '' true 2>&1", input.as_bytes())?;
        match status.success() {
            true => Ok(Become::SudoWithPassword),
            false => Err(sudo(said.lines().next().unwrap_or("sudo refused").trim().to_owned())),
        }
    }

    fn password(&self, link: &Link) -> String {
        let password = self.options.password.as_ref().or(link.password.as_ref());
        password.map(|password| password.reveal().to_owned()).unwrap_or_default()
    }

    /// Runs a shell text on the host with a path as `$1`, and tells what went wrong by its stderr.
    fn shell(&self, text: &str, path: &Path) -> io::Result<()> {
        let argv = ["/bin/sh", "-c", text, "sh"].map(str::to_owned).into_iter();
        let argv = argv.chain([path.to_string_lossy().into_owned()]).collect();
        let mut said = Vec::new();
        let status = self
            .run(&Command { argv, ..Command::default() }, &mut |_, line| said.extend_from_slice(line))
            .map_err(io::Error::other)?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&said).trim().to_owned())),
        }
    }
}

/// A name for a file that is not whole yet.
fn beside(to: &Path) -> std::path::PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    to.with_file_name(format!(".{name}.{}", options::word()))
}

impl Transport for Ssh {
    fn run(&self, command: &Command, output: &mut Output<'_>) -> Result<Status, TransportError> {
        if command.argv.is_empty() {
            return Err(TransportError::NoProgram { host: self.host() });
        }
        if self.interrupt.is_wished() {
            return Err(TransportError::Interrupted);
        }
        let (link, become_root) = self.link()?;
        let remote = script::remote(command, become_root, &self.password(&link), &options::word());
        let place = (self.host(), command);
        let ran = self.network.block_on(run_on(&link, &remote, place, &self.interrupt, output))?;
        match ran {
            Ran::Ended(status) => Ok(status),
            Ran::GivenUp { group, error } => {
                let stop = self.network.block_on(running::stop(&link, become_root, &self.password(&link), &group));
                match stop {
                    Ok(()) => Err(error),
                    Err(reason) => Err(TransportError::NotStopped {
                        host: self.host(),
                        program: command.argv.join(" "),
                        reason: reason.to_string(),
                    }),
                }
            }
        }
    }

    fn upload(&self, from: &mut dyn Read, to: &Path, mode: u32) -> Result<u64, TransportError> {
        let failed = |source| TransportError::Upload { host: self.host(), path: to.to_owned(), source };
        let staged = beside(to);
        let text = "mkdir -p \"$(dirname \"$1\")\" && umask 077 && cat >\"$1\"";
        let argv = ["/bin/sh", "-c", text, "sh"].map(str::to_owned).into_iter();
        let argv = argv.chain([staged.to_string_lossy().into_owned()]).collect();
        let command = Command { argv, ..Command::default() };
        let said = Arc::new(Mutex::new(Vec::new()));
        let errors = said.clone();
        let take = move |line: &[u8]| errors.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
        let conversation = self.converse(&command, Box::new(take))?;
        let Conversation { mut input, output, end } = conversation;
        let copied = io::copy(from, &mut input).and_then(|bytes| input.flush().map(|()| bytes));
        drop((input, output));
        let status = end.wait()?;
        let settle = || {
            let bytes = copied?;
            if !status.success() {
                let said = said.lock().unwrap_or_else(PoisonError::into_inner);
                return Err(io::Error::other(String::from_utf8_lossy(&said).trim().to_owned()));
            }
            let text = format!(
                "[ \"$(wc -c <\"$1\")\" -eq {bytes} ] && chmod {:o} \"$1\" && sync \"$1\" 2>/dev/null; \
                 [ \"$(wc -c <\"$1\")\" -eq {bytes} ] && mv -f -- \"$1\" {}",
                mode & 0o7777,
                quote(&to.to_string_lossy())
            );
            self.shell(&text, &staged)?;
            Ok(bytes)
        };
        settle().map_err(|source| {
            // The reason is what must be heard of; the leftover's name begins with a dot.
            self.shell("rm -f -- \"$1\"", &staged).unwrap_or_default();
            failed(source)
        })
    }

    fn download(&self, from: &Path, to: &mut dyn Write) -> Result<u64, TransportError> {
        let failed = |source| TransportError::Download { host: self.host(), path: from.to_owned(), source };
        let argv = vec!["cat".to_owned(), "--".to_owned(), from.to_string_lossy().into_owned()];
        let said = Arc::new(Mutex::new(Vec::new()));
        let errors = said.clone();
        let take = move |line: &[u8]| errors.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
        let Conversation { input, mut output, end } =
            self.converse(&Command { argv, ..Command::default() }, Box::new(take))?;
        drop(input);
        let bytes = io::copy(&mut output, to).map_err(failed)?;
        drop(output);
        match end.wait()?.success() {
            true => Ok(bytes),
            false => {
                let said = said.lock().unwrap_or_else(PoisonError::into_inner);
                Err(failed(io::Error::other(String::from_utf8_lossy(&said).trim().to_owned())))
            }
        }
    }

    fn forward(&self, address: &str) -> Result<Box<dyn Connection>, TransportError> {
        let failed = |source| TransportError::Forward { host: self.host(), address: address.to_owned(), source };
        let wrong = || failed(io::Error::new(io::ErrorKind::InvalidInput, "expected HOST:PORT"));
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let port: u32 = port.parse().map_err(|_error| wrong())?;
        let (link, _) = self.link()?;
        let opened = self.network.block_on(link.direct(host.trim_matches(['[', ']']), port));
        let channel = opened.map_err(|error| failed(io::Error::other(error)))?;
        Ok(Box::new(conversation::Forwarded::new(self.network.clone(), link, channel)))
    }

    fn converse(&self, command: &Command, errors: ErrorLines) -> Result<Conversation, TransportError> {
        if command.argv.is_empty() {
            return Err(TransportError::NoProgram { host: self.host() });
        }
        let (link, become_root) = self.link()?;
        // The program reads what is written to it from now on.
        let command = Command { stdin: Some(Vec::new()), ..command.clone() };
        let remote = script::remote(&command, become_root, &self.password(&link), &options::word());
        conversation::start(&self.network, &link, remote, (self.host(), &command), errors)
    }

    fn host(&self) -> String {
        self.options.shown()
    }
}

/// What the end of a channel says about its program.
fn ended(message: &ChannelMsg) -> Option<Status> {
    match message {
        ChannelMsg::ExitStatus { exit_status } => Some(Status::Exited(u8::try_from(*exit_status).unwrap_or(u8::MAX))),
        ChannelMsg::ExitSignal { signal_name, .. } => Some(Status::Signalled(number(signal_name))),
        _ => None,
    }
}

/// A signal's number on Linux.
fn number(signal: &russh::Sig) -> u8 {
    use russh::Sig;
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => 0,
    }
}
