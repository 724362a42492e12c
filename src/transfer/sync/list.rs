//! Lists of images in files.
//!
//! ```text
//! - quay.io/a/b:1            a list of names, as YAML
//! quay.io/a/b:1              the same without dashes, one a line
//! quay.io:                   or by registry, as skopeo has it
//!   images: {a/b: [1, "2"], c: []}
//!   images-by-tag-regex: {nginx: ^1\.27}
//!   images-by-semver: {alpine: ">= 3.18"}
//!   credentials: {username: me, password: secret}
//!   tls-verify: true
//!   cert-dir: /etc/certs
//! ```
//!
//! Tags are taken as they are written: `1.10` is no number.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci::Reference;
use regex::Regex;
use registry_client::{Credentials, Secret};
use serde::Deserialize;

use super::super::error::TransferError;
use super::filter::{Which, last_line};

/// How a registry of a list is spoken to, as far as the list says.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) tls_verify: Option<bool>,
    pub(crate) cert_dir: Option<PathBuf>,
}

/// Images of a repository that are wanted.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The repository; its tag and digest mean nothing.
    pub(crate) repository: Reference,
    pub(crate) which: Which,
    pub(crate) settings: Settings,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Registry {
    #[serde(default)]
    images: BTreeMap<String, Option<Vec<String>>>,
    #[serde(default)]
    images_by_tag_regex: BTreeMap<String, String>,
    #[serde(default)]
    images_by_semver: BTreeMap<String, String>,
    #[serde(default)]
    credentials: Option<User>,
    #[serde(default)]
    tls_verify: Option<bool>,
    #[serde(default)]
    cert_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    username: String,
    #[serde(default)]
    password: String,
}

/// Reads a list; `file` is what messages call it.
///
/// # Errors
/// When it is no list, or holds what is no name.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Entry>, TransferError> {
    let wrong = |reason: String| TransferError::List { file: file.to_owned(), reason };
    let lines: Vec<&str> = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim()).collect();
    let lines = || lines.iter().copied().filter(|line| !line.is_empty() && !line.starts_with('#') && *line != "---");
    if lines().next().is_none() {
        return Err(wrong("it names no images".to_owned()));
    }
    let is_plain = |line: &str| !line.starts_with(['-', '[', '{', '"']) && !line.contains(": ") && !line.ends_with(':');
    // The parser quotes the text that it does not understand, which may be a password.
    let yaml = |error: serde_saphyr::Error| match error.location() {
        Some(place) => wrong(format!("line {}: it is no list of images", place.line())),
        None => wrong("it is no list of images".to_owned()),
    };
    if lines().all(is_plain) {
        return lines().map(|name| named(name).map_err(|error| wrong(error.to_string()))).collect();
    }
    if lines().next().is_some_and(|first| first.starts_with(['-', '['])) {
        let names: Vec<String> = serde_saphyr::from_str(text).map_err(yaml)?;
        return names.iter().map(|name| named(name).map_err(|error| wrong(error.to_string()))).collect();
    }
    let registries: BTreeMap<String, Registry> = serde_saphyr::from_str(text).map_err(yaml)?;
    let mut entries = Vec::new();
    for (host, registry) in registries {
        let settings = Settings {
            credentials: registry
                .credentials
                .map(|user| Credentials::Password { user: user.username, password: Secret::new(user.password) }),
            tls_verify: registry.tls_verify,
            cert_dir: registry.cert_dir,
        };
        let before = entries.len();
        let mut add = |path: &str, which: Which| -> Result<(), TransferError> {
            let repository = repository(&host, path).map_err(|error| wrong(error.to_string()))?;
            entries.push(Entry { repository, which, settings: settings.clone() });
            Ok(())
        };
        for (path, tags) in &registry.images {
            match tags.as_deref() {
                None | Some([]) => add(path, Which::All)?,
                Some(tags) => add(path, Which::These(tags.to_vec()))?,
            }
        }
        for (path, regex) in &registry.images_by_tag_regex {
            let regex =
                Regex::new(regex).map_err(|error| wrong(format!("{path}: {}", last_line(&error.to_string()))))?;
            add(path, Which::Matching(regex))?;
        }
        for (path, range) in &registry.images_by_semver {
            Which::Semver(range.clone()).pick(vec!["1.0.0".to_owned()])?;
            add(path, Which::Semver(range.clone()))?;
        }
        if entries.len() == before {
            return Err(wrong(format!("it names no images of {host}")));
        }
    }
    Ok(entries)
}

