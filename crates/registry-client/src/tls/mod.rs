//! Whom we believe to be who: authorities of the system, of Mozilla's list (a bare node has no others), and of the user.
//!
//! ```text
//! system bundle ─┐
//! bundled list ──┼─▶ Roots ──┐
//! certs.d, --cert-dir, hosts.toml ─▶ Trust ──▶ rustls::ClientConfig
//! ```
//!
//! Invariants: certificates are verified unless a `Trust` says otherwise; a file that the user named and that cannot be
//! used is an error, never left out.

mod files;
mod verifier;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

pub(crate) use files::read_directory;
use verifier::{Anybody, Verifier};

use crate::RegistryError;

/// Where distributions keep the authorities that the machine trusts.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whether a server has to prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tls {
    /// The certificate is verified (the default).
    #[default]
    Verify,
    /// Any certificate is taken, and plain HTTP if there is no TLS.
    Skip,
}

/// What is special about one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Trust {
    pub(crate) tls: Tls,
    /// Files with authorities, or with the very certificates of servers.
    pub(crate) authorities: Vec<PathBuf>,
    /// Our own certificate and its key.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// The authorities that every host may be certified by.
#[derive(Clone)]
pub(crate) struct Roots {
    store: RootCertStore,
    /// Certificates that somebody put into the system's list on purpose.
    exact: HashSet<CertificateDer<'static>>,
}

impl Roots {
    /// The system's and the bundled ones. `SSL_CERT_FILE` names another file, `SSL_CERT_DIR` a directory beside it.
    ///
    /// # Errors
    /// When a file that a variable names cannot be read.
    pub(crate) fn load() -> Result<Self, RegistryError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut system = Vec::new();
        match variable("SSL_CERT_FILE") {
            Some(named) => system.extend(files::certificates(&named)?),
            None => {
                let bundle = BUNDLES.iter().map(Path::new).find(|path| path.exists());
                // The machine's own list, which may be damaged without our doing: the bundled one is still there.
                system.extend(bundle.and_then(|path| files::certificates(path).ok()).unwrap_or_default());
            }
        }
        if let Some(directory) = variable("SSL_CERT_DIR") {
            for path in files::with_extensions(&directory, &["pem", "crt"])? {
                system.extend(files::certificates(&path)?);
            }
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        store.add_parsable_certificates(system.iter().cloned());
        Ok(Self { store, exact: system.into_iter().collect() })
    }

    /// The set-up for a host.
    ///
    /// # Errors
    /// When a certificate or key cannot be used.
    pub(crate) fn config(&self, trust: &Trust) -> Result<ClientConfig, RegistryError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| unusable(Path::new("TLS"), &error))?.dangerous();
        let builder = match trust.tls {
            Tls::Skip => builder.with_custom_certificate_verifier(Arc::new(Anybody(provider))),
            Tls::Verify => builder.with_custom_certificate_verifier(self.verifier(trust, &provider)?),
        };
        let mut config = match &trust.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = files::certificates(certificate)?;
                let chain = builder.with_client_auth_cert(chain, files::private_key(key)?);
                chain.map_err(|error| unusable(certificate, &error))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn verifier(&self, trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>, RegistryError> {
        let Self { mut store, mut exact } = self.clone();
        for path in &trust.authorities {
            let certificates = files::certificates(path)?;
            if certificates.is_empty() {
                return Err(unusable(path, &"it holds no certificate"));
            }
            for certificate in certificates {
                // A server's own certificate need not be one that can sign others.
                if let Err(error) = store.add(certificate.clone()) {
                    return Err(unusable(path, &error));
                }
                exact.insert(certificate);
            }
        }
        let verifier = Verifier::new(store, exact, Arc::clone(provider));
        verifier.map(Arc::new).map_err(|error| unusable(Path::new("the list of authorities"), &error))
    }
}

pub(crate) fn unusable(path: &Path, error: &dyn std::fmt::Display) -> RegistryError {
    RegistryError::File { path: path.display().to_string(), reason: error.to_string() }
}
