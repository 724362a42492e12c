//! Names of bytes: [`Digest`] for blobs as they are stored, [`DiffId`] for the uncompressed tar of a layer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha512};

/// A hash function that the OCI image specification registers for digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, 32 bytes: what practically all images use.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of a digest in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The name of some bytes: `sha256:…` or `sha512:…`. A value of this type is always well formed.
///
/// Source: OCI image specification, descriptor.md, "Digests".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: [u8; 64],
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The hash function of this digest.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The lower-case hexadecimal part, 64 or 128 characters.
    pub fn hex(&self) -> String {
        hex::encode(&self.bytes[..self.algorithm.size()])
    }

    /// The first 12 hexadecimal characters, as tools show an image's id.
    pub fn short(&self) -> String {
        hex::encode(&self.bytes[..6])
    }

    fn new(algorithm: Algorithm, raw: &[u8]) -> Self {
        let mut bytes = [0; 64];
        bytes[..raw.len()].copy_from_slice(raw);
        Self { algorithm, bytes }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No colon, or nothing that names an algorithm in front of it.
    #[error("`{0}` is not a digest: expected `sha256:` and 64 hexadecimal digits")]
    Form(String),
    /// An algorithm that is not registered or not supported.
    #[error("`{0}` uses a digest algorithm that is not supported (sha256 and sha512 are)")]
    Algorithm(String),
    /// Wrong length, upper-case or other characters.
    #[error("`{0}` is not a digest: the part after the colon must be {1} lower-case hexadecimal digits")]
    Hex(String, usize),
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, hex_part) = text.split_once(':').ok_or_else(|| DigestError::Form(text.to_owned()))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(DigestError::Algorithm(text.to_owned())),
        };
        let wrong = || DigestError::Hex(text.to_owned(), algorithm.size() * 2);
        if hex_part.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let raw = hex::decode(hex_part).ok().filter(|raw| raw.len() == algorithm.size()).ok_or_else(wrong)?;
        Ok(Self::new(algorithm, &raw))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The digest of a layer's *uncompressed* tar. A type of its own, so that it cannot be mixed up with the digest of the
/// blob.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A hash in progress. The digest does not exist before [`Hasher::finish`].
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// A hash of no bytes yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::default()),
        })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The name of all bytes taken.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest::new(Algorithm::Sha256, &state.finalize()),
            State::Sha512(state) => Digest::new(Algorithm::Sha512, &state.finalize()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Sha256(_) => "Hasher(sha256)",
            State::Sha512(_) => "Hasher(sha512)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_only_when_well_formed() {
        let good = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
        let long = format!("sha512:{}", "0f".repeat(64));
        assert_eq!(long.parse::<Digest>().unwrap().to_string(), long);
        for bad in [
            "",
            "sha256",
            "sha256:",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            &good[..70],
            &good.to_uppercase(),
            &format!("{good}0"),
            &format!("sha256:{}", "AB".repeat(32)),
            &format!("sha256:{}", "zz".repeat(32)),
            &format!("sha512:{}", "ab".repeat(32)),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(
            Digest::of(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
