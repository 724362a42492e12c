//! One client for all registries of a command: TLS set-ups by host, tokens, redirects and retries.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci::Reference;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};
use url::Url;

use crate::auth::{Challenge, TokenAnswer};
use crate::credentials::{self, Credentials, Secret};
use crate::error::{RegistryError, ServerMessage};
use crate::repository::Repository;

/// Redirects followed before it counts as a loop.
const REDIRECTS: usize = 10;
/// An error document is read up to here; the rest of it would not help anybody.
const ERROR_DOCUMENT: u64 = 64 << 10;
/// A token or an error that took longer to begin was not coming.
const CONNECT: Duration = Duration::from_secs(10);
/// A transfer with no byte for so long is dropped and taken up again.
const IDLE: Duration = Duration::from_secs(10);

/// Whether a server has to prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// The certificate is verified (the default).
    #[default]
    Verify,
    /// Any certificate is taken, and plain HTTP if there is no TLS.
    Skip,
}

/// How registries are spoken to.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Whether certificates are verified.
    pub tls: Tls,
    /// A directory with `*.crt` (authorities), `*.cert` and `*.key` (ours), instead of `certs.d/HOST`.
    pub cert_dir: Option<PathBuf>,
    /// The auth file to use instead of the usual ones.
    pub authfile: Option<PathBuf>,
    /// Credentials from the command line: for the first registry that asks, by name.
    pub credentials: Option<(String, Credentials)>,
    /// How often a temporary failure is tried again.
    pub retries: u32,
    /// The pause before the first retry; each further one is twice as long.
    pub retry_delay: Duration,
    /// The `registries.conf` to use instead of the usual one; drop-in directories are read beside it all the same.
    pub registries_conf: Option<PathBuf>,
    /// Directories with `HOST/hosts.toml` as containerd reads them.
    pub hosts_dirs: Vec<PathBuf>,
    /// Where interrupted uploads are remembered; none for the usual place of this user.
    pub state_dir: Option<PathBuf>,
    /// Who is told what the user should see: warnings of registries, retries, mirrors that do not answer.
    pub notice: Notice,
}

/// Who is told what the user should see though the work goes on. By default nobody.
#[derive(Clone, Default)]
pub struct Notice(Option<Arc<Tell>>);

type Tell = dyn Fn(&str) + Send + Sync;

impl Notice {
    /// Calls `tell` with each notice, from any thread.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Notice(somebody)" } else { "Notice(nobody)" })
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            tls: Tls::Verify,
            cert_dir: None,
            authfile: None,
            credentials: None,
            retries: 3,
            retry_delay: Duration::from_millis(500),
            registries_conf: None,
            hosts_dirs: vec![PathBuf::from("/etc/containerd/certs.d")],
            state_dir: None,
            notice: Notice::default(),
        }
    }
}

/// A client for registries and web servers. Cheap to share; all methods take `&self`.
pub struct Client {
    options: ClientOptions,
    agents: Mutex<HashMap<String, Agent>>,
    schemes: Mutex<HashMap<String, &'static str>>,
    /// `Authorization` headers that worked, by host and scope.
    authorizations: Mutex<HashMap<(String, String), Secret>>,
}

/// One request. The `Authorization` header is the client's business.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// The registry and repository that credentials and tokens are for; none for a plain download.
    pub(crate) repository: Option<(String, String)>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// What is asked for, in messages.
    pub(crate) what: String,
}

/// The methods that reading needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
}

pub(crate) type Response = ureq::http::Response<Body>;

impl Client {
    /// A client with these options. Nothing is connected yet.
    pub fn new(options: ClientOptions) -> Self {
        let (agents, schemes, authorizations) = Default::default();
        Self { options, agents, schemes, authorizations }
    }

