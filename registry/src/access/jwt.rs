//! Signed tokens (RFC 7519, RFC 7515 compact form) with the claims of the distribution project's token specification.
//!
//! ```text
//! header.claims.signature ─▶ length ─▶ header ─▶ key and algorithm ─▶ signature ─▶ issuer, audience, times ─▶ Claims
//! ```
//!
//! Nothing of the claims is looked at before the signature is verified. Pure: the time is an argument.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize};

use super::keys::{Algorithm, KeySet};
use super::scope::Actions;

/// The longest token, in bytes.
pub const LIMIT: usize = 12 << 10;

/// Why a token is not accepted. It never repeats the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`LIMIT`].
    #[error("the token is longer than {LIMIT} bytes")]
    TooLong,
    /// Not three parts of base64url with JSON in them.
    #[error("the token is malformed")]
    Malformed,
    /// `none`, an HMAC, or something unknown.
    #[error("the token is signed with an algorithm that is not accepted")]
    Algorithm,
    /// It demands extensions that are not known.
    #[error("the token has critical header parameters that are not known")]
    Critical,
    /// No key of that id.
    #[error("the token is signed with a key that is not known")]
    UnknownKey,
    /// Not signed by any of the keys.
    #[error("the token's signature is wrong")]
    Signature,
    /// Of another issuer.
    #[error("the token was issued by somebody else")]
    Issuer,
    /// For another service.
    #[error("the token is for another service")]
    Audience,
    /// Too late.
    #[error("the token has expired")]
    Expired,
    /// Too early.
    #[error("the token is not valid yet; is the clock right?")]
    Early,
    /// A token for another purpose.
    #[error("the token is not for this purpose")]
    Purpose,
    /// Its user is gone or has another password now.
    #[error("the token is not valid any more: its user is gone or has a new password")]
    Revoked,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    #[serde(default)]
    pub iss: String,
    /// About whom; empty for nobody.
    #[serde(default)]
    pub sub: String,
    /// For which services.
    #[serde(default, deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// Until when, in seconds of the Unix epoch.
    #[serde(default, deserialize_with = "date", skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// From when.
    #[serde(default, deserialize_with = "date", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// When it was issued.
    #[serde(default, deserialize_with = "date", skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// Its own name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// What it grants.
    #[serde(default, deserialize_with = "or_none")]
    pub access: Vec<Access>,
    /// What it is for, when it is not for access.
    #[serde(default, rename = "purpose", skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Which password it was issued for: a fingerprint that only its issuer can make.
    #[serde(default, rename = "cred", skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Something that a token grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `repository` or `registry`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The repository, or `catalog`.
    #[serde(default)]
    pub name: String,
    /// What for.
    #[serde(default, deserialize_with = "or_none")]
    pub actions: Vec<String>,
}

impl Claims {
    /// What is granted in a repository.
    #[must_use]
    pub fn actions(&self, repository: &str) -> Actions {
        let entries = self.access.iter().filter(|entry| entry.kind == "repository" && entry.name == repository);
        entries.fold(Actions::NONE, |all, entry| all.or(Actions::named(entry.actions.iter().map(String::as_str))))
    }

    /// Whether the list of repositories is granted.
    #[must_use]
    pub fn catalog(&self) -> bool {
        let is_catalog = |entry: &Access| entry.kind == "registry" && entry.name == "catalog";
        self.access.iter().any(|entry| is_catalog(entry) && entry.actions.iter().any(|action| action == "*"))
    }
}

/// What a token must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Who must have issued it.
    pub issuer: String,
    /// A service that it must be for.
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway: i64,
}

/// Verifies a token.
///
/// # Errors
/// When it is not a token of the expected issuer for the expected service, valid at `now` (seconds of the Unix epoch).
pub fn verify(token: &[u8], keys: &KeySet, expected: &Expected, now: i64) -> Result<Claims, TokenError> {
    if token.len() > LIMIT {
        return Err(TokenError::TooLong);
    }
    let text = str::from_utf8(token).map_err(|_error| TokenError::Malformed)?;
    let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header = json(header)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_error| TokenError::Malformed)?;
    let algorithm = Algorithm::named(&header.alg).ok_or(TokenError::Algorithm)?;
    if header.crit.is_some() {
        return Err(TokenError::Critical);
    }
    let mut candidates = keys.candidates(header.kid.as_deref()).peekable();
    if candidates.peek().is_none() {
        return Err(TokenError::UnknownKey);
    }
    if !candidates.any(|key| key.verify(algorithm, signed.as_bytes(), &signature)) {
        return Err(TokenError::Signature);
    }
    let claims: Claims = json(claims)?;
    check(&claims, expected, now)?;
    Ok(claims)
}

fn check(claims: &Claims, expected: &Expected, now: i64) -> Result<(), TokenError> {
    if claims.iss != expected.issuer {
        return Err(TokenError::Issuer);
    }
    if !claims.aud.contains(&expected.audience) {
        return Err(TokenError::Audience);
    }
    // A token that never ends is not accepted.
    if claims.exp.is_none_or(|exp| exp.saturating_add(expected.leeway) <= now) {
        return Err(TokenError::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf.saturating_sub(expected.leeway) > now) {
        return Err(TokenError::Early);
    }
    Ok(())
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_error| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_error| TokenError::Malformed)
}

/// Signs claims: `sign` makes the signature of the algorithm that `algorithm` names.
///
/// # Errors
/// What `sign` fails with.
pub fn encode<E>(
    algorithm: &str,
    key_id: &str,
    claims: &Claims,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let header = serde_json::json!({ "alg": algorithm, "kid": key_id, "typ": "JWT" });
    let claims = serde_json::json!(claims);
    let mut token =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// `"a"` or `["a", "b"]`.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
        None(()),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
        OneOrMany::None(()) => Vec::new(),
    })
}

/// A list or `null`, as Go writes an empty one.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// A NumericDate: it may have a fraction.
fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates: such a date is beyond all others")]
    let whole = |number: serde_json::Number| number.as_i64().or_else(|| number.as_f64().map(|float| float as i64));
    Ok(number.and_then(whole))
}
