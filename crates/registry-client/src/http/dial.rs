//! Connections and requests: dialled straight or through a proxy, kept between requests.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use url::Url;

use super::answer::Answer;
use super::connection::{Connection, Key, Stream, Tunnel};
use super::pool::Pool;
use super::proxy::{Kind, Proxies, Proxy};
use super::sending::Sending;
use super::{Call, HttpError, IDLE, Length, Method, Profile, authority, ended_early};

/// What an address of several may take before the next one is tried as well.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(3);
/// The answer of a proxy to CONNECT is shorter.
const PROXY_HEAD: usize = 16 << 10;

const AGENT: &str = concat!("sealos/", env!("CARGO_PKG_VERSION"));

/// Sends requests and keeps connections.
pub(crate) struct Transport {
    pool: Arc<Pool>,
    proxies: Proxies,
}

impl Transport {
    pub(crate) fn new(proxies: Proxies) -> Self {
        Self { pool: Arc::default(), proxies }
    }

    /// Connects, and keeps the connection for the next request.
    pub(crate) fn probe(&self, url: &Url, profile: &Profile) -> Result<(), HttpError> {
        let connection = self.connection(url, profile)?;
        self.pool.keep(connection);
        Ok(())
    }

    /// Sends a request whose body, if it has one, is in memory.
    pub(crate) fn exchange(
        &self,
        call: &Call<'_>,
        body: Option<&[u8]>,
        profile: &Profile,
    ) -> Result<Answer, HttpError> {
        let length = body.map(|body| Length::Known(body.len() as u64));
        let mut head = self.head(call, length);
        let body = body.unwrap_or_default();
        loop {
            let mut connection = self.connection(call.url, profile)?;
            let was_used = connection.is_used;
            let once = || {
                let mut bytes = head.start(&connection);
                // One packet where it fits.
                bytes.extend_from_slice(if body.len() <= PROXY_HEAD { body } else { &[] });
                connection.write(&bytes)?;
                if body.len() > PROXY_HEAD {
                    connection.write(body)?;
                }
                let head = connection.read_head(call.wait)?;
                Ok(Answer::new(call.method, head, connection, Arc::clone(&self.pool)))
            };
            match once() {
                Err(error) if was_used && HttpError::is_stale(&error) => {}
                result => return result,
            }
        }
    }

    /// Sends the head of a request; its body follows.
    pub(crate) fn send(&self, call: &Call<'_>, length: Length, profile: &Profile) -> Result<Sending, HttpError> {
        let mut head = self.head(call, Some(length));
        loop {
            let mut connection = self.connection(call.url, profile)?;
            let was_used = connection.is_used;
            match connection.write(&head.start(&connection)) {
                Err(error) if was_used && error.is_stale() => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(Sending::new(connection, Arc::clone(&self.pool), call.method, length)),
            }
        }
    }

    fn head(&self, call: &Call<'_>, length: Option<Length>) -> RequestHead {
        let mut rest = String::new();
        let mut add = |name: &str, value: &str| {
            rest.push_str(&format!("{name}: {value}\r\n"));
        };
        add("host", &authority(call.url));
        add("user-agent", AGENT);
        for (name, value) in call.headers {
            add(name, value);
        }
        match length {
            Some(Length::Known(length)) => add("content-length", &length.to_string()),
            Some(Length::Unknown) => add("transfer-encoding", "chunked"),
            None if matches!(call.method, Method::Get | Method::Head | Method::Delete) => {}
            None => add("content-length", "0"),
        }
        let query = call.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        RequestHead {
            method: call.method.name(),
            origin: format!("{}://{}", call.url.scheme(), authority(call.url)),
            path: format!("{}{query}", call.url.path()),
            rest,
        }
    }

    fn connection(&self, url: &Url, profile: &Profile) -> Result<Connection, HttpError> {
        let key: Key = (format!("{}://{}", url.scheme(), authority(url)), profile.id);
        if let Some(connection) = self.pool.take(&key) {
            return Ok(connection);
        }
        let proxy = self.proxies.of(url);
        let is_tls = url.scheme() == "https";
        let mut tunnel = match proxy {
            Some(proxy) => through(proxy, profile)?,
            None => {
                let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
                Tunnel::Tcp(dial(host, url.port_or_known_default().unwrap_or(443), profile.connect)?)
            }
        };
        let forwards = proxy.is_some_and(|proxy| proxy.kind != Kind::Socks5) && !is_tls;
        if let Some(proxy) = proxy.filter(|_| !forwards) {
            open_tunnel(&mut tunnel, proxy, url)?;
        }
        let stream = match is_tls {
            false => Stream::Plain(tunnel),
            true => Stream::Tls(Box::new(shake_hands(tunnel, url.host_str().unwrap_or_default(), profile)?)),
        };
        let mut connection = Connection::new(stream, key);
        if forwards {
            connection.absolute = true;
            connection.proxy_authorization = proxy.and_then(Proxy::authorization);
        }
        Ok(connection)
    }
}

struct RequestHead {
    method: &'static str,
    origin: String,
    path: String,
    rest: String,
}

impl RequestHead {
    /// The bytes, as this connection wants them.
    fn start(&mut self, connection: &Connection) -> Vec<u8> {
        let origin = if connection.absolute { self.origin.as_str() } else { "" };
        let authorization = connection.proxy_authorization.as_ref();
        let authorization = authorization.map(|value| format!("proxy-authorization: {value}\r\n")).unwrap_or_default();
        format!("{} {origin}{} HTTP/1.1\r\n{}{authorization}\r\n", self.method, self.path, self.rest).into_bytes()
    }
}

