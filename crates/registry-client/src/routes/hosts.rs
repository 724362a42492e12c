//! `certs.d/HOST/hosts.toml` as containerd reads it: the mirrors of one registry.
//!
//! Source: containerd's docs/hosts.md.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::{Endpoint, Roles, Routes, Scheme, address, endpoint, host_of};
use crate::RegistryError;
use crate::http::{CONNECT, authority, is_loopback};
use crate::options::ClientOptions;
use crate::tls::{Tls, Trust, read_directory, unusable};

/// The file as written: the registry's own server, and hosts that are asked before it.
#[derive(Debug, Deserialize)]
struct File {
    server: Option<String>,
    #[serde(default)]
    host: toml::Table,
    #[serde(flatten)]
    own: Host,
}

#[derive(Debug, Default, Deserialize)]
struct Host {
    capabilities: Option<Vec<Capability>>,
    ca: Option<OneOrMore>,
    client: Option<toml::Value>,
    skip_verify: Option<bool>,
    header: Option<BTreeMap<String, OneOrMore>>,
    #[serde(default)]
    override_path: bool,
    dial_timeout: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Capability {
    Pull,
    Resolve,
    Push,
    Referrers,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(all) => all,
        }
    }
}

/// The routes of a repository by the first directory that has a file for its registry.
pub(super) fn routes(options: &ClientOptions, registry: &str, repository: &str) -> Result<Routes, RegistryError> {
    let own = endpoint(options, registry, repository, false)?;
    for directory in directories(options, registry) {
        let path = directory.join("hosts.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let place = Place { path: &path, directory: &directory, registry, options };
                return place.read(&text, own);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(unusable(&path, &error)),
        }
        // A directory of certificates only.
        let found = read_directory(&directory)?;
        if !found.authorities.is_empty() || found.client.is_some() {
            let mut own = own;
            own.trust.authorities.extend(found.authorities);
            own.trust.client = own.trust.client.or(found.client);
            return Ok(Routes { read: vec![own.clone()], write: own });
        }
    }
    Ok(Routes { read: vec![own.clone()], write: own })
}

/// `host:port` may be written `host_port_`, for file systems without colons.
fn directories(options: &ClientOptions, registry: &str) -> Vec<PathBuf> {
    let mut names = Vec::new();
    names.extend(registry.rsplit_once(':').map(|(host, port)| format!("{host}_{port}_")));
    names.push(registry.to_owned());
    names.push("_default".to_owned());
    let of = |base: &PathBuf| names.iter().map(|name| base.join(name)).collect::<Vec<_>>();
    options.hosts_dirs.iter().flat_map(of).collect()
}

struct Place<'a> {
    path: &'a Path,
    directory: &'a Path,
    registry: &'a str,
    options: &'a ClientOptions,
}

impl Place<'_> {
    fn read(&self, text: &str, plain: Endpoint) -> Result<Routes, RegistryError> {
        let wrong = |error: toml::de::Error| unusable(self.path, &error.to_string().trim_end());
        let file: File = toml::from_str(text).map_err(wrong)?;
        let mut read = Vec::new();
        let mut push = None;
        for (url, host) in file.host {
            let host: Host = host.try_into().map_err(wrong)?;
            let end = self.host(&url, &host, &plain)?;
            // Only a host that says so is written to.
            if push.is_none() && host.capabilities.iter().flatten().any(|can| *can == Capability::Push) {
                push = Some(end.clone());
            }
            if end.roles.pull || end.roles.resolve {
                read.push(end);
            }
        }
        let server = match file.server.filter(|server| !server.is_empty()) {
            Some(server) => Endpoint { roles: Roles::ALL, own: true, ..self.host(&server, &file.own, &plain)? },
            None => plain,
        };
        read.push(server.clone());
        Ok(Routes { read, write: push.unwrap_or(server) })
    }

    fn host(&self, url: &str, host: &Host, plain: &Endpoint) -> Result<Endpoint, RegistryError> {
        let wrong = |reason: String| unusable(self.path, &format!("`{url}`: {reason}"));
        let text = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let parsed = Url::parse(&text).map_err(|error| wrong(error.to_string()))?;
        let scheme = match parsed.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            other => return Err(wrong(format!("`{other}` is not spoken here"))),
        };
        let name = authority(&parsed);
        let is_own = name == address(self.registry) || name == self.registry;
        let path = parsed.path().trim_end_matches('/');
        let path = match host.override_path {
            true => format!("{path}/"),
            false => format!("{}/v2/", path.strip_suffix("/v2").unwrap_or(path)),
        };
        let can = |capability| host.capabilities.as_ref().is_none_or(|all| all.contains(&capability));
        let headers = host.header.iter().flatten().map(|(name, value)| (name.to_lowercase(), value.all().join(", ")));
        let trust = self.trust(host, if is_own { plain.trust.clone() } else { Trust::default() }).map_err(wrong)?;
        Ok(Endpoint {
            // A server of this machine needs no certificate, whichever way it was named.
            scheme: if !url.contains("://") && is_loopback(host_of(&name)) { Scheme::Either } else { scheme },
            login: if is_own { self.registry.to_owned() } else { name.clone() },
            namespace: (!is_own).then(|| self.registry.to_owned()),
            host: name,
            path,
            repository: plain.repository.clone(),
            headers: headers.collect(),
            trust,
            connect: match &host.dial_timeout {
                Some(text) => duration(text).ok_or_else(|| wrong(format!("`{text}` is not a duration")))?,
                None => CONNECT,
            },
            roles: Roles {
                pull: can(Capability::Pull),
                resolve: can(Capability::Resolve),
                push: host.capabilities.iter().flatten().any(|can| *can == Capability::Push),
            },
            own: false,
        })
    }

    fn trust(&self, host: &Host, mut trust: Trust) -> Result<Trust, String> {
        let at = |text: &String| self.directory.join(text);
        trust.authorities.extend(host.ca.iter().flat_map(OneOrMore::all).map(at));
        if let Some(client) = &host.client {
            trust.client = Some(self.client(client).ok_or("`client` is neither a file nor pairs of files")?);
        }
        let skips = host.skip_verify.unwrap_or(false) || self.options.tls == Tls::Skip;
        trust.tls = if skips { Tls::Skip } else { Tls::Verify };
        Ok(trust)
    }

    /// A file with both, a pair, or a list of either; the first counts.
    fn client(&self, value: &toml::Value) -> Option<(PathBuf, PathBuf)> {
        let at = |value: &toml::Value| value.as_str().map(|text| self.directory.join(text));
        match value {
            toml::Value::String(_) => at(value).map(|both| (both.clone(), both)),
            toml::Value::Array(list) => match list.first()? {
                toml::Value::Array(pair) => match &pair[..] {
                    [both] => self.client(both),
                    [certificate, key, ..] if key.as_str().is_some_and(|key| !key.is_empty()) => {
                        Some((at(certificate)?, at(key)?))
                    }
                    [both, ..] => self.client(both),
                    [] => None,
                },
                both => self.client(both),
            },
            _ => None,
        }
    }
}

/// Go's way to write durations, as far as time-outs need it: `500ms`, `1s`, `1.5s`, `2m`.
fn duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    number.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
}
