//! Refusals and failures, as the specification wants them said.
//!
//! Source: OCI distribution specification, "Error codes".

use std::io;

use serde_json::json;

use crate::backend::BackendError;
use crate::http::{Response, Status};

/// The codes of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
    /// Not of the specification: something is wrong with the registry. What other registries say then.
    Unknown,
}

impl Code {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: Status,
    pub(crate) code: Code,
    message: String,
    /// Header fields that go with it.
    fields: Vec<(&'static str, String)>,
    /// What only the operator is told.
    pub(crate) reason: Option<String>,
}

impl Fault {
    pub(crate) fn new(status: Status, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), fields: Vec::new(), reason: None }
    }

    /// The same with a header field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(crate) fn bad_digest(text: &str) -> Self {
        Self::new(Status::BAD_REQUEST, Code::DigestInvalid, format!("`{text}` is not a digest that is supported"))
    }

    pub(crate) fn no_blob() -> Self {
        Self::new(Status::NOT_FOUND, Code::BlobUnknown, "the repository has no such blob")
    }

    pub(crate) fn no_manifest() -> Self {
        Self::new(Status::NOT_FOUND, Code::ManifestUnknown, "the repository has no such manifest")
    }

    pub(crate) fn no_repository() -> Self {
        Self::new(Status::NOT_FOUND, Code::NameUnknown, "there is no such repository")
    }

    pub(crate) fn no_upload() -> Self {
        Self::new(Status::NOT_FOUND, Code::BlobUploadUnknown, "there is no such upload; begin a new one")
    }

    /// Methods that a resource does not know.
    pub(crate) fn method(allowed: &'static str) -> Self {
        Self::new(Status::METHOD_NOT_ALLOWED, Code::Unsupported, format!("the methods here are {allowed}"))
            .with("Allow", allowed)
    }

    pub(crate) fn read_only() -> Self {
        Self::new(Status::METHOD_NOT_ALLOWED, Code::Unsupported, "this registry is read only")
            .with("Allow", "GET, HEAD")
    }

    /// The client's body could not be read.
    pub(crate) fn body(error: &io::Error) -> Self {
        let fault = match error.kind() {
            io::ErrorKind::TimedOut => {
                Self::new(Status::REQUEST_TIMEOUT, Code::BlobUploadInvalid, "the body came too slowly")
            }
            io::ErrorKind::FileTooLarge => {
                Self::new(Status::PAYLOAD_TOO_LARGE, Code::SizeInvalid, "the body is too large")
            }
            _ => Self::new(Status::BAD_REQUEST, Code::BlobUploadInvalid, "the body ended early"),
        };
        Self { reason: Some(error.to_string()), ..fault }
    }

    pub(crate) fn response(&self) -> Response {
        let body = json!({"errors": [{"code": self.code.name(), "message": self.message, "detail": null}]});
        let mut response = Response::text(self.status, "application/json", body.to_string().into_bytes());
        for (name, value) in &self.fields {
            response.add(name, value);
        }
        response
    }
}

impl From<BackendError> for Fault {
    fn from(error: BackendError) -> Self {
        let reason = Some(error.to_string());
        let unknown = |status, message: &str| Self::new(status, Code::Unknown, message);
        let fault = match &error {
            BackendError::Missing(_) => Self::new(Status::BAD_REQUEST, Code::ManifestBlobUnknown, error.to_string()),
            BackendError::Mismatch { .. } => Self::new(Status::BAD_REQUEST, Code::DigestInvalid, error.to_string()),
            BackendError::Damaged { .. } => {
                unknown(Status::INTERNAL_SERVER_ERROR, "what is stored is damaged; ask whoever runs this registry")
            }
            BackendError::Absent { .. } => Self::no_blob(),
            BackendError::Upstream { .. } => {
                unknown(Status::BAD_GATEWAY, "the registry behind this one does not answer")
            }
            BackendError::Content(_) | BackendError::Packed { .. } => {
                unknown(Status::INTERNAL_SERVER_ERROR, "the registry cannot read what it serves")
            }
            BackendError::ReadOnly(_) => Self::read_only(),
            BackendError::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    unknown(Status::INSUFFICIENT_STORAGE, "the registry's disk is full")
                }
                io::ErrorKind::ReadOnlyFilesystem => Self::read_only(),
                io::ErrorKind::PermissionDenied => {
                    unknown(Status::INTERNAL_SERVER_ERROR, "the registry may not use its own files")
                }
                _ => unknown(Status::INTERNAL_SERVER_ERROR, "the registry cannot reach its files"),
            },
        };
        Self { reason, ..fault }
    }
}
