//! The service manager: told when the registry is ready and that it is alive; hands over sockets that it listens on.
//!
//! Nothing here does anything without the variables that systemd sets (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `LISTEN_FDS`).
//! Source: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};

/// The first descriptor that a service manager hands over.
const FIRST: RawFd = 3;

/// What the service manager has said in the environment.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    socket: Option<OsString>,
    watchdog: Option<Duration>,
}

/// A change that the service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// Requests are answered.
    Ready,
    /// The configuration is being read again; at this time of the monotonic clock, in microseconds.
    Reloading(u64),
    /// No new requests are taken.
    Stopping,
    /// What `systemctl status` shows.
    Status(&'a str),
    /// Still alive.
    Alive,
}

impl Manager {
    /// Reads the environment.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|time| is_ours && *time > 0).map(Duration::from_micros);
        Self { socket: variable("NOTIFY_SOCKET").filter(|path| !path.is_empty()), watchdog }
    }

    /// How often [`State::Alive`] is to be said: twice as often as the manager waits for.
    #[must_use]
    pub fn heartbeat(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 2).filter(|_| self.socket.is_some())
    }

    /// Tells the manager, if there is one.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn tell(&self, states: &[State<'_>]) -> io::Result<()> {
        let Some(path) = &self.socket else { return Ok(()) };
        let lines: Vec<String> = states.iter().map(State::line).collect();
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(lines.join("\n").as_bytes(), &address(path)?).map(drop)
    }
}

impl State<'_> {
    fn line(&self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading(at) => format!("RELOADING=1\nMONOTONIC_USEC={at}"),
            Self::Stopping => "STOPPING=1".to_owned(),
            // A line break would begin another variable.
            Self::Status(text) => format!("STATUS={}", text.replace(char::is_control, " ")),
            Self::Alive => "WATCHDOG=1".to_owned(),
        }
    }
}

/// A path, or a name that begins with `@` in the abstract namespace.
fn address(path: &OsStr) -> io::Result<SocketAddr> {
    match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(path),
    }
}

/// A socket that the service manager listens on, and its name (`FileDescriptorName=`).
#[derive(Debug)]
pub struct Inherited {
    /// The socket.
    pub socket: OwnedFd,
    /// Its name; `unknown` when it has none.
    pub name: String,
}

/// Takes the sockets that the service manager hands over; none when it hands over none, and none the second time.
///
/// # Errors
/// When the environment says something that is not true.
pub fn inherited() -> io::Result<Vec<Inherited>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let variable = |name: &str| std::env::var(name).ok();
    let (count, names) = announced(variable)?;
    if count == 0 || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    (FIRST..FIRST + count).zip(names).map(|(fd, name)| take(fd, name)).collect()
}

/// How many sockets there are, and their names.
fn announced(variable: impl Fn(&str) -> Option<String>) -> io::Result<(RawFd, Vec<String>)> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{what} is not a number of sockets"));
    match variable("LISTEN_PID") {
        Some(pid) if pid == std::process::id().to_string() => {}
        _ => return Ok((0, Vec::new())),
    }
    let Some(count) = variable("LISTEN_FDS") else { return Ok((0, Vec::new())) };
    let count: RawFd =
        count.parse().ok().filter(|count| (0..=1024).contains(count)).ok_or_else(|| wrong("LISTEN_FDS"))?;
    let given = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut given = given.split(':').filter(|name| !name.is_empty());
    Ok((count, (0..count).map(|_| given.next().unwrap_or("unknown").to_owned()).collect()))
}

fn take(fd: RawFd, name: String) -> io::Result<Inherited> {
    // SAFETY: the service manager says that this descriptor is open and ours; it is taken once in this process (`TAKEN`),
    // and nothing else knows its number.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // A descriptor that is not open fails here; it must not be closed then, but nothing else has its number either.
    if let Err(error) = fcntl_setfd(&socket, FdFlags::CLOEXEC) {
        std::mem::forget(socket);
        return Err(error.into());
    }
    Ok(Inherited { socket, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(pairs: &[(&str, &OsStr)]) -> Manager {
        Manager::new(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_manager_is_told_on_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let abstract_name = format!("sealos-notify-test-{}", std::process::id());
        let by_name = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let at_name = OsString::from(format!("@{abstract_name}"));
        for (socket, variable) in [
            (UnixDatagram::bind(&path).unwrap(), path.as_os_str()),
            (UnixDatagram::bind_addr(&by_name).unwrap(), at_name.as_os_str()),
        ] {
            let manager = manager(&[("NOTIFY_SOCKET", variable)]);
            manager.tell(&[State::Ready, State::Status("two\nlines"), State::Reloading(7)]).unwrap();
            manager.tell(&[State::Stopping, State::Alive]).unwrap();
            let mut bytes = [0; 200];
            let mut next = || {
                let length = socket.recv(&mut bytes).unwrap();
                String::from_utf8_lossy(&bytes[..length]).into_owned()
            };
            assert_eq!(next(), "READY=1\nSTATUS=two lines\nRELOADING=1\nMONOTONIC_USEC=7");
            assert_eq!(next(), "STOPPING=1\nWATCHDOG=1");
        }
        assert!(manager(&[]).tell(&[State::Ready]).is_ok(), "nobody is told");
        assert!(manager(&[("NOTIFY_SOCKET", OsStr::new("/nonexistent/socket"))]).tell(&[State::Ready]).is_err());
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_asked() {
        let pid = OsString::from(std::process::id().to_string());
        let socket = ("NOTIFY_SOCKET", OsStr::new("/run/x"));
        let time = ("WATCHDOG_USEC", OsStr::new("30000000"));
        for (variables, want) in [
            (&[socket, time][..], Some(15)),
            (&[socket, time, ("WATCHDOG_PID", &pid)], Some(15)),
            (&[socket, time, ("WATCHDOG_PID", OsStr::new("1"))], None),
            (&[socket, ("WATCHDOG_USEC", OsStr::new("soon"))], None),
            (&[socket], None),
            (&[time], None),
        ] {
            assert_eq!(manager(variables).heartbeat().map(|time| time.as_secs()), want, "{variables:?}");
        }
    }

    #[test]
    fn sockets_are_taken_as_announced_to_this_process() {
        let pid = std::process::id().to_string();
        for (pairs, want) in [
            (&[][..], Some(vec![])),
            (&[("LISTEN_PID", "1"), ("LISTEN_FDS", "2")], Some(vec![])),
            (&[("LISTEN_PID", &*pid)], Some(vec![])),
            (&[("LISTEN_PID", &*pid), ("LISTEN_FDS", "2")], Some(vec!["unknown", "unknown"])),
            (
                &[("LISTEN_PID", &*pid), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "https:")],
                Some(vec!["https", "unknown"]),
            ),
            (&[("LISTEN_PID", &*pid), ("LISTEN_FDS", "-1")], None),
            (&[("LISTEN_PID", &*pid), ("LISTEN_FDS", "many")], None),
        ] {
            let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let got = announced(find).ok().map(|(_, names)| names);
            assert_eq!(got, want.map(|names| names.into_iter().map(str::to_owned).collect()), "{pairs:?}");
        }
    }
}
