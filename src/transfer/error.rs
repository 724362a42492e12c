//! What can go wrong while images are moved, besides what the two sides say themselves.

use std::io;
use std::path::PathBuf;

use content::{ContentError, LocationError};
use oci::{Platform, Reference, ReferenceError};
use registry_client::RegistryError;

/// Why an image could not be moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error(transparent)]
    Name(#[from] ReferenceError),
    #[error("{place} has no image `{name}`")]
    NotInRegistry { place: String, name: Reference },
    #[error("the store does not have `{name}`, and no registry may be asked")]
    NotHere { name: Reference },
    #[error("there is no file `{path}`")]
    NoFile { path: String, text: String },
    #[error("`{id}` has no name that it could have there")]
    NoName { id: String },
    #[error("`{text}` is not a range of versions")]
    Range { text: String },
    #[error("the filter `{text}` is wrong: {reason}")]
    Filter { text: String, reason: String },
    #[error("{file}: {reason}")]
    List { file: String, reason: String },
    #[error("two images would have the name `{spot}`: `{a}` and `{b}`")]
    Collision { spot: String, a: String, b: String },
    #[error("{place} does not say what its images are called")]
    Nameless { place: String },
    #[error("not copied, since another image is missing")]
    NotBegun,
    #[error("{place} holds no image")]
    Empty { place: String },
    #[error("the name `{name}` is taken")]
    NameTaken { name: Reference },
    #[error("`{name}` is an image and not a list of images")]
    NotAList { name: String },
    #[error("the list `{list}` does not have `{image}`")]
    NotInList { list: String, image: String },
    #[error("no registry has `{name}`; asked were {}", places.join(", "))]
    Nowhere { name: String, places: Vec<String> },
    #[error("`{path}` is not there, and {source}")]
    NeitherFileNorImage { path: String, source: ContentError },
    #[error("{} is not what was said: it is read as `{actual}:`", path.display())]
    OtherFormat { path: PathBuf, actual: &'static str },
    #[error("{place} holds several images: {}", names.join(", "))]
    SeveralImages { place: String, names: Vec<String> },
    #[error(
        "`{name}` is not whole in the store: {missing} of the manifests that its index lists are missing{}",
        listed(platforms)
    )]
    NotWhole { name: String, missing: usize, platforms: Vec<String> },
    #[error("the digest of `{name}` would change{}", narrowed(platforms))]
    DigestWouldChange { name: String, platforms: Vec<Platform> },
    #[error("{place} keeps layers unpacked: their compression cannot be chosen")]
    NoConversion { place: String },
    #[error("{place} keeps the image of one platform under a name, and there are several")]
    OnePlatform { place: String },
    #[error("`{place}` is reached through {program}, which is not installed")]
    NoProgram { program: &'static str, place: String },
    #[error("cannot use {program}: cannot {doing}: {source}")]
    Program { program: &'static str, doing: &'static str, source: io::Error },
    #[error("{program} answered with something that is not {expected}")]
    Protocol { program: &'static str, expected: &'static str },
    #[error("{place}: {reason}")]
    Refused { place: String, reason: String },
    #[error("{place}: a document is not valid: {source}")]
    Document { place: String, source: serde_json::Error },
    #[error("{place}: the image has {layers} layers, but its configuration lists {diff_ids}")]
    LayerCount { place: String, layers: usize, diff_ids: usize },
    #[error("cannot {doing}: {source}")]
    Io { doing: String, source: io::Error },
}

fn listed(platforms: &[String]) -> String {
    if platforms.is_empty() { String::new() } else { format!(" ({})", platforms.join(", ")) }
}

fn narrowed(platforms: &[Platform]) -> String {
    let platforms: Vec<String> = platforms.iter().map(Platform::to_string).collect();
    if platforms.is_empty() { String::new() } else { format!(": only {} would be copied", platforms.join(", ")) }
}

impl TransferError {
    /// What the user can do about it, if it is known.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Content(error) => error.help(),
            Self::Registry(error) => error.help(),
            Self::Location(error) => error.help(),
            Self::NotInRegistry { name, .. } => {
                Some(format!("`sealos tags {}` lists the tags that there are", name.familiar_name()))
            }
            Self::Nowhere { .. } => Some("write the registry in front of the name".to_owned()),
            Self::NoFile { text, .. } => Some(format!("to pull an image of that name, write `docker://{text}`")),
            Self::Collision { .. } => Some("`--scoped` keeps the registry in front of the names".to_owned()),
            Self::Nameless { .. } => Some("copy its images one by one with `sealos copy`".to_owned()),
            Self::NotBegun => Some("`--keep-going` copies what is there".to_owned()),
            Self::NameTaken { .. } => Some("`--amend` goes on with a list; `sealos manifest rm` removes it".to_owned()),
            Self::NotInList { list, .. } => Some(format!("`sealos manifest inspect {list}` shows what it has")),
            Self::NoName { .. } => Some("write the name behind it".to_owned()),
            Self::NeitherFileNorImage { source, .. } => source.help(),
            Self::OtherFormat { actual, .. } => Some(format!("write `{actual}:` in front of it, or the path alone")),
            Self::SeveralImages { .. } => Some("choose one: write `:NAME` behind the path".to_owned()),
            Self::NotWhole { .. } => {
                Some("pull the rest with `sealos pull --all-platforms`, or leave `--all` out".to_owned())
            }
            Self::DigestWouldChange { platforms, .. } if !platforms.is_empty() => {
                Some("copy all platforms with `--all`, or leave `--preserve-digests` out".to_owned())
            }
            Self::OnePlatform { .. } => Some("choose one with `--platform`, or leave `--all` out".to_owned()),
            Self::NoProgram { program, place } => Some(format!(
                "install {program}; or carry the image as a file: `podman save` or `docker save`, then `sealos load` ({place})"
            )),
            _ => None,
        }
    }
}
