//! Public keys that verify tokens: from a JWKS document (RFC 7517), PEM public keys or PEM certificates.
//!
//! A key verifies only what was signed with an algorithm of its own kind: there is no `none`, and a public key is never
//! taken for the secret of an HMAC.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

/// The most keys of a file; a token without a key id is tried with each of them.
const KEYS: usize = 64;

/// The algorithms that tokens are signed with (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// RSA, PKCS #1 v1.5, SHA-384.
    Rs384,
    /// RSA, PKCS #1 v1.5, SHA-512.
    Rs512,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// ECDSA, P-256, SHA-256.
    Es256,
    /// ECDSA, P-384, SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// By its name in a token.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// Why keys are not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither PEM nor JSON.
    #[error("it is neither a JWKS document nor PEM")]
    Form,
    /// JSON, but no JWKS.
    #[error("it is not a JWKS document: {0}")]
    Json(String),
    /// No key that could be used.
    #[error("it holds no key for RS256, ES256, ES384 or EdDSA")]
    None,
    /// A private key where a public one belongs.
    #[error("it holds a private key; only the public one belongs here")]
    Private,
    /// A key or certificate that is damaged.
    #[error("key {0} in it is damaged")]
    Damaged(usize),
    /// RSA below 2048 bits.
    #[error("key {0} in it is RSA of fewer than 2048 or more than 8192 bits")]
    Weak(usize),
    /// Too many.
    #[error("it holds more than {KEYS} keys")]
    TooMany,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: Option<String>,
    material: Material,
}

impl PublicKey {
    /// A P-256 key: the uncompressed point, and its id.
    #[must_use]
    pub fn p256(point: Vec<u8>, id: String) -> Self {
        Self { id: Some(id), material: Material::P256(point) }
    }

    /// Whether the signature is of this key.
    #[must_use]
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let result = match (&self.material, algorithm) {
            (Material::Rsa { n, e }, Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 | Algorithm::Ps256) => {
                let parameters = match algorithm {
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    _ => &signature::RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Material::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Material::P384(point), Algorithm::Es384) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            (Material::Ed25519(key), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature)
            }
            _ => return false,
        };
        result.is_ok()
    }

    fn check(self, number: usize) -> Result<Self, KeyError> {
        let is_right = match &self.material {
            Material::Rsa { n, e } => match n.len() {
                256..=1024 if !e.is_empty() => true,
                _ => return Err(KeyError::Weak(number)),
            },
            Material::P256(point) => point.len() == 65 && point[0] == 4,
            Material::P384(point) => point.len() == 97 && point[0] == 4,
            Material::Ed25519(key) => key.len() == 32,
        };
        if is_right { Ok(self) } else { Err(KeyError::Damaged(number)) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.id)
    }
}

/// Public keys; each may have an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<PublicKey>);

impl KeySet {
    /// One key.
    #[must_use]
    pub fn of(key: PublicKey) -> Self {
        Self(vec![key])
    }

    /// Reads a JWKS document, or PEM public keys and certificates.
    ///
    /// # Errors
    /// When it is neither, when a key in it cannot be used, or when there is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let text = str::from_utf8(bytes).map_err(|_error| KeyError::Form)?.trim_start_matches('\u{feff}').trim();
        let keys = match () {
            () if text.starts_with('{') => jwks(text)?,
            () if text.contains("-----BEGIN ") => pem(text)?,
            () => return Err(KeyError::Form),
        };
        match keys.len() {
            0 => Err(KeyError::None),
            1..=KEYS => Ok(Self(keys)),
            _ => Err(KeyError::TooMany),
        }
    }

    /// The keys that may have signed a token: those of its key id; without one, or where keys have none, all.
    pub fn candidates<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a PublicKey> {
        let with = move |key: &&PublicKey| id.is_some() && key.id.as_deref() == id;
        let is_named = self.0.iter().any(|key| with(&key));
        self.0.iter().filter(move |key| match (id, &key.id) {
            (None, _) => true,
            (Some(_), _) if is_named => with(key),
            (Some(_), None) => true,
            (Some(_), Some(_)) => false,
        })
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde_json::Value>,
}

