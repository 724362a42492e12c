//! How registries are spoken to.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::credentials::Credentials;
use crate::tls::Tls;

/// How registries are spoken to.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Whether certificates are verified.
    pub tls: Tls,
    /// A directory with `*.crt` (authorities), `*.cert` and `*.key` (ours), instead of those of each host.
    pub cert_dir: Option<PathBuf>,
    /// Directories with certificates by host, as docker and podman have them; the user's own is read as well.
    pub certificate_dirs: Vec<PathBuf>,
    /// The auth file to use instead of the usual ones.
    pub authfile: Option<PathBuf>,
    /// Credentials from the command line, and the registry they are for.
    pub credentials: Option<(String, Credentials)>,
    /// How often a temporary failure is tried again.
    pub retries: u32,
    /// The pause before the first retry; each further one is twice as long.
    pub retry_delay: Duration,
    /// The `registries.conf` to use instead of the usual one; drop-in directories are read beside it all the same.
    pub registries_conf: Option<PathBuf>,
    /// Directories with `HOST/hosts.toml` as containerd reads them.
    pub hosts_dirs: Vec<PathBuf>,
    /// Whether a registry's mirrors are asked before it.
    pub mirrors: Mirrors,
    /// How long a host that could not be reached is not tried again, so that not every image waits for it.
    pub down_for: Duration,
    /// Where interrupted uploads are remembered; none for the usual place of this user.
    pub state_dir: Option<PathBuf>,
    /// Who is told what the user should see: warnings of registries, retries, mirrors that do not answer.
    pub notice: Notice,
}

/// Whether the files that say where registries are (`registries.conf`, `hosts.toml`) are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mirrors {
    /// They are.
    #[default]
    Configured,
    /// A registry is asked itself: for who is a mirror, and could be sent to itself.
    Ignored,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            tls: Tls::Verify,
            cert_dir: None,
            certificate_dirs: vec![PathBuf::from("/etc/containers/certs.d"), PathBuf::from("/etc/docker/certs.d")],
            authfile: None,
            credentials: None,
            retries: 3,
            retry_delay: Duration::from_millis(500),
            registries_conf: None,
            hosts_dirs: vec![PathBuf::from("/etc/containerd/certs.d")],
            mirrors: Mirrors::default(),
            down_for: Duration::from_secs(30),
            state_dir: None,
            notice: Notice::default(),
        }
    }
}

/// Who is told what the user should see though the work goes on. By default nobody.
#[derive(Clone, Default)]
pub struct Notice(Option<Arc<Tell>>);

type Tell = dyn Fn(&str) + Send + Sync;

impl Notice {
    /// Calls `tell` with each notice, from any thread.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, text: &str) {
        if let Some(tell) = &self.0 {
            tell(text);
        }
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Notice(somebody)" } else { "Notice(nobody)" })
    }
}
