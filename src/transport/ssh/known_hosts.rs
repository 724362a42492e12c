//! The keys of hosts that are known: OpenSSH's `known_hosts`, plain and hashed names, patterns, revoked keys.
//!
//! A key that is not the one that is known is never taken. New ones are appended to the user's file, as OpenSSH does.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use russh::keys::{PublicKey, parse_public_key_base64};

use super::config_file;

/// What happens with a host whose key is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKeys {
    /// It is noted and taken from then on.
    #[default]
    AcceptNew,
    /// The host is not talked to.
    Strict,
}

/// A key that is known for a host.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) key: PublicKey,
    pub(super) revoked: bool,
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// Files of known keys; new ones go to the first.
#[derive(Debug)]
pub struct KnownHosts {
    files: Vec<PathBuf>,
    writing: Mutex<()>,
}

impl KnownHosts {
    /// These files.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self { files, writing: Mutex::new(()) }
    }

    /// The keys that are known for a host and port, in `file` first if one is given.
    pub(super) fn keys(&self, host: &str, port: u16, own: Option<&Path>) -> io::Result<Vec<Known>> {
        let name = name(host, port);
        let files = own.map(Path::to_owned).into_iter().chain(self.files.iter().cloned());
        let mut found = Vec::new();
        for file in files {
            let text = match std::fs::read(&file) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            found.extend(text.lines().zip(1..).filter_map(|(text, line)| known(text, &name, &file, line)));
        }
        Ok(found)
    }

    /// Notes a key for a host and port, in `own` if given, unless somebody did already.
    pub(super) fn learn(&self, host: &str, port: u16, key: &PublicKey, own: Option<&Path>) -> io::Result<()> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = own.or(self.files.first().map(PathBuf::as_path)) else { return Ok(()) };
        if let Some(parent) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        file.lock()?;
        let name = name(host, port);
        let openssh = key.to_openssh().map_err(io::Error::other)?;
        let words: Vec<&str> = openssh.split(' ').take(2).collect();
        let line = format!("{name} {}\n", words.join(" "));
        let before = last_line_is_open(&mut file)?;
        file.write_all(format!("{}{line}", if before { "\n" } else { "" }).as_bytes())?;
        file.sync_all()
    }
}

fn last_line_is_open(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// A host's name in such a file.
fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// The key of a line, if the line is about a host.
fn known(text: &str, name: &str, file: &Path, line: usize) -> Option<Known> {
    let mut words = text.split_whitespace().peekable();
    let marker = words.next_if(|word| word.starts_with('@'));
    // Keys that sign the keys of hosts are not asked for, so they never prove anything.
    let revoked = match marker {
        None => false,
        Some("@revoked") => true,
        Some(_) => return None,
    };
    let (hosts, _, key) = (words.next()?, words.next()?, words.next()?);
    if hosts.starts_with('#') || !is_about(hosts, name) {
        return None;
    }
    let key = parse_public_key_base64(key).ok()?;
    Some(Known { key, revoked, file: file.to_owned(), line })
}

fn is_about(hosts: &str, name: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        let Some((salt, hash)) = hashed.split_once('|') else { return false };
        let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else { return false };
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
        return hmac::verify(&key, name.as_bytes(), &hash).is_ok();
    }
    let patterns: Vec<String> = hosts.split(',').map(str::to_owned).collect();
    config_file::matches(&patterns, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn lines(file: &Path, host: &str, port: u16) -> Vec<(usize, bool)> {
        let known = KnownHosts::new(vec![file.to_owned()]);
        known.keys(host, port, None).unwrap().iter().map(|known| (known.line, known.revoked)).collect()
    }

    #[test]
    fn hosts_are_found_by_name_pattern_and_hash() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        // `HashKnownHosts yes` writes such lines; this one is for `node`.
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"salt");
        let hash = STANDARD.encode(hmac::sign(&key, b"node"));
        let salt = STANDARD.encode(b"salt");
        let text = format!(
            "# comment\n10.0.0.1,node-1 ssh-ed25519 {ED25519} me\n[10.0.0.1]:2222 ssh-ed25519 {ED25519}\n\
             *.example,!bad.example ssh-ed25519 {ED25519}\n|1|{salt}|{hash} ssh-ed25519 {ED25519}\n\
             @revoked 10.0.0.1 ssh-ed25519 {OTHER}\n@cert-authority * ssh-ed25519 {OTHER}\nnonsense\n"
        );
        std::fs::write(&file, text).unwrap();
        for (host, port, want) in [
            ("10.0.0.1", 22, &[(2, false), (6, true)][..]),
            ("NODE-1", 22, &[(2, false)]),
            ("10.0.0.1", 2222, &[(3, false)]),
            ("a.example", 22, &[(4, false)]),
            ("bad.example", 22, &[]),
            ("node", 22, &[(5, false)]),
            ("nod", 22, &[]),
            ("11.0.0.1", 22, &[]),
        ] {
            assert_eq!(lines(&file, host, port), want, "{host}:{port}");
        }
    }

    #[test]
    fn what_is_learnt_is_appended_and_found() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ssh/known_hosts");
        let known = KnownHosts::new(vec![file.clone()]);
        let key = parse_public_key_base64(ED25519).unwrap();
        assert!(known.keys("a", 22, None).unwrap().is_empty());
        known.learn("a", 22, &key, None).unwrap();
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap().trim_end()).unwrap();
        known.learn("fd00::1", 2222, &key, None).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("a ssh-ed25519 {ED25519}\n[fd00::1]:2222 ssh-ed25519 {ED25519}\n"));
        assert_eq!(known.keys("fd00::1", 2222, None).unwrap()[0].key, key);
    }
}
