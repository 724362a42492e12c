//! Names of images.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, DigestError};

/// The registry that a name without one means.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag that a name without tag and digest means.
pub const DEFAULT_TAG: &str = "latest";

/// An image's name: registry, repository, and tag or digest or both. It remembers how it was written, because what a
/// user typed is what the user is shown; everything that compares or leaves the machine uses the normal form.
///
/// Source: the grammar of `distribution/reference`: `[host[:port]/]path[:tag][@digest]`. The first component is a host
/// if it has a dot, a colon or an upper-case letter, or is `localhost`; otherwise the registry is `docker.io`, and a
/// path of one component is put under `library/`.
#[derive(Clone, Debug)]
pub struct Reference {
    written: String,
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing there.
    #[error("an image name cannot be empty")]
    Empty,
    /// Upper case in the repository.
    #[error("`{0}` is not an image name: the repository must be lower case")]
    Upper(String),
    /// A character or separator where none may be.
    #[error("`{name}` is not an image name: `{part}` is not a valid {what}")]
    Part {
        /// The whole text.
        name: String,
        /// The part that is wrong.
        part: String,
        /// What the part should be.
        what: &'static str,
    },
    /// The repository has more than 255 characters.
    #[error("`{0}` is not an image name: it is longer than 255 characters")]
    Long(String),
    /// 64 hexadecimal digits cannot be told from an image's id.
    #[error("`{0}` is not an image name: 64 hexadecimal digits are an image's id")]
    Id(String),
    /// What stands behind `@` is not a digest.
    #[error("`{name}` is not an image name: {source}")]
    Digest {
        /// The whole text.
        name: String,
        /// What is wrong with the digest.
        source: DigestError,
    },
}

impl Reference {
    /// The registry's host and port, `docker.io` if none was written.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path of the repository, with `library/` where Docker Hub wants it.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag as written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest as written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The tag, or `latest` when there is neither tag nor digest.
    pub fn tag_or_default(&self) -> Option<&str> {
        self.tag.as_deref().or(if self.digest.is_none() { Some(DEFAULT_TAG) } else { None })
    }

    /// The normal form: `docker.io/library/nginx:latest`. Two references are equal if this is.
    pub fn normal(&self) -> String {
        self.complete(&format!("{}/{}", self.registry, self.repository))
    }

    /// As the user wrote it, with `:latest` where nothing was said: what lists show.
    pub fn familiar(&self) -> String {
        self.complete(self.familiar_name())
    }

    /// The name as the user wrote it, without tag and digest.
    pub fn familiar_name(&self) -> &str {
        let name = self.written.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            Some((front, tag)) if !tag.contains('/') => front,
            _ => name,
        }
    }

    /// The same name with another tag and no digest.
    ///
    /// # Errors
    /// When the tag is not one.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        format!("{}:{tag}", self.familiar_name()).parse()
    }

    /// The same repository by digest and without tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        let written = format!("{}@{digest}", self.familiar_name());
        Self { written, tag: None, digest: Some(digest), ..self.clone() }
    }

    fn complete(&self, name: &str) -> String {
        let tag = self.tag_or_default().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{name}{tag}{digest}")
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.normal() == other.normal()
    }
}
impl Eq for Reference {}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let part = |part: &str, what| ReferenceError::Part { name: text.to_owned(), part: part.to_owned(), what };
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest =
                    digest.parse().map_err(|source| ReferenceError::Digest { name: text.to_owned(), source })?;
                (rest, Some(digest))
            }
        };
        let (name, tag) = match rest.rsplit_once(':') {
            // A colon before a slash belongs to a port, one inside brackets to an IPv6 address.
            Some((name, tag)) if !tag.contains('/') && !tag.contains(']') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(part(tag, "tag"));
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if is_host_like(host) => (host, path),
            _ => (DEFAULT_REGISTRY, name),
        };
        if !is_host(registry) {
            return Err(part(registry, "registry"));
        }
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReferenceError::Upper(text.to_owned()));
        }
        if let Some(wrong) = path.split('/').find(|component| !is_component(component)) {
            return Err(part(wrong, "path component"));
        }
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ReferenceError::Id(text.to_owned()));
        }
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        let repository = if official { format!("library/{path}") } else { path.to_owned() };
        if registry.len() + repository.len() > 255 {
            return Err(ReferenceError::Long(text.to_owned()));
        }
        Ok(Self {
            written: text.to_owned(),
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

fn is_host_like(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':', '[']) || text.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let ip = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
            if !ip || !(rest.is_empty() || rest.starts_with(':')) {
                return false;
            }
            ("v6", rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let port_is_right = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    host.split('.').all(label) && port_is_right
}

/// Letters and digits, joined by one dot, one or two underscores, or any number of dashes.
fn is_component(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().copied().is_some_and(alnum) || !bytes.last().copied().is_some_and(alnum) {
        return false;
    }
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators.filter(|s| !s.is_empty()).all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn references_split_where_docker_splits_them() {
        for (text, normal, familiar) in [
            ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
            ("team/app:v1", "docker.io/team/app:v1", "team/app:v1"),
            ("hub.example/app", "hub.example/app:latest", "hub.example/app:latest"),
            ("localhost/app:v1", "localhost/app:v1", "localhost/app:v1"),
            ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
            ("10.0.0.1:5000/a/b:v1", "10.0.0.1:5000/a/b:v1", "10.0.0.1:5000/a/b:v1"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest", "index.docker.io/nginx:latest"),
            ("docker.io/library/nginx:1", "docker.io/library/nginx:1", "docker.io/library/nginx:1"),
            ("Foo/bar", "Foo/bar:latest", "Foo/bar:latest"),
            ("a__b/c-d.e--f", "docker.io/a__b/c-d.e--f:latest", "a__b/c-d.e--f:latest"),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(reference.normal(), normal, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
        }
    }

    #[test]
    fn tag_and_digest_are_both_kept() {
        let digest = Digest::of(b"x");
        let reference: Reference = format!("quay.io/a/b:v1@{digest}").parse().unwrap();
        assert_eq!(reference.normal(), format!("quay.io/a/b:v1@{digest}"));
        let bare: Reference = format!("nginx@{digest}").parse().unwrap();
        assert_eq!(bare.normal(), format!("docker.io/library/nginx@{digest}"));
        assert_eq!(bare.tag_or_default(), None);
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for bad in [
            "",
            ":v1",
            "a:",
            "a//b",
            "/a",
            "a/",
            "A",
            "a/B",
            "a:-x",
            "a:b c",
            "a b",
            "a@sha256:12",
            "a@",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "hub.example:/a",
            "hub.example:5x/a",
            "..",
            "[::1/a",
            "[zz]:1/a",
            "a\nb",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "hub..example/a",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
        assert!(format!("a:{}", "x".repeat(129)).parse::<Reference>().is_err());
        assert!("x".repeat(256).parse::<Reference>().is_err());
    }

    proptest! {
        #[test]
        fn the_normal_form_is_a_fixed_point(text in "[a-zA-Z0-9.:/@_\\[\\]-]{0,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                let again: Reference = reference.normal().parse().expect("the normal form is a reference");
                prop_assert_eq!(again.normal(), reference.normal());
                let shown: Reference = reference.familiar().parse().expect("what is shown is a reference");
                prop_assert_eq!(shown, reference);
            }
        }
    }
}