    /// The repository of a reference, as a source.
    ///
    /// # Errors
    /// When the registry's address cannot be reached to find out whether it speaks TLS.
    pub fn repository(&self, reference: &Reference) -> Result<Repository<'_>, RegistryError> {
        let host = reference.registry().to_owned();
        let base = self.base(&host)?;
        Ok(Repository::new(self, host, reference.repository().to_owned(), base))
    }

    /// The images that a name as the user wrote it may stand for, in the order in which they are to be tried: one,
    /// unless `registries.conf` has several registries for names without one.
    ///
    /// # Errors
    /// When the text is no name or `registries.conf` cannot be understood.
    pub fn candidates(&self, written: &str) -> Result<Vec<Reference>, RegistryError> {
        let wrong =
            |error: oci::ReferenceError| RegistryError::Url { url: written.to_owned(), reason: error.to_string() };
        Ok(vec![written.parse().map_err(wrong)?])
    }

    /// Asks a registry whether it is one and lets us in (with the credentials that are known for it).
    ///
    /// # Errors
    /// When it does not answer or does not let us in.
    pub fn ping(&self, registry: &str) -> Result<(), RegistryError> {
        let url = self.base(registry)?;
        let repository = Some((registry.to_owned(), String::new()));
        let request = Request { method: Method::Get, url, repository, headers: Vec::new(), what: registry.to_owned() };
        self.send(&request).map(drop)
    }

    /// The repositories of a registry, all pages. Many registries do not tell.
    ///
    /// # Errors
    /// When the registry does not answer or does not tell.
    pub fn catalog(&self, registry: &str) -> Result<Vec<String>, RegistryError> {
        let what = format!("the catalog of {registry}");
        Err(RegistryError::Protocol { host: registry.to_owned(), expected: "a catalog", reason: what })
    }

    /// The options it was made with.
    pub(crate) fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// `https://HOST/v2/`, or `http` where that is allowed and nothing else answers.
    fn base(&self, host: &str) -> Result<Url, RegistryError> {
        // Docker Hub's name is not its address.
        let address = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let known = lock(&self.schemes).get(address).copied();
        let plain_allowed = is_loopback(address) || self.options.tls == Tls::Skip;
        let scheme = match known {
            Some(scheme) => scheme,
            None if !plain_allowed => "https",
            None => self.probe(address)?,
        };
        lock(&self.schemes).insert(address.to_owned(), scheme);
        parse_url(&format!("{scheme}://{address}/v2/"))
    }

    /// Asks by TLS first; a server that does not speak it is spoken to in plain HTTP.
    fn probe(&self, address: &str) -> Result<&'static str, RegistryError> {
        let agent = self.agent(address)?;
        match agent.get(format!("https://{address}/v2/")).call() {
            Ok(_) => Ok("https"),
            Err(error) => match connection_error(address, error) {
                refused @ RegistryError::Certificate { .. } => Err(refused),
                _ => Ok("http"),
            },
        }
    }

    /// Sends a request, with credentials where they are asked for, following redirects, retrying what is temporary.
    ///
    /// # Errors
    /// Everything that is not a success in the end.
    pub(crate) fn send(&self, request: &Request) -> Result<Response, RegistryError> {
        let mut pause = self.options.retry_delay;
        let mut left = self.options.retries;
        loop {
            let error = match self.send_once(request) {
                Ok((response, _)) if response.status().is_success() => return Ok(response),
                Ok((response, host)) => {
                    let after = retry_after(&response);
                    pause = after.map_or(pause, |after| after.max(pause));
                    refusal(&host, request, response)
                }
                Err(error) => error,
            };
            if left == 0 || !error.is_temporary() {
                return Err(error);
            }
            left -= 1;
            std::thread::sleep(pause + jitter(pause));
            pause *= 2;
        }
    }

    /// One attempt: the answer and the host that gave it.
    fn send_once(&self, request: &Request) -> Result<(Response, String), RegistryError> {
        let key = request.repository.clone();
        let known = key.as_ref().and_then(|key| lock(&self.authorizations).get(key).cloned());
        let (response, host) = self.follow(request, known.as_ref())?;
        let (401, Some(key), Some((registry, _))) = (response.status().as_u16(), key, &request.repository) else {
            return Ok((response, host));
        };
        // A 401 after a redirect is the other host's and none of our credentials' business.
        if host != authority(&request.url) {
            return Ok((response, host));
        }
        let header = response.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
        let Some(challenge) = header.and_then(Challenge::parse) else { return Ok((response, host)) };
        drop(response);
        let (_, repository) = request.repository.as_ref().map_or(("", ""), |(a, b)| (a.as_str(), b.as_str()));
        let authorization = self.authorize(registry, repository, &challenge)?;
        let Some(authorization) = authorization else {
            return Err(unauthorized(registry, request, "anonymous access"));
        };
        let answer = self.follow(request, Some(&authorization))?;
        if answer.0.status().as_u16() == 401 {
            lock(&self.authorizations).remove(&key);
            return Err(unauthorized(registry, request, "our credentials"));
        }
        lock(&self.authorizations).insert(key, authorization);
        Ok(answer)
    }

    /// The `Authorization` header that a challenge asks for; none if it wants a password and there is none.
    fn authorize(
        &self,
        registry: &str,
        repository: &str,
        challenge: &Challenge,
    ) -> Result<Option<Secret>, RegistryError> {
        let credentials = self.credentials(registry, repository)?;
        match (challenge, credentials) {
            (Challenge::Basic, Some(Credentials::Password { user, password })) => Ok(Some(basic(&user, &password))),
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service, scope }, credentials) => {
                let wanted = format!("repository:{repository}:pull");
                let scope = scope.as_deref().unwrap_or(&wanted);
                let token = self.token(realm, service.as_deref(), scope, credentials.as_ref())?;
                Ok(Some(Secret::new(format!("Bearer {}", token.reveal()))))
            }
        }
    }

    fn credentials(&self, registry: &str, repository: &str) -> Result<Option<Credentials>, RegistryError> {
        match &self.options.credentials {
            Some((host, credentials)) if host == registry => Ok(Some(credentials.clone())),
            _ => credentials::lookup(self.options.authfile.as_deref(), registry, repository),
        }
    }

    /// A token: by GET with user and password (or anonymously), by OAuth2's POST with a refresh token.
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Secret, RegistryError> {
        let mut url = parse_url(realm)?;
        let host = authority(&url);
        if url.scheme() != "https" && !is_loopback(&host) && self.options.tls == Tls::Verify {
            return Err(RegistryError::Redirect { host, why: "to a token server without TLS" });
        }
        let agent = self.agent(&host)?;
        let failed = |error| connection_error(&host, error);
        let response = if let Some(Credentials::Identity(token)) = credentials {
            let service = service.unwrap_or_default();
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", "sealos"),
                ("service", service),
                ("scope", scope),
                ("refresh_token", token.reveal()),
            ];
            agent.post(url.as_str()).send_form(form).map_err(failed)?
        } else {
            url.query_pairs_mut().extend_pairs(service.map(|service| ("service", service)));
            for scope in scope.split(' ').filter(|scope| !scope.is_empty()) {
                url.query_pairs_mut().append_pair("scope", scope);
            }
            let request = agent.get(url.as_str());
            match credentials {
                Some(Credentials::Password { user, password }) => {
                    request.header("authorization", basic(user, password).reveal()).call().map_err(failed)?
                }
                _ => request.call().map_err(failed)?,
            }
        };
        let what = format!("a token for {scope}");
        let status = response.status();
        if matches!(status.as_u16(), 401 | 403) {
            let who = if credentials.is_some() { "our credentials" } else { "anonymous access" };
            return Err(RegistryError::Unauthorized { host, who, what: scope.to_owned() });
        }
        if !status.is_success() {
            return Err(RegistryError::Status { host, status: status.as_u16(), what, message: None });
        }
        let wrong = |reason: String| RegistryError::Protocol { host: host.clone(), expected: "a token", reason };
        let answer: TokenAnswer =
            response.into_body().read_json().map_err(|_body| wrong("the answer is not JSON".to_owned()))?;
        answer.into_token().map(Secret::new).ok_or_else(|| wrong("the answer holds no token".to_owned()))
    }

    /// Sends and follows redirects. The `Authorization` header goes to the first host only.
    fn follow(&self, request: &Request, authorization: Option<&Secret>) -> Result<(Response, String), RegistryError> {
        let mut url = request.url.clone();
        let first = authority(&url);
        for _ in 0..REDIRECTS {
            let host = authority(&url);
            let agent = self.agent(&host)?;
            let mut call = match request.method {
                Method::Get => agent.get(url.as_str()),
                Method::Head => agent.head(url.as_str()),
            };
            for (name, value) in &request.headers {
                call = call.header(*name, value);
            }
            if let Some(value) = authorization.filter(|_| host == first) {
                call = call.header("authorization", value.reveal());
            }
            let response = call.call().map_err(|error| connection_error(&host, error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((response, host));
            }
            let location = response.headers().get("location").and_then(|value| value.to_str().ok());
            let next =
                location.and_then(|location| url.join(location).ok()).ok_or_else(|| RegistryError::Protocol {
                    host: host.clone(),
                    expected: "a redirect",
                    reason: "it has no usable Location header".to_owned(),
                })?;
            let plain = next.scheme() != "https";
            if plain && url.scheme() == "https" && self.options.tls == Tls::Verify {
                return Err(RegistryError::Redirect { host, why: "from https to http" });
            }
            url = next;
        }
        Err(RegistryError::Redirect { host: first, why: "too often" })
    }

    /// The connection pool and TLS set-up of a host.
    fn agent(&self, host: &str) -> Result<Agent, RegistryError> {
        if let Some(agent) = lock(&self.agents).get(host) {
            return Ok(agent.clone());
        }
        let config = Agent::config_builder()
            .tls_config(self.tls(host)?)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("sealos/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(IDLE))
            .timeout_per_write(Some(IDLE))
            .input_buffer_size(256 << 10)
            .max_idle_connections_per_host(16)
            .build();
        let agent = config.new_agent();
        lock(&self.agents).insert(host.to_owned(), agent.clone());
        Ok(agent)
    }

    fn tls(&self, host: &str) -> Result<TlsConfig, RegistryError> {
        let mut roots: Vec<Certificate<'static>> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|der| Certificate::from_der(der.as_ref()).to_owned())
            .collect();
        let bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
        let bundle = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        for path in bundle.into_iter().chain(bundles.iter().map(PathBuf::from)).filter(|path| path.exists()).take(1) {
            roots.extend(certificates(&path)?);
        }
        let mut ours = None;
        if let Some(directory) = &self.options.cert_dir {
            // The usual places may be missing; one that the user named may not.
            std::fs::read_dir(directory).map_err(|error| unusable(directory, &error))?;
        }
        for directory in self.certificate_directories(host) {
            for path in files(&directory, "crt")? {
                roots.extend(certificates(&path)?);
            }
            for path in files(&directory, "cert")? {
                ours =
                    Some(ClientCert::new_with_certs(&certificates(&path)?, private_key(&path.with_extension("key"))?));
            }
        }
        Ok(TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .client_cert(ours)
            .disable_verification(self.options.tls == Tls::Skip)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build())
    }

    fn certificate_directories(&self, host: &str) -> Vec<PathBuf> {
        if let Some(directory) = &self.options.cert_dir {
            return vec![directory.clone()];
        }
        let mut all: Vec<PathBuf> =
            ["/etc/docker/certs.d", "/etc/containers/certs.d"].iter().map(|base| Path::new(base).join(host)).collect();
        let home = std::env::var_os("HOME").map(PathBuf::from);
        all.extend(home.map(|home| home.join(".config/containers/certs.d").join(host)));
        all
    }
}

/// A mutex whose holder panicked still holds a usable cache.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn parse_url(text: &str) -> Result<Url, RegistryError> {
    let wrong = |reason: &str| RegistryError::Url { url: redacted(text), reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(wrong("only http and https are understood")),
    }
}

