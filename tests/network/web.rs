//! Web servers on loopback: a real one for files, and one that breaks off.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::registry::{Certificates, free_port, wait_for};

/// Python's web server on a directory of its own, ended when dropped.
pub(crate) struct Web {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Web {
    /// One without files.
    pub(crate) fn new() -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let child = Command::new("python3")
            .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is installed (tests/run does it)");
        wait_for(port);
        Self { child, port, directory }
    }

    /// The URL of a file, which need not exist.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    /// Where the file lies that is served as `name`.
    pub(crate) fn at(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Serves a file; its URL.
    pub(crate) fn serve(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.at(name), bytes).unwrap();
        self.url(name)
    }
}

/// Serves the directory that it is started in by https, to `me` with `hunter2` only: port, certificate, key.
const SECURED: &str = "
import http.server, ssl, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get('Authorization') != 'Basic bWU6aHVudGVyMg==':
            self.send_response(401)
            self.send_header('WWW-Authenticate', 'Basic realm=\"test\"')
            self.end_headers()
            return
        super().do_GET()
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

impl Web {
    /// With TLS of an authority that nobody knows (`certs/ca.crt` in [`Self::at`]), for `me` with `hunter2` only.
    pub(crate) fn secured() -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let certificates = Certificates::make(directory.path());
        let child = Command::new("python3")
            .args(["-c", SECURED, &port.to_string(), &certificates.certificate, &certificates.key])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is installed (tests/run does it)");
        wait_for(port);
        Self { child, port, directory }
    }

    /// The URL of a file by https.
    pub(crate) fn secured_url(&self, name: &str) -> String {
        format!("https://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// How a server says how long its answer is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    Length,
    Chunks,
}

/// The URL of a server that promises all of `bytes` and hangs up after the first half, every time.
pub(crate) fn cutting(bytes: &[u8], framing: Framing, name: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let head = match framing {
        Framing::Length => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len()),
        Framing::Chunks => format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n", bytes.len()),
    };
    let answer = [head.as_bytes(), &bytes[..bytes.len() / 2]].concat();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            // A client that has left already is no matter of this server.
            if stream.read(&mut request).is_ok_and(|count| count > 0) && stream.write_all(&answer).is_err() {
                continue;
            }
        }
    });
    format!("http://127.0.0.1:{port}/{name}")
}
