//! `/token`: where clients get tokens, and `/_sealos/jwks.json`: the key that others verify them with.
//!
//! ```text
//! GET  /token?service=…&scope=…[&offline_token=true]      name and password in the Authorization field, or nobody
//! POST /token  grant_type=password|refresh_token …        the same in a form (RFC 6749)
//! ```
//!
//! A token grants what was asked for and is allowed, which may be nothing. Source: the distribution project's "Token
//! authentication specification" and "OAuth2 token authentication".

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use content::rfc3339;
use serde_json::json;

use super::guard::Guard;
use super::identify::{Rejection, address, now};
use super::issuer::{Holder, Issuer};
use super::jwt::{self, Access, TokenError};
use super::scope::{Actions, Scope};
use super::secret::Secret;
use crate::gate::{Identity, Need, Proof};
use crate::http::{Body, Head, Method, Query, Request, Response, Status};
use crate::route::Route;

/// The largest form, in bytes.
const FORM: usize = 32 << 10;
/// The most scopes of one request.
const SCOPES: usize = 128;
const PATH: &str = "/token";
const KEYS: &str = "/_sealos/jwks.json";

/// The route.
#[derive(Debug)]
pub struct TokenRoute(
    /// Who issues tokens.
    pub Arc<Guard>,
);

/// Why there is no token.
enum Refusal {
    Credentials(Rejection),
    Request(&'static str),
    Method,
    Inside(&'static str),
}

/// Whether a token that more tokens can be had for is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    Wanted,
    Not,
}

impl Route for TokenRoute {
    fn needs(&self, head: &Head<'_>) -> Option<Vec<Need<'static>>> {
        (self.0.issuer.is_some() && matches!(head.path, PATH | KEYS)).then(Vec::new)
    }

    fn serve(&self, request: &mut Request<'_>) -> Response {
        let Some(issuer) = self.0.issuer.as_ref().map(|issuer| issuer.keep()) else {
            return Response::new(Status::NOT_FOUND);
        };
        let result = match (request.head.path, request.head.method) {
            (KEYS, Method::Get | Method::Head) => Ok(json(Status::OK, &issuer.jwks())),
            (PATH, Method::Get | Method::Head) => self.get(&issuer, request),
            (PATH, Method::Post) => self.post(&issuer, request),
            _ => Err(Refusal::Method),
        };
        result.unwrap_or_else(|refusal| self.refuse(&refusal))
    }
}

impl TokenRoute {
    fn get(&self, issuer: &Issuer, request: &Request<'_>) -> Result<Response, Refusal> {
        let head = &request.head;
        let who = self.0.identify(head).map_err(Refusal::Credentials)?;
        // A token must not be turned into one that grants more.
        if !matches!(who.proof, Proof::None | Proof::Password) {
            return Err(wrong("a token is issued for a name and a password"));
        }
        let refresh = match head.query.get("offline_token").as_deref() {
            Some("true" | "1") => Refresh::Wanted,
            _ => Refresh::Not,
        };
        self.answer(issuer, &who, head.query, refresh)
    }

    fn post(&self, issuer: &Issuer, request: &mut Request<'_>) -> Result<Response, Refusal> {
        let form = request.read_small(FORM).map_err(|_error| Refusal::Request("the form is too large or not whole"))?;
        let form = String::from_utf8(form).map_err(|_error| Refusal::Request("the form is not text"))?;
        let form = Query::new(&form);
        let field = |name: &'static str, missing| form.get(name).ok_or(Refusal::Request(missing));
        let who = match form.get("grant_type").as_deref() {
            Some("password") => {
                let user = field("username", "the form has no username")?;
                let password = Secret::from(&*field("password", "the form has no password")?);
                self.password(&request.head, &user, &password)?
            }
            Some("refresh_token") => self.refresh(issuer, &field("refresh_token", "the form has no refresh_token")?)?,
            _ => return Err(Refusal::Request("the grant_type is neither password nor refresh_token")),
        };
        let refresh = match form.get("access_type").as_deref() {
            Some("offline") => Refresh::Wanted,
            _ => Refresh::Not,
        };
        self.answer(issuer, &who, form, refresh)
    }

    fn password(&self, head: &Head<'_>, user: &str, password: &Secret) -> Result<Identity, Refusal> {
        if !super::htpasswd::is_name(user) || password.expose().contains(&0) {
            return Err(wrong("the user name or the password is wrong"));
        }
        // Not the key of any header: a form and a header never stand for each other.
        let key = self.0.keyed.key(&[b"form\0", user.as_bytes(), b"\0", password.expose()].concat());
        let known = self.0.users.as_ref().and_then(|users| users.get().passwords.get(&key));
        let result = match known {
            Some(known) => Ok(known),
            None => self.0.password(address(head), user, password, key),
        };
        result.map(|who| Identity::clone(&who)).map_err(Refusal::Credentials)
    }

