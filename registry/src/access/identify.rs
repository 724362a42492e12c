//! Who asks: a password, a token, a certificate, or nobody.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::authorization::{self, Credentials};
use super::certificate;
use super::guard::{Guard, Known, Trusted};
use super::issuer::Issuer;
use super::jwt::{self, Claims, Expected, TokenError};
use super::secret::Secret;
use super::verified::Key;
use crate::gate::{Action, Grant, Grants, Identity, Proof};
use crate::http::{Head, Peer};
use crate::seat;

/// Why credentials are not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// They are wrong.
    Wrong {
        /// What the client is told.
        text: &'static str,
        /// The error of RFC 6750, for a token.
        error: Option<&'static str>,
    },
    /// There were too many attempts.
    Wait(Duration),
}

/// A token that was verified.
#[derive(Debug)]
pub(super) struct KnownToken {
    identity: Identity,
    /// The last second in which it is valid.
    until: i64,
    /// The key that signed it, of those that this registry signs with.
    key_id: Option<String>,
}

/// How long one is asked to wait when too many wait already.
const BUSY: Duration = Duration::from_secs(1);

const NO_PASSWORDS: Rejection = Rejection::Wrong { text: "this registry takes no passwords, but tokens", error: None };
const NO_TOKENS: Rejection = Rejection::Wrong { text: "this registry takes no tokens", error: None };
const WRONG: Rejection = Rejection::Wrong { text: "the user name or the password is wrong", error: None };

fn wrong_token(text: &'static str) -> Rejection {
    Rejection::Wrong { text, error: Some("invalid_token") }
}

impl Guard {
    /// Who asks. What is wrong is an error, never nobody.
    pub(super) fn identify(&self, head: &Head<'_>) -> Result<Identity, Rejection> {
        let mut values = head.headers.all("authorization");
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => {
                self.counters.rejected.one();
                Err(Rejection::Wrong { text: "there are several Authorization header fields", error: None })
            }
            (Some(value), None) if self.options.is_authenticating() => self.credentials(head, value.as_bytes()),
            // Where nobody can log in, saved credentials of a client mean nothing.
            _ => Ok(self.holder(head).unwrap_or_else(|| self.nobody.clone())),
        }
    }

    fn holder(&self, head: &Head<'_>) -> Option<Identity> {
        let own = head.certificates.first()?;
        if self.options.certificates == super::options::Certificates::Ignored {
            return None;
        }
        let key = self.keyed.key(own);
        if let Some(known) = self.holders.get(&key) {
            return Some(Identity::clone(&known));
        }
        let identity = certificate::holder(own)?;
        self.holders.insert(key, Arc::new(identity.clone()));
        Some(identity)
    }

    fn credentials(&self, head: &Head<'_>, value: &[u8]) -> Result<Identity, Rejection> {
        let key = self.keyed.key(value);
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        match authorization::parse(value) {
            Ok(Credentials::Basic { user, password }) => {
                self.password(address(head), &user, &password, key).map(|known| Identity::clone(&known))
            }
            Ok(Credentials::Bearer(token)) => self.token(&token, key),
            Err(_) => {
                self.counters.rejected.one();
                Err(Rejection::Wrong { text: "the Authorization header field is malformed", error: None })
            }
        }
    }

    /// Whoever brought these credentials before.
    fn known(&self, key: &Key) -> Option<Identity> {
        let now = now();
        if let Some(users) = &self.users {
            let users = users.get();
            if let Some(known) = users.passwords.get(key) {
                return Some(Identity::clone(&known));
            }
            if let Some(token) = users.tokens.get(key) {
                let issuer = self.issuer.as_ref()?.get();
                let is_valid = token.until >= now && token.key_id.as_deref() == Some(issuer.key_id());
                return is_valid.then(|| token.identity.clone());
            }
        }
        let token = self.trusted.as_ref()?.get().tokens.get(key)?;
        (token.until >= now).then(|| token.identity.clone())
    }

    /// Verifies a password. It is worked out by one thread for all who bring it at the same time from one place.
    pub(super) fn password(
        &self,
        address: Option<IpAddr>,
        user: &str,
        password: &Secret,
        key: Key,
    ) -> Result<Arc<Identity>, Rejection> {
        let Some(users) = &self.users else { return Err(NO_PASSWORDS) };
        seat::leave();
        let users = users.keep();
        let place = self.keyed.key(&[&key[..], format!("{address:?}").as_bytes()].concat());
        let work = || self.work_out(&users, address, user, password, key);
        self.flights.once(place, work).unwrap_or(Err(Rejection::Wait(BUSY)))
    }

    fn work_out(
        &self,
        users: &Known,
        address: Option<IpAddr>,
        user: &str,
        password: &Secret,
        key: Key,
    ) -> Result<Arc<Identity>, Rejection> {
        // Somebody may have been faster.
        if let Some(known) = users.passwords.get(&key) {
            return Ok(known);
        }
        let attempt = self.throttle.begin(address, user, Instant::now()).map_err(Rejection::Wait)?;
        // A user who does not exist takes as long as one who does.
        let hash = users.users.find(user);
        let is_right = hash.or_else(|| users.users.decoy()).is_some_and(|hash| hash.verify(password));
        if !is_right || hash.is_none() {
            self.counters.rejected.one();
            return Err(WRONG);
        }
        self.throttle.succeeded(attempt);
        let identity = Arc::new(Identity { name: user.into(), proof: Proof::Password });
        users.passwords.insert(key, Arc::clone(&identity));
        Ok(identity)
    }

    fn token(&self, token: &Secret, key: Key) -> Result<Identity, Rejection> {
        let own = self.own_token(token, key);
        let result = match own {
            Some(Ok(identity)) => Ok(identity),
            other => match (other, self.foreign_token(token, key)) {
                (_, Some(Ok(identity))) => Ok(identity),
                // What is said about it is what its issuer would say.
                (Some(Err(error)), None) => Err(error),
                (Some(Err(own)), Some(Err(TokenError::UnknownKey | TokenError::Signature | TokenError::Issuer))) => {
                    Err(own)
                }
                (_, Some(Err(error))) => Err(error),
                (_, None) => {
                    self.counters.rejected.one();
                    return Err(NO_TOKENS);
                }
            },
        };
        result.map_err(|error| {
            self.counters.rejected.one();
            wrong_token(said(&error))
        })
    }

    fn own_token(&self, token: &Secret, key: Key) -> Option<Result<Identity, TokenError>> {
        let (issuer, users) = (self.issuer.as_ref()?.keep(), self.users.as_ref()?.keep());
        let result = issuer.verify(token.expose(), |name| users.users.find(name), now());
        Some(result.map(|claims| remember_own(&issuer, &users, key, &claims)))
    }

    fn foreign_token(&self, token: &Secret, key: Key) -> Option<Result<Identity, TokenError>> {
        let (external, trusted) = (self.options.external.as_ref()?, self.trusted.as_ref()?.keep());
        let expected =
            Expected { issuer: external.issuer.clone(), audience: external.service.clone(), leeway: external.leeway };
        let result = jwt::verify(token.expose(), &trusted.keys, &expected, now());
        Some(result.map(|claims| remember_foreign(&trusted, key, &claims, external.leeway)))
    }
}

