//! Secrets in what is kept of a cluster: sealed with a key that lies beside it and that only its owner can read.
//!
//! A copy of the file alone, on a host or in a backup, gives nothing away.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::clusterfile::SEALED;

/// Bytes of a key.
const KEY: usize = 32;

/// Seals texts and opens them again.
pub(super) struct Sealer(LessSafeKey);

impl Sealer {
    /// The key in a file, which is made if there is none.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(error),
        };
        let key = UnboundKey::new(&AES_256_GCM, &bytes);
        let key = key.map_err(|_wrong| io::Error::new(io::ErrorKind::InvalidData, "it is no key of 32 bytes"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// A text as only the key's owner can read it.
    pub(super) fn seal(&self, text: &str) -> io::Result<String> {
        if text.starts_with(SEALED) {
            // What another machine sealed stays as it is.
            return Ok(text.to_owned());
        }
        let random = || io::Error::other("the system gives no random numbers");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_none| random())?;
        let mut bytes = text.as_bytes().to_vec();
        let sealed = self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes);
        sealed.map_err(|_none| random())?;
        Ok(format!("{SEALED}{}", STANDARD.encode([&nonce[..], &bytes].concat())))
    }

    /// The text again; none if another key sealed it.
    pub(super) fn open(&self, text: &str) -> Option<String> {
        let mut bytes = STANDARD.decode(text.strip_prefix(SEALED)?).ok()?;
        let nonce = Nonce::try_assume_unique_for_key(bytes.get(..NONCE_LEN)?).ok()?;
        let clear = self.0.open_in_place(nonce, Aad::empty(), bytes.get_mut(NONCE_LEN..)?).ok()?;
        String::from_utf8(clear.to_vec()).ok()
    }
}

fn make(path: &Path) -> io::Result<Vec<u8>> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut bytes = vec![0; KEY];
    SystemRandom::new().fill(&mut bytes).map_err(|_none| io::Error::other("the system gives no random numbers"))?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(&bytes)?;
            file.sync_all()?;
            Ok(bytes)
        }
        // Another command made it in this moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_the_same_key_only() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("a/key"), directory.path().join("b/key"));
        let (one, two) = (Sealer::of(&one).unwrap(), Sealer::of(&two).unwrap());
        let sealed = one.seal("hush").unwrap();
        assert!(sealed.starts_with(SEALED) && !sealed.contains("hush"));
        assert_ne!(sealed, one.seal("hush").unwrap());
        assert_eq!(one.open(&sealed).as_deref(), Some("hush"));
        assert_eq!(two.open(&sealed), None);
        assert_eq!(one.open("sealed:AA"), None);
        assert_eq!(two.seal(&sealed).unwrap(), sealed);
    }
}
