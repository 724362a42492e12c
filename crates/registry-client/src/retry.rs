//! A request until it succeeds: tried again where that makes sense, and at the next of several servers.
//!
//! ```text
//! round 0:  mirror, mirror, own   ── all temporary ──▶ pause ──▶ round 1: …      a success ends it
//! ```
//!
//! What a server definitely refuses is not asked of it again. What the registry's own server definitely does not have
//! nobody has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::error::{RegistryError, ServerMessage, Tried};
use crate::exchange::{Request, Target};
use crate::http::Answer;
use crate::routes::Endpoint;

/// An error document is read up to here; the rest of it would not help anybody.
const ERROR_DOCUMENT: u64 = 64 << 10;
/// A page of a list.
const PAGE: u64 = 32 << 20;
/// Pages of one list; a server that goes on longer goes round in circles.
const PAGES: usize = 100_000;
/// A server that wants us to wait longer is told to the user.
const PATIENCE: Duration = Duration::from_secs(120);
/// A pause does not double for ever.
const LONGEST: Duration = Duration::from_secs(30);

impl Client {
    /// Sends a request to the first of these servers that serves it. Returns the answer and which one it was.
    ///
    /// # Errors
    /// Everything that is not a success in the end; of several servers, what each of them said.
    pub(crate) fn send(&self, ends: &[&Endpoint], request: &Request) -> Result<(Answer, usize), RegistryError> {
        let mut pauses = Pauses::new(self.options.retry_delay);
        let mut errors: Vec<Option<RegistryError>> = ends.iter().map(|_| None).collect();
        for round in 0..=self.options.retries {
            let mut wanted = Duration::ZERO;
            for (at, end) in ends.iter().enumerate() {
                if errors[at].as_ref().is_some_and(|error| !error.is_temporary()) {
                    continue;
                }
                // Whom nobody reached a moment ago is asked only if there is nobody else.
                if self.is_down(&end.host) && (ends.len() > 1 || round == 0) {
                    errors[at].get_or_insert_with(|| RegistryError::Down { host: end.host.clone() });
                    continue;
                }
                let error = match self.ask(end, request) {
                    Ok(answer) if (200..300).contains(&answer.head.status) => return Ok((answer, at)),
                    Ok(answer) => {
                        wanted = wanted.max(retry_after(&answer).unwrap_or_default());
                        refusal(&end.host, &request.what, answer)
                    }
                    Err(error) => error,
                };
                self.passed_over(end, &error, ends.get(at + 1).copied());
                let is_final = end.own && !error.is_temporary();
                errors[at] = Some(error);
                if is_final {
                    return Err(self.failure(ends, errors, &request.what));
                }
            }
            let hope = errors.iter().flatten().find(|error| error.is_temporary());
            let are_down = errors.iter().flatten().all(|error| matches!(error, RegistryError::Down { .. }));
            if hope.is_none() || are_down || wanted > PATIENCE || round == self.options.retries {
                break;
            }
            self.pause(&mut pauses, wanted, hope);
        }
        Err(self.failure(ends, errors, &request.what))
    }

    /// Waits before the next round, and says so.
    pub(crate) fn pause(&self, pauses: &mut Pauses, wanted: Duration, error: Option<&RegistryError>) {
        let pause = pauses.next(wanted);
        if let Some(error) = error {
            self.options.notice.tell(&format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
        }
        std::thread::sleep(pause);
    }

    fn passed_over(&self, end: &Endpoint, error: &RegistryError, next: Option<&Endpoint>) {
        let (Some(next), true) = (next, !error.is_not_found()) else { return };
        if error.is_unreachable() {
            self.set_down(&end.host);
        }
        self.tell(&format!("{error}; going on with {}", next.host));
    }

    fn failure(&self, ends: &[&Endpoint], errors: Vec<Option<RegistryError>>, what: &str) -> RegistryError {
        let mut own = None;
        let mut others = Vec::new();
        for (end, error) in ends.iter().zip(errors) {
            let Some(error) = error else { continue };
            if error.is_unreachable() {
                self.set_down(&end.host);
            }
            if end.own { own = Some(error) } else { others.push(error) }
        }
        match own {
            Some(own) if others.iter().all(RegistryError::is_not_found) => own,
            own => Tried { what: what.to_owned(), errors: others.into_iter().chain(own).collect() }.into(),
        }
    }

    /// Reads all pages of a list; `Link: <…>; rel="next"` leads from one to the next.
    ///
    /// # Errors
    /// As [`Client::send`], and when an answer is not such a list.
    pub(crate) fn pages<P: DeserializeOwned, T>(
        &self,
        end: &Endpoint,
        mut request: Request,
        items: impl Fn(P) -> Option<Vec<T>>,
    ) -> Result<Vec<T>, RegistryError> {
        let ends = [end];
        let wrong = |reason: String| RegistryError::Protocol { host: end.host.clone(), expected: "a list", reason };
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let (mut answer, _) = self.send(&ends, &request)?;
            let bytes = answer.body.read_up_to(PAGE).map_err(|error| wrong(error.to_string()))?;
            let page: P = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
            all.extend(items(page).unwrap_or_default());
            let Some(next) = next_page(&answer) else { return Ok(all) };
            let here = self.url(end, &request.target)?;
            let next = here.join(&next).map_err(|error| wrong(format!("the next page's address: {error}")))?;
            if next == here {
                return Err(wrong("its next page is the same again".to_owned()));
            }
            request.target = Target::Url(next);
        }
        Err(wrong("it does not end".to_owned()))
    }
}

/// The target of `Link: <…>; rel="next"`.
fn next_page(answer: &Answer) -> Option<String> {
    let links = answer.head.headers("link").flat_map(|line| line.split(", <"));
    let next = links.map(|link| link.trim_start_matches('<')).find_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is_next = parameters.split(';').any(|one| matches!(one.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| target.to_owned())
    });
    next.filter(|target| !target.is_empty())
}

/// Pauses between attempts: each twice as long as the one before, and a little more.
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new(first: Duration) -> Self {
        Self(first)
    }

    fn next(&mut self, wanted: Duration) -> Duration {
        let pause = self.0.max(wanted);
        self.0 = (self.0 * 2).min(LONGEST);
        pause + jitter(pause)
    }
}

/// Up to a quarter of the pause, so that many clients do not come back in step.
fn jitter(pause: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    pause.mul_f64(f64::from(now.subsec_nanos() % 1000) / 4000.0)
}

/// The error that an answer without success stands for.
pub(crate) fn refusal(host: &str, what: &str, mut answer: Answer) -> RegistryError {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<ServerMessage>,
    }
    let status = answer.head.status;
    let wait = retry_after(&answer);
    // An error page that is no error document has nothing to add to the status.
    let body = answer.body.read_up_to(ERROR_DOCUMENT).ok();
    let body = body.and_then(|body| serde_json::from_slice::<Errors>(&body).ok());
    let message = body.and_then(|body| body.errors.into_iter().next());
    let (host, what) = (host.to_owned(), what.to_owned());
    match status {
        401 => RegistryError::Unauthorized { host, who: "anonymous access", what },
        403 => RegistryError::Denied { host, what, message },
        404 => RegistryError::NotFound { host, what, message },
        429 => RegistryError::TooMany { host, wait },
        _ => RegistryError::Status { host, status, what, message },
    }
}

/// How long the server wants us to wait: seconds or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.head.header("retry-after")?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}
