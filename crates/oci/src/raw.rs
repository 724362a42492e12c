//! A document together with the bytes it was read from.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Digest;

/// A parsed document *and* the exact bytes it came from. The digest is of the bytes; nothing is re-serialised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw<T> {
    bytes: Vec<u8>,
    value: T,
}

impl<T: DeserializeOwned> Raw<T> {
    /// Reads a document and keeps its bytes.
    ///
    /// # Errors
    /// When the bytes are not JSON or not of this type.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, serde_json::Error> {
        let value = serde_json::from_slice(&bytes)?;
        Ok(Self { bytes, value })
    }
}

impl<T: Serialize> Raw<T> {
    /// Writes a new document, once. Maps are sorted, so equal values have equal bytes.
    ///
    /// # Errors
    /// When the value cannot be expressed in JSON.
    pub fn write(value: T) -> Result<Self, serde_json::Error> {
        let bytes = serde_json::to_vec(&value)?;
        Ok(Self { bytes, value })
    }
}

impl<T> Raw<T> {
    /// The bytes, as they were read or written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The parsed document.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The name of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Both parts.
    pub fn into_parts(self) -> (Vec<u8>, T) {
        (self.bytes, self.value)
    }
}
