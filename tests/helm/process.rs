//! Programs that the tests run: each ends within its time or is killed, and none outlives the test that started it.

use std::io::{Read, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What a rendering may take, on a machine that is busy with other tests.
pub(crate) const RENDERING: Duration = Duration::from_secs(300);
/// What may take long because it downloads or compiles.
pub(crate) const BUILDING: Duration = Duration::from_secs(900);

/// How often something is tried that needs the network.
const TRIES: u32 = 5;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already cannot be killed: that is as it should be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(mut pipe: impl Read + Send + 'static, which: usize, done: mpsc::Sender<(usize, Vec<u8>)>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.read_to_end(&mut bytes);
        read.unwrap_or_else(|error| panic!("a program's output: {error}"));
        // Nobody listens any more when the time is over.
        let _ = done.send((which, bytes));
    });
}

/// Runs a program to its end with that input.
///
/// Panics when it cannot be started or does not end in time.
pub(crate) fn run(command: &mut Command, input: Vec<u8>, limit: Duration) -> Output {
    let end = Instant::now() + limit;
    let program = command.get_program().to_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("{program:?} must be installed: {error}"));
    let mut child = Running(child);
    let mut stdin = child.0.stdin.take().expect("piped");
    // A program that ends before it has read all says why; that is seen below.
    thread::spawn(move || stdin.write_all(&input));
    let (done, pipes) = mpsc::channel();
    read(child.0.stdout.take().expect("piped"), 0, done.clone());
    read(child.0.stderr.take().expect("piped"), 1, done);
    let mut texts = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        match pipes.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok((which, bytes)) => texts[which] = bytes,
            Err(error) => panic!("{program:?} did not end within {limit:?}: {error}"),
        }
    }
    let [stdout, stderr] = texts;
    loop {
        if let Some(status) = child.0.try_wait().expect("a child of ours") {
            return Output { status, stdout, stderr };
        }
        assert!(Instant::now() < end, "{program:?} did not end within {limit:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Runs what needs the network until it succeeds, a few times at most.
pub(crate) fn retried(mut command: impl FnMut() -> Command) -> Output {
    for attempt in 1.. {
        let output = run(&mut command(), Vec::new(), BUILDING);
        if output.status.success() {
            return output;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{:?}:\n{}{}", command(), text(&output.stdout), text(&output.stderr));
        assert!(attempt < TRIES, "tried {attempt} times: {said}");
        eprintln!("once more, since {said}");
        thread::sleep(Duration::from_secs(1 << attempt));
    }
    unreachable!("every try ends or panics")
}

#[test]
#[should_panic(expected = "did not end")]
fn a_program_that_does_not_end_is_killed() {
    run(Command::new("sleep").arg("3600"), Vec::new(), Duration::from_millis(100));
}
