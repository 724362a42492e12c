//! `RUN --mount=type=ssh`: the user's ssh agent, seen by one command as a socket of its own.
//!
//! ```text
//! command ─▶ our socket (owner and mode as the mount says) ─ thread ─▶ the user's agent
//!                                                             └─────▶ or one that is begun for some key files
//! ```
//!
//! Keys never enter the sandbox: the agent signs. What was begun ends when the value is dropped, connections included.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::error::BuildError;

/// How long an agent that was just begun may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// The program that holds keys, and the one that gives it some.
const PROGRAMS: [&str; 2] = ["ssh-agent", "ssh-add"];

/// Whom the socket belongs to in the sandbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

/// A socket that leads to an agent.
#[derive(Debug)]
pub(super) struct Agent {
    /// Where the socket is.
    pub(super) socket: PathBuf,
    /// The directory that it is in, open: sockets are named by way of it, for their paths have to be short.
    directory: File,
    stop: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<UnixStream>>>,
    thread: Option<JoinHandle<()>>,
    /// The agent that was begun for key files.
    own: Option<Own>,
}

/// An agent of ours; killed and waited for when dropped.
#[derive(Debug)]
struct Own(Child);

impl Drop for Own {
    fn drop(&mut self) {
        // It holds nothing that would have to be written.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The names of our sockets.
const SOCKET: &str = "agent";
const KEYS: &str = "keys";

/// A socket's name in an open directory.
fn short(directory: &File, name: &str) -> PathBuf {
    format!("/proc/{}/fd/{}/{name}", std::process::id(), directory.as_raw_fd()).into()
}

impl Agent {
    /// Begins to listen in `directory`, which is empty and ours, for the agent `id`: `places` is its socket, or key
    /// files; `usual` is the socket of the user's agent, for none.
    ///
    /// # Errors
    /// When there is no agent, or one cannot be begun.
    pub(super) fn start(
        directory: &Path,
        id: &str,
        places: &[PathBuf],
        usual: Option<&str>,
        owner: Owner,
    ) -> Result<Self, BuildError> {
        let failed = |doing: String| move |source| BuildError::Agent { doing, source };
        let is_socket = |path: &Path| fs::metadata(path).map(|found| found.file_type().is_socket());
        let place = File::open(directory).map_err(failed("make a socket for the agent".to_owned()))?;
        let (upstream, own) = match places {
            [] => (usual.map(PathBuf::from).ok_or_else(|| BuildError::NoAgent { id: id.to_owned() })?, None),
            [place] if is_socket(place).map_err(failed(format!("find {}", place.display())))? => (place.clone(), None),
            keys => {
                let own = with_keys(&place, keys)?;
                (short(&place, KEYS), Some(own))
            }
        };
        drop(UnixStream::connect(&upstream).map_err(failed(format!("reach the agent at {}", upstream.display())))?);
        let socket = directory.join(SOCKET);
        let listener =
            UnixListener::bind(short(&place, SOCKET)).map_err(failed("make a socket for the agent".to_owned()))?;
        chown(&socket, Some(owner.uid), Some(owner.gid))
            .and_then(|()| fs::set_permissions(&socket, fs::Permissions::from_mode(owner.mode)))
            .map_err(failed("give the agent's socket its owner".to_owned()))?;
        let (stop, connections) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, open) = (Arc::clone(&stop), Arc::clone(&connections));
        let thread = thread::Builder::new()
            .name("ssh-agent".to_owned())
            .spawn(move || serve(&listener, &upstream, &stopped, &open))
            .map_err(failed("start a thread for the agent".to_owned()))?;
        Ok(Self { socket, directory: place, stop, connections, thread: Some(thread), own })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread up; it looks at `stop` then.
        drop(UnixStream::connect(short(&self.directory, SOCKET)));
        for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // One that has ended already is no matter.
            drop(connection.shutdown(Shutdown::Both));
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        self.own = None;
    }
}

fn serve(listener: &UnixListener, upstream: &Path, stop: &AtomicBool, connections: &Mutex<Vec<UnixStream>>) {
    let mut threads = Vec::new();
    for client in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        // A client that does not get through sees its connection end.
        let (Ok(client), Ok(agent)) = (client, UnixStream::connect(upstream)) else { continue };
        let mut open = connections.lock().unwrap_or_else(PoisonError::into_inner);
        for (from, to) in [(&client, &agent), (&agent, &client)] {
            let (Ok(kept), Ok(from), Ok(to)) = (from.try_clone(), from.try_clone(), to.try_clone()) else { continue };
            open.push(kept);
            threads.push(thread::spawn(move || carry(from, &to)));
        }
    }
    for thread in threads {
        drop(thread.join());
    }
}

/// Carries bytes until their end, and passes that on.
fn carry(mut from: UnixStream, mut to: &UnixStream) {
    let mut buffer = [0; 16 << 10];
    loop {
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}

/// An agent for some key files, listening at [`KEYS`], by the programs of OpenSSH: they know all forms of keys.
fn with_keys(directory: &File, keys: &[PathBuf]) -> Result<Own, BuildError> {
    let failed = |doing: &str| {
        let doing = doing.to_owned();
        move |source| BuildError::Agent { doing, source }
    };
    let (socket, [agent, add]) = (short(directory, KEYS), PROGRAMS);
    let child = Command::new(agent)
        .args(["-D", "-a"])
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed("begin an agent: run ssh-agent"))?;
    let own = Own(child);
    let started = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        if started.elapsed() > PATIENCE {
            return Err(failed("begin an agent")(io::ErrorKind::TimedOut.into()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = Command::new(add)
        .arg("-q")
        .args(keys)
        .env("SSH_AUTH_SOCK", &socket)
        // Nobody is asked for a passphrase: the build may run where nobody is.
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("SSH_ASKPASS", "/bin/false")
        .stdin(Stdio::null())
        .output()
        .map_err(failed("give keys to the agent: run ssh-add"))?;
    match output.status.success() {
        true => Ok(own),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(failed("give keys to the agent")(io::Error::other(said)))
        }
    }
}
