//! What acting on another host promises, with OpenSSH's server and agent.
//!
//! Each connection gets an `sshd` of its own in its foreground mode (`-i`), so no port is taken and nothing is left.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::cluster::Secret;
use crate::transport::conformance::{check, shell};

/// A server on loopback for the user who runs the test.
struct Server {
    directory: TempDir,
    port: u16,
}

fn tool(name: &str, arguments: &[&str]) {
    let output = Process::new(name).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{name} is needed (tests/run installs it): {error}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Server {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let server = Self { port: 0, directory };
        fs::write(server.path("authorized"), "").unwrap();
        for name in ["host", "ed25519"] {
            server.key(name);
        }
        fs::write(
            server.path("sshd_config"),
            format!(
                "HostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxAuthTries 12\nAllowTcpForwarding yes\n",
                directory_of(&server)
            ),
        )
        .unwrap();
        if rustix::process::geteuid().is_root() {
            // sshd as root wants a directory for what it does without privileges.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        server.listening()
    }

    fn listening(mut self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.port = listener.local_addr().unwrap().port();
        let config = self.path("sshd_config");
        let sshd = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| PathBuf::from(path).exists());
        let sshd = sshd.expect("sshd is needed (tests/run installs it)");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                let socket = std::os::fd::OwnedFd::from(stream);
                let mut child = Process::new(sshd)
                    .args(["-i", "-e", "-f", &config])
                    .stdin(Stdio::from(socket.try_clone().unwrap()))
                    .stdout(Stdio::from(socket))
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                std::thread::spawn(move || child.wait());
            }
        });
        self
    }

    /// A private key, made when it is first asked for; all but the stranger's open the door.
    fn key(&self, name: &str) -> String {
        let path = self.path(name);
        let arguments = match name {
            "ecdsa" => &["-t", "ecdsa", "-N", ""][..],
            "rsa" => &["-t", "rsa", "-b", "2048", "-N", ""],
            "locked" => &["-t", "ed25519", "-N", "open sesame"],
            _ => &["-t", "ed25519", "-N", ""],
        };
        if !PathBuf::from(&path).exists() {
            tool("ssh-keygen", &[&["-q", "-f", &path], arguments].concat());
            if !matches!(name, "host" | "stranger") {
                let public = [self.read("authorized"), self.read(&format!("{name}.pub"))];
                fs::write(self.path("authorized"), public.concat()).unwrap();
            }
        }
        path
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn user() -> String {
        let output = Process::new("id").arg("-un").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Settings of a user whose home is the test's directory.
    fn network(&self) -> SshNetwork {
        SshNetwork::of_user(Some(self.directory.path().to_owned()), None).unwrap()
    }

    fn options(&self, key: &str) -> SshOptions {
        SshOptions {
            host: "127.0.0.1".into(),
            port: self.port,
            user: Some(Self::user()),
            key: Some(key.into()),
            ..SshOptions::default()
        }
    }

    fn host(&self, network: SshNetwork, options: SshOptions) -> Ssh {
        Ssh::new(Arc::new(network), options, Interrupt::default())
    }

    /// Whether somebody can log in.
    fn opens(&self, network: SshNetwork, options: SshOptions) -> Result<(), TransportError> {
        let command = Command { argv: vec!["true".into()], ..Command::default() };
        self.host(network, options).run(&command, &mut |_, _| ()).map(drop)
    }
}

fn directory_of(server: &Server) -> String {
    server.directory.path().display().to_string()
}

/// An agent of the test's own.
struct Agent(Child, PathBuf);

impl Agent {
    fn new(server: &Server, keys: &[&str]) -> Self {
        let socket = PathBuf::from(server.path("agent"));
        let child = Process::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !socket.exists() {
            assert!(Instant::now() < end, "ssh-agent does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        for key in keys {
            let mut add = Process::new("ssh-add");
            let output = add.arg(server.key(key)).env("SSH_AUTH_SOCK", &socket).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        Self(child, socket)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_host_by_ssh_conforms() {
    let server = Server::new();
    let directory = TempDir::new().unwrap();
    check(&server.host(server.network(), server.options(&server.key("ed25519"))), directory.path());
}

#[test]
fn every_kind_of_key_opens_the_door_and_a_strangers_does_not() {
    let server = Server::new();
    for key in ["ed25519", "ecdsa", "rsa"] {
        server
            .opens(server.network(), server.options(&server.key(key)))
            .unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    let error = server.opens(server.network(), server.options(&server.key("stranger"))).unwrap_err();
    assert!(matches!(&error, TransportError::Login { tried, .. } if tried == &["the given key"]), "{error}");
    let data = Secret::new(server.read("ed25519"));
    let options = SshOptions { key: None, key_data: Some(data), ..server.options(&server.key("ed25519")) };
    server.opens(server.network(), options).unwrap();
    let missing = server.opens(server.network(), server.options(&server.path("none"))).unwrap_err();
    assert!(matches!(&missing, TransportError::Key { reason, .. } if reason.contains("No such file")), "{missing}");
    fs::write(server.path("nonsense"), "nonsense").unwrap();
    let nonsense = server.opens(server.network(), server.options(&server.path("nonsense"))).unwrap_err();
    assert!(matches!(nonsense, TransportError::Key { .. }), "{nonsense}");
}

#[test]
fn an_encrypted_key_is_opened_by_passphrase_person_or_agent() {
    let server = Server::new();
    let locked = || server.options(&server.key("locked"));
    let error = server.opens(server.network(), locked()).unwrap_err();
    assert!(matches!(&error, TransportError::Key { reason, .. } if reason.contains("encrypted")), "{error}");
    let with = |text: &str| SshOptions { passphrase: Some(Secret::new(text)), ..locked() };
    server.opens(server.network(), with("open sesame")).unwrap();
    let error = server.opens(server.network(), with("wrong")).unwrap_err();
    assert!(matches!(&error, TransportError::Key { reason, .. } if reason.contains("wrong")), "{error}");
    let ask: Arc<Ask> = Arc::new(|question| {
        assert!(matches!(question, Question::Passphrase { key } if key.ends_with("locked")), "{question:?}");
        Some(Secret::new("open sesame"))
    });
    server.opens(SshNetwork { ask: Some(ask), ..server.network() }, locked()).unwrap();
}

#[test]
fn the_agent_has_keys_too() {
    let server = Server::new();
    let agent = Agent::new(&server, &["stranger", "rsa", "ed25519"]);
    let network = || SshNetwork { agent: Some(agent.1.clone()), ..server.network() };
    server.opens(network(), SshOptions { key: None, ..server.options("") }).unwrap();
    // Whose key is encrypted, the agent may have it; other keys of the agent are not meant.
    let error = server.opens(network(), server.options(&server.key("locked"))).unwrap_err();
    assert!(matches!(error, TransportError::Login { .. }), "{error}");
    fs::create_dir_all(server.path(".ssh")).unwrap();
    fs::write(server.path(".ssh/config"), "IdentityAgent none\n").unwrap();
    let error = server.opens(network(), SshOptions { key: None, ..server.options("") }).unwrap_err();
    assert!(matches!(error, TransportError::Login { .. }), "{error}");
}

#[test]
fn the_users_own_settings_lead_to_the_host_also_through_others() {
    let server = Server::new();
    fs::create_dir_all(server.path(".ssh")).unwrap();
    fs::write(
        server.path(".ssh/config"),
        format!(
            "Host node bastion\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\nHost node\n  ProxyJump bastion\n\
             Host command\n  ProxyCommand nc %h %p\nHost loop\n  ProxyJump other\nHost other\n  ProxyJump loop\n",
            server.port,
            Server::user(),
            server.key("ecdsa")
        ),
    )
    .unwrap();
    let options = |host: &str| SshOptions { host: host.into(), port: 22, ..SshOptions::default() };
    for host in ["bastion", "node"] {
        server.opens(server.network(), options(host)).unwrap_or_else(|error| panic!("{host}: {error}"));
    }
    let jump = format!("{}@127.0.0.1:{},bastion", Server::user(), server.port);
    server.opens(server.network(), SshOptions { jump: Some(jump), ..server.options(&server.key("rsa")) }).unwrap();
    let error = server.opens(server.network(), options("command")).unwrap_err();
    assert!(matches!(error, TransportError::ProxyCommand { .. }), "{error}");
    assert!(server.opens(server.network(), options("loop")).is_err());
}

#[test]
fn a_key_that_changed_is_never_taken() {
    let server = Server::new();
    let options = || server.options(&server.key("ed25519"));
    let strict = || SshNetwork { host_keys: HostKeys::Strict, ..server.network() };
    let error = server.opens(strict(), options()).unwrap_err();
    assert!(matches!(error, TransportError::HostKeyUnknown { .. }), "{error}");
    assert!(!PathBuf::from(server.path(".ssh/known_hosts")).exists(), "nothing is noted");
    server.opens(server.network(), options()).unwrap();
    let known = server.read(".ssh/known_hosts");
    assert!(known.starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", server.port)), "{known}");
    server.opens(strict(), options()).unwrap();
    assert_eq!(server.read(".ssh/known_hosts"), known, "it is noted once");

    // Another key of the same kind, and one of another kind: the host is not who it was.
    for other in ["stranger", "rsa"] {
        server.key(other);
        let words = server.read(&format!("{other}.pub"));
        let key: Vec<&str> = words.split(' ').take(2).collect();
        let line = format!("# before\n[127.0.0.1]:{} {}\n", server.port, key.join(" "));
        fs::write(server.path(".ssh/known_hosts"), &line).unwrap();
        let error = server.opens(server.network(), options()).unwrap_err();
        assert!(matches!(error, TransportError::HostKeyChanged { line: 2, .. }), "{other}: {error}");
        assert!(error.help().unwrap().contains("remove line 2"));
        assert_eq!(server.read(".ssh/known_hosts"), line, "nothing is changed");
    }
    fs::write(server.path(".ssh/known_hosts"), format!("@revoked {known}")).unwrap();
    let error = server.opens(server.network(), options()).unwrap_err();
    assert!(matches!(error, TransportError::HostKeyRevoked { .. }), "{error}");
}

#[test]
fn what_is_given_up_is_stopped_with_all_it_started() {
    let server = Server::new();
    let directory = TempDir::new().unwrap();
    let interrupt = Interrupt::default();
    let host = Ssh::new(Arc::new(server.network()), server.options(&server.key("ed25519")), interrupt.clone());
    let argv = ["/bin/sh", "-c", "(sleep 2; touch late) & (trap 'touch clean; exit' TERM; echo up; sleep 60 & wait)"];
    let argv = argv.map(str::to_owned).to_vec();
    let command = Command { argv, cwd: Some(directory.path().to_owned()), ..Command::default() };
    let result = host.run(&command, &mut |_, line| {
        assert_eq!(line, b"up\n");
        interrupt.wish();
    });
    assert!(matches!(result, Err(TransportError::Interrupted)), "{result:?}");
    assert!(directory.path().join("clean").exists(), "it may clean up");
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!directory.path().join("late").exists());
    assert!(matches!(host.run(&command, &mut |_, _| ()), Err(TransportError::Interrupted)), "nothing starts after it");
}

#[test]
fn something_left_in_the_background_is_not_waited_for() {
    let server = Server::new();
    let host = server.host(server.network(), server.options(&server.key("ed25519")));
    let started = Instant::now();
    let (status, out, _) = shell(&host, "sleep 60 & echo $!", |_| ());
    assert_eq!(status, Status::Exited(0));
    assert!(started.elapsed() < Duration::from_secs(30));
    shell(&host, &format!("kill {}", out.trim()), |_| ());
}

#[test]
fn one_connection_serves_many_and_a_lost_one_is_made_again() {
    let server = Server::new();
    let host = server.host(server.network(), server.options(&server.key("ed25519")));
    let parent = |host: &Ssh| shell(host, "echo $PPID", |_| ()).1;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(|| shell(&host, "sleep 0.2; echo x", |_| ()).1)).collect();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), "x\n");
        }
    });
    let first = parent(&host);
    assert_eq!(parent(&host), first, "the same server answers");
    shell(&host, "nohup sh -c 'sleep 0.3; kill $1' sh $PPID >/dev/null 2>&1 &", |_| ());
    let end = Instant::now() + Duration::from_secs(30);
    while !host.state.lock().unwrap().link.as_ref().unwrap().is_closed() {
        assert!(Instant::now() < end, "the server does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_ne!(parent(&host), first, "a new server answers");
}

#[test]
fn nobody_there_is_told_with_what_to_do() {
    let server = Server::new();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = SshOptions { port: unused, ..server.options(&server.key("ed25519")) };
    let error = server.opens(server.network(), options).unwrap_err();
    assert!(matches!(&error, TransportError::Unreachable { .. }), "{error}");
    assert!(error.help().unwrap().contains("is up"));
    // One who accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = SshOptions { port: silent.local_addr().unwrap().port(), ..server.options(&server.key("ed25519")) };
    let network = SshNetwork { timeout: Duration::from_millis(300), ..server.network() };
    let error = server.opens(network, options).unwrap_err();
    assert!(matches!(&error, TransportError::Unreachable { source, .. } if source.kind() == io::ErrorKind::TimedOut));
}
