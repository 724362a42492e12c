//! What carrying out a plan promises: journal, repeats, failures, kills.

use std::cell::{Cell, RefCell};
use std::env::vars_os;
use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use oci::RuntimeConfig;
use tempfile::TempDir;

use super::*;
use crate::plan::{Mount, Override, Subject};
use crate::transport::{Answer, Local, Scripted, Stream};

/// Files of images by path; a path that ends in `/` is a directory, `-> x` a link.
struct Tree(Vec<(&'static str, &'static str, u32)>, Cell<u32>);

impl Files for Tree {
    fn unpack(&self, _: &Digest, into: &Path) -> Result<Vec<Warning>, RootfsError> {
        self.1.set(self.1.get() + 1);
        assert_eq!(fs::read_dir(into).unwrap().count(), 0, "the directory is empty");
        for (path, text, mode) in &self.0 {
            let path = into.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                _ if *text == "fail" => return Err(RootfsError::NotEmpty(path)),
                Some(target) => symlink(target, path).unwrap(),
                None => {
                    fs::write(&path, text).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                }
            }
        }
        Ok(vec![Warning::SocketSkipped { path: b"run/x.sock".to_vec() }])
    }
}

#[derive(Default)]
struct Lines(RefCell<Vec<String>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Observer for Lines {
    fn event(&self, event: &RunEvent<'_>) {
        let step = |step: &crate::plan::PlannedStep| {
            step.step.to_string().split_once(" to /").map_or(step.step.to_string(), |(verb, _)| verb.to_owned())
        };
        self.0.borrow_mut().push(match event {
            RunEvent::Image { image, kind, .. } => format!("{kind} {image}"),
            RunEvent::Skipped { step: what } => format!("skipped {}", step(what)),
            RunEvent::Started { step: what } => format!("started {}", step(what)),
            RunEvent::Output { step: what, stream, line } => {
                format!(
                    "{} {}> {}",
                    what.image,
                    if *stream == Stream::Stdout { "out" } else { "err" },
                    String::from_utf8_lossy(line).trim_end()
                )
            }
            RunEvent::Warning { text, .. } => format!("warning: {text}"),
            RunEvent::Finished { step: what, .. } => format!("finished {}", step(what)),
            RunEvent::Failed { step: what, .. } => format!("failed {}", step(what)),
        });
    }
}

struct Bench {
    directory: TempDir,
    files: Tree,
    lines: Lines,
    interrupt: Interrupt,
}

impl Bench {
    fn new(files: &[(&'static str, &'static str, u32)]) -> Self {
        Self {
            directory: TempDir::new().unwrap(),
            files: Tree(files.to_vec(), Cell::new(0)),
            lines: Lines::default(),
            interrupt: Interrupt::default(),
        }
    }

    fn layout(&self) -> Layout {
        Layout::at(self.directory.path())
    }

    fn desired(&self, kind: &str, commands: &[&str], env: &[&str]) -> Desired {
        desired(&self.layout(), kind, commands, env)
    }

    fn run(&self, desired: &Desired, repeat: Repeat) -> Result<Plan, ExecuteError> {
        let transport = Local::new(vars_os(), self.interrupt.clone());
        self.run_with(&transport, desired, repeat)
    }

    fn run_with(&self, transport: &dyn Transport, desired: &Desired, repeat: Repeat) -> Result<Plan, ExecuteError> {
        let (files, observer, interrupt) = (&self.files, &self.lines, &self.interrupt);
        run(
            desired,
            &self.layout(),
            repeat,
            &World { transport, files, engine: &Engine::default(), observer, interrupt },
        )
    }

    fn journal(&self) -> PathBuf {
        self.directory.path().join("default/journal.jsonl")
    }
}

fn desired(layout: &Layout, kind: &str, commands: &[&str], env: &[&str]) -> Desired {
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let mut config = RuntimeConfig { cmd: Some(strings(commands)), env: strings(env), ..RuntimeConfig::default() };
    config.labels.insert("sealos.io.type".into(), kind.into());
    let name = format!("{kind}:v1");
    let subject = Subject { name: &name, digest: Digest::of(kind.as_bytes()), config: &config };
    let cluster = ClusterName::default();
    let mount = Mount::new(layout, &cluster, &subject, &Override::default()).unwrap();
    Desired { cluster, mounts: vec![mount] }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_image_is_unpacked_rendered_and_run_and_then_nothing_is_left() {
    let bench = Bench::new(&[
        ("scripts/run.sh.tmpl", "echo {{ .A }} {{ .Env.A | len }}{{ env \"NONE\" }} {{ env \"A\" }}", 0o640),
        ("registry/x", "", 0o600),
    ]);
    let desired = bench.desired("application", &["cat scripts/run.sh", "pwd > where; echo '$(A)' >&2"], &["A=a 'b'"]);
    let plan = bench.run(&desired, Repeat::Continue).unwrap();
    assert_eq!(plan.steps.len(), 5);
    let want = "application application:v1|started unpack|warning: the socket `run/x.sock` was left out|finished unpack|started render the templates|\
        finished render the templates|started run command 1 of 2: cat scripts/run.sh|\
        application:v1 out> echo a 'b' 5 a 'b'|\
        finished run command 1 of 2: cat scripts/run.sh|started run command 2 of 2: pwd > where; echo '$(A)' >&2|\
        application:v1 err> a 'b'|finished run command 2 of 2: pwd > where; echo '$(A)' >&2|started record the application|finished record the application";
    assert_eq!(bench.lines.take().join("|"), want);
    let directory = &desired.mounts[0].directory;
    assert_eq!(
        fs::read_to_string(directory.join("where")).unwrap().trim_end(),
        directory.canonicalize().unwrap().to_str().unwrap()
    );
    assert_eq!((mode(&directory.join("scripts/run.sh")), mode(&directory.join("registry/x"))), (0o750, 0o700));

    assert!(preview(&desired, &bench.layout(), Repeat::Continue).unwrap().is_empty());
    assert!(bench.run(&desired, Repeat::Continue).unwrap().is_empty());
    assert!(bench.lines.take().iter().skip(1).all(|line| line.starts_with("skipped ")));
    let records = recorded(&bench.layout(), &desired.cluster).unwrap();
    assert_eq!(records.iter().map(|entry| entry.image.as_str()).collect::<Vec<_>>(), ["application:v1"]);

    assert_eq!(bench.run(&desired, Repeat::Force).unwrap().steps.len(), 5);
    assert_eq!(bench.files.1.get(), 2);
    assert!(bench.run(&desired, Repeat::Continue).unwrap().is_empty());
}

#[test]
fn a_failing_command_stops_the_run_and_the_next_run_continues_with_it() {
    let bench = Bench::new(&[]);
    let desired = bench.desired(
        "application",
        &["echo 1 >> ran", "echo 2 >> ran; echo why >&2; test -e ok || exit 7", "echo 3 >> ran"],
        &[],
    );
    let error = bench.run(&desired, Repeat::Continue).unwrap_err();
    assert_eq!(error.exit_code(), 7);
    assert_eq!(
        error.to_string(),
        "command 2 of 3 of `application:v1` failed with exit code 7: echo 2 >> ran; echo why >&2; test -e ok || exit 7\n  | why"
    );
    assert_eq!(error.help().unwrap(), "run it again to continue with command 2; with `--force` it starts over");
    let directory = &desired.mounts[0].directory;
    fs::write(directory.join("ok"), "").unwrap();
    assert_eq!(bench.run(&desired, Repeat::Continue).unwrap().steps.len(), 3);
    assert_eq!(fs::read_to_string(directory.join("ran")).unwrap(), "1\n2\n2\n3\n");
    let text = fs::read_to_string(bench.journal()).unwrap();
    assert!(text.contains(r#""state":"failed","exit_code":7"#), "{text}");
}

#[test]
fn a_signal_is_told_as_a_shell_does() {
    let bench = Bench::new(&[]);
    let error = bench.run(&bench.desired("application", &["kill -15 $$$$"], &[]), Repeat::Continue).unwrap_err();
    assert_eq!(error.exit_code(), 143);
}

#[test]
fn a_changed_environment_repeats_commands_but_not_the_unpacking_and_changing_back_repeats_them_again() {
    let bench = Bench::new(&[]);
    for (value, steps) in [("X=1", 4), ("X=1", 0), ("X=2", 3), ("X=1", 3), ("X=1", 0)] {
        let plan = bench.run(&bench.desired("application", &["true"], &[value]), Repeat::Continue).unwrap();
        assert_eq!(plan.steps.len(), steps, "{value}");
    }
    assert_eq!(bench.files.1.get(), 1);
}

#[test]
fn an_image_without_files_has_a_directory_and_one_that_lost_it_gets_it_back() {
    let bench = Bench::new(&[]);
    let desired = bench.desired("application", &["pwd"], &[]);
    bench.run(&desired, Repeat::Continue).unwrap();
    fs::remove_dir_all(&desired.mounts[0].directory).unwrap();
    assert_eq!(bench.run(&desired, Repeat::Continue).unwrap().steps.len(), 4);
    assert!(desired.mounts[0].directory.is_dir());
}

#[test]
fn no_value_is_written_down() {
    let bench = Bench::new(&[("etc/x.hbs", "x{{PASSWORD}}", 0o600)]);
    let desired = bench.desired("application", &["echo '$(PASSWORD)'; exit 3"], &["PASSWORD=hush"]);
    let error = bench.run(&desired, Repeat::Continue).unwrap_err();
    assert!(matches!(error, ExecuteError::CommandFailed { tail, .. } if tail == ["hush"]), "the command had it");
    assert!(!fs::read_to_string(bench.journal()).unwrap().contains("hush"));
    assert_eq!(mode(&bench.journal()), 0o600);
    assert_eq!(fs::read_to_string(desired.mounts[0].directory.join("etc/x")).unwrap(), "xhush");
    assert_eq!(mode(&desired.mounts[0].directory.join("etc/x")), 0o700);
}

#[test]
fn a_torn_last_line_is_cut_off_and_other_damage_is_named() {
    let bench = Bench::new(&[]);
    let desired = bench.desired("application", &["true"], &[]);
    bench.run(&desired, Repeat::Continue).unwrap();
    let whole = fs::read(bench.journal()).unwrap();
    let lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for (end, what) in
        [(whole.len() - 1, "newline"), (whole.len() - 9, "half"), (whole.len() - lines[7].len() + 1, "byte")]
    {
        fs::write(bench.journal(), &whole[..end]).unwrap();
        assert_eq!(bench.run(&desired, Repeat::Continue).unwrap().steps.len(), 1, "{what}");
        assert!(bench.run(&desired, Repeat::Continue).unwrap().is_empty(), "{what}");
    }
    fs::write(bench.journal(), [lines[0], b"{}\n", lines[1]].concat()).unwrap();
    let error = bench.run(&desired, Repeat::Continue).unwrap_err();
    assert!(matches!(error, ExecuteError::Journal { line: 2, .. }), "{error}");
    assert!(error.help().unwrap().contains("move"));
}

#[test]
fn a_journal_that_ends_anywhere_tells_of_the_lines_before() {
    let bench = Bench::new(&[]);
    let desired = bench.desired("application", &["true"], &[]);
    bench.run(&desired, Repeat::Continue).unwrap();
    let whole = fs::read(bench.journal()).unwrap();
    let directory = bench.layout().cluster(&desired.cluster);
    for end in 0..=whole.len() {
        fs::write(bench.journal(), &whole[..end]).unwrap();
        let lines = whole[..end].iter().filter(|byte| **byte == b'\n').count();
        let done: usize = Journal::read(&directory).unwrap().ids().values().map(|ids| ids.len()).sum();
        assert_eq!(done, lines / 2, "cut at byte {end}");
    }
}

#[test]
fn two_runs_do_not_work_on_one_cluster() {
    let bench = Bench::new(&[]);
    let held = Journal::open(&bench.layout().cluster(&ClusterName::default())).unwrap();
    let desired = bench.desired("application", &[], &[]);
    let error = bench.run(&desired, Repeat::Force).unwrap_err();
    assert!(matches!(error, ExecuteError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert_eq!(preview(&desired, &bench.layout(), Repeat::Continue).unwrap().steps.len(), 3, "looking is possible");
    drop(held);
    bench.run(&desired, Repeat::Continue).unwrap();
}

#[test]
fn a_patch_goes_over_the_rootfs_and_a_new_rootfs_takes_it_away() {
    let bench =
        Bench::new(&[("bin/a", "1", 0o755), ("etc/link", "-> /etc", 0), ("dir/x", "1", 0o644), ("file", "1", 0o644)]);
    let rootfs = bench.desired("rootfs", &[], &[]);
    bench.run(&rootfs, Repeat::Continue).unwrap();
    let patched = Bench {
        files: Tree(
            vec![("bin/b", "2", 0o755), ("etc/link/new", "2", 0o644), ("dir", "2", 0o644), ("file/x", "2", 0o644)],
            Cell::new(0),
        ),
        ..bench
    };
    let patch = patched.desired("patch", &["ls bin"], &[]);
    assert_eq!(patch.mounts[0].directory, rootfs.mounts[0].directory);
    patched.run(&patch, Repeat::Continue).unwrap();
    let read = |path: &str| fs::read_to_string(rootfs.mounts[0].directory.join(path)).unwrap();
    assert_eq!(
        [read("bin/a"), read("bin/b"), read("etc/link/new"), read("dir"), read("file/x")],
        ["1", "2", "2", "2", "2"]
    );
    assert!(!Path::new("/etc/new").exists());
    assert!(patched.run(&patch, Repeat::Continue).unwrap().is_empty());
    patched.run(&rootfs, Repeat::Force).unwrap();
    assert_eq!(patched.run(&patch, Repeat::Continue).unwrap().steps.len(), 4);
    let left: Vec<_> = fs::read_dir(patched.directory.path().join("default"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().starts_with('.')), "{left:?}");
}

#[test]
fn a_failed_unpacking_leaves_what_was_there() {
    let bench = Bench::new(&[("a", "1", 0o644)]);
    let desired = bench.desired("application", &[], &[]);
    bench.run(&desired, Repeat::Continue).unwrap();
    let torn = Bench { files: Tree(vec![("a", "2", 0o644), ("b", "fail", 0)], Cell::new(0)), ..bench };
    let error = torn.run(&desired, Repeat::Force).unwrap_err();
    assert!(matches!(error, ExecuteError::Unpack { .. }), "{error}");
    let directory = &desired.mounts[0].directory;
    assert_eq!(fs::read_to_string(directory.join("a")).unwrap(), "1");
    assert_eq!(fs::read_dir(directory.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn templates_elsewhere_and_links_stay_and_wrong_ones_are_named() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("x.tmpl"), "evil").unwrap();
    let link: &'static str = format!("-> {}", outside.path().display()).leak();
    let bench = Bench::new(&[
        ("charts/x.tmpl", "{{ .B }}", 0o644),
        ("manifests", link, 0),
        ("scripts/d", link, 0),
        ("etc/e.tmpl", "", 0o644),
        ("etc/a.tmpl.txt", "{{ .B }}", 0o644),
    ]);
    let desired = bench.desired("application", &[], &[]);
    bench.run(&desired, Repeat::Continue).unwrap();
    assert!(!outside.path().join("x").exists() && !desired.mounts[0].directory.join("charts/x").exists());
    assert_eq!(fs::read_to_string(desired.mounts[0].directory.join("etc/e")).unwrap(), "");

    for (files, want) in [
        (
            vec![("etc/sub/a.tmpl", "a\n{{ .B }}", 0o644)],
            "cannot render `etc/sub/a.tmpl` of `application:v1`: etc/sub/a.tmpl:2",
        ),
        (
            vec![("scripts/a.hbs", "a\n\n{{B}}", 0o644)],
            "cannot render `scripts/a.hbs` of `application:v1`: scripts/a.hbs:3",
        ),
        (
            vec![("manifests/a.tmpl", "{{ nope 1 }}", 0o644)],
            "cannot render `manifests/a.tmpl` of `application:v1`: manifests/a.tmpl:1",
        ),
        (
            vec![("etc/a.tmpl", "", 0o644), ("etc/a.hbs", "", 0o644)],
            "two templates of `application:v1` give the file `etc/a`",
        ),
    ] {
        let bench = Bench::new(&files);
        let error = bench.run(&bench.desired("application", &[], &[]), Repeat::Continue).unwrap_err();
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        let got = format!("{error}{cause}");
        assert!(got.starts_with(want), "{got}");
    }
}

#[test]
fn an_output_that_is_a_link_is_replaced_and_not_written_through() {
    let outside = TempDir::new().unwrap();
    let target = outside.path().join("target");
    fs::write(&target, "mine").unwrap();
    let link: &'static str = format!("-> {}", target.display()).leak();
    let bench = Bench::new(&[("etc/a.tmpl", "new", 0o644), ("etc/a", link, 0), ("etc/.a.rendering", link, 0)]);
    let desired = bench.desired("application", &[], &[]);
    bench.run(&desired, Repeat::Continue).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
    assert_eq!(fs::read_to_string(desired.mounts[0].directory.join("etc/a")).unwrap(), "new");
}

#[test]
fn values_go_to_the_transport_as_environment_and_text_as_it_is() {
    let bench = Bench::new(&[]);
    let host = Scripted::new([Answer::new("ok\n", 0)]);
    let desired = bench.desired("application", &["x '$(A)' $(b.c)"], &["A=;rm", "b.c=2"]);
    bench.run_with(&host, &desired, Repeat::Continue).unwrap();
    let command = &host.transcript()[0];
    assert_eq!(command.argv, ["/bin/sh", "-c", "x ''\"${A}\"'' ${SEALOS_VALUE_1}"]);
    assert_eq!((command.env["A"].as_str(), command.env["SEALOS_VALUE_1"].as_str()), (";rm", "2"));
    assert_eq!(command.cwd.as_ref(), Some(&desired.mounts[0].directory));
}

#[test]
fn an_interrupted_run_says_so_and_continues() {
    let bench = Bench::new(&[]);
    let desired = bench.desired("application", &["echo 1 >> ran", "echo 2 >> ran"], &[]);
    bench.interrupt.wish();
    let error = bench.run(&desired, Repeat::Continue).unwrap_err();
    assert_eq!((error.exit_code(), matches!(error, ExecuteError::Interrupted { .. })), (130, true));
    let bench = Bench { interrupt: Interrupt::default(), ..bench };
    bench.run(&desired, Repeat::Continue).unwrap();
    assert_eq!(fs::read_to_string(desired.mounts[0].directory.join("ran")).unwrap(), "1\n2\n");
}

const KILLED: &str = "SEALOS_TEST_KILLED_RUN";
const SLOW: [&str; 3] = ["echo 1 >> ran", "echo 2 >> ran; test -e go || exec sleep 600", "echo 3 >> ran"];

/// A program that does not outlive the test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The program that the next test kills.
fn run_until_killed(directory: &std::ffi::OsStr) {
    let layout = Layout::at(directory);
    let (interrupt, files) = (Interrupt::default(), Tree(vec![("a.txt", "", 0o644)], Cell::new(0)));
    let transport = Local::new(vars_os(), interrupt.clone());
    let world = World {
        transport: &transport,
        files: &files,
        engine: &Engine::default(),
        observer: &Silent,
        interrupt: &interrupt,
    };
    run(&desired(&layout, "application", &SLOW, &[]), &layout, Repeat::Continue, &world).unwrap();
}

#[test]
fn a_run_that_is_killed_in_the_middle_takes_its_command_along_and_is_continued() {
    if let Some(directory) = std::env::var_os(KILLED) {
        return run_until_killed(&directory);
    }
    let bench = Bench::new(&[]);
    let desired = bench.desired("application", &SLOW, &[]);
    let directory = &desired.mounts[0].directory;
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program
        .args([
            "--exact",
            "execute::tests::a_run_that_is_killed_in_the_middle_takes_its_command_along_and_is_continued",
        ])
        .env(KILLED, bench.directory.path());
    let mut program = Killed(program.stdout(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(directory.join("ran")).unwrap_or_default() != "1\n2\n" {
        assert!(
            Instant::now() < deadline && program.0.try_wait().unwrap().is_none(),
            "it never came to its second command"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let error = bench.run(&desired, Repeat::Continue).unwrap_err();
    assert!(matches!(error, ExecuteError::Locked { pid: Some(pid), .. } if pid == program.0.id()), "{error}");
    drop(program);
    let in_there = |process: &fs::DirEntry| {
        fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == directory.canonicalize().unwrap())
    };
    while fs::read_dir("/proc").unwrap().any(|process| in_there(&process.unwrap())) {
        assert!(Instant::now() < deadline, "the command lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::write(directory.join("go"), "").unwrap();
    let plan = bench.run(&desired, Repeat::Continue).unwrap();
    assert_eq!((plan.skipped.len(), plan.steps.len()), (3, 3));
    assert_eq!(fs::read_to_string(directory.join("ran")).unwrap(), "1\n2\n2\n3\n");
    assert_eq!(bench.files.1.get(), 0, "the files are there already");
}
