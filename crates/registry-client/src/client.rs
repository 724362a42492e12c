//! One client for all registries of a command: connections, TLS set-ups, tokens, and what was found out about hosts.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oci::Reference;
use url::Url;

use crate::auth::{Scopes, Tokens};
use crate::error::RegistryError;
use crate::exchange::Request;
use crate::http::{Call, HttpError, IDLE, Method, Profile, Proxies, Transport, authority, is_loopback};
use crate::options::{ClientOptions, Mirrors};
use crate::repository::Repository;
use crate::routes::{self, Conf, Endpoint, Scheme, host_of};
use crate::tls::{Roots, Trust};
use crate::uploads::Sessions;

/// A client for registries and web servers. Cheap to share; all methods take `&self`.
pub struct Client {
    pub(crate) options: ClientOptions,
    pub(crate) tokens: Tokens,
    pub(crate) sessions: Sessions,
    conf: Lazy<Conf>,
    transport: Lazy<Transport>,
    roots: Arc<Lazy<Roots>>,
    profiles: Mutex<HashMap<(Trust, Duration), Arc<Profile>>>,
    schemes: Mutex<HashMap<(String, usize), &'static str>>,
    down: Mutex<HashMap<String, Instant>>,
    told: Mutex<HashSet<String>>,
    /// Repositories, and what is held while a list of referrers of one is read and written.
    listing: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    /// How small requests to a host have to be: 0 is as large as they like.
    chunk_levels: Mutex<HashMap<String, usize>>,
    /// The smallest piece of an upload that a host takes, in bytes, but for the last one.
    chunk_minimums: Mutex<HashMap<String, u64>>,
}

/// Something that is read when it is needed first; an attempt that fails is made again.
struct Lazy<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Lazy<T> {
    fn get(&self, read: impl FnOnce() -> Result<T, RegistryError>) -> Result<Arc<T>, RegistryError> {
        let mut value = lock(&self.0);
        if let Some(value) = value.as_ref() {
            return Ok(Arc::clone(value));
        }
        Ok(Arc::clone(value.insert(Arc::new(read()?))))
    }
}

impl Client {
    /// A client with these options. Nothing is read or connected yet.
    pub fn new(options: ClientOptions) -> Self {
        let sessions = Sessions::new(options.state_dir.clone());
        Self {
            options,
            sessions,
            tokens: Tokens::default(),
            conf: Lazy::default(),
            transport: Lazy::default(),
            roots: Arc::default(),
            profiles: Mutex::default(),
            schemes: Mutex::default(),
            down: Mutex::default(),
            told: Mutex::default(),
            listing: Mutex::default(),
            chunk_levels: Mutex::default(),
            chunk_minimums: Mutex::default(),
        }
    }

