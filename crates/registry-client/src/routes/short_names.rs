//! What a name without a registry stands for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci::{Reference, ReferenceError};
use serde::Deserialize;

use super::Conf;

/// The names that a text may stand for, in the order in which they are tried: one, if it names a registry or an alias
/// does; otherwise one for each registry that `registries.conf` says is to be searched, Docker Hub if it says none.
///
/// # Errors
/// When the text is no name.
pub(crate) fn candidates(conf: &Conf, written: &str) -> Result<Vec<Reference>, ReferenceError> {
    let plain: Reference = written.parse()?;
    let first = written.split(['/', '@']).next().unwrap_or_default();
    let has_registry = written.contains('/')
        && (first == "localhost" || first.contains(['.', ':', '[']) || first.bytes().any(|b| b.is_ascii_uppercase()));
    if has_registry {
        return Ok(vec![plain]);
    }
    let name = plain.familiar_name();
    let rest = written.strip_prefix(name).unwrap_or_default();
    if let Some(target) = conf.aliases.get(name).cloned().or_else(|| learned().remove(name)) {
        return Ok(vec![format!("{target}{rest}").parse()?]);
    }
    match conf.search.as_deref() {
        None | Some([]) => Ok(vec![plain]),
        Some(registries) => registries.iter().map(|registry| format!("{registry}/{written}").parse()).collect(),
    }
}

/// What podman has been told by its users. A file that cannot be read has nothing to say.
fn learned() -> BTreeMap<String, String> {
    #[derive(Default, Deserialize)]
    struct File {
        #[serde(default)]
        aliases: BTreeMap<String, String>,
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = match rustix::process::geteuid().is_root() {
        true => Some(PathBuf::from("/var/cache/containers")),
        false => variable("XDG_CACHE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
            .map(|cache| cache.join("containers")),
    };
    let text = cache.and_then(|cache| std::fs::read_to_string(cache.join("short-name-aliases.conf")).ok());
    text.and_then(|text| toml::from_str::<File>(&text).ok()).unwrap_or_default().aliases
}
