//! What every transport to a real host promises. A new transport is correct when [`check`] passes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::transport::{Command, Conversation, Status, Stream, Transport, TransportError};

/// Runs a shell text and returns its status and both outputs.
pub(crate) fn shell(host: &dyn Transport, text: &str, adjust: impl FnOnce(&mut Command)) -> (Status, String, String) {
    let mut command = Command { argv: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(), ..Command::default() };
    adjust(&mut command);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut take = |stream, bytes: &[u8]| match stream {
        Stream::Stdout => out.extend_from_slice(bytes),
        Stream::Stderr => err.extend_from_slice(bytes),
    };
    let status = host.run(&command, &mut take).unwrap();
    (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// A source that fails after its first bytes.
struct Torn(bool);

impl Read for Torn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.0, true) {
            return Err(io::Error::other("torn"));
        }
        buffer[0] = b'x';
        Ok(1)
    }
}

/// Checks the promises; `directory` is an empty one on the host.
pub(crate) fn check(host: &dyn Transport, directory: &Path) {
    commands(host, directory);
    files(host, directory);
    connections(host);
    conversations(host);
    limits(host);
}

fn commands(host: &dyn Transport, directory: &Path) {
    for (text, want) in [
        ("exit 0", Status::Exited(0)),
        ("exit 7", Status::Exited(7)),
        ("exit 255", Status::Exited(255)),
        ("kill -9 $$", Status::Signalled(9)),
    ] {
        assert_eq!(shell(host, text, |_| ()).0, want, "{text}");
    }
    let both = shell(host, "echo out; echo err >&2; printf last", |_| ());
    assert_eq!(both, (Status::Exited(0), "out\nlast".into(), "err\n".into()), "the outputs are kept apart");

    let odd = ["a b", "'", "\"", "$HOME", "`x`", "\\", "*", "", "é\n", "-n"].map(str::to_owned);
    let want: String = odd.iter().map(|word| format!("<{word}>")).collect();
    let got = shell(host, "printf '<%s>' \"$@\"", |command| {
        command.argv.push("sh".into());
        command.argv.extend(odd.clone());
    });
    assert_eq!(got.1, want, "arguments arrive as they are");

    for value in odd {
        let got = shell(host, "printf %s \"$X\"", |command| drop(command.env.insert("X".into(), value.clone())));
        assert_eq!(got.1, value, "values arrive as they are");
    }
    let at = shell(host, "pwd -P", |command| command.cwd = Some(directory.to_owned()));
    assert_eq!(Path::new(at.1.trim_end()), directory.canonicalize().unwrap());

    let input = vec![b'x'; 300_000];
    let got = shell(host, "cat | wc -c", |command| command.stdin = Some(input.clone()));
    assert_eq!(got.1.trim(), "300000", "input arrives whole");
    let got = shell(host, "exec <&-; echo done", |command| command.stdin = Some(input));
    assert_eq!(got, (Status::Exited(0), "done\n".into(), String::new()), "input may be left unread");
    assert_eq!(shell(host, "cat", |_| ()).1, "", "without input there is nothing to read");
    let got = shell(host, "yes | head -c 3000000; echo end >&2", |_| ());
    assert_eq!((got.1.len(), got.2.as_str()), (3_000_000, "end\n"), "much output arrives whole");

    let missing = Command { argv: vec!["/no/such/program".into()], ..Command::default() };
    assert!(host.run(&missing, &mut |_, _| ()).is_err(), "a program that is not there is an error");
    assert!(host.run(&Command::default(), &mut |_, _| ()).is_err(), "no program is an error");
}

fn files(host: &dyn Transport, directory: &Path) {
    let path = directory.join("new/file");
    assert_eq!(host.upload(&mut &b"one"[..], &path, 0o640).unwrap(), 3);
    host.upload(&mut &b"two!"[..], &path, 0o750).unwrap();
    assert!(host.upload(&mut Torn(false), &path, 0o600).is_err(), "a torn source is an error");
    let mut back = Vec::new();
    assert_eq!(host.download(&path, &mut back).unwrap(), 4);
    assert_eq!(back, b"two!", "what went in comes out, and a torn upload changes nothing");
    let listing = shell(host, "ls; stat -c %a file", |command| command.cwd = path.parent().map(Path::to_owned));
    assert_eq!(listing.1, "file\n750\n", "a torn upload leaves nothing behind");
    assert!(host.download(&directory.join("none"), &mut Vec::new()).is_err(), "a missing file is an error");
}

fn connections(host: &dyn Transport) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    let mut connection = host.forward(&address).unwrap();
    connection.write_all(b"ping").unwrap();
    let mut back = [0; 4];
    connection.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"ping");
    echo.join().unwrap();
    assert!(host.forward(&address).is_err(), "nobody listens any more");
}

fn conversations(host: &dyn Transport) {
    let argv = ["/bin/sh", "-c", "echo up >&2; while read -r x; do echo \"<$x>\"; done; echo end; exit 3"];
    let command = Command { argv: argv.map(str::to_owned).to_vec(), ..Command::default() };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let errors = lines.clone();
    let take = move |line: &[u8]| errors.lock().unwrap().push(line.to_vec());
    let Conversation { mut input, output, end } = host.converse(&command, Box::new(take)).unwrap();
    let mut output = BufReader::new(output);
    for word in ["one", "two", ""] {
        writeln!(input, "{word}").unwrap();
        input.flush().unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        assert_eq!(answer, format!("<{word}>\n"), "it answers while it runs");
    }
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), end.wait().unwrap()), ("end\n", Status::Exited(3)));
    assert_eq!(*lines.lock().unwrap(), [b"up\n"]);

    let argv = ["/bin/sh", "-c", "cat | wc -c"].map(str::to_owned).to_vec();
    let command = Command { argv, ..Command::default() };
    let Conversation { mut input, mut output, end } = host.converse(&command, Box::new(|_| ())).unwrap();
    input.write_all(&vec![7; 3_000_000]).unwrap();
    drop(input);
    let mut count = String::new();
    output.read_to_string(&mut count).unwrap();
    assert_eq!((count.trim(), end.wait().unwrap()), ("3000000", Status::Exited(0)));

    let missing = Command { argv: vec!["/no/such/program".into()], ..Command::default() };
    let ended = host.converse(&missing, Box::new(|_| ())).and_then(|started| {
        drop((started.input, started.output));
        started.end.wait()
    });
    assert!(ended.is_err(), "a program that is not there is an error");
}

fn limits(host: &dyn Transport) {
    let argv = ["/bin/sh", "-c", "echo up; exec sleep 97531"].map(str::to_owned).to_vec();
    let command = Command { argv, timeout: Some(Duration::from_millis(700)), ..Command::default() };
    let late = host.run(&command, &mut |_, _| ());
    assert!(matches!(late, Err(TransportError::Timeout { .. })), "{late:?}");
    let left = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; echo; done | grep -c '^sleep 9753[1]'";
    assert_eq!(shell(host, left, |_| ()).1, "0\n", "what took too long is stopped");
}
