//! Several hosts and a controller on one machine.
//!
//! ```text
//! keeper: network (eth0 10.77.0.11…), mounts (a tmpfs: the disks) ── veth ── controller's network (10.77.0.10)
//!    └ host: root (overlay over the machine's own, upper on its disk), pids, name; sshd on its address
//! ```
//!
//! Nothing has a name in the machine's own network or mounts: all of it ends with its processes, and they end with the
//! test.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Said, Sandbox, finished};

/// How long something may take that comes by itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// The password of the user `admin` on all hosts.
pub(crate) const PASSWORD: &str = "it's a \"secret\" $HOME";

/// A process that ends with this.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // One that has ended already is as good.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Hosts and a controller.
pub(crate) struct Lab {
    /// The first process of each host that is up. They end before what they stand on.
    hosts: Vec<Option<Owned>>,
    controller: Owned,
    keeper: Owned,
    pub(crate) sandbox: Sandbox,
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts a program that ends when this thread does.
fn start(program: &str, args: &[&str], log: &Path) -> Owned {
    let log = fs::File::create(log).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]).args(args);
    let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
    Owned(child.expect("util-linux is installed (tests/run does it)"))
}

/// What pid 1 of a host does first. `$1` is its disk, `$2` its name, `$3` its address, `$4` a public key, `$5` a hash of
/// a password.
const BOOT: &str = r#"
set -eu
disk=$1 name=$2 address=$3 key=$4 hash=$5
hostname "$name"
fresh=; [ -d "$disk" ] || fresh=1
mkdir -p "$disk"/up "$disk"/work "$disk"/root "$disk"/sealos
root=$disk/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/up,workdir=$disk/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/run/sshd" "$root/var/lib/sealos"
mount --bind "$disk/sealos" "$root/var/lib/sealos"
if [ -n "$fresh" ]; then
    rm -rf "$root/root/.ssh" "$root/etc/ssh"
    mkdir -m 700 -p "$root/root/.ssh" "$root/etc/ssh"
    printf '%s\n' "$key" >"$root/root/.ssh/authorized_keys"
    printf '127.0.0.1 localhost\n%s %s # itself\n' "$address" "$name" >"$root/etc/hosts"
    printf 'root:x:0:0:root:/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\nadmin:x:1234:1234::/home/admin:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n' >"$root/etc/passwd"
    printf 'root:x:0:\nsudo:x:27:admin\nadmin:x:1234:\nshadow:x:42:\ntty:x:5:\nnogroup:x:65534:\n' >"$root/etc/group"
    printf 'root:*:19000:0:99999:7:::\nsshd:!:19000::::::\nadmin:%s:19000:0:99999:7:::\n' "$hash" >"$root/etc/shadow"
    chmod 640 "$root/etc/shadow"
    mkdir -p "$root/home/admin/.ssh" "$root/etc/sudoers.d"
    printf '%s\n' "$key" >"$root/home/admin/.ssh/authorized_keys"
    chown -R 1234:1234 "$root/home/admin"
    rm -f "$root"/etc/sudoers.d/*
    printf 'Defaults env_reset\nroot ALL=(ALL) ALL\nadmin ALL=(ALL) ALL\n' >"$root/etc/sudoers"
    chmod 440 "$root/etc/sudoers"
    printf 'auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n' >"$root/etc/pam.d/sudo"
    cp "$root/etc/pam.d/sudo" "$root/etc/pam.d/sudo-i"
    ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/ssh_host_ed25519_key"
    printf 'ListenAddress %s\nPort 22\nHostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\nPasswordAuthentication yes\nMaxStartups 200\nMaxSessions 100\nUseDNS no\nAllowTcpForwarding no\n' "$address" >"$root/etc/ssh/sshd_config"
fi
exec chroot "$root" /bin/bash -c '
    trap "exit 0" TERM
    cd /
    /usr/sbin/sshd -D -e &
    while :; do sleep 1000 & wait $!; done'
"#;

impl Lab {
    /// A controller and so many hosts.
    pub(crate) fn new(count: usize) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes hosts: run it as root");
        let sandbox = Sandbox::new();
        for directory in ["disks", "ssh"] {
            fs::create_dir(sandbox.path(directory)).unwrap();
        }
        let idle = ["--net", "--mount", "--propagation", "private", "sleep", "infinity"];
        let keeper = start("unshare", &idle, &sandbox.path("keeper.log"));
        let controller = start("unshare", &["--net", "sleep", "infinity"], &sandbox.path("controller.log"));
        let lab = Self { hosts: Vec::new(), controller, keeper, sandbox };
        for (process, kinds) in [(&lab.keeper, &["net", "mnt"][..]), (&lab.controller, &["net"])] {
            for kind in kinds {
                let space = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
                let own = space(std::process::id());
                until("a process has its namespaces", || space(process.0.id()).is_some_and(|one| Some(one) != own));
            }
        }
        lab.connect();
        let mut lab = lab;
        let keygen = ["-q", "-t", "ed25519", "-N", "", "-f", &lab.key()];
        crate::sandbox::run("ssh-keygen", &keygen);
        for number in 1..=count {
            lab.hosts.push(None);
            lab.boot(number);
        }
        lab
    }

    /// Makes the network, and the disks of hosts.
    fn connect(&self) {
        let controller = self.controller.0.id().to_string();
        self.inside(&["ip", "link", "set", "lo", "up"]);
        self.inside(&["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &controller]);
        self.inside(&["ip", "link", "set", "eth0", "up"]);
        for number in 11..=30 {
            self.inside(&["ip", "address", "add", &format!("10.77.0.{number}/24"), "dev", "eth0"]);
        }
        let disks = self.sandbox.at("disks");
        self.inside(&["mount", "-t", "tmpfs", "-o", "mode=755", "disks", &disks]);
        for args in [
            &["ip", "link", "set", "lo", "up"][..],
            &["ip", "address", "add", "10.77.0.10/24", "dev", "eth0"],
            &["ip", "link", "set", "eth0", "up"],
        ] {
            crate::sandbox::run("nsenter", &[&["-t", &controller, "-n"], args].concat());
        }
    }

    /// Runs something where the hosts' network and disks are.
    fn inside(&self, args: &[&str]) {
        let keeper = self.keeper.0.id().to_string();
        crate::sandbox::run("nsenter", &[&["-t", &keeper, "-n", "-m"], args].concat());
    }

    /// A private key that opens all hosts.
    pub(crate) fn key(&self) -> String {
        self.sandbox.at("ssh/key")
    }

    /// The address of a host, from 1.
    pub(crate) fn address(number: usize) -> String {
        format!("10.77.0.{}", 10 + number)
    }

    /// Starts a host, on its disk if it has one.
    pub(crate) fn boot(&mut self, number: usize) {
        let address = Self::address(number);
        let keeper = self.keeper.0.id().to_string();
        let disk = format!("{}/{number}", self.sandbox.at("disks"));
        let key = fs::read_to_string(format!("{}.pub", self.key())).unwrap();
        let hash = finished(Command::new("openssl").args(["passwd", "-6", PASSWORD]));
        let hash = String::from_utf8(hash.stdout).unwrap();
        let name = format!("host-{number}");
        let args = [
            "-t",
            &keeper,
            "-n",
            "-m",
            "unshare",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
            "bash",
            "-c",
            BOOT,
            "boot",
            &disk,
            &name,
            &address,
            key.trim(),
            hash.trim(),
        ];
        let log = self.sandbox.path(&format!("host-{number}.log"));
        self.hosts[number - 1] = Some(start("nsenter", &args, &log));
        let controller = self.controller.0.id().to_string();
        let knock = format!("exec 3<>/dev/tcp/{address}/22");
        let end = Instant::now() + PATIENCE;
        while !finished(Command::new("nsenter").args(["-t", &controller, "-n", "timeout", "5", "bash", "-c", &knock]))
            .status
            .success()
        {
            assert!(Instant::now() < end, "{name} does not come up: {}", fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A power cut: all processes of a host end at once, its disk stays.
    pub(crate) fn kill(&mut self, number: usize) {
        self.hosts[number - 1] = None;
    }

    /// A shell command on a host, not through SSH; its output.
    #[track_caller]
    pub(crate) fn on(&self, number: usize, text: &str) -> Said {
        let unshare = self.hosts[number - 1].as_ref().expect("the host is up").0.id();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
        let first = children.split_whitespace().next().expect("a host has its pid 1");
        Said::from(finished(
            Command::new("nsenter").args(["-t", first, "-m", "-p", "-n", "-u", "-r", "-w", "sh", "-c", text]),
        ))
    }

    /// The text of a file on a host; empty where there is none.
    #[track_caller]
    pub(crate) fn read(&self, number: usize, path: &str) -> String {
        self.on(number, &format!("cat {path} 2>/dev/null || true")).fine()
    }

    /// The command line of sealos on the controller.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.controller.0.id().to_string(), "-n", "setsid", "--wait", env!("CARGO_BIN_EXE_sealos")])
            .args(["--root", &self.sandbox.at("store"), "--progress", "plain"])
            .args(args)
            .current_dir(self.sandbox.root())
            .env("HOME", self.sandbox.path("home"))
            .env_remove("SEALOS_DATA_ROOT")
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null());
        command
    }

    /// Runs sealos on the controller to its end.
    pub(crate) fn sealos(&self, args: &[&str]) -> Said {
        Said::from(finished(&mut self.command(args)))
    }

    /// Builds an image of a Kubefile and files.
    pub(crate) fn image(&self, name: &str, kubefile: &str, files: &[(&str, &str)]) {
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
        let directory = format!("context-{}", name.replace([':', '/'], "-"));
        let context = self.sandbox.context(&directory, kubefile, &files);
        self.sealos(&["build", "-q", "-t", name, &context]).fine();
    }
}
