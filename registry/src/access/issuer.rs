//! The tokens that this registry issues itself: its key, access tokens, refresh tokens.
//!
//! Tokens are signed with ES256. The key is a PKCS#8 file that only its owner may read, made when it is not there, or
//! one that lives as long as the process. A token is bound to the password that it was issued for: with a new password,
//! or without the user, it is worth nothing.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::jwt::{self, Access, Claims, Expected, TokenError};
use super::keys::{self, KeySet, PublicKey};
use super::password::PasswordHash;
use super::private_file;
use super::watched::{self, LoadError};

/// What the `purpose` claim of a refresh token says.
const REFRESH: &str = "refresh";
/// How far clocks may differ: the same one reads and writes the times, but it may be set.
const LEEWAY: i64 = 30;

/// What tokens say about where they are from and for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    /// Their issuer.
    pub issuer: String,
    /// The service that they are for: how clients are told to ask for them.
    pub service: String,
    /// How long they are valid, in seconds.
    pub lifetime: u32,
    /// How long refresh tokens are valid, in seconds.
    pub refresh_lifetime: u32,
}

impl Default for TokenOptions {
    fn default() -> Self {
        let name = "sealos-registry".to_owned();
        Self { issuer: name.clone(), service: name, lifetime: 300, refresh_lifetime: 30 * 24 * 3600 }
    }
}

/// Somebody whom a token is about.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// Their name.
    pub name: &'a str,
    /// The hash of their password.
    pub hash: &'a PasswordHash,
}

/// Issues tokens and knows them again.
pub struct Issuer {
    options: TokenOptions,
    pair: EcdsaKeyPair,
    id: String,
    keys: KeySet,
    fingerprints: hmac::Key,
    random: SystemRandom,
}

impl Issuer {
    /// With the key of a file; it is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be read or written, others may read it, or it is not a P-256 key in PKCS#8.
    pub fn open(path: &Path, options: TokenOptions) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Read { path: path.to_owned(), source };
        if !path.exists() {
            let der = new_key().map_err(LoadError::content(path))?;
            private_file::create(path, pem(&der).as_bytes()).map_err(failed)?;
        }
        if private_file::is_open(path).map_err(failed)? {
            return Err(LoadError::content(path)("others may read it; make it private with `chmod 600`"));
        }
        let text = watched::read_text(path)?;
        let der = match keys::blocks(&text).next() {
            Some(("PRIVATE KEY", Some(der))) => der,
            Some(("EC PRIVATE KEY", _)) => {
                let reason = "it is not PKCS#8; convert it with `openssl pkcs8 -topk8 -nocrypt`";
                return Err(LoadError::content(path)(reason));
            }
            _ => return Err(LoadError::content(path)("it is not a private key in PEM")),
        };
        Self::new(&der, options).map_err(|reason| LoadError::content(path)(reason))
    }

    /// With a key that lives as long as the process.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn fleeting(options: TokenOptions) -> Result<Self, &'static str> {
        Self::new(&new_key()?, options)
    }

    fn new(der: &[u8], options: TokenOptions) -> Result<Self, &'static str> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
            .map_err(|_rejected| "it is not a private key of P-256")?;
        let point = pair.public_key().as_ref().to_vec();
        let id = URL_SAFE_NO_PAD.encode(&digest::digest(&digest::SHA256, &point).as_ref()[..12]);
        // Only who has the private key can make fingerprints.
        let secret = digest::digest(&digest::SHA256, &[b"sealos token fingerprints\0", der].concat());
        let fingerprints = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        let keys = KeySet::of(PublicKey::p256(point, id.clone()));
        Ok(Self { options, pair, id, keys, fingerprints, random })
    }

    /// The name of the key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.id
    }

    /// What tokens say.
    #[must_use]
    pub fn options(&self) -> &TokenOptions {
        &self.options
    }

    /// The public key, as others need it to verify tokens (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y }] })
    }

    /// Issues a token for access at `now` (seconds of the Unix epoch); without a holder one for everybody.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn access(&self, holder: Option<Holder<'_>>, access: Vec<Access>, now: i64) -> Result<String, &'static str> {
        self.issue(holder, Claims { access, ..self.claims(self.options.lifetime, now)? })
    }

    /// Issues a token that more tokens can be had for.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn refresh(&self, holder: Holder<'_>, now: i64) -> Result<String, &'static str> {
        let purpose = Some(REFRESH.to_owned());
        self.issue(Some(holder), Claims { purpose, ..self.claims(self.options.refresh_lifetime, now)? })
    }

    fn claims(&self, lifetime: u32, now: i64) -> Result<Claims, &'static str> {
        let mut own = [0; 16];
        self.random.fill(&mut own).map_err(|_unspecified| NO_RANDOM)?;
        Ok(Claims {
            iss: self.options.issuer.clone(),
            aud: vec![self.options.service.clone()],
            exp: Some(now + i64::from(lifetime)),
            nbf: Some(now),
            iat: Some(now),
            jti: URL_SAFE_NO_PAD.encode(own),
            ..Claims::default()
        })
    }

    fn issue(&self, holder: Option<Holder<'_>>, mut claims: Claims) -> Result<String, &'static str> {
        if let Some(holder) = holder {
            holder.name.clone_into(&mut claims.sub);
            claims.credential = Some(self.fingerprint(holder));
        }
        let sign = |message: &[u8]| self.pair.sign(&self.random, message).map(|signature| signature.as_ref().to_vec());
        jwt::encode("ES256", &self.id, &claims, sign).map_err(|_unspecified| NO_RANDOM)
    }

    fn fingerprint(&self, holder: Holder<'_>) -> String {
        let of = [holder.name.as_bytes(), b"\0", holder.hash.as_str().as_bytes()].concat();
        URL_SAFE_NO_PAD.encode(&hmac::sign(&self.fingerprints, &of).as_ref()[..16])
    }

    /// Verifies a token for access. `find` gives the present password hash of a user.
    ///
    /// # Errors
    /// When it is not one of this issuer, valid at `now`, for a user who has still the password that it was issued for.
    pub fn verify<'a>(
        &self,
        token: &[u8],
        find: impl FnOnce(&str) -> Option<&'a PasswordHash>,
        now: i64,
    ) -> Result<Claims, TokenError> {
        self.check(token, None, find, now)
    }

    /// The same for a refresh token.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_refresh<'a>(
        &self,
        token: &[u8],
        find: impl FnOnce(&str) -> Option<&'a PasswordHash>,
        now: i64,
    ) -> Result<Claims, TokenError> {
        self.check(token, Some(REFRESH), find, now)
    }

    fn check<'a>(
        &self,
        token: &[u8],
        purpose: Option<&str>,
        find: impl FnOnce(&str) -> Option<&'a PasswordHash>,
        now: i64,
    ) -> Result<Claims, TokenError> {
        let TokenOptions { issuer, service, .. } = &self.options;
        let expected = Expected { issuer: issuer.clone(), audience: service.clone(), leeway: LEEWAY };
        let claims = jwt::verify(token, &self.keys, &expected, now)?;
        if claims.purpose.as_deref() != purpose {
            return Err(TokenError::Purpose);
        }
        let is_bound = match find(&claims.sub) {
            _ if claims.sub.is_empty() => claims.credential.is_none(),
            Some(hash) => claims.credential == Some(self.fingerprint(Holder { name: &claims.sub, hash })),
            None => false,
        };
        if is_bound { Ok(claims) } else { Err(TokenError::Revoked) }
    }
}