fn jwks(text: &str) -> Result<Vec<PublicKey>, KeyError> {
    let document: Jwks = serde_json::from_str(text).map_err(|error| KeyError::Json(error.to_string()))?;
    let mut keys = Vec::new();
    for (at, value) in document.keys.into_iter().enumerate() {
        let number = at + 1;
        let jwk: Jwk = serde_json::from_value(value).map_err(|_error| KeyError::Damaged(number))?;
        if jwk.d.is_some() {
            return Err(KeyError::Private);
        }
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            continue;
        }
        if let Some(material) = jwk_material(&jwk, number)? {
            keys.push(PublicKey { id: jwk.kid, material }.check(number)?);
        }
    }
    Ok(keys)
}

/// None for a kind of key that is not known: a provider may list those too.
fn jwk_material(jwk: &Jwk, number: usize) -> Result<Option<Material>, KeyError> {
    let field = |text: &Option<String>| {
        let text = text.as_deref().ok_or(KeyError::Damaged(number))?;
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_error| KeyError::Damaged(number))
    };
    Ok(match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let n = field(&jwk.n)?;
            let zeros = n.iter().take_while(|byte| **byte == 0).count();
            Some(Material::Rsa { n: n[zeros..].to_vec(), e: field(&jwk.e)? })
        }
        ("EC", Some("P-256")) => Some(Material::P256([vec![4], field(&jwk.x)?, field(&jwk.y)?].concat())),
        ("EC", Some("P-384")) => Some(Material::P384([vec![4], field(&jwk.x)?, field(&jwk.y)?].concat())),
        ("OKP", Some("Ed25519")) => Some(Material::Ed25519(field(&jwk.x)?)),
        _ => None,
    })
}

fn pem(text: &str) -> Result<Vec<PublicKey>, KeyError> {
    let mut keys = Vec::new();
    for (at, (label, der)) in blocks(text).enumerate() {
        let number = at + 1;
        let der = der.ok_or(KeyError::Damaged(number))?;
        let material = match label {
            "PUBLIC KEY" => spki_material(&der),
            "CERTIFICATE" => certificate_key(&der).and_then(|spki| spki_material(&spki)),
            "RSA PUBLIC KEY" => rsa_material(&der),
            label if label.ends_with("PRIVATE KEY") => return Err(KeyError::Private),
            _ => continue,
        };
        keys.push(PublicKey { id: None, material: material.ok_or(KeyError::Damaged(number))? }.check(number)?);
    }
    Ok(keys)
}

/// The blocks of PEM text (RFC 7468): the label, and the bytes if they can be read.
pub(crate) fn blocks(text: &str) -> impl Iterator<Item = (&str, Option<Vec<u8>>)> {
    text.split("-----BEGIN ").skip(1).filter_map(|part| {
        let (label, rest) = part.split_once("-----")?;
        let body: Option<String> = rest
            .split_once("-----END ")
            .filter(|(_, end)| end.starts_with(label))
            .map(|(body, _)| body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        Some((label, body.and_then(|body| base64::engine::general_purpose::STANDARD.decode(body).ok())))
    })
}

fn certificate_key(der: &[u8]) -> Option<Vec<u8>> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    certificate.tbs_certificate().subject_public_key_info().to_der().ok()
}

fn spki_material(der: &[u8]) -> Option<Material> {
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
    const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
    let spki = SubjectPublicKeyInfoRef::from_der(der).ok()?;
    let key = spki.subject_public_key.as_bytes()?;
    let curve = || spki.algorithm.parameters_oid().ok();
    match spki.algorithm.oid {
        RSA => rsa_material(key),
        EC if curve() == Some(P256) => Some(Material::P256(key.to_vec())),
        EC if curve() == Some(P384) => Some(Material::P384(key.to_vec())),
        ED25519 => Some(Material::Ed25519(key.to_vec())),
        _ => None,
    }
}

/// `RSAPublicKey` of RFC 8017: a sequence of the modulus and the exponent.
fn rsa_material(der: &[u8]) -> Option<Material> {
    let mut reader = SliceReader::new(der).ok()?;
    let numbers = reader.sequence(|numbers| {
        let (n, e): (UintRef<'_>, UintRef<'_>) = (numbers.decode()?, numbers.decode()?);
        Ok::<_, x509_cert::der::Error>((n.as_bytes().to_vec(), e.as_bytes().to_vec()))
    });
    numbers.ok().map(|(n, e)| Material::Rsa { n, e })
}
