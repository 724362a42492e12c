//! One request to one server: its credentials, its token, its redirects.
//!
//! Invariants: credentials go to the host they are for, and to the token server that it names, and nowhere else; a
//! redirect to another host carries none; from TLS nothing leads to plain HTTP unless the user allowed it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::auth::{Authorization, Challenge, Scope, Scopes, TokenAnswer};
use crate::client::{Client, parse_url};
use crate::credentials::{Credentials, Secret};
use crate::error::RegistryError;
use crate::http::{Answer, CONNECT, Call, Length, Method, Profile, Sending, authority, is_loopback};
use crate::retry::refusal;
use crate::routes::{Endpoint, Roles, Scheme, host_of, trust};
use crate::tls::{Tls, Trust};

/// Redirects followed before it counts as a loop.
const REDIRECTS: usize = 10;
/// How long a server may think about an answer.
pub(crate) const THINK: Duration = Duration::from_secs(60);
/// A token is at most this long, with everything around it.
const TOKEN: u64 = 1 << 20;

/// What a request is for.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// What follows `/v2/`.
    Registry(String),
    /// What follows `/v2/NAME/`; what the repository is called depends on the server.
    Repository(String),
    /// Where a server has sent us.
    Url(Url),
}

/// One request. The `Authorization` header is the client's business.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Vec<u8>>,
    /// What is to be done with the repository.
    pub(crate) scope: Option<Scope>,
    /// What else is to be done.
    pub(crate) more: Scopes,
    /// A header for the server itself, when it is no registry.
    pub(crate) authorization: Option<Secret>,
    /// What is asked for, in messages.
    pub(crate) what: String,
    pub(crate) wait: Duration,
}

impl Request {
    /// A request about a repository.
    pub(crate) fn new(method: Method, path: impl Into<String>, what: &str, scope: Scope) -> Self {
        Self::to(method, Target::Repository(path.into()), what, Some(scope))
    }

    /// A request about a registry.
    pub(crate) fn registry(method: Method, path: &str, what: &str, more: Scopes) -> Self {
        Self { more, ..Self::to(method, Target::Registry(path.to_owned()), what, None) }
    }

    pub(crate) fn to(method: Method, target: Target, what: &str, scope: Option<Scope>) -> Self {
        let (headers, body, authorization) = (Vec::new(), None, None);
        let (more, what) = (Scopes::default(), what.to_owned());
        Self { method, target, headers, body, scope, more, authorization, what, wait: THINK }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn scopes(&self, end: &Endpoint) -> Scopes {
        match self.scope {
            Some(scope) => Scopes::repository(&end.repository, scope).and(&self.more),
            None => self.more.clone(),
        }
    }
}

impl Client {
    /// Where a request goes at an endpoint.
    pub(crate) fn url(&self, end: &Endpoint, target: &Target) -> Result<Url, RegistryError> {
        let path = match target {
            Target::Url(url) => return Ok(url.clone()),
            Target::Registry(path) => path.clone(),
            Target::Repository(path) => format!("{}/{path}", end.repository),
        };
        let profile = self.profile(&end.trust, end.connect);
        let scheme = self.scheme(end, &profile)?;
        let mut url = parse_url(&format!("{scheme}://{}{}{path}", end.host, end.path))?;
        if let Some(namespace) = &end.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        Ok(url)
    }

    /// One attempt: whatever the server answers, after credentials and redirects.
    pub(crate) fn ask(&self, end: &Endpoint, request: &Request) -> Result<Answer, RegistryError> {
        let url = self.url(end, &request.target)?;
        let scopes = request.scopes(end);
        let known = match &request.authorization {
            Some(given) => Some(given.clone()),
            None => self.known_authorization(end, &url, &scopes)?,
        };
        let (answer, host) = self.follow(end, &url, request, known.as_ref())?;
        // A 401 after a redirect is the other host's and none of our credentials' business.
        if answer.head.status != 401 || host != authority(&url) || !is_own(end, &url) || end.login.is_empty() {
            return Ok(answer);
        }
        let challenge = answer.head.headers("www-authenticate").find_map(Challenge::parse);
        let Some(challenge) = challenge else { return Ok(answer) };
        answer.body.drain();
        self.tokens.remember(&server_key(end), &challenge);
        let fresh = self.authorization(end, &scopes, &challenge, known.as_ref())?;
        let refused =
            |who| Err(RegistryError::Unauthorized { host: end.login.clone(), who, what: request.what.clone() });
        let Some(fresh) = fresh else { return refused("anonymous access") };
        let (answer, _) = self.follow(end, &url, request, Some(&fresh))?;
        if answer.head.status == 401 {
            let is_known = self.credentials(end)?.is_some();
            return refused(if is_known { "our credentials" } else { "anonymous access" });
        }
        Ok(answer)
    }

