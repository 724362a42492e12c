//! What registries and web servers refuse, and what can be done about it.

use std::io;

/// One entry of the error document that registries answer with.
///
/// Source: OCI distribution specification, "Error Codes".
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct ServerMessage {
    /// `MANIFEST_UNKNOWN`, `DENIED`, ….
    #[serde(default)]
    pub code: String,
    /// The server's own words.
    #[serde(default)]
    pub message: String,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// 401 with the credentials there are, or without any.
    #[error("`{host}` did not accept {who} for `{what}`")]
    Unauthorized {
        /// The registry.
        host: String,
        /// `our credentials` or `anonymous access`.
        who: &'static str,
        /// The repository or URL.
        what: String,
    },
    /// 403.
    #[error("`{host}` denies access to `{what}`{}", detail(message))]
    Denied {
        /// The registry.
        host: String,
        /// The repository or URL.
        what: String,
        /// The server's words.
        message: Option<ServerMessage>,
    },
    /// 404.
    #[error("`{host}` does not have `{what}`{}", detail(message))]
    NotFound {
        /// The registry.
        host: String,
        /// The manifest, blob or URL.
        what: String,
        /// The server's words.
        message: Option<ServerMessage>,
    },
    /// 429, after all retries.
    #[error("`{host}` says that there were too many requests")]
    TooMany {
        /// The registry.
        host: String,
    },
    /// Any other status that is not success, after the retries that make sense.
    #[error("`{host}` answered {status} for `{what}`{}", detail(message))]
    Status {
        /// The registry.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The manifest, blob or URL.
        what: String,
        /// The server's words.
        message: Option<ServerMessage>,
    },
    /// The certificate could not be verified.
    #[error("the TLS certificate of `{host}` could not be verified: {reason}")]
    Certificate {
        /// The registry.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection, or it broke and could not be taken up again.
    #[error("cannot reach `{host}`: {source}")]
    Connection {
        /// The registry.
        host: String,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer that breaks the protocol.
    #[error("`{host}` answered with something that is not {expected}: {reason}")]
    Protocol {
        /// The registry.
        host: String,
        /// What should have come.
        expected: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A chain of redirects that does not end, or one to plain HTTP.
    #[error("`{host}` redirects {why}")]
    Redirect {
        /// The registry.
        host: String,
        /// `too often`, `from https to http`.
        why: &'static str,
    },
    /// A URL that cannot be used.
    #[error("`{url}` is not a URL that can be fetched: {reason}")]
    Url {
        /// The URL, without user and password.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A file with certificates or credentials that cannot be used.
    #[error("cannot use `{path}`: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A credential helper that failed. Its output is not shown: it may hold secrets.
    #[error("the credential helper `{program}` failed: {reason}")]
    Helper {
        /// `docker-credential-…`.
        program: String,
        /// What went wrong.
        reason: String,
    },
}

fn detail(message: &Option<ServerMessage>) -> String {
    match message {
        Some(ServerMessage { code, message }) if message.is_empty() => format!(" ({code})"),
        Some(ServerMessage { code, message }) => format!(" ({code}: {message})"),
        None => String::new(),
    }
}

impl RegistryError {
    /// What the user can do about it, if it is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Unauthorized { host, .. } => {
                Some(format!("add credentials for `{host}` to the auth file (`--authfile`, docker's or podman's)"))
            }
            Self::Certificate { host, .. } => {
                Some(format!("put the CA's certificate into /etc/containers/certs.d/{host}/ca.crt or use `--cert-dir`"))
            }
            Self::TooMany { .. } => Some("wait a while, or log in: registries allow known users more".to_owned()),
            _ => None,
        }
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::TooMany { .. } | Self::Connection { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

impl From<RegistryError> for io::Error {
    fn from(error: RegistryError) -> Self {
        Self::other(error)
    }
}