/// One name: a tag, a digest, or both; without either it is `latest`.
fn named(text: &str) -> Result<Entry, oci::ReferenceError> {
    let repository: Reference = text.trim_start_matches("docker://").parse()?;
    let tag = repository.digest().map(ToString::to_string).or(repository.tag_or_default().map(str::to_owned));
    Ok(Entry { which: Which::These(tag.into_iter().collect()), repository, settings: Settings::default() })
}

/// A repository of a registry. Docker Hub's own images are below `library`.
pub(crate) fn repository(host: &str, path: &str) -> Result<Reference, oci::ReferenceError> {
    format!("{host}/{path}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<String>, String> {
        let one = |entry: &Entry| {
            let which = match &entry.which {
                Which::All => "all".to_owned(),
                Which::These(these) => these.join(","),
                Which::Matching(regex) => format!("~{regex}"),
                Which::Semver(range) => format!("semver {range}"),
            };
            format!("{}/{} {which}", entry.repository.registry(), entry.repository.repository())
        };
        let entries = parse("list.yaml", text).map_err(|error| error.to_string())?;
        Ok(entries.iter().map(one).collect())
    }

    #[test]
    fn lists_are_read_as_people_write_them() {
        for text in [
            "- quay.io/a/b:1.10\n- nginx\n",
            "# ours\nquay.io/a/b:1.10\n\nnginx # the web server\n",
            "[quay.io/a/b:1.10, nginx]",
            "---\n- docker://quay.io/a/b:1.10\n- \"nginx\"\n",
        ] {
            let want = ["quay.io/a/b 1.10", "docker.io/library/nginx latest"];
            assert_eq!(shown(text).unwrap(), want, "{text}");
        }
        let digest = oci::Digest::of(b"x");
        assert_eq!(shown(&format!("quay.io/a/b:1@{digest}")).unwrap(), [format!("quay.io/a/b {digest}")]);
    }

    #[test]
    fn lists_by_registry_are_skopeos() {
        let text = "
docker.io:
  images:
    nginx: [1.10, 1e3, true, \"sha256:0123\"]
    redis: []
    busybox:
  images-by-tag-regex:
    alpine: ^3\\.1[89]$
  images-by-semver:
    team/app: \">= 1.2, < 2\"
hub.example:5000:
  tls-verify: false
  credentials: {username: me, password: hunter2}
  cert-dir: /certs
  images: {app: [v1]}
";
        let want = [
            "docker.io/library/busybox all",
            "docker.io/library/nginx 1.10,1e3,true,sha256:0123",
            "docker.io/library/redis all",
            "docker.io/library/alpine ~^3\\.1[89]$",
            "docker.io/team/app semver >= 1.2, < 2",
            "hub.example:5000/app v1",
        ];
        assert_eq!(shown(text).unwrap(), want);
        let entries = parse("list.yaml", text).unwrap();
        let settings = &entries[5].settings;
        assert_eq!((settings.tls_verify, settings.cert_dir.clone()), (Some(false), Some("/certs".into())));
        assert!(settings.credentials.is_some() && entries[0].settings.credentials.is_none());
    }

    #[test]
    fn what_is_no_list_is_refused_without_its_secrets() {
        for (text, part) in [
            ("", "no images"),
            ("# nothing\n", "no images"),
            ("- A B\n", "not an image name"),
            ("quay.io:\n  imagse: {a: [1]}\n", "line 2"),
            ("quay.io:\n  images: {}\n", "no images of quay.io"),
            ("quay.io:\n  images-by-tag-regex: {a: (}\n", "a:"),
            ("quay.io:\n  images-by-semver: {a: x y z}\n", "x y z"),
            ("quay.io:\n  credentials: {username: me, passwort: hunter2}\n", "no list"),
            ("quay.io:\n  credentials: hunter2\n", "no list"),
        ] {
            let error = shown(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