    /// Begins a request whose body is sent by and by. The server must have been asked something before, so that its
    /// way to authenticate is known.
    pub(crate) fn open(
        &self,
        end: &Endpoint,
        url: &Url,
        request: &Request,
        length: Length,
    ) -> Result<Sending, RegistryError> {
        let known = self.known_authorization(end, url, &request.scopes(end))?;
        let headers = headers(end, url, request, known.as_ref());
        let call = Call { method: request.method, url, headers: &headers, wait: request.wait };
        let profile = self.profile_of(end, url)?;
        let sending = self.transport()?.send(&call, length, &profile);
        sending.map_err(|error| RegistryError::http(&authority(url), error))
    }

    /// Sends and follows redirects. Returns the answer and the host that gave it.
    fn follow(
        &self,
        end: &Endpoint,
        url: &Url,
        request: &Request,
        authorization: Option<&Secret>,
    ) -> Result<(Answer, String), RegistryError> {
        let transport = self.transport()?;
        let mut url = url.clone();
        let first = authority(&url);
        for _ in 0..REDIRECTS {
            let host = authority(&url);
            let authorization = authorization.filter(|_| host == first);
            let headers = headers(end, &url, request, authorization);
            let call = Call { method: request.method, url: &url, headers: &headers, wait: request.wait };
            let profile = self.profile_of(end, &url)?;
            let answer = transport.exchange(&call, request.body.as_deref(), &profile);
            let answer = answer.map_err(|error| RegistryError::http(&host, error))?;
            self.show_warnings(&host, &answer);
            if !matches!(answer.head.status, 301 | 302 | 303 | 307 | 308) {
                return Ok((answer, host));
            }
            let location = answer.head.header("location").and_then(|location| url.join(location).ok());
            let next = location.ok_or_else(|| RegistryError::Protocol {
                host: host.clone(),
                expected: "a redirect",
                reason: "it has no usable Location header".to_owned(),
            })?;
            answer.body.drain();
            if next.scheme() != "https" && url.scheme() == "https" && end.trust.tls == Tls::Verify {
                return Err(RegistryError::Redirect { host, why: "from https to http" });
            }
            if !matches!(next.scheme(), "http" | "https") {
                return Err(RegistryError::Redirect { host, why: "to something that is neither http nor https" });
            }
            url = next;
        }
        Err(RegistryError::Redirect { host: first, why: "too often" })
    }

    /// The set-up for a URL: the endpoint's own for its host, the usual one for another that it sent us to.
    fn profile_of(&self, end: &Endpoint, url: &Url) -> Result<Arc<Profile>, RegistryError> {
        if is_own(end, url) {
            return Ok(self.profile(&end.trust, end.connect));
        }
        let mut trust = trust(&self.options, &authority(url), &authority(url))?;
        if url.host_str() == Some(host_of(&end.host)) {
            // Another port of the same host, as token servers have.
            trust.authorities.extend(end.trust.authorities.iter().cloned());
            trust.tls = end.trust.tls;
        }
        Ok(self.profile(&trust, CONNECT))
    }

    /// The header for what the registry is known to ask for; none if it was not asked yet or asks for nothing.
    fn known_authorization(&self, end: &Endpoint, url: &Url, scopes: &Scopes) -> Result<Option<Secret>, RegistryError> {
        if !is_own(end, url) {
            return Ok(None);
        }
        match self.tokens.challenge(&server_key(end)) {
            Some(challenge) => self.authorization(end, scopes, &challenge, None),
            None => Ok(None),
        }
    }

    /// The header that a challenge asks for; none if it wants a password and there is none.
    fn authorization(
        &self,
        end: &Endpoint,
        scopes: &Scopes,
        challenge: &Challenge,
        refused: Option<&Secret>,
    ) -> Result<Option<Secret>, RegistryError> {
        let get = || {
            let credentials = self.credentials(end)?;
            match (challenge, credentials) {
                (Challenge::Basic, Some(Credentials::Password { user, password })) => {
                    Ok(Authorization { value: Some(basic(&user, &password)), until: None })
                }
                (Challenge::Basic, _) => Ok(Authorization { value: None, until: None }),
                (Challenge::Bearer { realm, service, scope }, credentials) => {
                    let wanted = scopes.clone().and(&Scopes::parse(scope.as_deref().unwrap_or_default()));
                    self.token(end, realm, service.as_deref(), &wanted, credentials.as_ref())
                }
            }
        };
        self.tokens.get(&server_key(end), scopes, refused, get)
    }

    pub(crate) fn credentials(&self, end: &Endpoint) -> Result<Option<Credentials>, RegistryError> {
        match &self.options.credentials {
            Some((host, credentials)) if *host == end.login => Ok(Some(credentials.clone())),
            _ => self.logins()?.lookup(&end.login, &end.repository),
        }
    }

