//! Load on a registry, for `tests/bench-serve`: many connections that ask for the same thing for a while.
//!
//! `load METHOD URL CONNECTIONS SECONDS [FIELD: VALUE]…` prints requests, bytes, seconds, and milliseconds at the 50th and
//! 99th percentile, as JSON. Bodies are thrown away in the kernel, so that on the same processors the server's share of
//! the time is as large as it can be. It speaks HTTP/1.1 without TLS, and only to servers that say `Content-Length`.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What one connection did.
#[derive(Default)]
struct Done {
    bytes: u64,
    micros: Vec<u32>,
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [method, url, connections, seconds, fields @ ..] = &args[..] else {
        return Err("usage: load METHOD URL CONNECTIONS SECONDS [FIELD: VALUE]…".into());
    };
    let rest = url.strip_prefix("http://").ok_or("only http")?;
    let (host, path) = rest.split_once('/').ok_or("a URL has a path")?;
    let mut request = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n");
    fields.iter().for_each(|field| request.push_str(&format!("{field}\r\n")));
    request.push_str("\r\n");
    let (connections, length) = (connections.parse::<usize>()?, Duration::from_secs_f64(seconds.parse()?));
    let start = Arc::new(Barrier::new(connections + 1));
    let ask = || {
        let (start, host, request, is_head) = (Arc::clone(&start), host.to_owned(), request.clone(), method == "HEAD");
        std::thread::spawn(move || {
            let stream = TcpStream::connect(&host);
            start.wait();
            run(stream?, request.as_bytes(), is_head, Instant::now() + length)
        })
    };
    let threads: Vec<_> = (0..connections).map(|_| ask()).collect();
    start.wait();
    let begun = Instant::now();
    let mut all = Done::default();
    for thread in threads {
        let done = thread.join().map_err(|_panic| "a connection panicked")??;
        all.bytes += done.bytes;
        all.micros.extend(done.micros);
    }
    let took = begun.elapsed().as_secs_f64();
    all.micros.sort_unstable();
    let at = |percent: usize| f64::from(*all.micros.get(all.micros.len() * percent / 100).unwrap_or(&0)) / 1e3;
    writeln!(
        std::io::stdout(),
        "{{\"requests\": {}, \"bytes\": {}, \"seconds\": {took:.4}, \"p50\": {:.3}, \"p99\": {:.3}}}",
        all.micros.len(),
        all.bytes,
        at(50),
        at(99)
    )?;
    Ok(())
}

fn run(mut stream: TcpStream, request: &[u8], is_head: bool, until: Instant) -> Result<Done, Failure> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut done = Done::default();
    let mut head = vec![0; 16 << 10];
    // Never written to: the kernel only looks at how long it is.
    let mut nowhere = vec![0; 1 << 20];
    while Instant::now() < until {
        let begun = Instant::now();
        stream.write_all(request)?;
        let (end, have, length) = read_head(&mut stream, &mut head)?;
        let length = if is_head { 0 } else { length };
        let mut left = length.saturating_sub(have - end);
        while left > 0 {
            let most = left.min(nowhere.len());
            match recv(&stream, &mut nowhere[..most], RecvFlags::TRUNC)?.1 {
                0 => return Err(Error::from(ErrorKind::UnexpectedEof).into()),
                count => left -= count,
            }
        }
        done.bytes += length as u64;
        done.micros.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(done)
}

/// Where the head ends, how many bytes there are, and how long the body is.
fn read_head(stream: &mut TcpStream, head: &mut [u8]) -> Result<(usize, usize, usize), Failure> {
    let mut have = 0;
    loop {
        match stream.read(&mut head[have..])? {
            0 => return Err(Error::from(ErrorKind::UnexpectedEof).into()),
            count => have += count,
        }
        let Some(end) = head[..have].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = str::from_utf8(&head[..end])?;
        if !text.starts_with("HTTP/1.1 20") {
            return Err(text.lines().next().unwrap_or_default().into());
        }
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        };
        return Ok((end + 4, have, text.lines().find_map(field).ok_or("no Content-Length")?));
    }
}
