//! What can go wrong while images are moved, besides what the two sides say themselves.

use std::io;
use std::path::PathBuf;

use content::{ContentError, LocationError};
use oci::ReferenceError;
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
}