    /// A token: by GET with user and password (or anonymously), by OAuth2's POST with a refresh token.
    fn token(
        &self,
        end: &Endpoint,
        realm: &str,
        service: Option<&str>,
        scopes: &Scopes,
        credentials: Option<&Credentials>,
    ) -> Result<Authorization, RegistryError> {
        let mut url = parse_url(realm)?;
        let host = authority(&url);
        let is_plain = url.scheme() != "https" && !is_loopback(url.host_str().unwrap_or_default());
        if is_plain && credentials.is_some() && end.trust.tls == Tls::Verify {
            let why = "to a token server without TLS, which must not see our credentials";
            return Err(RegistryError::Redirect { host: end.host.clone(), why });
        }
        let request = token_request(&mut url, service, scopes, credentials);
        let (mut answer, _) = self.follow(end, &url, &request.0, request.1.as_ref())?;
        let (status, what) = (answer.head.status, format!("a token for {scopes}"));
        if matches!(status, 400 | 401 | 403) {
            let who = if credentials.is_some() { "our credentials" } else { "anonymous access" };
            return Err(RegistryError::Unauthorized { host: end.login.clone(), who, what: scopes_shown(scopes, end) });
        }
        if !(200..300).contains(&status) {
            return Err(refusal(&host, &what, answer));
        }
        let wrong = |reason: String| RegistryError::Protocol { host: host.clone(), expected: "a token", reason };
        let bytes = answer.body.read_up_to(TOKEN).map_err(|error| wrong(error.to_string()))?;
        let parsed: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_secret| wrong("the answer is not JSON".to_owned()))?;
        let token = parsed.token().ok_or_else(|| wrong("the answer holds no token".to_owned()))?;
        let until = Instant::now().checked_add(Duration::from_secs(parsed.seconds()));
        Ok(Authorization { value: Some(Secret::new(format!("Bearer {token}"))), until })
    }

    /// `Warning: 299 - "text"`, shown once.
    fn show_warnings(&self, host: &str, answer: &Answer) {
        for warning in answer.head.headers("warning") {
            let text = warning.splitn(3, ' ').nth(2).unwrap_or(warning).trim().trim_matches('"');
            if !text.is_empty() {
                self.tell(&format!("{host} says: {}", text.replace("\\\"", "\"")));
            }
        }
    }
}

/// A server, and whose registry it is for us: what it is known to ask for.
fn server_key(end: &Endpoint) -> String {
    format!("{} {}", end.host, end.login)
}

/// Whether a URL is the endpoint's own server's.
fn is_own(end: &Endpoint, url: &Url) -> bool {
    // The host may have been written with its scheme's own port.
    Url::parse(&format!("{}://{}", url.scheme(), end.host)).is_ok_and(|own| authority(&own) == authority(url))
}

fn headers<'a>(
    end: &'a Endpoint,
    url: &Url,
    request: &'a Request,
    authorization: Option<&'a Secret>,
) -> Vec<(&'a str, &'a str)> {
    let mut all: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if is_own(end, url) {
        all.extend(end.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    all.extend(authorization.map(|value| ("authorization", value.reveal())));
    all
}

/// The request for a token, and its own authorization.
fn token_request(
    url: &mut Url,
    service: Option<&str>,
    scopes: &Scopes,
    credentials: Option<&Credentials>,
) -> (Request, Option<Secret>) {
    const CLIENT: &str = "sealos";
    if let Some(Credentials::Identity(refresh)) = credentials {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("client_id", CLIENT);
        form.append_pair("service", service.unwrap_or_default());
        form.append_pair("scope", &scopes.to_string()).append_pair("refresh_token", refresh.reveal());
        let request = Request::registry(Method::Post, "", "a token", Scopes::default());
        let mut request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body = Some(form.finish().into_bytes());
        return (request, None);
    }
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        for scope in scopes.texts() {
            query.append_pair("scope", &scope);
        }
        if let Some(Credentials::Password { user, .. }) = credentials {
            query.append_pair("account", user).append_pair("client_id", CLIENT);
        }
    }
    let authorization = match credentials {
        Some(Credentials::Password { user, password }) => Some(basic(user, password)),
        _ => None,
    };
    (Request::registry(Method::Get, "", "a token", Scopes::default()), authorization)
}

/// What the user wanted, for a message about a token that was not given.
fn scopes_shown(scopes: &Scopes, end: &Endpoint) -> String {
    let all: Vec<String> = scopes.texts().collect();
    if all.is_empty() { end.login.clone() } else { all.join(" ") }
}

pub(crate) fn basic(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal()))))
}

/// A plain server, for downloads.
pub(crate) fn web(url: &Url, trust: Trust) -> Endpoint {
    Endpoint {
        host: authority(url),
        scheme: Scheme::Either,
        path: String::new(),
        repository: String::new(),
        login: String::new(),
        namespace: None,
        headers: BTreeMap::new(),
        trust,
        connect: CONNECT,
        roles: Roles { pull: true, resolve: true, push: false },
        own: true,
    }
}
