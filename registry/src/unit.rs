//! systemd units that run a registry with as few rights as it needs. Pure: what is served is an argument.
//!
//! Nothing in a unit is a secret: passwords and keys are in files that it names.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What a unit is for.
#[derive(Clone, Debug)]
pub struct UnitOptions {
    /// The name of the units, without `.service`.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The user that it runs as.
    pub user: String,
    /// Directories and files that it reads; all absolute.
    pub reads: Vec<PathBuf>,
    /// Directories that it writes; all absolute.
    pub writes: Vec<PathBuf>,
    /// Where it listens: `ADDRESS:PORT` or a path.
    pub listen: Vec<String>,
    /// How long answers being given may take at the end, in seconds.
    pub drain: u64,
}

/// The texts of the units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// `NAME.service`
    pub service: String,
    /// `NAME.socket`
    pub socket: String,
}

/// What every registry can do without.
const HARDENING: &str = "\
NoNewPrivileges=yes
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
";

impl UnitOptions {
    /// The units. With the socket, systemd listens: the registry can be restarted without a connection being refused,
    /// and a port below 1024 needs no right.
    #[must_use]
    pub fn units(&self) -> Units {
        Units { service: self.service(), socket: self.socket() }
    }

    fn service(&self) -> String {
        let Self { name, user, .. } = self;
        let command: Vec<String> = std::iter::once(self.program.display().to_string())
            .chain(self.arguments.iter().cloned())
            .map(|word| word_of(&word))
            .collect();
        let mut text = format!(
            "[Unit]\n\
             Description=Registry of images ({name})\n\
             After=network-online.target local-fs.target\n\
             Wants=network-online.target\n\
             \n\
             [Service]\n\
             Type=notify\n\
             NotifyAccess=main\n\
             ExecStart={}\n\
             ExecReload=/bin/kill -HUP $MAINPID\n\
             Restart=on-failure\n\
             RestartSec=2\n\
             WatchdogSec=30\n\
             TimeoutStopSec={}\n\
             User={user}\n\
             LimitNOFILE=65536\n\
             \n",
            command.join(" "),
            self.drain + 15,
        );
        text.push_str(HARDENING);
        let bind = if self.listen.iter().any(|address| is_privileged(address)) { "CAP_NET_BIND_SERVICE" } else { "" };
        line(&mut text, &format!("CapabilityBoundingSet={bind}"));
        line(&mut text, &format!("AmbientCapabilities={bind}"));
        let home = ["/home", "/root", "/run/user"].iter().any(|home| self.touches(Path::new(home)));
        line(&mut text, &format!("ProtectHome={}", if home { "read-only" } else { "yes" }));
        for path in &self.writes {
            // A directory that is not there yet must not keep the unit from starting with a message that says less.
            line(&mut text, &format!("ReadWritePaths=-{}", path_of(path)));
        }
        text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        text
    }

    fn socket(&self) -> String {
        let mut text = format!("[Unit]\nDescription=Registry of images ({})\n\n[Socket]\n", self.name);
        for address in &self.listen {
            let address = address.strip_prefix("unix:").unwrap_or(address);
            // Without an address systemd listens on all, IPv6 and IPv4 alike.
            let address = address.strip_prefix(':').unwrap_or(address);
            line(&mut text, &format!("ListenStream={}", address.replace('%', "%%")));
        }
        text.push_str("NoDelay=yes\nBacklog=4096\nSocketMode=0660\n\n[Install]\nWantedBy=sockets.target\n");
        text
    }

    fn touches(&self, directory: &Path) -> bool {
        self.reads.iter().chain(&self.writes).any(|path| path.starts_with(directory))
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

/// Whether only root may listen there.
fn is_privileged(address: &str) -> bool {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    !address.starts_with("unix:") && port.is_some_and(|port| port > 0 && port < 1024)
}

/// A word of a command line (systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers").
fn word_of(word: &str) -> String {
    let escaped: String = word
        .chars()
        .map(|c| match c {
            '%' => "%%".to_owned(),
            '$' => "$$".to_owned(),
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%$".contains(c);
    match !word.is_empty() && escaped.chars().all(is_plain) {
        true => escaped,
        false => format!("\"{escaped}\""),
    }
}

/// A path in a list of paths.
fn path_of(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    match text.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\') {
        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    fn options(listen: &str, arguments: &[&str]) -> UnitOptions {
        UnitOptions {
            name: "sealos-registry".to_owned(),
            program: "/bin/true".into(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            user: "root".to_owned(),
            reads: vec!["/etc/registry/htpasswd".into()],
            writes: vec!["/var/lib/registry with space".into()],
            listen: vec![listen.to_owned()],
            drain: 30,
        }
    }

    #[test]
    fn systemd_accepts_the_units_and_finds_them_safe() {
        let dir = tempfile::tempdir().unwrap();
        for (listen, arguments) in [
            ("127.0.0.1:5000", &["registry", "serve", "filesystem", "/var/lib/registry with space"][..]),
            ("[::]:443", &["registry", "serve", "--url", "https://a.example/%20$x\"\\;", ""]),
            (":5000", &["registry", "serve"]),
            ("unix:/run/registry.sock", &["registry", "serve"]),
        ] {
            let units = options(listen, arguments).units();
            let (service, socket) =
                (dir.path().join("sealos-registry.service"), dir.path().join("sealos-registry.socket"));
            fs::write(&service, &units.service).unwrap();
            fs::write(&socket, &units.socket).unwrap();
            let verify =
                Command::new("systemd-analyze").arg("verify").args(["--man=no"]).arg(&service).arg(&socket).output();
            let verify = verify.expect("systemd-analyze is installed (tests/run does it)");
            let said = String::from_utf8_lossy(&verify.stderr).into_owned();
            assert!(verify.status.success(), "{said}\n{}", units.service);
            // It talks about other units of the machine as well.
            assert!(!said.contains("sealos-registry."), "{said}\n{}", units.service);
            let score = Command::new("systemd-analyze")
                .args(["security", "--offline=yes", "--no-pager", "--threshold=25"])
                .arg(&service)
                .output()
                .unwrap();
            assert!(score.status.success(), "{}", String::from_utf8_lossy(&score.stdout));
        }
    }

    #[test]
    fn words_reach_the_program_as_they_are() {
        for (word, want) in [
            ("serve", "serve"),
            ("/a b", "\"/a b\""),
            ("50%", "50%%"),
            ("$HOME", "$$HOME"),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("", "\"\""),
            ("a\nb", "\"a\\x0ab\""),
            (";", "\";\""),
        ] {
            assert_eq!(word_of(word), want, "{word}");
        }
    }

    #[test]
    fn only_who_listens_on_a_low_port_gets_the_right_to() {
        for (listen, want) in [
            ("127.0.0.1:5000", "CapabilityBoundingSet=\n"),
            ("0.0.0.0:443", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"),
            ("unix:/run/x:80", "CapabilityBoundingSet=\n"),
        ] {
            let units = options(listen, &[]).units();
            assert!(units.service.contains(want), "{listen}: {}", units.service);
        }
        assert!(options(":80", &[]).units().socket.contains("ListenStream=80\n"));
        assert!(options("unix:/run/a", &[]).units().socket.contains("ListenStream=/run/a\n"));
        let mut home = options(":80", &[]);
        home.reads.push("/home/me/registry".into());
        assert!(home.units().service.contains("ProtectHome=read-only\n"));
    }
}
