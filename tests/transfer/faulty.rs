//! A proxy between a client and a real registry that does wrong to chosen answers: it cuts, stalls, corrupts, lies,
//! redirects, and answers what it likes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Nobody waits longer for a byte.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is done to an answer.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The proxy's own answer: status line, further header lines, body.
    Answer(&'static str, String, &'static str),
    /// 413 to a request with a longer body than this.
    TooLarge(usize),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// After so many bytes of the body nothing more comes.
    Stall(usize),
    /// One byte of the body is another.
    Corrupt(usize),
    /// This header instead of what the registry says.
    Header(&'static str, String),
    /// So many bytes of the request are passed on, then the connection ends.
    CutRequest(usize),
    /// One byte of the request's body is another.
    CorruptRequest(usize),
}

/// Which answers, and how many of them.
#[derive(Clone, Debug)]
struct Rule {
    method: &'static str,
    path: String,
    left: usize,
    fault: Fault,
}

/// The proxy. It ends with the test program.
pub(crate) struct Faulty {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Faulty {
    /// Before a registry at `HOST:PORT`: the next `times` requests of this method whose path holds `path` get the fault.
    pub(crate) fn before(target: &str, method: &'static str, path: &str, times: usize, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let rule = Arc::new(Mutex::new(Rule { method, path: path.to_owned(), left: times, fault }));
        let (target, log) = (target.to_owned(), Arc::clone(&seen));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (target, rule, log) = (target.clone(), Arc::clone(&rule), Arc::clone(&log));
                // A broken connection is what the proxy is for.
                thread::spawn(move || drop(serve(&client, &target, &rule, &log)));
            }
        });
        Self { port, seen }
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A name behind the proxy.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host())
    }

    /// The heads of the requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Serves one request of a connection; the answer says that it is the last.
fn serve(client: &TcpStream, target: &str, rule: &Mutex<Rule>, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut from = client.try_clone()?;
    let Some(head) = head(&mut from)? else { return Ok(()) };
    log.lock().unwrap().push(head.clone());
    let fault = {
        let mut rule = rule.lock().unwrap();
        let is_meant = head.starts_with(rule.method) && head.lines().next().unwrap_or_default().contains(&rule.path);
        (is_meant && rule.left > 0).then(|| {
            rule.left -= 1;
            rule.fault.clone()
        })
    };
    let mut to = client.try_clone()?;
    let fault = match fault {
        Some(Fault::TooLarge(most)) if length(&head).is_none_or(|length| length > most) => {
            Some(Fault::Answer("413 Content Too Large", String::new(), ""))
        }
        Some(Fault::TooLarge(_)) => None,
        fault => fault,
    };
    if let Some(Fault::Answer(status, headers, body)) = &fault {
        let length = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let body = if head.starts_with("HEAD") { "" } else { *body };
        to.write_all(format!("HTTP/1.1 {status}\r\n{headers}{length}{body}").as_bytes())?;
        to.shutdown(Shutdown::Write)?;
        // With bytes that nobody read the connection would end before the answer was.
        let mut rest = vec![0; 16 << 10];
        while from.read(&mut rest)? > 0 {}
        return Ok(());
    }
    let mut server = TcpStream::connect(target)?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.write_all(format!("{}Connection: close\r\n\r\n", without(&head, "connection")).as_bytes())?;
    let (mut up, asked) = (server.try_clone()?, fault.clone());
    thread::spawn(move || match asked {
        Some(Fault::CutRequest(count)) => {
            drop(pass(&mut from, &mut up, Some(count), None));
            drop(from.shutdown(Shutdown::Both));
            drop(up.shutdown(Shutdown::Both));
        }
        Some(Fault::CorruptRequest(at)) => drop(pass(&mut from, &mut up, None, Some(at))),
        _ => drop(pass(&mut from, &mut up, None, None)),
    });
    let Some(mut answer) = self::head(&mut server)? else { return to.shutdown(Shutdown::Both) };
    if let Some(Fault::Header(name, value)) = &fault {
        answer = format!("{}{name}: {value}\r\n\r\n", without(&answer, name));
    }
    to.write_all(answer.as_bytes())?;
    match fault {
        Some(Fault::Cut(count)) => pass(&mut server, &mut to, Some(count), None)?,
        Some(Fault::Stall(count)) => {
            pass(&mut server, &mut to, Some(count), None)?;
            // Until the client has enough of it.
            drop(to.read(&mut [0]));
        }
        Some(Fault::Corrupt(at)) => pass(&mut server, &mut to, None, Some(at))?,
        _ => pass(&mut server, &mut to, None, None)?,
    }
    to.shutdown(Shutdown::Both)
}

/// The head of a request or answer with its empty line; none if the connection ends first, or speaks TLS.
fn head(from: &mut TcpStream) -> std::io::Result<Option<String>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if from.read(&mut byte)? == 0 || (head.is_empty() && byte[0] == 0x16) {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

/// How long the body is, as a head says; none if it does not say.
fn length(head: &str) -> Option<usize> {
    let head = head.to_lowercase();
    match head.lines().find_map(|line| line.strip_prefix("content-length:")) {
        Some(length) => length.trim().parse().ok(),
        None => (!head.contains("\r\ntransfer-encoding:")).then_some(0),
    }
}

/// A head without one header and without its empty line.
fn without(head: &str, name: &str) -> String {
    let field = format!("{}:", name.to_lowercase());
    let kept = head.lines().filter(|line| !line.is_empty() && !line.to_lowercase().starts_with(&field));
    kept.map(|line| format!("{line}\r\n")).collect()
}

/// Passes on what comes, at most so much, perhaps with one byte changed.
fn pass(from: &mut TcpStream, to: &mut TcpStream, most: Option<usize>, wrong: Option<usize>) -> std::io::Result<()> {
    let (mut buffer, mut sent) = (vec![0; 16 << 10], 0);
    while most.is_none_or(|most| sent < most) {
        let room = most.map_or(buffer.len(), |most| (most - sent).min(buffer.len()));
        let count = from.read(&mut buffer[..room])?;
        if count == 0 {
            break;
        }
        if let Some(at) = wrong.and_then(|at| at.checked_sub(sent)).filter(|at| *at < count) {
            buffer[at] ^= 0x55;
        }
        to.write_all(&buffer[..count])?;
        sent += count;
    }
    Ok(())
}
