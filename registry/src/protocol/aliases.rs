//! The names that an image can be asked for by.
//!
//! ```text
//! a/b?ns=H     H/a/b, then a/b
//! H/a/b        as it is, then a/b
//! a/b          as it is, then docker.io/a/b, then the other hosts by name (and a warning if there are several); at
//!              last docker.io/a/b although it is not in the list: the registry behind this one may have it
//! a            the same, then library/a in all these ways: what everybody calls `a` is carried under that name
//! ```
//!
//! Existing images hold names without hosts; images that were carried hold names with them. A name that was not asked
//! for literally is looked up only if whoever asks may pull it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Context, Fault};
use crate::backend::{Backend, BackendError, Origin};
use crate::gate::{Action, Need};
use crate::http::{Head, Response};
use crate::names::Name;

/// Where the default host keeps what has a name without a slash.
const OFFICIAL: &str = "library";
/// The host that goes before the others.
const DEFAULT_HOST: &str = "docker.io";
/// How old the list of repositories may be; longer where making it takes long.
const FRESH: Duration = Duration::from_secs(1);
/// The list may be so many times older than making it takes.
const COST: u32 = 20;

/// Which repositories have the same path on different hosts.
#[derive(Default)]
pub(crate) struct Aliases(Mutex<Option<Known>>);

struct Known {
    until: Instant,
    by_path: Arc<HashMap<String, Vec<Name>>>,
}

/// What was found, and under which name.
pub(crate) struct Found<T> {
    pub(crate) value: T,
    namespace: Option<String>,
    warning: Option<String>,
}

impl<T> Found<T> {
    /// Says in the response what the name had to do with it.
    pub(crate) fn note(&self, response: &mut Response) {
        if let Some(namespace) = &self.namespace {
            response.add("OCI-Namespace", namespace);
        }
        if let Some(warning) = &self.warning {
            response.add("Warning", format_args!("299 - \"{warning}\""));
        }
    }
}

impl Aliases {
    /// The repositories with a host whose path this is: docker.io's first, then by name.
    fn with_path(&self, backend: &dyn Backend, path: &str) -> Result<Vec<Name>, BackendError> {
        let now = Instant::now();
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|known| (known.until > now).then(|| Arc::clone(&known.by_path)));
        let by_path = match known {
            Some(by_path) => by_path,
            None => {
                let by_path = Arc::new(by_path(&backend.repositories()?));
                let until = Instant::now() + FRESH.max(now.elapsed() * COST);
                let fresh = Known { until, by_path: Arc::clone(&by_path) };
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
                by_path
            }
        };
        Ok(by_path.get(path).cloned().unwrap_or_default())
    }
}

fn by_path(repositories: &[Name]) -> HashMap<String, Vec<Name>> {
    let mut by_path: HashMap<String, Vec<Name>> = HashMap::new();
    for name in repositories {
        if let Some((_, path)) = host_and_path(name.as_str()) {
            by_path.entry(path.to_owned()).or_default().push(name.clone());
        }
    }
    for names in by_path.values_mut() {
        names.sort_by_key(|name| (!name.as_str().starts_with("docker.io/"), name.clone()));
    }
    by_path
}

