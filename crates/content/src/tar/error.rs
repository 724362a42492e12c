//! What can be wrong with a tar, and where.

use std::fmt;
use std::io;

/// Where in a tar something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The entry's path as it stands in the archive; none when it could not be read.
    pub entry: Option<Vec<u8>>,
    /// Byte of the stream that the header (or the damage) is at.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(path) => write!(f, "entry `{}` at byte {}", Shown(path), self.offset),
            None => write!(f, "byte {}", self.offset),
        }
    }
}

/// A path as a message shows it: bytes that are not text, and control characters, are escaped.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match str::from_utf8(self.0) {
            Ok(text) => write!(f, "{}", text.escape_debug()),
            Err(_) => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}

/// Why a tar could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// The stream ends inside a header or inside an entry's content.
    #[error("the tar is truncated: {0}")]
    Truncated(Place),
    /// A header's checksum is not that of its bytes.
    #[error("the tar is damaged: no valid header at {0}")]
    Checksum(Place),
    /// A block of zeros that is followed by neither another one nor the end.
    #[error("the tar is damaged: a single block of zeros in front of byte {offset}")]
    EndMark {
        /// The byte after the block.
        offset: u64,
    },
    /// A number that is none, is negative where that makes no sense, or is too large.
    #[error("the tar's {place} has an invalid {field}")]
    Number {
        /// Where.
        place: Place,
        /// The header field or PAX keyword.
        field: &'static str,
    },
    /// A PAX header that breaks the format's rules.
    #[error("the tar's {place} has an invalid PAX header: {reason}")]
    Pax {
        /// Where.
        place: Place,
        /// Which rule.
        reason: &'static str,
    },
    /// A name, PAX header or sparse map that is larger than any real one.
    #[error("the tar's {place} has a {what} of {size} bytes, more than the limit of {limit}")]
    HeaderTooLarge {
        /// Where.
        place: Place,
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A sparse file whose map contradicts itself.
    #[error("the tar's {place} is not a valid sparse file: {reason}")]
    Sparse {
        /// Where.
        place: Place,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A path or link target that no file can have.
    #[error("the tar's {place} has an invalid path: {reason}")]
    InvalidPath {
        /// Where.
        place: Place,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A path or a hard link's target that is absolute or has a `..` component: it could leave the directory that the
    /// tar is unpacked into.
    #[error("the tar's {place} would leave the target directory by `{}`", Shown(path))]
    Escape {
        /// Where.
        place: Place,
        /// The path (or link target) as it stands in the archive.
        path: Vec<u8>,
    },
    /// A kind of entry that layers do not have.
    #[error("the tar's {place} is of the unknown type `{}`", flag.escape_ascii())]
    UnknownType {
        /// Where.
        place: Place,
        /// The type flag.
        flag: u8,
    },
    /// A file grew or shrank while it was packed.
    #[error("`{}` changed while it was read: it had {expected} bytes, now it has {}", Shown(path),
        if *actual > *expected { "more".to_owned() } else { actual.to_string() })]
    Changed {
        /// The file's path in the tar.
        path: Vec<u8>,
        /// Size in bytes when it was looked at.
        expected: u64,
        /// Bytes that were read: fewer, or one more (there may be still more).
        actual: u64,
    },
    /// A file that is to be packed cannot be read.
    #[error("cannot read `{}`: {source}", Shown(path))]
    Content {
        /// The file's path in the tar.
        path: Vec<u8>,
        /// What the system said.
        source: io::Error,
    },
    /// Something that the format has no room for.
    #[error("`{}` cannot be put into a tar: {reason}", Shown(path))]
    Unrepresentable {
        /// The file's path.
        path: Vec<u8>,
        /// What does not fit.
        reason: &'static str,
    },
    /// The stream cannot be read.
    #[error("cannot read the tar at {place}: {source}")]
    Read {
        /// Where.
        place: Place,
        /// What the system said.
        source: io::Error,
    },
    /// The stream cannot be written.
    #[error("cannot write the tar: {source}")]
    Write {
        /// What the system said.
        source: io::Error,
    },
}

impl TarError {
    /// What the user can do about it, if it is known.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::Truncated(_) | Self::Checksum(_) | Self::EndMark { .. } => {
                "the copy is damaged or is no tar; get it again from where it came"
            }
            Self::Escape { .. } => "the archive may be malicious; nothing of this entry was written",
            Self::Changed { .. } => "repeat the command when nothing writes to the file",
            Self::Write { source } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space (`sealos prune`) and repeat the command"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl From<TarError> for io::Error {
    fn from(error: TarError) -> Self {
        let kind = match &error {
            TarError::Truncated(_) => io::ErrorKind::UnexpectedEof,
            TarError::Read { source, .. } | TarError::Write { source } | TarError::Content { source, .. } => {
                source.kind()
            }
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
