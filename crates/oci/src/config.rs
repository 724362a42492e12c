//! The configuration of an image: what to run, with which environment, on which layers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{DiffId, Platform, Raw};

/// An image configuration. Fields that are not named here are kept in `extra`, so that an image built on a base loses
/// none of what other tools wrote there.
///
/// Source: OCI image specification, config.md, and Docker's additions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When the image was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The processor architecture, in Go's names.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, in Go's names.
    #[serde(default)]
    pub os: String,
    /// The variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The version of the operating system (Windows).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// What to run and how.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RuntimeConfig,
    /// The layers, by their uncompressed digests.
    #[serde(default)]
    pub rootfs: RootFs,
    /// How the image came about, oldest first.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Whatever else the document holds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The execution parameters of an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RuntimeConfig {
    /// User or uid, with or without group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp` and the like, as a set.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `NAME=value`, in order.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What runs first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// What runs, or the arguments of the entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that are volumes, as a set.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Value>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels; sorted.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Docker: how to see that a container is well. Durations are nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Docker: instructions that run in images built on this one.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Docker: the shell of shell-form instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Whatever else the document holds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Docker's health check. All durations are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between checks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Time after which a check counts as failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time in which failures do not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between checks in the start period.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make a container unhealthy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The layers of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The uncompressed digests, lowest layer first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// One step of how an image came about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the step made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// Whatever else the document holds.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(de: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(de)?.unwrap_or_default())
}

/// Why bytes are not an image configuration.
#[derive(Debug, thiserror::Error)]
#[error("the image configuration is not valid: {0}")]
pub struct ConfigError(#[from] serde_json::Error);

impl ImageConfig {
    /// Reads a configuration and keeps its bytes.
    ///
    /// # Errors
    /// When the bytes are not an image configuration.
    pub fn parse(bytes: Vec<u8>) -> Result<Raw<Self>, ConfigError> {
        Ok(Raw::parse(bytes)?)
    }

    /// The platform the image is for.
    pub fn platform(&self) -> Platform {
        let mut platform = Platform::new(&self.os, &self.architecture, self.variant.as_deref());
        platform.os_version.clone_from(&self.os_version);
        platform
    }

    /// Makes the image one for `platform`.
    pub fn set_platform(&mut self, platform: &Platform) {
        self.os.clone_from(&platform.os);
        self.architecture.clone_from(&platform.architecture);
        self.variant.clone_from(&platform.variant);
        self.os_version.clone_from(&platform.os_version);
    }

    /// The value of an environment variable of the image; the last one wins.
    pub fn env(&self, name: &str) -> Option<&str> {
        let value = |entry: &'_ String| entry.split_once('=').is_some_and(|(key, _)| key == name);
        let entry = self.config.env.iter().rev().find(|entry| value(entry))?;
        entry.split_once('=').map(|(_, value)| value)
    }

    /// Sets an environment variable, in its old place if it has one.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let line = format!("{name}={value}");
        match self.config.env.iter_mut().find(|entry| entry.split_once('=').is_some_and(|(key, _)| key == name)) {
            Some(entry) => *entry = line,
            None => self.config.env.push(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_other_tools_survive() {
        let text =
            br#"{"architecture":"amd64","config":{"Cmd":["a"],"ArgsEscaped":true,"Healthcheck":{"Test":["NONE"]}},
            "container":"x","docker_version":"20","history":null,"moby.buildkit.cache.v0":"e30=","os":"linux",
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let raw = ImageConfig::parse(text.to_vec()).unwrap();
        let again: Value = serde_json::to_value(raw.value()).unwrap();
        assert_eq!(again["config"]["ArgsEscaped"], true);
        assert_eq!(again["config"]["Healthcheck"]["Test"][0], "NONE");
        assert_eq!(again["docker_version"], "20");
        assert_eq!(again["moby.buildkit.cache.v0"], "e30=");
        assert_eq!(raw.bytes(), text);
    }

    #[test]
    fn writing_a_configuration_twice_gives_the_same_bytes() {
        let mut config = ImageConfig::default();
        for n in 0..40 {
            config.config.labels.insert(format!("label-{n}"), n.to_string());
            config.config.exposed_ports.insert(format!("{n}/tcp"), Value::Object(Map::new()));
        }
        assert_eq!(Raw::write(config.clone()).unwrap().digest(), Raw::write(config).unwrap().digest());
    }

    #[test]
    fn environment_keeps_its_order() {
        let mut config = ImageConfig::default();
        for (name, value) in [("A", "1"), ("B", "2"), ("A", "3=4")] {
            config.set_env(name, value);
        }
        assert_eq!(config.config.env, ["A=3=4", "B=2"]);
        assert_eq!(config.env("A"), Some("3=4"));
        assert_eq!(config.env("C"), None);
    }
}
