//! TLS with certificates that can change while connections are open.
//!
//! Every connection takes the configuration that holds when it begins and keeps it. A new pair of certificate and key is
//! looked at as a whole; one that does not fit together is reported and not used. Session tickets end with the
//! configuration that gave them: a client whose authority is not trusted any more has to show its certificate again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::access::certificate::valid_until;
use crate::access::watched::{self, LoadError, Reload, Watched};
use crate::listener::Certificates;

/// Where certificates are.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// The server's certificate and those between it and its authority, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Whether clients are asked for certificates.
    pub clients: Clients,
}

/// Whether clients are asked for certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Clients {
    /// They are not.
    #[default]
    NotAsked,
    /// Those that have one of these authorities (a PEM file) show it; others go on without.
    Asked(PathBuf),
    /// Who has none does not get in.
    Required(PathBuf),
}

impl Clients {
    fn authorities(&self) -> Option<&Path> {
        match self {
            Self::NotAsked => None,
            Self::Asked(path) | Self::Required(path) => Some(path),
        }
    }
}

/// A configuration, and until when its certificate is valid.
struct Loaded {
    config: Arc<ServerConfig>,
    valid_until: Option<SystemTime>,
}

/// The certificates of a server.
pub struct Tls(Arc<Watched<Loaded>>);

impl Tls {
    /// Reads the certificates.
    ///
    /// # Errors
    /// When they cannot be read or do not fit together.
    pub fn open(options: TlsOptions) -> Result<Self, LoadError> {
        let mut files = vec![options.certificate.clone(), options.key.clone()];
        files.extend(options.clients.authorities().map(Path::to_owned));
        Ok(Self(Watched::open(files, move || load(&options))?))
    }

    /// What is read again when its files change.
    pub fn watched(&self) -> Arc<dyn Reload> {
        Arc::clone(&self.0) as Arc<dyn Reload>
    }

    /// Until when the certificate that new connections get is valid.
    pub fn valid_until(&self) -> Option<SystemTime> {
        self.0.get().valid_until
    }
}

impl Certificates for Tls {
    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.get().config)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.0)
    }
}

fn load(options: &TlsOptions) -> Result<Loaded, LoadError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&options.certificate)?;
    let valid_until = chain.first().and_then(|own| valid_until(own));
    let key = private_key(&options.key)?;
    let of_certificate = || LoadError::content(&options.certificate);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(of_certificate())?;
    let builder = match verifier(&options.clients, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let key = options.key.display();
        LoadError::content(&options.certificate)(format!("it does not go together with the key `{key}`: {error}"))
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new().map_err(of_certificate())?;
    Ok(Loaded { config: Arc::new(config), valid_until })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let pem = watched::read(path)?;
    let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| LoadError::content(path)(format!("it is not PEM: {error}")))?;
    if all.is_empty() {
        return Err(LoadError::content(path)("it holds no certificate in PEM"));
    }
    Ok(all)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, LoadError> {
    let pem = zeroize::Zeroizing::new(watched::read(path)?);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_error| {
        let is_encrypted = pem.windows(9).any(|word| word == b"ENCRYPTED");
        LoadError::content(path)(match is_encrypted {
            true => "the key is encrypted; decrypt it with `openssl pkey`",
            false => "it holds no private key in PEM",
        })
    })
}

