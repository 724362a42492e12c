//! Commands that really run: as root in both isolations and with copied layers, and as a user without rights in a user
//! namespace. The root file system is a static busybox.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use content::tar::EntryKind;

use super::layout::Storage;
use super::*;

/// A program that every test image has.
const BUSYBOX: &str = "/bin/busybox";

/// A tiny image and room for jobs.
struct Bench {
    directory: tempfile::TempDir,
    jobs: std::cell::Cell<usize>,
}

struct Ran {
    status: Status,
    stdout: String,
    stderr: String,
    changes: Changes,
}

impl Ran {
    fn paths(&self) -> Vec<String> {
        self.changes.entries().iter().map(|it| String::from_utf8_lossy(&it.path).into_owned()).collect()
    }
}

impl Bench {
    fn new() -> Self {
        assert!(Path::new(BUSYBOX).exists(), "{BUSYBOX} is missing: apt-get install busybox-static");
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("base");
        for name in ["usr/bin", "etc", "tmp", "var/old", "var/run-of", "home/web"] {
            fs::create_dir_all(root.join(name)).expect("a directory");
        }
        symlink("usr/bin", root.join("bin")).expect("a link");
        fs::copy(BUSYBOX, root.join("usr/bin/busybox")).expect("busybox");
        for applet in [
            "sh", "cat", "id", "ls", "env", "touch", "mkdir", "rm", "rmdir", "ln", "mount", "pwd", "sleep", "sed",
            "dd", "mknod", "grep", "ip", "hostname", "stat", "chmod", "mkfifo", "kill", "mv", "test", "true", "head",
            "wc",
        ] {
            symlink("busybox", root.join("usr/bin").join(applet)).expect("a link");
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/home/web:/bin/sh\n")
            .expect("passwd");
        fs::write(root.join("etc/group"), "root:x:0:\nweb:x:34:\nlog:x:4:web\n").expect("group");
        fs::write(root.join("var/old/one"), "1").expect("a file");
        fs::write(root.join("var/old/two"), "2").expect("a file");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), open.clone()).expect("modes");
        fs::set_permissions(&root, open).expect("modes");
        Self { directory, jobs: std::cell::Cell::new(0) }
    }

    fn scratch(&self) -> PathBuf {
        self.jobs.set(self.jobs.get() + 1);
        let path = self.directory.path().join(format!("job-{}", self.jobs.get()));
        fs::create_dir(&path).expect("a directory");
        path
    }

    fn job<'a>(&self, scratch: &'a Path, script: &str) -> Job<'a> {
        Job {
            lowers: vec![self.directory.path().join("base")],
            scratch,
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec![("GREETING".to_owned(), "hello".to_owned())],
            secret_env: Vec::new(),
            cwd: "/".to_owned(),
            user: String::new(),
            mounts: Vec::new(),
            network: Network::Default,
            calls: Calls::Filtered,
            stdin: None,
        }
    }
}

/// The ways that commands run here.
fn ways() -> Vec<(&'static str, Sandbox, Storage)> {
    let chroot = Sandbox::choose(Some(Isolation::Chroot)).expect("the isolation that is built in works");
    let mut ways = vec![("chroot", chroot.clone(), Storage::Overlay), ("copied", chroot, Storage::Copy)];
    for name in ["crun", "runc"] {
        let places = ["/usr/bin", "/usr/sbin"].map(|place| Path::new(place).join(name));
        if let Some(runtime) = places.into_iter().find(|it| it.exists()) {
            ways.push((name, Sandbox { runtime: Some(runtime) }, Storage::Overlay));
        }
    }
    ways
}

fn run(sandbox: &Sandbox, storage: Storage, job: &Job<'_>) -> Result<Ran, SandboxError> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let outcome = sandbox.attempt(job, storage, &mut |stream, bytes| match stream {
        Stream::Stdout => stdout.extend_from_slice(bytes),
        Stream::Stderr => stderr.extend_from_slice(bytes),
    })?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { status: outcome.status, stdout: text(stdout), stderr: text(stderr), changes: outcome.upper })
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").expect("mounts")
}