fn remember_own(issuer: &Issuer, users: &Known, key: Key, claims: &Claims) -> Identity {
    let identity = identity(claims, Whose::Own);
    let known = KnownToken {
        identity: identity.clone(),
        until: claims.exp.unwrap_or(0),
        key_id: Some(issuer.key_id().to_owned()),
    };
    users.tokens.insert(key, Arc::new(known));
    identity
}

fn remember_foreign(trusted: &Trusted, key: Key, claims: &Claims, leeway: i64) -> Identity {
    let identity = identity(claims, Whose::Foreign);
    let until = claims.exp.unwrap_or(0).saturating_add(leeway).saturating_sub(1);
    trusted.tokens.insert(key, Arc::new(KnownToken { identity: identity.clone(), until, key_id: None }));
    identity
}

/// Who issued a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Foreign,
}

/// Whom a token is about, and what it grants.
fn identity(claims: &Claims, whose: Whose) -> Identity {
    let mut grants = Grants { catalog: claims.catalog(), is_own: whose == Whose::Own, ..Grants::default() };
    for entry in claims.access.iter().filter(|entry| entry.kind == "repository") {
        let actions = claims.actions(&entry.name);
        let all = [Action::Pull, Action::Push, Action::Delete];
        let actions = all.into_iter().filter(|action| actions.covers((*action).into())).collect();
        grants.repositories.push(Grant { repository: entry.name.clone(), actions });
    }
    // Control characters would get into logs.
    let is_named = !claims.sub.is_empty() && !claims.sub.chars().any(char::is_control);
    let name: Arc<str> = if is_named { claims.sub.as_str().into() } else { Identity::anonymous().name };
    Identity { name, proof: Proof::Token(Arc::new(grants)) }
}

const fn said(error: &TokenError) -> &'static str {
    match error {
        TokenError::TooLong => "the token is too long",
        TokenError::Malformed => "the token is malformed",
        TokenError::Algorithm => "the token is signed with an algorithm that is not accepted",
        TokenError::Critical => "the token has critical header parameters that are not known",
        TokenError::UnknownKey => "the token is signed with a key that is not known",
        TokenError::Signature => "the token's signature is wrong",
        TokenError::Issuer => "the token was issued by somebody else",
        TokenError::Audience => "the token is for another service",
        TokenError::Expired => "the token has expired",
        TokenError::Early => "the token is not valid yet",
        TokenError::Purpose => "the token is not for this purpose",
        TokenError::Revoked => "the token is not valid any more: its user is gone or has a new password",
    }
}

/// Where somebody comes from; nowhere for processes on this machine.
pub(super) fn address(head: &Head<'_>) -> Option<IpAddr> {
    match head.peer {
        Peer::Net(address) => Some(address.ip()),
        Peer::Local => None,
    }
}

/// Seconds of the Unix epoch.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
