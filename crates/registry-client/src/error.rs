//! What registries and web servers refuse, and what can be done about it.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::http::HttpError;

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
    #[error("`{host}` says that there were too many requests{}", wait.map(|wait| format!("; it wants us to wait {} s", wait.as_secs())).unwrap_or_default())]
    TooMany {
        /// The registry.
        host: String,
        /// How long the registry wants us to wait, if it said so.
        wait: Option<Duration>,
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
    /// The server speaks plain HTTP where TLS was expected.
    #[error("`{host}` does not speak TLS")]
    NoTls {
        /// The registry.
        host: String,
    },
    /// No connection, or it broke and could not be taken up again.
    #[error("cannot reach `{host}`: {source}")]
    Connection {
        /// The registry.
        host: String,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It could not be reached a moment ago and was not tried again.
    #[error("`{host}` could not be reached a moment ago")]
    Down {
        /// The registry or mirror.
        host: String,
    },
    /// None of several servers gave it.
    #[error(transparent)]
    Tried(#[from] Tried),
    /// `registries.conf` forbids it.
    #[error("`{name}` is blocked: registries.conf has `blocked = true` for `{prefix}`")]
    Blocked {
        /// The repository.
        name: String,
        /// The prefix of the rule.
        prefix: String,
    },
    /// A text that is no name of an image.
    #[error(transparent)]
    Name(#[from] oci::ReferenceError),
    /// A variable of the environment that does not name a proxy.
    #[error("{reason}")]
    Proxy {
        /// The variable, and what is wrong with it.
        reason: String,
    },
    /// The registry does not do such a thing at all.
    #[error("`{host}` does not let {what}")]
    Unsupported {
        /// The registry.
        host: String,
        /// `anybody delete manifests`, ….
        what: &'static str,
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
    /// A store of buckets refused.
    #[error("`{host}` answered {status} for `{what}`{}", detail(message))]
    Bucket {
        /// The store.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The bucket, and the prefix in it.
        what: String,
        /// The store's words; answers to HEAD have none.
        message: Option<ServerMessage>,
    },
    /// Nothing to sign requests to a bucket with.
    #[error("there are no keys for a bucket: {reason}")]
    NoKeys {
        /// Where they were looked for.
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

/// What each of several servers said.
#[derive(Debug, thiserror::Error)]
pub struct Tried {
    /// What was asked for.
    pub what: String,
    /// In the order in which they were asked; the registry's own server is the last.
    pub errors: Vec<RegistryError>,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "none of {} servers gave `{}`", self.errors.len(), self.what)?;
        self.errors.iter().enumerate().try_for_each(|(at, error)| write!(f, "; {}. {error}", at + 1))
    }
}

impl RegistryError {
    /// What a request that got no answer means.
    pub(crate) fn http(host: &str, error: HttpError) -> Self {
        let host = host.to_owned();
        match error {
            HttpError::Tls(rustls::Error::InvalidCertificate(error)) => {
                Self::Certificate { host, reason: certificate(&error) }
            }
            HttpError::Tls(rustls::Error::InvalidMessage(_)) => Self::NoTls { host },
            HttpError::SetUp(error) => *error,
            error => Self::Connection { host, source: Box::new(error) },
        }
    }

    pub(crate) fn is_about_certificate(error: &HttpError) -> bool {
        matches!(error, HttpError::Tls(rustls::Error::InvalidCertificate(_)))
    }

    /// Whether nobody took the connection.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Down { .. } => true,
            Self::Connection { source, .. } => {
                matches!(source.downcast_ref(), Some(HttpError::Connect(_) | HttpError::Proxy { .. }))
            }
            _ => false,
        }
    }

    /// Whether the registry hashed what it got and found something else than it was told.
    pub(crate) fn is_about_digest(&self) -> bool {
        let code = |message: &Option<ServerMessage>| message.as_ref().is_some_and(|m| m.code == "DIGEST_INVALID");
        matches!(self, Self::Status { message, .. } if code(message))
    }

    /// Whether the registry itself says that it does not have it.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Tried(tried) => tried.errors.last().is_some_and(Self::is_not_found),
            _ => false,
        }
    }

    /// What the user can do about it, if it is known.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unauthorized { host, .. } => format!("run `sealos login {host}` and repeat the command"),
            Self::Denied { host, .. } => {
                format!(
                    "ask for access, or `sealos login {host}` as somebody who has it; `sealos login --get-login {host}` shows who you are"
                )
            }
            Self::Certificate { host, reason } if reason.contains("authority") => {
                format!("put the CA's certificate into /etc/containers/certs.d/{host}/ca.crt or use `--cert-dir`")
            }
            Self::Certificate { reason, .. } if reason.contains("valid") => {
                "compare the clock of this machine with the certificate's dates".to_owned()
            }
            Self::NoTls { host } => format!(
                "if `{host}` is to be spoken to without encryption, use `--tls-verify=false` or set `insecure = true` for it in registries.conf"
            ),
            Self::TooMany { .. } => "wait a while, or log in: registries allow known users more".to_owned(),
            Self::Status { status: 413, .. } => {
                "a proxy before the registry limits the size of requests (nginx: client_max_body_size)".to_owned()
            }
            Self::Connection { host, .. } if self.is_unreachable() => {
                format!("check the name and port of `{host}`, the network, and HTTPS_PROXY and NO_PROXY")
            }
            Self::Bucket { status, message, .. } => return bucket_help(*status, message.as_ref()),
            Self::NoKeys { .. } => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE and AWS_PROFILE"
                    .to_owned()
            }
            Self::Down { host } => format!("check the network between here and `{host}`"),
            Self::Tried(tried) => return tried.errors.last().and_then(Self::help),
            _ => return None,
        })
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::TooMany { .. } | Self::Connection { .. } | Self::Down { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 500 | 502 | 503 | 504),
            Self::Bucket { status, message, .. } => {
                // A body that came too slowly is answered with 400.
                let is_slow = message.as_ref().is_some_and(|message| message.code == "RequestTimeout");
                matches!(status, 408 | 429 | 500 | 502 | 503 | 504) || is_slow
            }
            Self::Tried(tried) => tried.errors.last().is_some_and(Self::is_temporary),
            _ => false,
        }
    }
}