#[test]
fn a_command_changes_files_and_only_they_are_the_layer() {
    let bench = Bench::new();
    let before = mounts();
    for (way, sandbox, storage) in ways() {
        let scratch = bench.scratch();
        let script = "echo $GREETING; echo problem >&2; echo new > /etc/new; rm /var/old/one; rm -r /home/web; \
            mkdir /home/web; echo x > /home/web/x; ln /etc/new /etc/same; ln -s new /etc/link; mkfifo /tmp/pipe; \
            mkdir /empty; touch /var/run-of/t; rm /var/run-of/t; chmod 4755 /etc/new; exit 3";
        let ran = run(&sandbox, storage, &bench.job(&scratch, script)).expect(way);
        assert_eq!(ran.status, Status::Exited(3), "{way}: {}", ran.stderr);
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("hello\n", "problem\n"), "{way}");
        let mut paths = ran.paths();
        paths.retain(|path| !path.ends_with(".wh..wh..opq"));
        assert_eq!(
            paths,
            [
                "empty",
                "etc",
                "etc/link",
                "etc/new",
                "etc/same",
                "home",
                "home/web",
                "home/web/x",
                "tmp",
                "tmp/pipe",
                "var",
                "var/old",
                "var/old/.wh.one"
            ],
            "{way}"
        );
        let find = |path: &str| {
            ran.changes
                .entries()
                .iter()
                .find(|it| it.path == path.as_bytes())
                .unwrap_or_else(|| panic!("{way}: {path}"))
        };
        assert_eq!(find("etc/same").kind, EntryKind::HardLink { target: b"etc/new".to_vec() }, "{way}");
        assert_eq!(find("etc/link").kind, EntryKind::Symlink { target: b"new".to_vec() }, "{way}");
        assert_eq!(find("etc/new").mode, 0o4755, "{way}");
        assert_eq!(find("tmp/pipe").kind, EntryKind::Fifo, "{way}");
        let mut content = String::new();
        let file = ran.changes.open(find("etc/new")).expect("opens");
        std::io::Read::read_to_string(&mut file.expect("has content"), &mut content).expect("reads");
        assert_eq!(content, "new\n", "{way}");

        let scratch = bench.scratch();
        let mut next = bench.job(&scratch, "cat /etc/same; ls /var/old /home/web; ls -d /empty; rm -r /empty");
        next.lowers.push(ran.changes.directory().to_owned());
        let second = run(&sandbox, storage, &next).expect(way);
        assert_eq!(second.stdout, "new\n/home/web:\nx\n\n/var/old:\ntwo\n/empty\n", "{way}: {}", second.stderr);
        assert_eq!(second.paths(), [".wh.empty"], "{way}");
    }
    assert_eq!(mounts(), before, "no mount is left behind");
}