fn verifier(
    clients: &Clients,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, LoadError> {
    let Some(path) = clients.authorities() else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(LoadError::content(path))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match clients {
        Clients::Required(_) => builder,
        Clients::Asked(_) | Clients::NotAsked => builder.allow_unauthenticated(),
    };
    builder.build().map(Some).map_err(LoadError::content(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::process::{Command, Stdio};
    use std::thread;

    use super::*;
    use crate::access::watched::{Outcome, When};

    fn openssl(dir: &Path, args: &[&str]) {
        let output = Command::new("openssl").args(args).current_dir(dir).output().expect("openssl is installed");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// An authority `NAME.crt`, and a certificate for `CN` signed by it: `CN.crt`, `CN.key`.
    fn issue(dir: &Path, authority: &str, name: &str) {
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let (ca, ca_key) = (format!("{authority}.crt"), format!("{authority}.key"));
        if !dir.join(&ca).exists() {
            let subject = format!("/CN={authority}");
            openssl(
                dir,
                &[&new[..], &["-x509", "-days", "9", "-subj", &subject, "-keyout", &ca_key, "-out", &ca]].concat(),
            );
        }
        let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
        openssl(dir, &[&new[..], &["-subj", &format!("/CN={name}"), "-keyout", &key, "-out", &request]].concat());
        fs::write(dir.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        let sign = ["x509", "-req", "-days", "5", "-CAcreateserial", "-extfile", "names"];
        openssl(dir, &[&sign[..], &["-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-out", &certificate]].concat());
    }

    fn options(dir: &Path, clients: Clients) -> TlsOptions {
        TlsOptions { certificate: dir.join("server.crt"), key: dir.join("server.key"), clients }
    }

    /// What `openssl s_client` makes of one connection, and what the server saw of it.
    fn connect(dir: &Path, tls: &Tls, args: &[&str]) -> (String, Option<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let config = tls.current();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut connection = rustls::ServerConnection::new(config).unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut socket);
            let mut byte = [0];
            let read = stream.read(&mut byte);
            stream.flush().unwrap_or_default();
            read.ok()?;
            let shown = connection.peer_certificates().and_then(|chain| crate::access::certificate::holder(&chain[0]));
            Some(shown.map_or("nobody".to_owned(), |who| who.name.to_string()))
        });
        let mut client = Command::new("openssl")
            .args([
                "s_client",
                "-connect",
                &address,
                "-CAfile",
                "ca.crt",
                "-verify_return_error",
                "-alpn",
                "h2,http/1.1",
            ])
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(b"x\n").unwrap_or_default();
        let output = client.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8_lossy(&said).into_owned(), server.join().unwrap())
    }

    #[test]
    fn only_known_clients_get_in_where_certificates_are_required() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        issue(at, "ca", "server");
        issue(at, "clients", "anna");
        issue(at, "strangers", "mallory");
        let (anna, mallory) =
            (["-cert", "anna.crt", "-key", "anna.key"], ["-cert", "mallory.crt", "-key", "mallory.key"]);
        let clients = at.join("clients.crt");
        for (clients, args, want) in [
            (Clients::NotAsked, &[][..], Some("nobody")),
            (Clients::NotAsked, &anna, Some("nobody")),
            (Clients::Asked(clients.clone()), &[], Some("nobody")),
            (Clients::Asked(clients.clone()), &anna, Some("anna")),
            (Clients::Asked(clients.clone()), &mallory, None),
            (Clients::Required(clients.clone()), &anna, Some("anna")),
            (Clients::Required(clients.clone()), &mallory, None),
            (Clients::Required(clients.clone()), &[], None),
        ] {
            let tls = Tls::open(options(at, clients.clone())).unwrap();
            let (said, seen) = connect(at, &tls, args);
            assert_eq!(seen.as_deref(), want, "{clients:?} {args:?} {said}");
            assert!(want.is_none() || said.contains("ALPN protocol: http/1.1"), "{said}");
        }
        let tls = Tls::open(options(at, Clients::NotAsked)).unwrap();
        let days = tls.valid_until().unwrap().duration_since(SystemTime::now()).unwrap().as_secs() / 86_400;
        assert_eq!(days, 4);
        let (said, seen) = connect(at, &tls, &["-tls1_1"]);
        assert!(seen.is_none(), "{said}");
    }

    #[test]
    fn a_new_pair_is_used_when_it_fits_together() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        issue(at, "ca", "server");
        let tls = Tls::open(options(at, Clients::NotAsked)).unwrap();
        let before = tls.current();
        // Only the half of the new pair is there.
        fs::copy(at.join("server.key"), at.join("old.key")).unwrap();
        issue(at, "ca", "server");
        fs::rename(at.join("server.key"), at.join("new.key")).unwrap();
        fs::copy(at.join("old.key"), at.join("server.key")).unwrap();
        let Outcome::Kept(error) = tls.watched().refresh(When::Changed) else { panic!("it is used") };
        assert!(error.to_string().contains("does not go together with the key"), "{error}");
        assert!(Arc::ptr_eq(&tls.current(), &before));
        fs::rename(at.join("new.key"), at.join("server.key")).unwrap();
        assert!(matches!(tls.watched().refresh(When::Changed), Outcome::Changed));
        assert!(!Arc::ptr_eq(&tls.current(), &before));
        let (said, seen) = connect(at, &tls, &[]);
        assert_eq!(seen.as_deref(), Some("nobody"), "{said}");
    }

    #[test]
    fn what_is_no_certificate_or_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        issue(at, "ca", "server");
        openssl(at, &["pkey", "-aes256", "-passout", "pass:x", "-in", "server.key", "-out", "encrypted.key"]);
        fs::write(at.join("empty"), "").unwrap();
        let of = |certificate: &str, key: &str| TlsOptions {
            certificate: at.join(certificate),
            key: at.join(key),
            clients: Clients::NotAsked,
        };
        for (options, part) in [
            (of("none", "server.key"), "cannot read"),
            (of("empty", "server.key"), "it holds no certificate in PEM"),
            (of("server.key", "server.key"), "it holds no certificate in PEM"),
            (of("server.crt", "server.crt"), "it holds no private key in PEM"),
            (of("server.crt", "encrypted.key"), "the key is encrypted"),
            (of("server.crt", "ca.key"), "does not go together with the key"),
            (options(at, Clients::Required(at.join("empty"))), "it holds no certificate in PEM"),
        ] {
            let error = Tls::open(options).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