/// What can be done about what a store of buckets says.
///
/// Source: "Error responses", Amazon S3 API reference.
fn bucket_help(status: u16, message: Option<&ServerMessage>) -> Option<String> {
    let text = match (status, message.map_or("", |message| message.code.as_str())) {
        (_, "NoSuchBucket") => "make the bucket first, or correct its name and AWS_ENDPOINT_URL",
        (_, "InvalidAccessKeyId" | "XAdminUserNotFound") => "the store does not know this AWS_ACCESS_KEY_ID",
        (_, "SignatureDoesNotMatch") => {
            "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID, or AWS_REGION is another"
        }
        (_, "RequestTimeTooSkewed" | "RequestExpired") => {
            "set this machine's clock, or the store's: they differ by more than it allows"
        }
        (_, "ExpiredToken" | "InvalidToken") => "get a new AWS_SESSION_TOKEN",
        (_, "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect") | (301 | 307, _) => {
            "the bucket is in another region: set AWS_REGION"
        }
        (403, _) => {
            "the keys need s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucketMultipartUploads, \
             s3:ListMultipartUploadParts and s3:AbortMultipartUpload; and compare this machine's clock with the store's"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// What is wrong with a certificate, in words.
fn certificate(error: &rustls::CertificateError) -> String {
    use rustls::CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Revoked, UnknownIssuer,
    };
    match error {
        UnknownIssuer => "it is signed by an authority that is not trusted here".to_owned(),
        Expired | ExpiredContext { .. } => "it is not valid any more".to_owned(),
        NotValidYet | NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "it names no host at all (subjectAltName)".to_owned()
        }
        NotValidForNameContext { presented, .. } => format!("it is for {} only", presented.join(", ")),
        NotValidForName => "it is for another host".to_owned(),
        Revoked => "it was revoked".to_owned(),
        BadSignature => "its signature is wrong".to_owned(),
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is an authority's own certificate, which is not trusted here".to_owned()
        }
        other => other.to_string(),
    }
}

impl From<RegistryError> for io::Error {
    fn from(error: RegistryError) -> Self {
        Self::other(error)
    }
}