#[test]
fn a_command_sees_a_complete_system_and_not_the_host() {
    let bench = Bench::new();
    for (way, sandbox, storage) in ways() {
        for (script, want) in [
            ("id", "uid=0(root) gid=0(root) groups=0(root)\n"),
            ("hostname", "sealos\n"),
            ("pwd", "/\n"),
            ("echo $PATH; echo $HOME", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n/root\n"),
            ("echo x > /dev/null && head -c 3 /dev/zero | wc -c", "3\n"),
            ("ls /dev/pts/ptmx /dev/fd/0 /dev/stdin /dev/shm -d | wc -l", "4\n"),
            ("test -e /proc/1/status && test -d /sys/class && echo yes", "yes\n"),
            ("test -w /proc/sys/kernel/core_pattern && echo x > /proc/sys/kernel/core_pattern || echo no", "no\n"),
            ("mknod /tmp/sda b 8 0 && head -c 1 /tmp/sda || echo no", "no\n"),
            ("mount -t tmpfs none /tmp || echo no", "no\n"),
            ("grep CapBnd /proc/self/status", "CapBnd:\t00000000a80425fb\n"),
            ("grep -c . /proc/self/mountinfo > /dev/null; ls /opt /root 2>/dev/null || echo none", "none\n"),
            ("cat", "typed\n"),
            ("stat -c %a /", "755\n"),
        ] {
            let scratch = bench.scratch();
            let mut job = bench.job(&scratch, script);
            job.stdin = Some(b"typed\n".to_vec());
            let ran = run(&sandbox, storage, &job).expect(way);
            assert_eq!(ran.stdout, want, "{way}: {script}: {}", ran.stderr);
            let is_mknod = script.starts_with("mknod");
            assert_eq!(ran.changes.entries().is_empty(), !is_mknod, "{way}: {script}: {:?}", ran.paths());
        }
    }
}

#[test]
fn users_working_directories_and_programs_are_found_in_the_image() {
    let bench = Bench::new();
    for (way, sandbox, storage) in ways() {
        for (user, cwd, want) in [
            ("web", "", "33 34 4 34 /home/web /\n"),
            ("web:log", "/etc/../tmp", "33 4 4 /home/web /tmp\n"),
            ("1234:77", "/made/for/it", "1234 77 77 / /made/for/it\n"),
        ] {
            let scratch = bench.scratch();
            let script = "echo $(id -u) $(id -g) $(for g in $(id -G); do echo $g; done | sed 's/^/ /' | ./usr/bin/busybox sort -n) $HOME $(pwd)";
            let mut job = bench.job(&scratch, &script.replace("./usr/bin/busybox", "/bin/busybox"));
            (job.user, job.cwd) = (user.to_owned(), cwd.to_owned());
            let ran = run(&sandbox, storage, &job).expect(way);
            assert_eq!(ran.stdout, want, "{way}: {user} {}", ran.stderr);
        }
        let scratch = bench.scratch();
        let mut job = bench.job(&scratch, "");
        job.argv = vec!["busybox".to_owned(), "true".to_owned()];
        assert_eq!(run(&sandbox, storage, &job).expect(way).status, Status::Exited(0), "{way}");
        job.user = "nobody".to_owned();
        let error = run(&sandbox, storage, &job).err().expect(way);
        assert_eq!(error.to_string(), "the image has no user `nobody`", "{way}");
    }
}

#[test]
fn a_program_that_is_not_there_is_an_error_that_names_it() {
    let bench = Bench::new();
    let sandbox = Sandbox::choose(Some(Isolation::Chroot)).expect("works");
    for (program, want) in [
        ("absent", "cannot run `absent`: cannot execute it: No such file or directory (os error 2)"),
        ("/etc/passwd", "cannot run `/etc/passwd`: cannot execute it: Permission denied (os error 13)"),
    ] {
        let scratch = bench.scratch();
        let mut job = bench.job(&scratch, "");
        job.argv = vec![program.to_owned()];
        let error = sandbox.run(&job, &mut |_, _| {}).expect_err(program);
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn mounts_are_seen_and_leave_nothing_in_the_layer() {
    let bench = Bench::new();
    let host = bench.directory.path().join("host");
    fs::create_dir(&host).expect("a directory");
    fs::write(host.join("file"), "from the host").expect("a file");
    let caches = bench.directory.path().join("caches");
    for (way, sandbox, storage) in ways() {
        let scratch = bench.scratch();
        let script = "cat /src/file; echo; cat /mnt/deep/one; echo; echo x > /src/file 2>/dev/null || echo read-only; \
            echo y > /rw/file && cat /rw/file; cat /run/secrets/key; echo; stat -c '%a %u' /run/secrets/key; \
            echo $TOKEN; echo 1 >> /cache/count; wc -l < /cache/count; echo t > /mem/t; cat /mem/t";
        let mut job = bench.job(&scratch, script);
        let mount = |target: &str, kind| JobMount { target: target.to_owned(), kind };
        let bind = |source: PathBuf, access| MountKind::Bind { source, inside: Vec::new(), access };
        let secret = Secret(b"plugh-4711".to_vec());
        job.mounts = vec![
            mount("/src", bind(host.clone(), Access::ReadOnly)),
            mount("/mnt/deep/one", bind(host.join("file"), Access::ReadOnly)),
            mount("rw", bind(host.clone(), Access::ReadWrite)),
            mount("/run/secrets/key", MountKind::Secret { content: secret.clone(), mode: 0o400, uid: 0, gid: 0 }),
            mount("/mem", MountKind::Tmpfs { size: Some(1 << 20) }),
            mount(
                "/cache",
                MountKind::Cache {
                    base: None,
                    caches: caches.join(way),
                    id: "a/../b".to_owned(),
                    sharing: Sharing::Locked,
                    access: Access::ReadWrite,
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                },
            ),
        ];
        job.secret_env = vec![("TOKEN".to_owned(), secret)];
        for count in ["1", "2"] {
            let ran = run(&sandbox, storage, &job).expect(way);
            let want =
                format!("from the host\nfrom the host\nread-only\ny\nplugh-4711\n400 0\nplugh-4711\n{count}\nt\n");
            assert_eq!(ran.stdout, want, "{way}: {}", ran.stderr);
            assert_eq!(ran.paths(), Vec::<String>::new(), "{way}");
            assert_eq!(fs::read_to_string(host.join("file")).expect("a file"), "from the host", "{way}");
        }
        let leaked = Command::new("grep").args(["-rl", "plugh-4711"]).arg(&scratch).output().expect("grep");
        assert_eq!(String::from_utf8_lossy(&leaked.stdout), "", "{way}: a secret was written to disk");
        assert!(!format!("{job:?}").contains("112, 108, 117, 103, 104"), "{way}: a secret can be printed");
    }
}

#[test]
fn without_network_there_is_only_a_loopback_device() {
    let bench = Bench::new();
    for (way, sandbox, storage) in ways() {
        let scratch = bench.scratch();
        let mut job = bench.job(&scratch, "ip -o link | sed 's/[<].*UP.*/up/; s/:.*:/:/'");
        job.network = Network::None;
        let ran = run(&sandbox, storage, &job).expect(way);
        assert_eq!(ran.stdout, "1: up\n", "{way}: {}", ran.stderr);
    }
}

#[test]
fn signals_are_told_and_processes_left_behind_end_with_the_command() {
    let bench = Bench::new();
    for (way, sandbox, storage) in ways() {
        let scratch = bench.scratch();
        let started = std::time::Instant::now();
        let ran = run(&sandbox, storage, &bench.job(&scratch, "sleep 60 & echo on; exit 0")).expect(way);
        assert_eq!((ran.stdout.as_str(), ran.status), ("on\n", Status::Exited(0)), "{way}");
        assert!(started.elapsed().as_secs() < 30, "{way}: waited for a process left behind");
        if sandbox.isolation() == Isolation::Chroot {
            let scratch = bench.scratch();
            let ran = run(&sandbox, storage, &bench.job(&scratch, "kill -9 $$")).expect(way);
            assert_eq!(ran.status, Status::Signaled(9), "{way}");
        }
    }
}

#[test]
fn much_output_comes_whole_and_in_order() {
    let bench = Bench::new();
    let sandbox = Sandbox::choose(Some(Isolation::Chroot)).expect("works");
    let scratch = bench.scratch();
    let script = "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done; head -c 3000000 /dev/zero >&2";
    let ran = run(&sandbox, Storage::Overlay, &bench.job(&scratch, script)).expect("runs");
    let want: String = (0..20000).map(|number| format!("{number}\n")).collect();
    assert!(ran.stdout == want, "the lines are not those written");
    assert_eq!(ran.stderr.len(), 3_000_000);
}

#[test]
fn mount_points_follow_the_images_links_and_never_the_hosts() {
    let bench = Bench::new();
    let base = bench.directory.path().join("base");
    let outside = bench.directory.path().join("outside");
    fs::create_dir(&outside).expect("a directory");
    symlink(&outside, base.join("escape")).expect("a link");
    symlink("../../../../var", base.join("climb")).expect("a link");
    symlink("/escape/resolv", base.join("etc/resolv.conf")).expect("a link");
    for (way, sandbox, storage) in ways() {
        let scratch = bench.scratch();
        let mut job = bench.job(&scratch, "ls /var/s; ls /etc/resolv.conf");
        let content = Secret(b"x".to_vec());
        job.mounts = vec![JobMount {
            target: "/climb/s/key".to_owned(),
            kind: MountKind::Secret { content, mode: 0o400, uid: 0, gid: 0 },
        }];
        let ran = run(&sandbox, storage, &job).expect(way);
        assert_eq!(ran.stdout, "key\n/etc/resolv.conf\n", "{way}: {}", ran.stderr);
        assert_eq!(ran.paths(), Vec::<String>::new(), "{way}");
        assert_eq!(fs::read_dir(&outside).expect("a directory").count(), 0, "{way}: the host was written to");
    }
}

#[test]
fn the_default_is_a_runtime_that_works_and_a_broken_one_is_named() {
    let chosen = Sandbox::choose(None).expect("some way works");
    let has_runtime = oci::find().is_ok();
    assert_eq!(chosen.isolation() == Isolation::Oci, has_runtime);
}

#[test]
fn a_user_without_rights_runs_commands_in_a_user_namespace() {
    if std::env::var_os(INSIDE).is_some() {
        return run_inside_a_user_namespace();
    }
    let bench = Bench::new();
    let program = bench.directory.path().join("tests");
    fs::copy(std::env::current_exe().expect("this program"), &program).expect("copied");
    let room = bench.directory.path().join("room");
    fs::create_dir(&room).expect("a directory");
    std::os::unix::fs::chown(&room, Some(65534), Some(65534)).expect("chown");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "--user", "--map-root-user"])
        .arg(&program)
        .args(["--exact", "sandbox::tests::a_user_without_rights_runs_commands_in_a_user_namespace", "--nocapture"])
        .env("TMPDIR", &room)
        .env(INSIDE, "yes")
        .output()
        .expect("setpriv and unshare are installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Tells this program that it is the one that has entered the namespace.
const INSIDE: &str = "SEALOS_TEST_INSIDE_A_USER_NAMESPACE";

fn run_inside_a_user_namespace() {
    assert!(is_in_user_namespace());
    let bench = Bench::new();
    for (way, sandbox, storage) in ways() {
        if way == "runc" {
            continue;
        }
        let scratch = bench.scratch();
        let script =
            "id -u; echo new > /etc/new; rm /var/old/one; rm -r /home/web; mkdir /home/web; echo x > /dev/null";
        let ran = run(&sandbox, storage, &bench.job(&scratch, script)).expect(way);
        assert_eq!((ran.stdout.as_str(), ran.status), ("0\n", Status::Exited(0)), "{way}: {}", ran.stderr);
        let mut paths = ran.paths();
        paths.retain(|path| !path.ends_with(".wh..wh..opq") && !path.starts_with("home"));
        assert_eq!(paths, ["etc", "etc/new", "var", "var/old", "var/old/.wh.one"], "{way}");
        let owners: BTreeMap<_, _> = ran.changes.entries().iter().map(|it| ((it.uid, it.gid), ())).collect();
        assert_eq!(owners.into_keys().collect::<Vec<_>>(), [(0, 0)], "{way}");
    }
}

#[test]
fn a_process_without_rights_becomes_root_of_a_namespace() {
    let (mut said, said_end) = std::io::pipe().expect("a pipe");
    // SAFETY: the copy has one thread, as `create` needs it; glibc's allocator works after fork. It ends with _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: integers only.
        unsafe {
            libc::setgid(65534);
            libc::setuid(65534);
            // Owned by root after the change of user, and then the maps cannot be written.
            libc::prctl(libc::PR_SET_DUMPABLE, 1);
        }
        let text = match userns::create() {
            Ok(()) => fs::read_to_string("/proc/self/uid_map").unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        let is_told = std::io::Write::write_all(&mut &said_end, text.as_bytes()).is_ok();
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(!is_told)) }
    }
    drop(said_end);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut said, &mut text).expect("reads");
    // SAFETY: the pid is that of our child.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let map: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(map, ["0", "65534", "1"], "{text}");
}