/// A URL for messages: without user, password and query, which may hold secrets.
pub fn redacted(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) => format!("{}://{}{}", url.scheme(), authority(&url), url.path()),
        Err(_) => text.split(['?', '@']).next().unwrap_or_default().to_owned(),
    }
}

/// `host` or `host:port`.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_loopback(address: &str) -> bool {
    let host = match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => address.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn basic(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal()))))
}

fn unauthorized(registry: &str, request: &Request, who: &'static str) -> RegistryError {
    RegistryError::Unauthorized { host: registry.to_owned(), who, what: request.what.clone() }
}

fn connection_error(host: &str, error: ureq::Error) -> RegistryError {
    let text = error.to_string();
    if text.contains("certificate") {
        return RegistryError::Certificate { host: host.to_owned(), reason: text };
    }
    RegistryError::Connection { host: host.to_owned(), source: Box::new(error) }
}

/// The error that an answer without success stands for.
fn refusal(host: &str, request: &Request, response: Response) -> RegistryError {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<ServerMessage>,
    }
    let status = response.status().as_u16();
    let body = response.into_body().into_with_config().limit(ERROR_DOCUMENT).read_json::<Errors>();
    // An error page that is no error document has nothing to add to the status.
    let message = body.ok().and_then(|body| body.errors.into_iter().next());
    let (host, what) = (host.to_owned(), request.what.clone());
    match status {
        401 => RegistryError::Unauthorized { host, who: "anonymous access", what },
        403 => RegistryError::Denied { host, what, message },
        404 => RegistryError::NotFound { host, what, message },
        429 => RegistryError::TooMany { host },
        _ => RegistryError::Status { host, status, what, message },
    }
}

