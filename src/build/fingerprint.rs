//! Keys of the build cache: SHA-256 over fields that cannot run into each other.

use oci::{Algorithm, Digest, Hasher};

use super::walk::{Facts, Found};

/// Collects the fields of a key.
#[derive(Debug)]
pub(crate) struct Fingerprint(Hasher);

impl Fingerprint {
    /// The beginning of a key of some kind.
    pub(crate) fn new(kind: &str) -> Self {
        let mut new = Self(Hasher::new(Algorithm::Sha256));
        new.text(kind);
        new
    }

    /// Adds some bytes, their length in front.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// Adds a list of texts.
    pub(crate) fn list<T: AsRef<[u8]>>(&mut self, list: impl IntoIterator<Item = T>) -> &mut Self {
        let mut count = 0;
        for one in list {
            self.bytes(one.as_ref());
            count += 1;
        }
        self.number(count)
    }

    /// Adds what of a file decides about its entry: the same in a fresh checkout of the same content.
    pub(crate) fn shape(&mut self, file: &Found) -> &mut Self {
        self.bytes(&file.path).bytes(&file.target);
        let facts = &file.facts;
        let kind = facts.kind as u64;
        self.number(kind).number(u64::from(facts.mode));
        self.number(if file.facts.kind == rustix::fs::FileType::RegularFile { facts.size } else { 0 })
    }

    /// Adds what tells whether a file was touched since.
    pub(crate) fn facts(&mut self, facts: &Facts) -> &mut Self {
        let time = |(seconds, nanos): (i64, u32)| [seconds.cast_unsigned(), u64::from(nanos)];
        let [modified, modified_nanos] = time(facts.modified);
        let [changed, changed_nanos] = time(facts.changed);
        for number in [
            facts.inode.0,
            facts.inode.1,
            facts.size,
            facts.links,
            modified,
            modified_nanos,
            changed,
            changed_nanos,
            u64::from(facts.mode),
            u64::from(facts.device.0),
            u64::from(facts.device.1),
        ] {
            self.number(number);
        }
        self
    }

    /// The key.
    pub(crate) fn finish(self) -> Digest {
        self.0.finish()
    }
}
