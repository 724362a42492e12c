//! A directory with a context, stores and the binary, and the binary run in it as this user or that.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::{Bounded, Said};

/// The user and group `nobody`.
const NOBODY: u32 = 65534;
/// What the base image has of busybox.
const APPLETS: [&str; 21] = [
    "sh", "cat", "mkdir", "rm", "test", "env", "id", "echo", "ln", "chmod", "sleep", "ls", "grep", "pwd", "wc", "ip",
    "chown", "unshare", "mount", "nc", "find",
];
/// How a Kubefile of these tests begins.
pub(crate) const BASE: &str = "FROM scratch\nCOPY bin /bin\nCOPY etc /etc\n";

/// Who runs sealos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Root.
    Root,
    /// One without any privilege, and without ranges of further ids.
    Nobody,
    /// The same where the system gives no user namespaces.
    Forbidden,
    /// One without any privilege who has ranges of further ids, in an `/etc` of its own.
    Ranged,
}

/// The user and group of [`User::Ranged`].
const RANGED: u32 = 4242;

/// Becomes [`User::Ranged`] where `/etc` is its own.
const RANGES: &str = "exec unshare --mount --propagation private sh -c \
    'mount --bind \"$OWN_ETC\" /etc && exec setpriv --reuid 4242 --regid 4242 --clear-groups \"$@\"' sh \"$@\"";

/// A way to isolate RUN, and the runtimes that are in PATH.
pub(crate) type Way = (&'static [&'static str], &'static str);

/// All ways: arguments, runtimes.
pub(crate) const WAYS: [Way; 3] =
    [(&["--isolation", "chroot"], "none"), (&["--isolation=oci"], "crun"), (&["--isolation=oci"], "runc")];