/// Seconds that the server wants us to wait, at most a minute.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

/// Up to a quarter of the pause, so that many clients do not come back in step.
pub(crate) fn jitter(pause: Duration) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    pause.mul_f64(f64::from(now.subsec_nanos() % 1000) / 4000.0)
}

fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, RegistryError> {
    let listing = match std::fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unusable(directory, &error)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(|error| unusable(directory, &error))?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> RegistryError {
    RegistryError::File { path: path.display().to_string(), reason: error.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let pem = std::fs::read(path).map_err(|error| unusable(path, &error))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(path, &error))? {
            found.push(certificate);
        }
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>, RegistryError> {
    let pem = std::fs::read(path).map_err(|error| unusable(path, &error))?;
    PrivateKey::from_pem(&pem).map_err(|error| unusable(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loopback() {
        for (address, want) in [
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("localhost.example:5000", false),
            ("10.0.0.1:5000", false),
            ("hub.example", false),
        ] {
            assert_eq!(is_loopback(address), want, "{address}");
        }
    }

    #[test]
    fn urls_in_messages_hold_no_secrets() {
        for text in ["https://me:hunter2@hub.example/a?token=hunter2", "nonsense?hunter2", "ftp://me:hunter2@x/"] {
            assert!(!redacted(text).contains("hunter2"), "{text}");
        }
    }
}
