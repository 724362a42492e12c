//! What can go wrong while content moves.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use oci::{Compression, ConfigError, DiffId, Digest, DocumentError};

/// Which document could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum DocumentKind {
    /// A manifest or an index.
    #[error(transparent)]
    Manifest(#[from] DocumentError),
    /// An image configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Any other JSON document.
    #[error("not the JSON that was expected: {0}")]
    Json(#[from] serde_json::Error),
    /// An image lock.
    #[error("the image lock cannot be used: {0}")]
    Lock(#[from] crate::LockError),
}

/// Why content could not be read, moved or kept. The text names the place, so that of two sides of a copy the failing
/// one is known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A name that the place does not know.
    #[error("{place} has no image `{name}`")]
    UnknownImage {
        /// Where it was looked for.
        place: String,
        /// The name as the user wrote it.
        name: String,
        /// Names that are nearly the same, best first.
        similar: Vec<String>,
    },
    /// The beginning of an id that several images have.
    #[error("{place}: `{name}` begins the ids of several images: {}", candidates.join(", "))]
    AmbiguousImage {
        /// Where it was looked for.
        place: String,
        /// What the user wrote.
        name: String,
        /// The digests that it could mean.
        candidates: Vec<String>,
    },
    /// A blob that should be there is not.
    #[error("{place} lacks the blob {digest}")]
    MissingBlob {
        /// Where it was looked for.
        place: String,
        /// The blob.
        digest: Digest,
    },
    /// A layer that may not be distributed, and is not there.
    #[error("{place} does not have the layer {digest}, which may not be distributed")]
    Elsewhere {
        /// Where it was looked for.
        place: String,
        /// The layer's blob.
        digest: Digest,
        /// Where it is to be had.
        urls: Vec<String>,
    },
    /// The bytes are not those that the digest names.
    #[error("{place}: the blob {expected} is corrupt: its bytes hash to {actual}")]
    DigestMismatch {
        /// Where the bytes came from.
        place: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// More or fewer bytes than the descriptor says.
    #[error("{place}: the blob {digest} should have {expected} bytes but has {actual}")]
    SizeMismatch {
        /// Where the bytes came from.
        place: String,
        /// The blob.
        digest: Digest,
        /// Bytes promised.
        expected: u64,
        /// Bytes that came (for a blob that is too long: bytes until it was noticed).
        actual: u64,
    },
    /// A document that cannot be understood.
    #[error("{place}: {digest}: {source}")]
    Document {
        /// Where it came from.
        place: String,
        /// Its digest.
        digest: Digest,
        /// What is wrong with it.
        source: DocumentKind,
    },
    /// A document that is larger than any real one.
    #[error("{place}: the document {digest} has {size} bytes, more than the limit of {limit}")]
    DocumentTooLarge {
        /// Where it came from.
        place: String,
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// An image whose documents lead to more content than any real one.
    #[error("{place}: {root} leads to {what}, more than the limit of {limit}")]
    GraphTooLarge {
        /// Where it came from.
        place: String,
        /// The root.
        root: Digest,
        /// What there is too much of: `so many blobs`, `indexes of such a depth`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An image whose layers and configuration do not belong together.
    #[error("{place}: the image {manifest} has {layers} layers, but its configuration lists {diff_ids}")]
    LayerCount {
        /// Where it came from.
        place: String,
        /// The image's manifest.
        manifest: Digest,
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the configuration.
        diff_ids: usize,
    },
    /// The index has no image for the platform.
    #[error("{place}: `{name}` has no image for {wanted}; it has {available}")]
    NoPlatform {
        /// Where it was looked for.
        place: String,
        /// The image.
        name: String,
        /// The platform asked for.
        wanted: String,
        /// The platforms there are, comma separated.
        available: String,
    },
    /// An archive or layout that breaks the format's rules.
    #[error("{place} is not a valid {format}: {reason}")]
    Format {
        /// The file.
        place: String,
        /// The format's name.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A compression level that the format does not have.
    #[error("{compression} has no level {level}: choose one from {least} to {most}")]
    CompressionLevel {
        /// The format.
        compression: Compression,
        /// What was asked for.
        level: i32,
        /// The lowest level.
        least: i32,
        /// The highest level.
        most: i32,
    },
    /// A layer whose bytes are those promised but are no valid stream of their compression.
    #[error("{place}: the layer {digest} is not a valid {compression} stream: {source}")]
    LayerEncoding {
        /// Where it came from.
        place: String,
        /// The layer's blob.
        digest: Digest,
        /// What its first bytes say it is.
        compression: Compression,
        /// What the decoder said.
        source: io::Error,
    },
    /// A layer that grows beyond all measure when it is decompressed.
    #[error("{place}: the layer {digest} has {size} bytes and expands to more than the limit of {limit}")]
    LayerTooLarge {
        /// Where it came from.
        place: String,
        /// The layer's blob.
        digest: Digest,
        /// The blob's size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A layer whose tar is not the one that the image's configuration names.
    #[error("{place}: the tar of the layer {digest} hashes to {actual}, but the image's configuration says {expected}")]
    DiffIdMismatch {
        /// Where it came from.
        place: String,
        /// The layer's blob.
        digest: Digest,
        /// What the configuration says.
        expected: DiffId,
        /// What came out.
        actual: DiffId,
    },
    /// A place that can only be read (or only written).
    #[error("{place} cannot {verb}")]
    Unsupported {
        /// The place.
        place: String,
        /// What it cannot do.
        verb: &'static str,
    },
    /// The place answered with an error of its own kind (a registry's refusal, for instance).
    #[error("{place}: {source}")]
    Remote {
        /// The place.
        place: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What the user can do about it.
        help: Option<String>,
    },
    /// An upload broke off, and can be taken up again.
    #[error("{place}: {source}")]
    Interrupted {
        /// The place.
        place: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What the user can do about it.
        help: Option<String>,
        /// How long to wait before the next attempt; none if that is made in another way, begins at once, and does not
        /// count among the retries.
        wait: Option<Duration>,
    },
    /// The copy was told to end early ([`CopyOptions::stop`](crate::CopyOptions::stop)).
    #[error("interrupted")]
    Stopped,
    /// A place hashed what it got, and it was not what the digest names.
    #[error("{place} refuses the blob {digest}: the bytes that arrived are not those of the digest")]
    Refused {
        /// The place.
        place: String,
        /// The blob.
        digest: Digest,
    },
    /// What went wrong with a blob that several images need.
    #[error(transparent)]
    Shared(Arc<ContentError>),
    /// Reading or writing failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ContentError {
    /// For `map_err`: wraps an I/O error with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| {
            // An error of ours may have travelled through an `io::Read`; it says more than the wrapper.
            match source.downcast::<Self>() {
                Ok(inner) => inner,
                Err(source) => Self::Io { doing, source },
            }
        }
    }

    /// The same, of content that came from `origin`: what is wrong with it is noticed by whoever takes it in, but is the
    /// fault of where it came from.
    pub(crate) fn blame(self, origin: String) -> Self {
        match self {
            Self::DigestMismatch { expected, actual, .. } => Self::DigestMismatch { place: origin, expected, actual },
            Self::SizeMismatch { digest, expected, actual, .. } => {
                Self::SizeMismatch { place: origin, digest, expected, actual }
            }
            Self::MissingBlob { digest, .. } => Self::MissingBlob { place: origin, digest },
            error => error,
        }
    }

    /// What the user can do about it, if it is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownImage { similar, .. } => Some(match similar.first() {
                Some(name) => format!("did you mean `{name}`? `sealos images` lists what is there"),
                None => "`sealos images` lists what is there; `sealos build` and `sealos load` add to it".to_owned(),
            }),
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                Some("the copy is damaged; get it again from where it came".to_owned())
            }
            Self::MissingBlob { .. } => Some("the image is incomplete there; pull, load or build it again".to_owned()),
            Self::Elsewhere { urls, .. } => Some(format!(
                "it is to be had from {}; copy the image from where somebody has put it together with that",
                urls.join(", ")
            )),
            Self::NoPlatform { .. } => Some("choose one of these with `--platform`".to_owned()),
            Self::AmbiguousImage { .. } => Some("name it by its tag, or by one of these digests".to_owned()),
            Self::LayerTooLarge { .. } => {
                Some("the layer may be malicious; if its origin is trusted, raise the limit".to_owned())
            }
            Self::LayerEncoding { .. } | Self::DiffIdMismatch { .. } => {
                Some("the image was made wrongly: its digests are right, so getting it again does not help".to_owned())
            }
            Self::Remote { help, .. } | Self::Interrupted { help, .. } => help.clone(),
            Self::Refused { .. } => Some(
                "the source is sound: something on the way changes the bytes; repeat the command, or go another way"
                    .to_owned(),
            ),
            Self::Stopped => Some("the same command goes on where it ended".to_owned()),
            Self::Shared(error) => error.help(),
            Self::Format { format: crate::disk::STORE, .. } => {
                Some("choose another directory with `--root` or SEALOS_STORAGE_ROOT".to_owned())
            }
            Self::Format { format: crate::archive::FORMAT, .. } => Some(
                "what can be read are oci-archives and docker-archives, compressed or not, OCI layouts, and \
                 directories of skopeo's `dir:`"
                    .to_owned(),
            ),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => {
                    Some("free some space (`sealos prune`) and repeat the command".to_owned())
                }
                io::ErrorKind::PermissionDenied => {
                    Some("check the owner of the path, or choose another store with `--root`".to_owned())
                }
                _ => None,
            },
            _ => None,
        }
    }
}

impl From<ContentError> for io::Error {
    fn from(error: ContentError) -> Self {
        Self::other(error)
    }
}