/// One test's directory.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    /// A fresh one with a context. Needs root, who alone can become all others.
    pub(crate) fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test becomes other users: run it as root");
        let lab = Self { dir: tempfile::tempdir().unwrap() };
        fs::set_permissions(lab.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_sealos"), lab.path("sealos")).unwrap();
        for runtime in ["crun", "runc"] {
            let places =
                ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"].map(|it| Path::new(it).join(runtime));
            let place =
                places.into_iter().find(|it| it.is_file()).expect("the runtimes are installed (tests/run does it)");
            fs::create_dir_all(lab.path("path").join(runtime)).unwrap();
            symlink(place, lab.path("path").join(runtime).join(runtime)).unwrap();
        }
        fs::create_dir_all(lab.path("path/none")).unwrap();
        lab.file("bin/busybox", "");
        fs::copy("/bin/busybox", lab.context().join("bin/busybox"))
            .expect("busybox-static is installed (tests/run does it)");
        for applet in APPLETS {
            symlink("busybox", lab.context().join("bin").join(applet)).unwrap();
        }
        lab.file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\napp:x:0:0:app:/home/app:/bin/sh\nuser:x:1000:1001::/home/user:/bin/sh\n",
        );
        lab.file("etc/group", "root:x:0:\nuser:x:1001:\nextra:x:1002:user\n");
        fs::create_dir(lab.path("home")).unwrap();
        std::os::unix::fs::chown(lab.path("home"), Some(NOBODY), Some(NOBODY)).unwrap();
        lab
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text.
    pub(crate) fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The context's directory.
    pub(crate) fn context(&self) -> PathBuf {
        self.path("context")
    }

    /// Writes a file of the context.
    pub(crate) fn file(&self, name: &str, content: &str) {
        let path = self.context().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The command line of sealos, with a store in the user's home and the named runtimes in PATH.
    pub(crate) fn command(&self, user: User, store: &str, runtimes: &str, args: &[&str]) -> Command {
        let drop = "exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";
        // A namespace with the same ids, but none of its own to give. Its shell has to be executed once more after the
        // ids are mapped, since only that makes it root in there.
        let forbid = format!("echo 0 > /proc/sys/user/max_user_namespaces || exit 99; {drop}");
        let map = "exec 4<&0; unshare -U sh -c 'read go <&3 && exec 3<&- && exec sh -c \"$0\" sh \"$@\"' \"$0\" \"$@\" <&4 3<> \"$PIPE\" & \
                   while [ \"$(readlink /proc/$!/ns/user)\" = \"$(readlink /proc/self/ns/user)\" ]; do sleep 0.02; done; \
                   echo 0 0 65536 > /proc/$!/uid_map && echo 0 0 65536 > /proc/$!/gid_map && echo go > \"$PIPE\"; wait $!";
        let mut command = Command::new("sh");
        match user {
            User::Root => command.args(["-c", "exec \"$@\"", "sh"]),
            User::Nobody => command.args(["-c", drop, "sh"]),
            User::Forbidden => command.args(["-c", map, &forbid]).env("PIPE", self.pipe()),
            User::Ranged => command.args(["-c", RANGES, "sh"]).env("OWN_ETC", self.etc_with_ranges()),
        };
        let home = self.home(user);
        command
            .arg("env")
            .arg(format!("PATH={}", self.at(&format!("path/{runtimes}"))))
            .arg(self.path("sealos"))
            .arg("--root")
            .arg(home.join(store))
            .args(args)
            .current_dir(&home)
            .env("HOME", &home)
            .env("SEALOS_DATA_ROOT", home.join("data"))
            .stdin(Stdio::null());
        command
    }

    /// A user's own directory. Stores of all are found from `home`.
    fn home(&self, user: User) -> PathBuf {
        match user {
            User::Ranged => self.path("home/ranged"),
            _ => self.path("home"),
        }
    }

    /// A copy of `/etc` where [`User::Ranged`] has an account and ranges.
    fn etc_with_ranges(&self) -> PathBuf {
        let etc = self.path("etc");
        if !etc.exists() {
            assert!(Command::new("cp").args(["-a", "/etc"]).arg(&etc).bounded().unwrap().status.success());
            fs::create_dir(self.home(User::Ranged)).unwrap();
            std::os::unix::fs::chown(self.home(User::Ranged), Some(RANGED), Some(RANGED)).unwrap();
            let add = |name: &str, line: &str| {
                let old = fs::read_to_string(etc.join(name)).unwrap_or_default();
                fs::write(etc.join(name), format!("{old}{line}\n")).unwrap();
            };
            add("passwd", &format!("ranged:x:{RANGED}:{RANGED}::/nonexistent:/bin/sh"));
            add("group", &format!("ranged:x:{RANGED}:"));
            // By name here, by number there: both are usual.
            add("subuid", "ranged:700000:65536");
            add("subgid", &format!("{RANGED}:800000:65536"));
        }
        etc
    }

    fn pipe(&self) -> PathBuf {
        let pipe = self.path("pipe");
        if !pipe.exists() {
            assert!(Command::new("mkfifo").arg(&pipe).bounded().unwrap().status.success());
        }
        pipe
    }

    /// Runs sealos to its end.
    pub(crate) fn sealos(&self, user: User, store: &str, runtimes: &str, args: &[&str]) -> Said {
        said(self.command(user, store, runtimes, args), "")
    }

    /// The same with a text on stdin.
    pub(crate) fn sealos_reading(&self, stdin: &str, user: User, store: &str, args: &[&str]) -> Said {
        let mut command = self.command(user, store, "none", args);
        command.stdin(Stdio::piped());
        said(command, stdin)
    }

    /// Builds the context with a Kubefile; layers are not compressed, so that they can be looked into.
    pub(crate) fn build(&self, user: User, store: &str, (way, runtimes): Way, kubefile: &str, more: &[&str]) -> Said {
        self.file("Kubefile", kubefile);
        let context = self.at("context");
        let args = [&["build", "--compression", "none"], way, more, &[context.as_str()]].concat();
        self.sealos(user, store, runtimes, &args)
    }

    /// The layers of an image: files of tar, lowest first.
    pub(crate) fn layers(&self, store: &str, id: &str) -> Vec<PathBuf> {
        let blobs = self.path("home").join(store).join("blobs/sha256");
        let manifests = fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path()).filter_map(|path| {
            let is_small = fs::metadata(&path).unwrap().len() < 100_000;
            serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).ok().filter(|_| is_small)
        });
        let manifest =
            manifests.into_iter().find(|it| it["config"]["digest"] == id).expect("the image is in the store");
        let digests = manifest["layers"].as_array().unwrap().iter().map(|it| it["digest"].as_str().unwrap().to_owned());
        digests.map(|digest| blobs.join(digest.trim_start_matches("sha256:"))).collect()
    }

    /// The content of a file in an image's top layer.
    pub(crate) fn content(&self, store: &str, id: &str, file: &str) -> String {
        let layers = self.layers(store, id);
        let output = Command::new("tar").arg("-xOf").arg(layers.last().unwrap()).arg(file).bounded().unwrap();
        assert!(output.status.success(), "{file}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Fails unless a store holds neither images nor blobs.
    #[track_caller]
    pub(crate) fn holds_nothing(&self, store: &str) {
        let blobs = self.path("home").join(store).join("blobs/sha256");
        let found: Vec<_> = fs::read_dir(blobs).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(self.sealos(User::Root, store, "none", &["images", "-q", "-a"]).fine_for("images"), "");
    }
}

fn said(mut command: Command, stdin: &str) -> Said {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(stdin.as_bytes()).unwrap();
    }
    Said::from(crate::sandbox::waited(child))
}

/// Mode, owner, name and link of each entry of a tar file.
pub(crate) fn listing(tar: &Path) -> Vec<String> {
    let output = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(tar).bounded().unwrap();
    assert!(output.status.success(), "{}: {output:?}", tar.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        format!("{} {} {}", fields[0], fields[1], fields[5..].join(" "))
    };
    text.lines().map(entry).collect()
}
