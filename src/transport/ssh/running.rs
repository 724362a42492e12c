//! One command to its end.

use std::io;
use std::time::Duration;

use russh::ChannelMsg;
use tokio::time::{Instant, interval, timeout_at};

use super::link::Link;
use super::script::{Become, Gate, Remote};
use super::{ended, options};
use crate::transport::lines::Lines;
use crate::transport::{Command, Interrupt, Output, Status, Stream, TransportError};

/// How often we look whether an interruption is wished.
const LOOK: Duration = Duration::from_millis(50);
/// How long output is waited for after the command ended while something it started keeps the channel open.
const LINGER: Duration = Duration::from_millis(500);
/// How long a command that is given up may clean up before it is killed.
const GRACE: u32 = 5;
/// How long a command may need to be there.
const START: Duration = Duration::from_secs(5);
/// How long stopping it may take.
const STOP: Duration = Duration::from_secs(20);

/// How a command came to its end.
pub(super) enum Ran {
    Ended(Status),
    /// It runs on and has to be stopped.
    GivenUp {
        /// Its process group.
        group: String,
        error: TransportError,
    },
}

/// Runs a command and hands on what it prints.
pub(super) async fn run_on(
    link: &Link,
    remote: &Remote,
    (host, command): (String, &Command),
    interrupt: &Interrupt,
    output: &mut Output<'_>,
) -> Result<Ran, TransportError> {
    let channel = link.exec(&host, &remote.line).await?;
    let (mut reading, writing) = channel.split();
    let mut input = remote.head.clone();
    input.extend(command.stdin.iter().flatten());
    let feed = async {
        // A command that does not want its input is not our failure.
        if writing.data_bytes(input).await.is_ok() {
            writing.eof().await.ok();
        }
    };
    tokio::pin!(feed);
    let mut watch = Watch::new(remote, output);
    let mut look = interval(LOOK);
    let (begin, mut fed, mut quiet_since, mut given_up) = (Instant::now(), false, None, None);
    loop {
        let message = tokio::select! {
            message = reading.wait() => message,
            () = &mut feed, if !fed => {
                fed = true;
                continue;
            }
            _ = look.tick() => {
                let late = command.timeout.filter(|limit| begin.elapsed() > *limit);
                let unwanted = watch.status.is_none() && (interrupt.is_wished() || late.is_some());
                if unwanted {
                    given_up.get_or_insert(Instant::now());
                }
                // What has just been started says in a moment which process it is.
                let known = watch.err.said.is_some();
                if unwanted && (known || given_up.is_some_and(|since| since.elapsed() > START)) {
                    let error = match late {
                        Some(after) => TransportError::Timeout { host, program: command.argv.join(" "), after },
                        None => TransportError::Interrupted,
                    };
                    let group = watch.err.said.clone().unwrap_or_default();
                    return Ok(Ran::GivenUp { group, error });
                }
                match quiet_since {
                    Some(since) if Instant::now() - since > LINGER => None,
                    _ => continue,
                }
            }
        };
        match message {
            Some(message) => {
                watch.take(&message);
                quiet_since = watch.status.map(|_| Instant::now());
            }
            None => break,
        }
    }
    watch.end(&host, command).map(Ran::Ended)
}

struct Watch<'a, 'b> {
    out: Gate,
    err: Gate,
    out_lines: Lines,
    err_lines: Lines,
    status: Option<Status>,
    output: &'a mut Output<'b>,
}

impl<'a, 'b> Watch<'a, 'b> {
    fn new(remote: &Remote, output: &'a mut Output<'b>) -> Self {
        Self {
            out: Gate::new(&remote.mark),
            err: Gate::new(&remote.mark),
            out_lines: Lines::default(),
            err_lines: Lines::default(),
            status: None,
            output,
        }
    }

    fn take(&mut self, message: &ChannelMsg) {
        let mut rest = Vec::new();
        match message {
            ChannelMsg::Data { data } => {
                let bytes = self.out.take(data, &mut rest);
                self.out_lines.take(bytes, &mut |line| (self.output)(Stream::Stdout, line));
            }
            ChannelMsg::ExtendedData { data, .. } => {
                let bytes = self.err.take(data, &mut rest);
                self.err_lines.take(bytes, &mut |line| (self.output)(Stream::Stderr, line));
            }
            other => self.status = ended(other).or(self.status),
        }
    }

    fn end(mut self, host: &str, command: &Command) -> Result<Status, TransportError> {
        self.out_lines.finish(&mut |line| (self.output)(Stream::Stdout, line));
        self.err_lines.finish(&mut |line| (self.output)(Stream::Stderr, line));
        judge(self.status, &self.err, host, command)
    }
}

/// What an end means: a mark that did not come, or came with a word, says that the program never ran.
pub(super) fn judge(
    status: Option<Status>,
    err: &Gate,
    host: &str,
    command: &Command,
) -> Result<Status, TransportError> {
    let Some(status) = status else {
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended before the command did");
        return Err(TransportError::Lost { host: host.to_owned(), source });
    };
    let source = match err.said.as_deref() {
        Some("directory" | "program") => io::Error::from(io::ErrorKind::NotFound),
        Some(_) => return Ok(status),
        None => io::Error::other(match err.held() {
            held if held.is_empty() => format!("its shell ended with {status}"),
            held => held,
        }),
    };
    Err(TransportError::Start {
        host: host.to_owned(),
        program: command.argv.first().cloned().unwrap_or_default(),
        cwd: command.cwd.clone(),
        source,
    })
}

/// Stops a process group: asks it to end, then kills it.
pub(super) async fn stop(link: &Link, become_root: Become, password: &str, group: &str) -> io::Result<()> {
    if group.is_empty() || !group.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(io::Error::other("it had not said yet which process it is"));
    }
    let text = format!(
        "kill -s TERM -- -{group} 2>/dev/null; n=0; while kill -s 0 -- -{group} 2>/dev/null; do \
         n=$((n+1)); [ $n -gt {} ] && kill -s KILL -- -{group} 2>/dev/null; [ $n -gt {} ] && break; sleep 0.1; done",
        GRACE * 10,
        GRACE * 10 + 20,
    );
    let argv = ["/bin/sh", "-c", &text].map(str::to_owned).to_vec();
    let command = Command { argv, ..Command::default() };
    let remote = super::script::remote(&command, become_root, password, &options::word());
    let stopping = async {
        let mut channel = link.exec("the host", &remote.line).await.map_err(io::Error::other)?;
        channel.data_bytes(remote.head.clone()).await.map_err(io::Error::other)?;
        channel.eof().await.map_err(io::Error::other)?;
        while let Some(message) = channel.wait().await {
            if ended(&message).is_some() {
                return Ok(());
            }
        }
        Err(io::Error::other("the connection ended"))
    };
    match timeout_at(Instant::now() + STOP, stopping).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    }
}