#[test]
fn killing_the_caller_kills_the_command() {
    let bench = Bench::new();
    let scratch = bench.scratch();
    let job = bench.job(&scratch, "echo on; sleep 1000");
    let (said, said_end) = std::io::pipe().expect("a pipe");
    // SAFETY: glibc's allocator works after fork, and the copy is killed before it returns.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let sandbox = Sandbox { runtime: None };
        let outcome = sandbox.run(&job, &mut |_, bytes| {
            let is_told = std::io::Write::write_all(&mut &said_end, bytes).is_ok();
            assert!(is_told);
        });
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(outcome.is_err())) }
    }
    drop(said_end);
    let mut line = [0; 3];
    let mut said = said;
    std::io::Read::read_exact(&mut said, &mut line).expect("the command runs");
    // SAFETY: the pid is that of our child.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    let started = std::time::Instant::now();
    let marker = scratch.join("root").to_string_lossy().into_owned();
    loop {
        let is_left = fs::read_dir("/proc").expect("proc").flatten().any(|process| {
            let mounts = fs::read_to_string(process.path().join("mountinfo")).unwrap_or_default();
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            mounts.contains(&marker) || (command.starts_with(b"sleep\x001000") && mounts.contains("upperdir=upper"))
        });
        if !is_left {
            break;
        }
        assert!(started.elapsed().as_secs() < 60, "the command lives on");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(fs::metadata(&scratch).expect("scratch").dev(), fs::metadata(scratch.join("root")).expect("root").dev());
}
