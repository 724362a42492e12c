//! Keys of the build cache: SHA-256 over fields that cannot run into each other.

use content::tar::{Entry, EntryKind};
use oci::{Algorithm, Digest, Hasher};

use super::walk::Facts;

/// Collects the fields of a key.
#[derive(Debug)]
pub(crate) struct Fingerprint {
    hasher: Hasher,
    /// What the hasher has not seen yet: it is slow with a few bytes at a time.
    buffer: Vec<u8>,
}

/// Bytes that are gathered.
const BUFFER: usize = 32 << 10;

impl Fingerprint {
    /// The beginning of a key of some kind.
    pub(crate) fn new(kind: &str) -> Self {
        let mut new = Self { hasher: Hasher::new(Algorithm::Sha256), buffer: Vec::with_capacity(BUFFER) };
        new.text(kind);
        new
    }

    /// Adds some bytes, their length in front.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.put(bytes)
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.put(&number.to_le_bytes())
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

    /// Adds all of an entry but its times and attributes.
    pub(crate) fn entry(&mut self, entry: &Entry) -> &mut Self {
        self.bytes(&entry.path).number(u64::from(entry.mode)).number(entry.uid).number(entry.gid);
        match &entry.kind {
            EntryKind::File { size } => self.number(1).number(*size),
            EntryKind::Directory => self.number(2),
            EntryKind::Symlink { target } => self.number(3).bytes(target),
            EntryKind::HardLink { target } => self.number(4).bytes(target),
            EntryKind::CharDevice { major, minor } => {
                self.number(5).number(u64::from(*major)).number(u64::from(*minor))
            }
            EntryKind::BlockDevice { major, minor } => {
                self.number(6).number(u64::from(*major)).number(u64::from(*minor))
            }
            EntryKind::Fifo => self.number(7),
        }
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
    pub(crate) fn finish(mut self) -> Digest {
        self.hasher.update(&self.buffer);
        self.hasher.finish()
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(bytes);
        self
    }
}