    /// The repository of a reference, as a source and a sink. Nothing is connected yet.
    ///
    /// # Errors
    /// When a configuration file cannot be understood, or says that the repository is blocked.
    pub fn repository(&self, reference: &Reference) -> Result<Repository<'_>, RegistryError> {
        let routes = match self.options.mirrors {
            Mirrors::Configured => routes::find(&*self.conf()?, &self.options, reference)?,
            Mirrors::Ignored => routes::direct(&self.options, reference)?,
        };
        Ok(Repository::new(self, reference, routes))
    }

    /// The images that a name as the user wrote it may stand for, in the order in which they are to be tried: one,
    /// unless `registries.conf` has several registries for names without one.
    ///
    /// # Errors
    /// When the text is no name or `registries.conf` cannot be understood.
    pub fn candidates(&self, written: &str) -> Result<Vec<Reference>, RegistryError> {
        Ok(routes::candidates(&*self.conf()?, written)?)
    }

    /// Asks a registry whether it is one and lets us in (with the credentials that are known for it).
    ///
    /// # Errors
    /// When it does not answer or does not let us in.
    pub fn ping(&self, registry: &str) -> Result<(), RegistryError> {
        let end = self.registry(registry)?;
        let request = Request::registry(Method::Get, "", registry, Scopes::default());
        let (answer, _) = self.send(&[&end], &request)?;
        answer.body.drain();
        Ok(())
    }

    /// The repositories of a registry, all pages. Many registries do not tell.
    ///
    /// # Errors
    /// When the registry does not answer or does not tell.
    pub fn catalog(&self, registry: &str) -> Result<Vec<String>, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Page {
            repositories: Option<Vec<String>>,
        }
        let what = format!("the list of repositories of {registry}");
        let request = Request::registry(Method::Get, "_catalog?n=1000", &what, Scopes::catalog());
        self.pages(&self.registry(registry)?, request, |page: Page| page.repositories)
    }

    fn registry(&self, registry: &str) -> Result<Endpoint, RegistryError> {
        routes::own(&*self.conf()?, &self.options, registry, "")
    }

    pub(crate) fn conf(&self) -> Result<Arc<Conf>, RegistryError> {
        self.conf.get(|| Conf::load(self.options.registries_conf.as_deref()))
    }

    pub(crate) fn transport(&self) -> Result<Arc<Transport>, RegistryError> {
        self.transport.get(|| {
            let get = |name: &str| std::env::var(name).ok();
            Proxies::read(get).map(Transport::new).map_err(|reason| RegistryError::Proxy { reason })
        })
    }

    /// The TLS set-up for a host.
    pub(crate) fn profile(&self, trust: &Trust, connect: Duration) -> Arc<Profile> {
        let mut profiles = lock(&self.profiles);
        let key = (trust.clone(), connect);
        if let Some(profile) = profiles.get(&key) {
            return Arc::clone(profile);
        }
        let (roots, trust) = (Arc::clone(&self.roots), trust.clone());
        let make = Box::new(move || roots.get(Roots::load)?.config(&trust));
        let profile = Profile::new(profiles.len(), connect, make);
        Arc::clone(profiles.entry(key).or_insert(Arc::new(profile)))
    }

    /// `https` or `http`, for a host that may speak either: it is asked once.
    pub(crate) fn scheme(&self, end: &Endpoint, profile: &Profile) -> Result<&'static str, RegistryError> {
        match end.scheme {
            Scheme::Https => return Ok("https"),
            Scheme::Http => return Ok("http"),
            Scheme::Either => {}
        }
        let key = (end.host.clone(), profile.id);
        if let Some(known) = lock(&self.schemes).get(&key) {
            return Ok(known);
        }
        let scheme = match is_loopback(host_of(&end.host)) && self.is_plain(end, profile)? {
            true => "http",
            false => self.probe(end, profile)?,
        };
        lock(&self.schemes).insert(key, scheme);
        Ok(scheme)
    }

    /// Asks a server of this machine without TLS, which costs nothing and tells nobody anything. One that speaks TLS
    /// hangs up or answers 400.
    fn is_plain(&self, end: &Endpoint, profile: &Profile) -> Result<bool, RegistryError> {
        let url = parse_url(&format!("http://{}{}", end.host, end.path))?;
        let call = Call { method: Method::Get, url: &url, headers: &[], wait: IDLE };
        match self.transport()?.exchange(&call, None, profile) {
            Ok(answer) => {
                let is_plain = answer.head.status != 400;
                answer.body.drain();
                Ok(is_plain)
            }
            Err(error @ HttpError::Connect(_)) => Err(RegistryError::http(&end.host, error)),
            Err(_) => Ok(false),
        }
    }

    /// Asks by TLS; a server that does not speak it is spoken to in plain HTTP.
    fn probe(&self, end: &Endpoint, profile: &Profile) -> Result<&'static str, RegistryError> {
        let url = parse_url(&format!("https://{}{}", end.host, end.path))?;
        match self.transport()?.probe(&url, profile) {
            Ok(()) => Ok("https"),
            Err(error @ (HttpError::Connect(_) | HttpError::Proxy { .. } | HttpError::SetUp(_))) => {
                Err(RegistryError::http(&end.host, error))
            }
            Err(error) if RegistryError::is_about_certificate(&error) => Err(RegistryError::http(&end.host, error)),
            Err(_) => Ok("http"),
        }
    }

    /// Whether a host could not be reached a moment ago.
    pub(crate) fn is_down(&self, host: &str) -> bool {
        lock(&self.down).get(host).is_some_and(|since| since.elapsed() < self.options.down_for)
    }

    pub(crate) fn set_down(&self, host: &str) {
        lock(&self.down).insert(host.to_owned(), Instant::now());
    }

    /// To be held while a list of referrers of a repository is read and written: two that do it at once would lose one
    /// of the two, and a repository may be opened several times.
    pub(crate) fn listing(&self, repository: &str) -> Arc<Mutex<()>> {
        Arc::clone(lock(&self.listing).entry(repository.to_owned()).or_default())
    }

    /// How small requests to a host have to be; 0 is as large as they like.
    pub(crate) fn chunk_level(&self, host: &str) -> usize {
        lock(&self.chunk_levels).get(host).copied().unwrap_or(0)
    }

    /// Something before a host refused a request of this level as too large: the next ones are smaller. Returns the new
    /// level; of several uploads that are refused at once only the first raises it.
    pub(crate) fn raise_chunk_level(&self, host: &str, refused: usize) -> usize {
        let mut levels = lock(&self.chunk_levels);
        let level = levels.entry(host.to_owned()).or_default();
        *level = (*level).max(refused + 1);
        *level
    }

    /// The smallest piece of an upload that a host takes, in bytes, but for the last one; 0 if it did not say.
    pub(crate) fn chunk_minimum(&self, host: &str) -> u64 {
        lock(&self.chunk_minimums).get(host).copied().unwrap_or(0)
    }

    /// A host says what it takes when an upload begins, and not when it is gone on with.
    pub(crate) fn set_chunk_minimum(&self, host: &str, bytes: u64) {
        lock(&self.chunk_minimums).insert(host.to_owned(), bytes);
    }

    /// Tells the user something, once.
    pub(crate) fn tell(&self, text: &str) {
        if lock(&self.told).insert(text.to_owned()) {
            self.options.notice.tell(text);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_messages_hold_no_secrets() {
        for text in ["https://me:hunter2@hub.example/a?token=hunter2", "nonsense?hunter2", "ftp://me:hunter2@x/"] {
            assert!(!redacted(text).contains("hunter2"), "{text}");
        }
    }
}
