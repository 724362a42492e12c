//! Credentials that were verified already, so that a password hash runs once a credential and not once a request.
//!
//! What is kept is a keyed hash of the credential, under a key that this process made up: neither a dump of the memory
//! nor the time that a lookup takes tells a password. A set belongs to one state of the user file and is dropped with it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ring::hmac;
use ring::rand::SystemRandom;

/// The most credentials that are kept; there are few more than users.
const ENTRIES: usize = 16_384;

/// The keyed hash of a credential.
pub type Key = [u8; 32];

/// Makes keys. One for a process.
#[derive(Clone)]
pub struct Keyed(hmac::Key);

impl Keyed {
    /// With a new random key.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new() -> std::io::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        key.map(Self).map_err(|_unspecified| std::io::Error::other("the system gives no random bytes"))
    }

    /// The keyed hash of a header's value.
    #[must_use]
    pub fn key(&self, credential: &[u8]) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(hmac::sign(&self.0, credential).as_ref());
        key
    }
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyed(…)")
    }
}

/// What is known about verified credentials.
#[derive(Debug)]
pub struct Verified<T>(RwLock<HashMap<Key, Arc<T>>>);

impl<T> Verified<T> {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self(RwLock::default())
    }

    /// What is known about a credential.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// A credential was verified.
    pub fn insert(&self, key: Key, known: Arc<T>) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= ENTRIES {
            map.clear();
        }
        map.insert(key, known);
    }

    /// Forgets one credential.
    pub fn remove(&self, key: &Key) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl<T> Default for Verified<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_credential_under_the_same_key_is_known() {
        let (keyed, other) = (Keyed::new().unwrap(), Keyed::new().unwrap());
        let verified = Verified::new();
        verified.insert(keyed.key(b"Basic a"), Arc::new("anna"));
        assert_eq!(verified.get(&keyed.key(b"Basic a")).as_deref(), Some(&"anna"));
        assert_eq!(verified.get(&keyed.key(b"Basic b")), None);
        assert_eq!(verified.get(&other.key(b"Basic a")), None);
        verified.remove(&keyed.key(b"Basic a"));
        assert_eq!(verified.get(&keyed.key(b"Basic a")), None);
    }

    #[test]
    fn memory_is_bounded() {
        let verified = Verified::new();
        for at in 0..3 * ENTRIES {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&at.to_be_bytes());
            verified.insert(key, Arc::new(()));
        }
        assert!(verified.0.read().unwrap().len() <= ENTRIES);
    }
}