/// A connection to the first address that takes one.
fn dial(host: &str, port: u16, limit: Duration) -> Result<TcpStream, HttpError> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(HttpError::Connect)?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (at, address) in addresses.iter().enumerate() {
        let is_last = at + 1 == addresses.len();
        let limit = if is_last { limit } else { limit.min(ONE_OF_SEVERAL) };
        match TcpStream::connect_timeout(address, limit) {
            Ok(stream) => {
                let set = || {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(IDLE))?;
                    stream.set_write_timeout(Some(IDLE))
                };
                set().map_err(HttpError::Connect)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(HttpError::Connect(last))
}

fn through(proxy: &Proxy, profile: &Profile) -> Result<Tunnel, HttpError> {
    let failed =
        |error: HttpError| HttpError::Proxy { proxy: proxy.to_string(), reason: format!("cannot be reached: {error}") };
    let stream = dial(&proxy.host, proxy.port, profile.connect).map_err(failed)?;
    if proxy.kind != Kind::Https {
        return Ok(Tunnel::Tcp(stream));
    }
    let stream = shake_hands(stream, &proxy.host, profile).map_err(failed)?;
    Ok(Tunnel::Tls(Box::new(stream)))
}

/// Agrees on TLS, so that what is wrong with it shows here and not in the first read.
fn shake_hands<S: Read + Write>(
    mut socket: S,
    host: &str,
    profile: &Profile,
) -> Result<StreamOwned<ClientConnection, S>, HttpError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_invalid| HttpError::Malformed(format!("`{host}` cannot be named in TLS")))?;
    let mut tls = ClientConnection::new(profile.tls()?, name)?;
    // What is buffered grows with what is written at once otherwise.
    tls.set_buffer_limit(Some(1 << 20));
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).map_err(|error| HttpError::io(error, IDLE))?;
    }
    Ok(StreamOwned::new(tls, socket))
}

/// Has a proxy open the way to a host.
fn open_tunnel(tunnel: &mut Tunnel, proxy: &Proxy, url: &Url) -> Result<(), HttpError> {
    let refused = |reason: String| HttpError::Proxy { proxy: proxy.to_string(), reason };
    let broke = |error: io::Error| refused(format!("broke the connection off: {}", HttpError::io(error, IDLE)));
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(443);
    if proxy.kind == Kind::Socks5 {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        return socks(tunnel, proxy, host, port).map_err(broke)?.map_err(refused);
    }
    let authorization = proxy.authorization();
    let authorization = authorization.map(|value| format!("proxy-authorization: {value}\r\n")).unwrap_or_default();
    let head =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\nuser-agent: {AGENT}\r\n{authorization}\r\n");
    tunnel.write_all(head.as_bytes()).and_then(|()| tunnel.flush()).map_err(broke)?;
    let mut answer = Vec::new();
    // Byte by byte: what comes behind the head is the host's.
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match tunnel.read(&mut byte).map_err(broke)? {
            0 => return Err(broke(ended_early())),
            _ => answer.push(byte[0]),
        }
        if answer.len() > PROXY_HEAD {
            return Err(refused("answers with something that is not HTTP".to_owned()));
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    let status = line.split_whitespace().nth(1).unwrap_or_default();
    match status.starts_with('2') {
        true => Ok(()),
        false => Err(refused(format!("does not open the way to {host}:{port}: it answers {status}"))),
    }
}

/// RFC 1928 and 1929. The inner error is the proxy's refusal.
fn socks(tunnel: &mut Tunnel, proxy: &Proxy, host: &str, port: u16) -> io::Result<Result<(), String>> {
    const VERSION: u8 = 5;
    let method = if proxy.login.is_some() { 2 } else { 0 };
    tunnel.write_all(&[VERSION, 1, method])?;
    let mut answer = [0; 2];
    tunnel.read_exact(&mut answer)?;
    if answer != [VERSION, method] {
        return Ok(Err("does not accept our way to log in".to_owned()));
    }
    if let Some((user, password)) = &proxy.login {
        let mut login = vec![1];
        for text in [user, password] {
            let Ok(length) = u8::try_from(text.len()) else {
                return Ok(Err("cannot take a user or password of more than 255 bytes".to_owned()));
            };
            login.push(length);
            login.extend_from_slice(text.as_bytes());
        }
        tunnel.write_all(&login)?;
        tunnel.read_exact(&mut answer)?;
        if answer[1] != 0 {
            return Ok(Err("does not accept user and password".to_owned()));
        }
    }
    let Ok(length) = u8::try_from(host.len()) else { return Ok(Err("cannot take so long a name".to_owned())) };
    let mut request = vec![VERSION, 1, 0, 3, length];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    tunnel.write_all(&request)?;
    let mut head = [0; 4];
    tunnel.read_exact(&mut head)?;
    if head[1] != 0 {
        return Ok(Err(format!("does not open the way to {host}:{port}: SOCKS error {}", head[1])));
    }
    let mut length = [0];
    let rest = match head[3] {
        1 => 4,
        4 => 16,
        _ => {
            tunnel.read_exact(&mut length)?;
            usize::from(length[0])
        }
    };
    tunnel.read_exact(&mut vec![0; rest + 2])?;
    Ok(Ok(()))
}
