//! What lies between a client and a registry: a relay that counts and slows down, and a server that refuses everything.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that are passed on at a time.
const PIECE: usize = 64 << 10;

/// Passes connections on to a port of this machine.
pub(crate) struct Relay {
    port: u16,
    /// Bytes to the registry, and from it.
    counts: Arc<[AtomicU64; 2]>,
    is_slow: Arc<AtomicBool>,
}

impl Relay {
    /// To a registry at `HOST:PORT`; slow at first, so that there is time to interfere.
    pub(crate) fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let relay = Self { port, counts: Arc::default(), is_slow: Arc::new(AtomicBool::new(true)) };
        let (target, counts, is_slow) = (target.to_owned(), Arc::clone(&relay.counts), Arc::clone(&relay.is_slow));
        // It ends with the test program.
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&target)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                for (reader, writer, at) in [(from, to, 0), (server, client, 1)] {
                    let (counts, is_slow) = (Arc::clone(&counts), Arc::clone(&is_slow));
                    thread::spawn(move || pass(reader, writer, &counts[at], &is_slow));
                }
            }
        });
        relay
    }

    /// A name behind the relay.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/{rest}", self.port)
    }

    /// Bytes that went to the registry so far.
    pub(crate) fn up(&self) -> u64 {
        self.counts[0].load(Ordering::Relaxed)
    }

    /// Bytes that came from it.
    pub(crate) fn down(&self) -> u64 {
        self.counts[1].load(Ordering::Relaxed)
    }

    /// From now on as fast as it goes.
    pub(crate) fn hurry(&self) {
        self.is_slow.store(false, Ordering::Relaxed);
    }
}

fn pass(mut reader: TcpStream, mut writer: TcpStream, count: &AtomicU64, is_slow: &AtomicBool) {
    let mut buffer = vec![0; PIECE];
    while let Ok(length) = reader.read(&mut buffer) {
        if length == 0 || writer.write_all(&buffer[..length]).is_err() {
            break;
        }
        count.fetch_add(length as u64, Ordering::Relaxed);
        if is_slow.load(Ordering::Relaxed) && length > 1000 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    // The other side may be gone already.
    drop(writer.shutdown(Shutdown::Write));
    drop(reader.shutdown(Shutdown::Read));
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Answers everything with one status and one error document; its address.
pub(crate) fn refusing(status: &'static str, document: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { continue };
            thread::spawn(move || {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count == 1) {
                    request.push(byte[0]);
                }
                // A TLS greeting is no request.
                if !request.starts_with(b"\x16") {
                    let head = request.starts_with(b"HEAD");
                    let body = if head { "" } else { document };
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        document.len()
                    );
                    drop(client.write_all(answer.as_bytes()));
                }
                drop(client.shutdown(Shutdown::Both));
            });
        }
    });
    address
}
