//! What a path under `/v2/` stands for.
//!
//! Names of repositories contain slashes and can contain the words of the protocol, so paths are read from the right.

use crate::http::Status;
use crate::names::{Name, Tag, Which};
use crate::protocol::fault::{Code, Fault};
use crate::record::Kind;
use oci::Digest;

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Base,
    Catalog,
    Discover,
    Blob(Name, Digest),
    Uploads(Name),
    Upload(Name, String),
    Manifest(Name, Which),
    Tags(Name),
    Referrers(Name, Digest),
}

impl Endpoint {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Base | Self::Discover => Kind::Base,
            Self::Catalog => Kind::Catalog,
            Self::Blob(..) => Kind::Blob,
            Self::Uploads(_) | Self::Upload(..) => Kind::Upload,
            Self::Manifest(..) => Kind::Manifest,
            Self::Tags(_) => Kind::Tags,
            Self::Referrers(..) => Kind::Referrers,
        }
    }

    pub(crate) fn repository(&self) -> Option<&Name> {
        match self {
            Self::Base | Self::Catalog | Self::Discover => None,
            Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Manifest(name, _)
            | Self::Tags(name)
            | Self::Referrers(name, _) => Some(name),
        }
    }

    /// Of the path behind `/v2/`.
    pub(crate) fn parse(path: &str) -> Result<Self, Fault> {
        match path {
            "" => return Ok(Self::Base),
            "_catalog" => return Ok(Self::Catalog),
            "_oci/ext/discover" => return Ok(Self::Discover),
            _ => {}
        }
        let unknown = || Fault::new(Status::NOT_FOUND, Code::Unsupported, "there is nothing at this path");
        let (front, last) = path.rsplit_once('/').ok_or_else(unknown)?;
        let (rest, word) = front.rsplit_once('/').unwrap_or(("", front));
        match word {
            "tags" if last == "list" => Ok(Self::Tags(name(rest)?)),
            "manifests" => Ok(Self::Manifest(name(rest)?, which(last)?)),
            "referrers" => Ok(Self::Referrers(name(rest)?, digest(last)?)),
            "uploads" if rest.ends_with("/blobs") => {
                let name = name(rest.strip_suffix("/blobs").unwrap_or_default())?;
                match last {
                    "" => Ok(Self::Uploads(name)),
                    id => Ok(Self::Upload(name, id.to_owned())),
                }
            }
            // Without the slash that belongs behind it.
            "blobs" if last == "uploads" => Ok(Self::Uploads(name(rest)?)),
            "blobs" => Ok(Self::Blob(name(rest)?, digest(last)?)),
            _ => Err(unknown()),
        }
    }
}

fn name(text: &str) -> Result<Name, Fault> {
    text.parse()
        .map_err(|error: crate::names::NameError| Fault::new(Status::BAD_REQUEST, Code::NameInvalid, error.to_string()))
}

fn digest(text: &str) -> Result<Digest, Fault> {
    text.parse().map_err(|_unsaid: oci::DigestError| Fault::bad_digest(text))
}

fn which(text: &str) -> Result<Which, Fault> {
    if text.contains(':') {
        return digest(text).map(Which::Digest);
    }
    let refused = |error: crate::names::TagError| Fault::new(Status::BAD_REQUEST, Code::TagInvalid, error.to_string());
    text.parse::<Tag>().map(Which::Tag).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_the_right() {
        let hex = "ab".repeat(32);
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let name = |text: &str| text.parse::<Name>().unwrap();
        let tag = |text: &str| Which::Tag(text.parse().unwrap());
        for (path, want) in [
            (String::new(), Endpoint::Base),
            ("_catalog".to_owned(), Endpoint::Catalog),
            ("a/tags/list".to_owned(), Endpoint::Tags(name("a"))),
            ("a/b/manifests/v1".to_owned(), Endpoint::Manifest(name("a/b"), tag("v1"))),
            ("a/manifests/manifests/list".to_owned(), Endpoint::Manifest(name("a/manifests"), tag("list"))),
            ("a/blobs/uploads/manifests/x".to_owned(), Endpoint::Manifest(name("a/blobs/uploads"), tag("x"))),
            ("blobs/uploads/blobs/uploads/".to_owned(), Endpoint::Uploads(name("blobs/uploads"))),
            ("a/blobs/uploads/".to_owned(), Endpoint::Uploads(name("a"))),
            ("a/blobs/uploads".to_owned(), Endpoint::Uploads(name("a"))),
            ("a/blobs/uploads/x-1".to_owned(), Endpoint::Upload(name("a"), "x-1".to_owned())),
            (format!("a/blobs/sha256:{hex}"), Endpoint::Blob(name("a"), digest)),
            (format!("a/referrers/sha256:{hex}"), Endpoint::Referrers(name("a"), digest)),
            (format!("a/manifests/sha256:{hex}"), Endpoint::Manifest(name("a"), Which::Digest(digest))),
        ] {
            assert_eq!(Endpoint::parse(&path).map_err(|fault| fault.code), Ok(want), "{path}");
        }
        for (path, code) in [
            ("a", Code::Unsupported),
            ("a/b/c", Code::Unsupported),
            ("tags/list", Code::NameInvalid),
            ("manifests/v1", Code::NameInvalid),
            ("../../etc/manifests/v1", Code::NameInvalid),
            ("A/manifests/v1", Code::NameInvalid),
            ("a/manifests/..", Code::TagInvalid),
            ("a/manifests/", Code::TagInvalid),
            ("a/manifests/sha256:bad", Code::DigestInvalid),
            ("a/blobs/x", Code::DigestInvalid),
            ("a/blobs/md5:00", Code::DigestInvalid),
        ] {
            assert_eq!(Endpoint::parse(path).map_err(|fault| fault.code), Err(code), "{path}");
        }
    }
}
