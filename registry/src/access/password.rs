//! Password hashes: bcrypt (`$2a$`, `$2b$`, `$2y$`) and argon2 (`$argon2id$`, `$argon2i$`) in the PHC string format.
//!
//! A hash from a file says itself how much work it is; what would stop a small machine is refused when it is read.

use std::fmt;
use std::str::FromStr;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use ring::rand::{SecureRandom, SystemRandom};

use super::secret::Secret;

/// Everything that bcrypt reads of a password, in bytes.
pub const BCRYPT_READS: usize = 72;
/// The cost that new bcrypt hashes get: about 50 ms.
pub const BCRYPT_COST: u32 = 10;
/// The highest bcrypt cost that is accepted: about 3 s.
const BCRYPT_COST_LIMIT: u32 = 16;
/// The most memory that one argon2 verification may take, in KiB.
const ARGON2_MEMORY_LIMIT: u32 = 256 << 10;
/// The most work of one argon2 verification, in KiB times passes.
const ARGON2_WORK_LIMIT: u64 = 4 << 20;

/// How new hashes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// bcrypt with this cost (4 to 16), which docker-registry and web servers read too.
    Bcrypt(u32),
    /// argon2id with 19 MiB and two passes.
    Argon2id,
}

/// Why a hash is not accepted. It never repeats the hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// A scheme that is weak or unknown.
    #[error("the password is kept as {0}, which is not accepted")]
    Scheme(&'static str),
    /// Not a hash of the scheme that it names.
    #[error("the {0} hash is damaged")]
    Malformed(&'static str),
    /// One verification would take too long or too much memory.
    #[error("the {scheme} hash asks for {asks}; at most {limit} is accepted")]
    TooExpensive {
        /// bcrypt or argon2.
        scheme: &'static str,
        /// What the hash says.
        asks: String,
        /// What is accepted.
        limit: String,
    },
    /// A new password that bcrypt would cut off.
    #[error("the password has {0} bytes; bcrypt reads the first {BCRYPT_READS} only")]
    TooLong(usize),
    /// A new password without a byte, or with a zero byte.
    #[error("the password is empty or holds a zero byte")]
    Unusable,
    /// The system gives no random bytes, or argon2 gets no memory.
    #[error("the password cannot be hashed")]
    Failed,
}

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: String,
    kind: Kind,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Bcrypt { cost: u32 },
    Argon2 { memory: u32, passes: u32 },
}

impl PasswordHash {
    /// Hashes a new password.
    ///
    /// # Errors
    /// When the password cannot be kept with that scheme, or the system gives no random bytes.
    pub fn create(scheme: Scheme, password: &Secret) -> Result<Self, HashError> {
        let bytes = password.expose();
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(HashError::Unusable);
        }
        let mut salt = [0_u8; 16];
        SystemRandom::new().fill(&mut salt).map_err(|_unspecified| HashError::Failed)?;
        let text = match scheme {
            Scheme::Bcrypt(cost) if (4..=BCRYPT_COST_LIMIT).contains(&cost) => {
                if bytes.len() > BCRYPT_READS {
                    return Err(HashError::TooLong(bytes.len()));
                }
                let parts = bcrypt::hash_with_salt(bytes, cost, salt).map_err(|_error| HashError::Failed)?;
                parts.format_for_version(bcrypt::Version::TwoY)
            }
            Scheme::Bcrypt(cost) => return Err(too_costly(cost)),
            Scheme::Argon2id => {
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
                argon2.hash_password_with_salt(bytes, &salt).map_err(|_error| HashError::Failed)?.to_string()
            }
        };
        text.parse()
    }

    /// Whether this is the hash of the password. Takes as long as the hash asks for, whatever the answer.
    #[must_use]
    pub fn verify(&self, password: &Secret) -> bool {
        match self.kind {
            Kind::Bcrypt { .. } => bcrypt::verify(password.expose(), &self.text).unwrap_or(false),
            Kind::Argon2 { .. } => {
                let parsed = Phc::new(&self.text);
                parsed.is_ok_and(|hash| Argon2::default().verify_password(password.expose(), &hash).is_ok())
            }
        }
    }

    /// About how long one verification takes, in microseconds of one core.
    #[must_use]
    pub(crate) fn work(&self) -> u64 {
        match self.kind {
            Kind::Bcrypt { cost } => 50 << cost.min(40),
            Kind::Argon2 { memory, passes } => u64::from(memory) * u64::from(passes) / 2,
        }
    }

    /// The hash as it stands in a file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for PasswordHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let kind = match text {
            _ if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) => bcrypt_kind(text)?,
            _ if text.starts_with("$argon2id$") || text.starts_with("$argon2i$") => argon2_kind(text)?,
            _ => return Err(HashError::Scheme(scheme_of(text))),
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

fn bcrypt_kind(text: &str) -> Result<Kind, HashError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_error| HashError::Malformed("bcrypt"))?;
    match parts.get_cost() {
        cost @ 4..=BCRYPT_COST_LIMIT => Ok(Kind::Bcrypt { cost }),
        cost => Err(too_costly(cost)),
    }
}

fn too_costly(cost: u32) -> HashError {
    HashError::TooExpensive {
        scheme: "bcrypt",
        asks: format!("cost {cost}"),
        limit: format!("cost 4 to {BCRYPT_COST_LIMIT}"),
    }
}

