//! The lock of a cluster: a program on the first master that holds a lock of the kernel as long as we are there.
//!
//! It ends with our connection, and after a minute without a sign of ours: a controller that was killed or cut off blocks
//! nobody. Who holds it stands beside it.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::HostsError;
use crate::cluster::Address;
use crate::transport::{Command, End, Transport};

/// How often we give a sign.
const SIGN: Duration = Duration::from_secs(10);
/// How long the lock is held without one, in seconds.
const EXPIRY: i64 = 60;

/// The lock of a cluster, ours until this is dropped.
pub struct Lease {
    host: Address,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    lost: Arc<AtomicBool>,
    end: Option<Box<dyn End>>,
}

impl Lease {
    /// Locks the cluster on its first master; `owner` is who we are.
    ///
    /// # Errors
    /// [`HostsError::Busy`] when somebody else has it; when the host cannot be talked with.
    pub fn take(
        transport: &dyn Transport,
        host: &Address,
        program: &Path,
        cluster: &Path,
        owner: &str,
    ) -> Result<Self, HostsError> {
        let failed = |reason: String| HostsError::Lease { host: host.clone(), reason };
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let argv = vec![text(program), "node".to_owned(), "lease".to_owned(), text(cluster), owner.to_owned()];
        let said = Arc::new(std::sync::Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let errors = move |line: &[u8]| {
            heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(line);
        };
        let command = Command { argv, ..Command::default() };
        let talk = transport.converse(&command, Box::new(errors)).map_err(|error| failed(error.to_string()))?;
        let mut input = talk.input;
        let mut line = String::new();
        let mut output = BufReader::new(talk.output);
        output.by_ref().take(4096).read_line(&mut line).map_err(|error| failed(error.to_string()))?;
        match line.trim_end().split_once(' ') {
            Some(("busy", owner)) => return Err(HostsError::Busy { owner: owner.to_owned() }),
            _ if line.trim_end() == "held" => {}
            _ => {
                drop((input, output));
                let ended = talk.end.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                let said = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                return Err(failed(format!("{ended}: {}", String::from_utf8_lossy(&said).trim())));
            }
        }
        let (stop, stopped) = mpsc::channel();
        let lost = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&lost);
        let signs = move || {
            // What the program there says is nothing; it is kept so that its end is not closed.
            let _output = output;
            while stopped.recv_timeout(SIGN) == Err(RecvTimeoutError::Timeout) {
                if input.write_all(b".").and_then(|()| input.flush()).is_err() {
                    flag.store(true, Ordering::SeqCst);
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(signs);
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        Ok(Self { host: host.clone(), stop: Some(stop), thread: Some(thread), lost, end: Some(talk.end) })
    }

    /// Whether it was lost on the way.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// The host that keeps it.
    pub fn host(&self) -> &Address {
        &self.host
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported where it happened.
            drop(thread.join());
        }
        if let Some(end) = self.end.take() {
            end.give_up();
        }
    }
}

/// Holds the lock of a cluster for whoever is at the other end of `input`, until that one is gone.
///
/// # Errors
/// When the lock cannot be made or the answer not be given.
pub fn hold(cluster: &Path, owner: &str, input: impl AsFd + Read, output: &mut dyn Write) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(cluster)?;
    let path = cluster.join("lease");
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut who = String::new();
            (&mut file).take(4096).read_to_string(&mut who)?;
            writeln!(output, "busy {}", who.lines().next().unwrap_or("it did not say who"))?;
            return output.flush();
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.set_len(0)?;
    file.write_all(format!("{owner}\n").as_bytes())?;
    output.write_all(b"held\n")?;
    output.flush()?;
    let mut input = input;
    let mut signs = [0; 64];
    loop {
        let mut fds = [PollFd::new(&input, PollFlags::IN)];
        let limit = Timespec { tv_sec: EXPIRY, tv_nsec: 0 };
        match poll(&mut fds, Some(&limit)) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if input.read(&mut signs)? == 0 {
            return Ok(());
        }
    }
}
