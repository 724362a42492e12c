//! Docker's registry on a port of its own, and a wire to it that can be held and cut.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing here takes longer, on the slowest machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Its configuration over a directory, which it may delete from: the file, beside the directory.
pub(crate) fn configuration(directory: &Path, htpasswd: Option<&Path>, address: &str) -> PathBuf {
    let storage = format!("  filesystem:\n    rootdirectory: {}\n", directory.display());
    configured(directory, &storage, htpasswd, address)
}

fn configured(beside: &Path, storage: &str, htpasswd: Option<&Path>, address: &str) -> PathBuf {
    let file = beside.with_extension("yml");
    let users = htpasswd.map(|path| format!("auth:\n  htpasswd:\n    realm: there\n    path: {}\n", path.display()));
    let text = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n{storage}  delete:\n    \
         enabled: true\nhttp:\n  addr: {address}\n{}",
        users.unwrap_or_default()
    );
    fs::write(&file, text).unwrap();
    file
}

/// Docker's registry over a directory, until it is dropped.
pub(crate) struct Docker {
    child: Child,
    pub(crate) address: String,
}

impl Docker {
    /// With a file of users, or open to everybody.
    pub(crate) fn start(directory: &Path, htpasswd: Option<&Path>) -> Self {
        // It cannot be told to take a free port and say which.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let file = configuration(directory, htpasswd, &address);
        Self::of(&file, address)
    }

    /// With its storage somewhere else: what its configuration says of it.
    pub(crate) fn over(beside: &Path, storage: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let file = configured(beside, storage, None, &address);
        Self::of(&file, address)
    }

    fn of(file: &Path, address: String) -> Self {
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Of whoever runs the tests; its client of buckets cannot be built with it.
        command.env_remove("AWS_CA_BUNDLE");
        let child = command.spawn().expect("docker-registry is installed by tests/run");
        let docker = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(&docker.address).is_err() {
            assert!(begun.elapsed() < LONG, "docker-registry does not listen on {}", docker.address);
            std::thread::sleep(Duration::from_millis(20));
        }
        docker
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A wire to a server, which a test holds and cuts.
pub(crate) struct Wire {
    pub(crate) address: String,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// So many bytes from the server are let through, then nothing until it is more.
    allowed: AtomicU64,
    passed: AtomicU64,
    /// Connections are cut instead of held, and new ones not taken.
    is_cut: AtomicBool,
    is_over: AtomicBool,
    /// The heads of all requests.
    asked: Mutex<Vec<u8>>,
}

impl Wire {
    pub(crate) fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State { allowed: u64::MAX.into(), ..State::default() });
        let (own, server) = (Arc::clone(&state), server.to_owned());
        let acceptor = std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if own.is_over.load(Ordering::Relaxed) {
                    break;
                }
                if own.is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server) else { continue };
                carry(client, server, &own);
            }
        });
        Self { address, state, acceptor: Some(acceptor) }
    }

    /// Lets so many bytes more come from the server.
    pub(crate) fn allow(&self, bytes: u64) {
        self.state.is_cut.store(false, Ordering::Relaxed);
        self.state.allowed.store(self.state.passed.load(Ordering::Relaxed).saturating_add(bytes), Ordering::Relaxed);
    }

    /// Cuts what is held, and takes nothing new, until more is allowed.
    pub(crate) fn cut(&self) {
        self.state.is_cut.store(true, Ordering::Relaxed);
    }

    /// How often a text was in what clients sent; from now on it counts anew.
    pub(crate) fn asked(&self, text: &str) -> usize {
        let asked = std::mem::take(&mut *self.state.asked.lock().unwrap());
        String::from_utf8_lossy(&asked).to_lowercase().matches(&text.to_lowercase()).count()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        // It wakes the acceptor; if that is gone already nothing has to be woken.
        drop(TcpStream::connect(&self.address));
        self.acceptor.take().map(JoinHandle::join);
    }
}

/// Carries bytes both ways. The threads end with the connection.
fn carry(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
    }
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let own = Arc::clone(state);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            own.asked.lock().unwrap().extend_from_slice(&buffer[..count]);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        // Either may be closed already.
        to.shutdown(Shutdown::Both).ok();
    });
    let (mut from, mut to, own) = (server, client, Arc::clone(state));
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let passed = own.passed.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
            if !may_pass(&own, passed) || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Both).ok();
        from.shutdown(Shutdown::Both).ok();
    });
}

fn may_pass(state: &State, passed: u64) -> bool {
    let begun = Instant::now();
    while passed > state.allowed.load(Ordering::Relaxed) {
        let is_over = state.is_over.load(Ordering::Relaxed) || begun.elapsed() > LONG;
        if is_over || state.is_cut.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