fn argon2_kind(text: &str) -> Result<Kind, HashError> {
    let malformed = || HashError::Malformed("argon2");
    let hash = Phc::new(text).map_err(|_error| malformed())?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(malformed());
    }
    let params = Params::try_from(&hash).map_err(|_error| malformed())?;
    let (memory, passes) = (params.m_cost(), params.t_cost());
    if memory > ARGON2_MEMORY_LIMIT || u64::from(memory) * u64::from(passes) > ARGON2_WORK_LIMIT {
        return Err(HashError::TooExpensive {
            scheme: "argon2",
            asks: format!("m={memory},t={passes}"),
            limit: format!("m={ARGON2_MEMORY_LIMIT} and m*t={ARGON2_WORK_LIMIT}"),
        });
    }
    Ok(Kind::Argon2 { memory, passes })
}

/// How a user calls a scheme that is not accepted.
fn scheme_of(text: &str) -> &'static str {
    for (prefix, name) in [
        ("$apr1$", "MD5 (apr1)"),
        ("$1$", "MD5"),
        ("{SHA}", "SHA-1"),
        ("{SSHA}", "salted SHA-1"),
        ("$5$", "crypt SHA-256"),
        ("$6$", "crypt SHA-512"),
        ("$7$", "scrypt"),
        ("$y$", "yescrypt"),
        ("$2x$", "bcrypt of the faulty version 2x"),
        ("$argon2d$", "argon2d"),
    ] {
        if text.starts_with(prefix) {
            return name;
        }
    }
    "plain text or an old crypt hash"
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Bcrypt { .. } => "PasswordHash(bcrypt …)",
            Kind::Argon2 { .. } => "PasswordHash(argon2 …)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made by htpasswd 2.4 (`-nbBC 4`), crypt(3) and the argon2 reference program, all of `hunter2`.
    const FOREIGN: [&str; 4] = [
        "$2y$04$FTuRLIJUOdT200MYV/hPN.IPahlLmvr2rNgvaFc20arQrUJ36b.0y",
        "$2b$04$WSyeulHN/T1EDESNP8F5LOwKfP5im1djWAseLguG5eD7YG0D38kh6",
        "$argon2id$v=19$m=64,t=1,p=2$c29tZXNhbHRzb21lc2FsdA$ukilatgNMT2pAU1rJ0P81EpIEz4HfV8cu8Vu+5Hs76Y",
        "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$135chdTjHzhJK3zog9EzQIvKUB3fIzzX2VdxqYbFRLI",
    ];

    #[test]
    fn hashes_of_other_tools_are_verified() {
        for text in FOREIGN {
            let hash: PasswordHash = text.parse().unwrap();
            assert!(hash.verify(&"hunter2".into()), "{text}");
            assert!(!hash.verify(&"hunter3".into()), "{text}");
            assert!(!hash.verify(&"".into()), "{text}");
        }
    }

    #[test]
    fn a_new_hash_is_of_its_password_only() {
        for scheme in [Scheme::Bcrypt(4), Scheme::Argon2id] {
            let hash = PasswordHash::create(scheme, &"pässwörd:x".into()).unwrap();
            assert!(hash.verify(&"pässwörd:x".into()), "{scheme:?}");
            assert!(!hash.verify(&"pässwörd:".into()), "{scheme:?}");
            assert_ne!(PasswordHash::create(scheme, &"pässwörd:x".into()).unwrap(), hash, "the salt is new");
            assert!(!format!("{hash:?}").contains(hash.as_str()));
        }
        let long = Secret::new(vec![b'a'; 73]);
        assert_eq!(PasswordHash::create(Scheme::Bcrypt(4), &long).unwrap_err(), HashError::TooLong(73));
        assert!(PasswordHash::create(Scheme::Argon2id, &long).unwrap().verify(&long));
        assert_eq!(PasswordHash::create(Scheme::Argon2id, &"".into()).unwrap_err(), HashError::Unusable);
        assert_eq!(PasswordHash::create(Scheme::Bcrypt(4), &"a\0b".into()).unwrap_err(), HashError::Unusable);
        assert!(PasswordHash::create(Scheme::Bcrypt(17), &"a".into()).is_err());
    }

    #[test]
    fn weak_damaged_and_costly_hashes_are_named() {
        for (text, want) in [
            ("$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "the password is kept as MD5 (apr1), which is not accepted"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "the password is kept as SHA-1, which is not accepted"),
            ("$6$a$b", "the password is kept as crypt SHA-512, which is not accepted"),
            ("hunter2", "the password is kept as plain text or an old crypt hash, which is not accepted"),
            ("", "the password is kept as plain text or an old crypt hash, which is not accepted"),
            ("$2y$05$short", "the bcrypt hash is damaged"),
            ("$2y$05$!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!", "the bcrypt hash is damaged"),
            (
                "$2y$31$FTuRLIJUOdT200MYV/hPN.IPahlLmvr2rNgvaFc20arQrUJ36b.0y",
                "the bcrypt hash asks for cost 31; at most cost 4 to 16 is accepted",
            ),
            ("$argon2id$v=19$m=64,t=1,p=2$c29tZXNhbHQ", "the argon2 hash is damaged"),
            (
                "$argon2id$v=19$m=4194304,t=1,p=2$c29tZXNhbHRzb21lc2FsdA$vVwu3Wr5ZrPzqO7Gx7P7Vw6yTQGbGvYE2VZMW8MoYxo",
                "the argon2 hash asks for m=4194304,t=1; at most m=262144 and m*t=4194304 is accepted",
            ),
        ] {
            assert_eq!(text.parse::<PasswordHash>().unwrap_err().to_string(), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\$(2[abyx]|argon2id?)\\$[ -~]{0,90}") {
            let _hash = text.parse::<PasswordHash>();
        }
    }
}