    fn refresh(&self, issuer: &Issuer, token: &str) -> Result<Identity, Refusal> {
        let users = self.0.users.as_ref().map(|users| users.keep());
        let find = |name: &str| users.as_ref().and_then(|known| known.users.find(name));
        match issuer.verify_refresh(token.as_bytes(), find, now()) {
            Ok(claims) => Ok(Identity { name: claims.sub.as_str().into(), proof: Proof::Password }),
            Err(error) => {
                self.0.counters.rejected.one();
                Err(wrong(match error {
                    TokenError::Expired => "the refresh token has expired",
                    _ => "the refresh token is not valid",
                }))
            }
        }
    }

    /// The token for somebody, with as much of what is asked for as they may.
    fn answer(&self, issuer: &Issuer, who: &Identity, asked: Query<'_>, refresh: Refresh) -> Result<Response, Refusal> {
        if asked.get("service").is_some_and(|service| *service != *issuer.options().service) {
            return Err(Refusal::Request("this is not the token service of that service"));
        }
        let is_nobody = who.proof == Proof::None;
        if is_nobody && !self.0.is_open() {
            return Err(wrong("authentication is required"));
        }
        let users = self.0.users.as_ref().map(|users| users.keep());
        let hash = users.as_ref().and_then(|known| known.users.find(&who.name));
        let holder = match (is_nobody, hash) {
            (true, _) => None,
            (false, Some(hash)) => Some(Holder { name: &who.name, hash }),
            // Removed in this moment.
            (false, None) => return Err(wrong("the user name or the password is wrong")),
        };
        let now = now();
        let token = issuer.access(holder, self.granted(who, asked), now).map_err(Refusal::Inside)?;
        if token.len() > jwt::LIMIT {
            return Err(Refusal::Request("a token for so many scopes is too long"));
        }
        let mut answer = json!({
            "token": token,
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": issuer.options().lifetime,
            "issued_at": rfc3339::format(SystemTime::now()),
        });
        if let (Refresh::Wanted, Some(holder)) = (refresh, holder) {
            answer["refresh_token"] = issuer.refresh(holder, now).map_err(Refusal::Inside)?.into();
        }
        Ok(json(Status::OK, &answer))
    }

    fn granted(&self, who: &Identity, asked: Query<'_>) -> Vec<Access> {
        let values: Vec<Cow<'_, str>> = asked.all("scope").collect();
        let scopes = Scope::parse_all(values.iter().map(|value| &**value), SCOPES);
        let entry = |kind: &str, name: String, actions: Vec<&str>| Access {
            kind: kind.to_owned(),
            name,
            actions: actions.into_iter().map(str::to_owned).collect(),
        };
        let granted = scopes.into_iter().map(|scope| match scope {
            Scope::Repository { name, actions } => {
                let actions: Actions = actions.and(self.0.rights(who, &name));
                entry("repository", name, actions.names().collect())
            }
            Scope::Catalog => entry("registry", "catalog".to_owned(), vec!["*"]),
        });
        granted.filter(|entry| !entry.actions.is_empty()).collect()
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        match refusal {
            Refusal::Credentials(Rejection::Wait(time)) => {
                // Rounded up: who comes back earlier waits again.
                let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
                let text = "too many attempts; come back later";
                failed(Status::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "slow_down", text).with("Retry-After", seconds)
            }
            Refusal::Credentials(Rejection::Wrong { text, .. }) => {
                failed(Status::UNAUTHORIZED, "UNAUTHORIZED", "invalid_grant", text)
                    .with("WWW-Authenticate", self.0.basic())
            }
            Refusal::Request(text) => failed(Status::BAD_REQUEST, "UNSUPPORTED", "invalid_request", text),
            Refusal::Method => {
                let text = "only GET and POST are answered here";
                failed(Status::METHOD_NOT_ALLOWED, "UNSUPPORTED", "invalid_request", text)
                    .with("Allow", "GET, HEAD, POST")
            }
            Refusal::Inside(text) => failed(Status::INTERNAL_SERVER_ERROR, "UNKNOWN", "server_error", text),
        }
    }
}

fn wrong(text: &'static str) -> Refusal {
    Refusal::Credentials(Rejection::Wrong { text, error: None })
}

/// An error for clients of registries and for those of OAuth2.
fn failed(status: Status, code: &str, error: &str, text: &str) -> Response {
    json(
        status,
        &json!({
            "errors": [{ "code": code, "message": text, "detail": null }],
            "error": error,
            "error_description": text,
        }),
    )
}

fn json(status: Status, value: &serde_json::Value) -> Response {
    Response::new(status)
        .with("Content-Type", "application/json; charset=utf-8")
        .with("Cache-Control", "no-store")
        .body(Body::Bytes(value.to_string().into_bytes().into()))
}
