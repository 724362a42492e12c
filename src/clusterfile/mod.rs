//! YAML text -> [`Clusterfile`]: the cluster that is wanted, with every document of the file.
//!
//! ```text
//! text ─ render (values, env) ─ split ─▶ documents ─ check (schema) ─ read ─▶ Cluster, Status, Config, others
//!                                                                     write ─▶ text as it is stored
//! ```
//!
//! Invariants: pure; errors and notes name the line of the file; a text is rendered as a template at most once, by whoever
//! has it from its user, and never when it was stored; what is stored has every document that was read, word for word
//! where it is not the `Cluster` document, and no secret in clear.
//!
//! What it does not do: read files, open or make sealed secrets (its callers hand in how), look images up.

mod change;
mod document;
mod error;
mod node;
mod read;
mod schema;
mod values;
mod write;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::cluster::{Cluster, Environment};
use crate::template::{CallError, Engine, Mode, Template, Value};

pub use change::{ChangeError, change};
pub use error::{ClusterfileError, Note};
pub use schema::json_schema;
pub use values::Values;
pub use write::generate;

/// The version of the documents that are ours.
pub const API: &str = "apps.sealos.io/v1beta1";
/// How a sealed secret begins.
pub const SEALED: &str = "sealed:";

/// A document as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentText {
    /// Word for word, without the markers between documents.
    pub text: String,
    /// The line of the file that it begins on, from 1.
    pub line: u64,
}

/// How the last change of the cluster ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// All was done.
    #[serde(rename = "ClusterSuccess")]
    Success,
    /// Something failed, and the cluster is between two states.
    #[serde(rename = "ClusterFailed")]
    Failed,
    /// It has not ended, or was killed.
    #[serde(rename = "ClusterInProcess")]
    InProcess,
}

/// An image that is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// Its name in the cluster.
    pub name: String,
    /// What it is: rootfs, patch, application.
    #[serde(rename = "type")]
    pub kind: String,
    /// The image as the cluster's list has it.
    pub image_name: String,
    /// The digest of its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// The directory of its files on the hosts.
    #[serde(default)]
    pub mount_point: String,
    /// `NAME=VALUE` that the command line gave, values sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Commands in the place of CMD that the command line gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// What was made of the cluster so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How the last change ended; none for a cluster that was never made.
    pub phase: Option<Phase>,
    /// When the cluster was made, as text.
    pub created: Option<String>,
    /// What is installed.
    pub mounts: Vec<Installed>,
    /// Counts the changes of the stored file.
    pub revision: u64,
}

/// A Clusterfile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clusterfile {
    /// The cluster that is wanted.
    pub cluster: Cluster,
    /// What was made of it so far.
    pub status: Status,
    /// What its writer should know.
    pub notes: Vec<Note>,
    /// The `Cluster` document as it was read, with fields that mean nothing to us.
    tree: Json,
    /// The other documents, in the order of the file.
    others: Vec<DocumentText>,
}

/// Opens a sealed secret; none if it was sealed elsewhere.
pub type Open<'a> = dyn Fn(&str) -> Option<String> + 'a;
/// Seals a secret.
pub type Seal<'a> = dyn Fn(&str) -> String + 'a;

impl Clusterfile {
    /// Reads the text of a Clusterfile that is no template (any more).
    ///
    /// # Errors
    /// When it is not valid; the error names the line.
    pub fn parse(text: &str, open: &Open<'_>) -> Result<Self, ClusterfileError> {
        read::read(text, open)
    }

    /// The documents of a kind, as JSON: what others (kubeadm) are told.
    ///
    /// # Errors
    /// When one is no valid YAML any more, which parsing would have refused.
    pub fn documents(&self, kind: &str) -> Result<Vec<Json>, ClusterfileError> {
        let mut found = Vec::new();
        for text in &self.others {
            let document = document::Document::parse(text.clone())?;
            if document.kind == kind {
                found.push(document.node.to_json());
            }
        }
        Ok(found)
    }

    /// Adds the documents of another text (`--config-file`); a `Cluster` among them is refused.
    ///
    /// # Errors
    /// As [`Clusterfile::parse`].
    pub fn extend(&mut self, text: &str) -> Result<(), ClusterfileError> {
        read::extend(self, text)
    }
}

/// Renders a Clusterfile's text as its user wrote it: `.Values` are the values, `env` and `expandenv` see `environment`.
///
/// # Errors
/// When a template is wrong or something that it needs is missing.
pub fn render(name: &str, text: &str, values: &Values, environment: &Environment) -> Result<String, ClusterfileError> {
    let mut engine = Engine::new(Mode::Strict);
    let known = environment.clone();
    engine.function("env", move |arguments| match arguments {
        [name] => Ok(Value::string(name.as_str().and_then(|name| known.get(name)).unwrap_or_default())),
        _ => Err(CallError::ArgumentCount { want: "1".to_owned(), got: arguments.len() }),
    });
    let known = environment.clone();
    engine.function("expandenv", move |arguments| match arguments {
        [text] => Ok(Value::from(values::expand(text.as_str().unwrap_or_default(), &known))),
        _ => Err(CallError::ArgumentCount { want: "1".to_owned(), got: arguments.len() }),
    });
    let template = Template::parse(name, text).map_err(ClusterfileError::Template)?;
    engine.render(&template, &values.data()).map_err(ClusterfileError::Template)
}