const NO_RANDOM: &str = "the system gives no random bytes";

fn new_key() -> Result<Vec<u8>, &'static str> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    document.map(|document| document.as_ref().to_vec()).map_err(|_unspecified| NO_RANDOM)
}

fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines = body.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n", lines.collect::<String>())
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issuer({}, key {})", self.options.issuer, self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn hash(text: &str) -> PasswordHash {
        PasswordHash::create(super::super::password::Scheme::Bcrypt(4), &text.into()).unwrap()
    }

    #[test]
    fn a_token_ends_with_its_time_its_password_and_its_user() {
        let issuer = Issuer::fleeting(TokenOptions::default()).unwrap();
        let (old, new) = (hash("a"), hash("a"));
        let holder = Holder { name: "anna", hash: &old };
        let access = issuer.access(Some(holder), Vec::new(), NOW).unwrap();
        let refresh = issuer.refresh(holder, NOW).unwrap();
        let everybody = issuer.access(None, Vec::new(), NOW).unwrap();
        let verify = |token: &str, hash, now| issuer.verify(token.as_bytes(), |_| hash, now).map(|claims| claims.sub);
        let renew =
            |token: &str, hash, now| issuer.verify_refresh(token.as_bytes(), |_| hash, now).map(|claims| claims.sub);
        assert_eq!(verify(&access, Some(&old), NOW), Ok("anna".to_owned()));
        assert_eq!(verify(&access, Some(&old), NOW + 330), Err(TokenError::Expired));
        assert_eq!(verify(&access, Some(&new), NOW), Err(TokenError::Revoked));
        assert_eq!(verify(&access, None, NOW), Err(TokenError::Revoked));
        assert_eq!(verify(&everybody, None, NOW), Ok(String::new()));
        assert_eq!(verify(&refresh, Some(&old), NOW), Err(TokenError::Purpose));
        assert_eq!(renew(&access, Some(&old), NOW), Err(TokenError::Purpose));
        assert_eq!(renew(&refresh, Some(&old), NOW + 29 * 24 * 3600), Ok("anna".to_owned()));
        assert_eq!(renew(&refresh, Some(&new), NOW), Err(TokenError::Revoked));
        let other = Issuer::fleeting(TokenOptions::default()).unwrap();
        assert_eq!(other.verify(access.as_bytes(), |_| Some(&old), NOW), Err(TokenError::UnknownKey));
        // Others verify it with the published key, which binds it to the key and not to the password.
        let keys = KeySet::parse(issuer.jwks().to_string().as_bytes()).unwrap();
        let name = "sealos-registry".to_owned();
        let expected = Expected { issuer: name.clone(), audience: name, leeway: 0 };
        assert_eq!(jwt::verify(access.as_bytes(), &keys, &expected, NOW).unwrap().sub, "anna");
    }

    #[test]
    fn the_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let open = || Issuer::open(&path, TokenOptions::default());
        let first = open().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let token = first.access(None, Vec::new(), NOW).unwrap();
        assert!(open().unwrap().verify(token.as_bytes(), |_| None, NOW).is_ok());
        let seen = Command::new("openssl").args(["pkey", "-noout", "-text", "-in"]).arg(&path).output().unwrap();
        assert!(String::from_utf8_lossy(&seen.stdout).contains("P-256"), "{seen:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(open().unwrap_err().to_string().contains("chmod 600"));
        let args = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
        assert!(Command::new("openssl").args(args).arg(&path).output().unwrap().status.success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(open().is_ok(), "a key of openssl");
        for (text, part) in [
            ("hello", "not a private key in PEM"),
            ("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----", "openssl pkcs8"),
            ("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----", "not a private key of P-256"),
        ] {
            fs::write(&path, text).unwrap();
            assert!(open().unwrap_err().to_string().contains(part), "{text}");
        }
    }
}