/// Splits a name whose first component is a host.
pub(crate) fn host_and_path(name: &str) -> Option<(&str, &str)> {
    let has_port = |host: &str| {
        host.rsplit_once('_').is_some_and(|(_, port)| port.len() > 1 && port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    name.split_once('/').filter(|(host, _)| host.contains('.') || *host == "localhost" || has_port(host))
}

/// A host as the first component of a name, which has no colon: `host_5000` for `host:5000`.
pub(crate) fn component(host: &str) -> String {
    let host = if host == "registry-1.docker.io" || host == "index.docker.io" { DEFAULT_HOST } else { host };
    host.to_ascii_lowercase().replace(':', "_")
}

impl Origin {
    /// Says it in a response.
    pub(crate) fn note(&self, response: &mut Response) {
        let (host, said, why) = match self {
            Self::Fetched(host) => return response.add("X-Sealos-Origin", format_args!("upstream {host}")),
            Self::Unanswered(host) => (host, "does not answer", "this is what was here"),
            Self::Withdrawn(host) => (host, "does not have this any more", "this is what was here"),
        };
        response.add("X-Sealos-Origin", format_args!("cache of {host}"));
        response.add("Warning", format_args!("299 - \"{host} {said}; {why}\""));
    }
}

/// Looks something up under all names that may be meant. That a registry behind this one does not answer counts only
/// when none of them is here.
pub(crate) fn find<T>(
    context: &Context<'_>,
    head: &Head<'_>,
    name: &Name,
    mut look: impl FnMut(&Name) -> Result<Option<T>, BackendError>,
) -> Result<Option<Found<T>>, Fault> {
    let mut unanswered = None;
    let mut look = |name: &Name| match look(name) {
        Err(error @ BackendError::Upstream { .. }) => {
            unanswered = Some(error);
            Ok(None)
        }
        found => found,
    };
    let mut found = search(context, head, name, name, &mut look)?;
    if found.is_none()
        && !name.as_str().contains('/')
        && let Ok(official) = format!("{OFFICIAL}/{name}").parse::<Name>()
    {
        found = search(context, head, name, &official, &mut look)?;
    }
    match (found, unanswered) {
        (None, Some(error)) => Err(error.into()),
        (found, _) => Ok(found),
    }
}

fn search<T>(
    context: &Context<'_>,
    head: &Head<'_>,
    asked: &Name,
    name: &Name,
    look: &mut dyn FnMut(&Name) -> Result<Option<T>, BackendError>,
) -> Result<Option<Found<T>>, Fault> {
    let Context { registry, identity } = context;
    let may = |candidate: &Name| {
        let asked = candidate == asked;
        let candidate = candidate.as_str();
        let need = Need::Repository { name: candidate, action: Action::Pull };
        registry.access.may(identity, if asked { need } else { Need::Alias { name: candidate } })
    };
    let mut look_up = |candidate: &Name| if may(candidate) { look(candidate) } else { Ok(None) };
    let namespace = head.query.get("ns").filter(|namespace| !namespace.is_empty());
    if let Some(namespace) = namespace {
        let full = format!("{}/{name}", component(&namespace)).parse::<Name>().ok();
        let namespace = Some(namespace.into_owned());
        for candidate in full.iter().chain([name]) {
            if let Some(value) = look_up(candidate)? {
                return Ok(Some(Found { value, namespace, warning: None }));
            }
        }
        return Ok(None);
    }
    let plain = |value| Some(Found { value, namespace: None, warning: None });
    if let Some((_, path)) = host_and_path(name.as_str()) {
        if let Some(value) = look_up(name)? {
            return Ok(plain(value));
        }
        let path = path.parse::<Name>().ok();
        return Ok(path.map(|path| look_up(&path)).transpose()?.flatten().and_then(plain));
    }
    let direct = look_up(name)?;
    let mut others = registry.aliases.with_path(&*registry.backend, name.as_str())?;
    // What somebody may not see is not told them in a warning either.
    others.retain(may);
    if let Some(value) = direct {
        let warning = (!others.is_empty()).then(|| warning(name, name, &others));
        return Ok(Some(Found { value, namespace: None, warning }));
    }
    for candidate in &others {
        if let Some(value) = look_up(candidate)? {
            let warning = (others.len() > 1).then(|| warning(name, candidate, &others));
            return Ok(Some(Found { value, namespace: None, warning }));
        }
    }
    let default = format!("{DEFAULT_HOST}/{name}").parse::<Name>().ok().filter(|default| !others.contains(default));
    Ok(default.map(|default| look_up(&default)).transpose()?.flatten().and_then(plain))
}

fn warning(asked: &Name, taken: &Name, others: &[Name]) -> String {
    let others: Vec<&str> = others.iter().filter(|name| *name != taken).take(8).map(Name::as_str).collect();
    format!("{asked} was answered with {taken}; there is also {}", others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_host_goes_first() {
        let names: Vec<Name> =
            ["a.example/x/y", "docker.io/x/y", "x/y", "localhost/z", "quay.io/x/y"].map(|n| n.parse().unwrap()).into();
        let found = by_path(&names);
        let of = |path: &str| found.get(path).map(|n| n.iter().map(Name::as_str).collect::<Vec<_>>());
        assert_eq!(of("x/y"), Some(vec!["docker.io/x/y", "a.example/x/y", "quay.io/x/y"]));
        assert_eq!(of("z"), Some(vec!["localhost/z"]));
        assert_eq!(of("y"), None);
        assert_eq!(component("Hub.Example:5000"), "hub.example_5000");
        assert_eq!(component("registry-1.docker.io"), "docker.io");
    }
}
