//! Images of the store as a user names them, and when they came.

use std::time::{SystemTime, UNIX_EPOCH};

use oci::{Descriptor, Digest, Manifest, Reference};

use super::Disk;
use super::lock::Hold;
use crate::roots::{self, Roots};
use crate::{ContentError, Source, fetch_document, rfc3339};

/// Fewer digits of an id are taken for a name only.
const SHORTEST_ID: usize = 4;

/// A root of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name as its user wrote it.
    pub name: Option<Reference>,
    /// The root.
    pub root: Descriptor,
    /// When it got this name (or came, if it has none); 1970 when another tool added it.
    pub added: SystemTime,
}

impl Record {
    pub(super) fn of(entry: &Descriptor) -> Self {
        let added = entry.annotations.get(roots::STORED).and_then(|text| rfc3339::parse(text));
        Self { name: roots::name_of(entry), root: roots::bare(entry), added: added.unwrap_or(UNIX_EPOCH) }
    }
}

impl Disk {
    /// All roots, one record for each name.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, ContentError> {
        Ok(self.read_roots()?.entries().iter().map(Record::of).collect())
    }

    /// The image that a user means: by name, by `localhost/NAME`, or by at least four digits of the id (of the root's
    /// digest, or of the configuration's as other tools show it), with or without `sha256:`. A name goes before an id.
    /// The image is leased.
    ///
    /// # Errors
    /// [`ContentError::UnknownImage`] when there is none, [`ContentError::AmbiguousImage`] when an id begins several.
    pub fn find(&self, text: &str) -> Result<Record, ContentError> {
        let guard = self.locked(Hold::Shared)?;
        let roots = self.read_roots()?;
        let record = match by_name(&roots, text) {
            Some(entry) => Record::of(entry),
            None => self.by_id(&roots, text)?,
        };
        self.pin(&guard, &record.root)?;
        Ok(record)
    }

    fn by_id(&self, roots: &Roots, text: &str) -> Result<Record, ContentError> {
        let unknown = || roots.unknown(Source::place(self), text);
        let prefix = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("sha512:")).unwrap_or(text);
        let is_hex = prefix.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if prefix.len() < SHORTEST_ID || !is_hex {
            return Err(unknown());
        }
        let mut found: Vec<&Descriptor> = Vec::new();
        for entry in roots.entries() {
            let is_new = found.iter().all(|other| other.digest != entry.digest);
            if is_new && (entry.digest.hex().starts_with(prefix) || self.has_config(entry, prefix)) {
                found.push(entry);
            }
        }
        match found[..] {
            [] => Err(unknown()),
            [entry] => Ok(Record::of(entry)),
            _ => Err(ContentError::AmbiguousImage {
                place: Source::place(self),
                name: text.to_owned(),
                candidates: found.iter().map(|entry| entry.digest.to_string()).collect(),
            }),
        }
    }

    /// Whether the configuration of the root, or of an image in it, has such an id. What it carries is something else:
    /// who removes that does not mean the whole. What cannot be read has no id: the error belongs to whoever uses that
    /// image.
    fn has_config(&self, root: &Descriptor, prefix: &str) -> bool {
        let configs = |what: &Descriptor| -> Option<Manifest> {
            Manifest::parse(&what.media_type, fetch_document(self, what).ok()?).ok()
        };
        let is_it = |digest: &Digest| digest.hex().starts_with(prefix);
        match configs(root) {
            Some(Manifest::Image(image)) => is_it(&image.value().config.digest),
            Some(Manifest::Index(index)) => index.value().manifests.iter().filter(|child| is_own(child)).any(|child| {
                let config = match configs(child) {
                    Some(Manifest::Image(image)) => Some(image.value().config.digest),
                    _ => None,
                };
                is_it(&child.digest) || config.is_some_and(|config| is_it(&config))
            }),
            None => false,
        }
    }
}

/// Whether an entry of an index is its image for some platform: carried images, locks and attestations say `unknown`.
fn is_own(child: &Descriptor) -> bool {
    child.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
}

fn by_name<'a>(roots: &'a Roots, text: &str) -> Option<&'a Descriptor> {
    let resolve = |text: &str| text.parse::<Reference>().ok().and_then(|name| roots.resolve(&name));
    resolve(text).or_else(|| resolve(&format!("localhost/{text}")))
}
