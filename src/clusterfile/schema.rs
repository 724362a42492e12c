//! The fields of the documents that are ours: one table, from which reading and the JSON Schema are made.

use serde_json::{Value as Json, json};

use crate::clusterfile::node::{Node, Value};
use crate::clusterfile::{ClusterfileError, Note};
use crate::template::nearest;

/// What a field holds.
pub(super) enum Kind {
    Text,
    /// One of these words, or nothing.
    Word(&'static [&'static str]),
    Port,
    Texts,
    Map(&'static [Field]),
    Maps(&'static [Field]),
    /// Names and texts of any name.
    Labels,
    /// What others write there is theirs.
    Any,
}

/// A field of a document.
pub(super) struct Field {
    name: &'static str,
    kind: Kind,
    about: &'static str,
}

const fn field(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, about }
}

const SSH: &[Field] = &[
    field("user", Kind::Text, "the user to log in as; root when nothing is said"),
    field("passwd", Kind::Text, "the user's password, also for sudo"),
    field("pk", Kind::Text, "the file of a private key"),
    field("pkName", Kind::Text, "a name for the key"),
    field("pkData", Kind::Text, "a private key itself"),
    field("pkPasswd", Kind::Text, "what decrypts the private key"),
    field("port", Kind::Port, "the port of hosts whose address has none; 22 when nothing is said"),
];

const HOST: &[Field] = &[
    field("ips", Kind::Texts, "addresses: IP, IP:PORT, range, network, host name, [IPv6]:PORT"),
    field("roles", Kind::Texts, "master, node, registry, an architecture, or words of your own"),
    field("env", Kind::Texts, "NAME=VALUE, over spec.env on these hosts"),
    field("ssh", Kind::Map(SSH), "how these hosts are reached, over spec.ssh"),
];

const SPEC: &[Field] = &[
    field("image", Kind::Texts, "cluster images, in the order in which they are installed"),
    field("ssh", Kind::Map(SSH), "how hosts are reached"),
    field("hosts", Kind::Maps(HOST), "the hosts; the first one with the role master installs applications"),
    field("env", Kind::Texts, "NAME=VALUE, over the environment of the images"),
    field("command", Kind::Texts, "commands in the place of the CMD of the first image that is installed"),
];

const METADATA: &[Field] = &[
    field("name", Kind::Text, "the cluster's name"),
    field("creationTimestamp", Kind::Any, "when the cluster was made"),
    field("deletionTimestamp", Kind::Any, "when the cluster was reset"),
    field("namespace", Kind::Any, "means nothing here"),
    field("labels", Kind::Labels, "your own"),
    field("annotations", Kind::Labels, "your own"),
    field("resourceVersion", Kind::Any, "means nothing here"),
    field("uid", Kind::Any, "means nothing here"),
    field("generation", Kind::Any, "means nothing here"),
];

const MOUNT: &[Field] = &[
    field("name", Kind::Text, "the name of the image in the cluster"),
    field("type", Kind::Text, "rootfs, patch or application"),
    field("imageName", Kind::Text, "the image as spec.image has it"),
    field("imageDigest", Kind::Text, "the digest of the image that is installed"),
    field("mountPoint", Kind::Text, "the directory of its files on the hosts"),
    field("env", Kind::Any, "the environment that the command line gave it; sealed"),
    field("commands", Kind::Texts, "the commands that the command line gave it in the place of its CMD"),
    field("labels", Kind::Any, "means nothing here"),
    field("cmd", Kind::Any, "means nothing here"),
    field("entrypoint", Kind::Any, "means nothing here"),
];

const STATUS: &[Field] = &[
    field("phase", Kind::Text, "ClusterSuccess, ClusterFailed or ClusterInProcess"),
    field("mounts", Kind::Maps(MOUNT), "the images that are installed"),
    field("conditions", Kind::Any, "how the last change of the cluster ended"),
    field("commandCondition", Kind::Any, "how the last commands of images ended"),
    field("revision", Kind::Any, "counts the changes of this file"),
];

/// The `Cluster` document.
pub(super) const CLUSTER: &[Field] = &[
    field("apiVersion", Kind::Text, "apps.sealos.io/v1beta1"),
    field("kind", Kind::Text, "Cluster"),
    field("metadata", Kind::Map(METADATA), "its name and labels"),
    field("spec", Kind::Map(SPEC), "the cluster that is wanted"),
    field("status", Kind::Map(STATUS), "written by sealos"),
];

/// The words of `strategy`.
pub(super) const STRATEGIES: [&str; 4] = ["override", "merge", "insert", "append"];

const CHANGE: &[Field] = &[
    field("match", Kind::Text, "the image, as spec.image has it; every image when nothing is said"),
    field("path", Kind::Text, "the file, by its path in the image"),
    field("data", Kind::Text, "the text"),
    field("strategy", Kind::Word(&STRATEGIES), "what happens with the text; override when nothing is said"),
];

/// A `Config` document.
pub(super) const CONFIG: &[Field] = &[
    field("apiVersion", Kind::Text, "apps.sealos.io/v1beta1"),
    field("kind", Kind::Text, "Config"),
    field("metadata", Kind::Map(METADATA), "its name: of two documents with one name the later one counts"),
    field("spec", Kind::Map(CHANGE), "the change of a file"),
];

/// Compares a document with the fields it may have: notes about unknown ones, an error for a wrong kind.
pub(super) fn check(node: &Node, fields: &'static [Field]) -> Result<Vec<Note>, ClusterfileError> {
    let mut notes = Vec::new();
    check_map(node, fields, "", &mut notes)?;
    Ok(notes)
}

fn check_map(node: &Node, fields: &'static [Field], path: &str, notes: &mut Vec<Note>) -> Result<(), ClusterfileError> {
    let Value::Map(entries) = &node.value else { return wrong(node, path, "a map") };
    for (key, value) in entries {
        let name = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
        match fields.iter().find(|field| field.name == key.text) {
            Some(field) => check_field(value, &field.kind, &name, notes)?,
            None => notes.push(Note::UnknownField {
                line: key.line,
                similar: nearest(&key.text, fields.iter().map(|field| field.name)),
                path: name,
            }),
        }
    }
    Ok(())
}

fn check_field(node: &Node, kind: &'static Kind, path: &str, notes: &mut Vec<Note>) -> Result<(), ClusterfileError> {
    if node.is_null() {
        return Ok(());
    }
    match kind {
        Kind::Any => Ok(()),
        Kind::Text => check_text(node, path),
        Kind::Word(words) => match node.text() {
            Some(text) if text.is_empty() || words.contains(&text.as_str()) => Ok(()),
            _ => wrong(node, path, &format!("one of {}", words.join(", "))),
        },
        Kind::Port => match node.text().and_then(|text| text.parse::<u16>().ok()) {
            Some(_) => Ok(()),
            None => wrong(node, path, "a port number"),
        },
        Kind::Texts => {
            let Value::List(items) = &node.value else { return wrong(node, path, "a list of texts") };
            items.iter().zip(0..).try_for_each(|(item, number)| check_text(item, &format!("{path}[{number}]")))
        }
        Kind::Map(fields) => check_map(node, fields, path, notes),
        Kind::Maps(fields) => {
            let Value::List(items) = &node.value else { return wrong(node, path, "a list") };
            items
                .iter()
                .zip(0..)
                .try_for_each(|(item, number)| check_map(item, fields, &format!("{path}[{number}]"), notes))
        }
        Kind::Labels => {
            let Value::Map(entries) = &node.value else { return wrong(node, path, "a map") };
            entries.iter().try_for_each(|(key, item)| check_text(item, &format!("{path}.{}", key.text)))
        }
    }
}

fn check_text(node: &Node, path: &str) -> Result<(), ClusterfileError> {
    match &node.value {
        Value::Text(_) => Ok(()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Ok(()),
        // 1e3 and 1.10 are other texts than the numbers they are.
        Value::Number(_) | Value::Bool(_) => wrong(node, path, "a text; put it in quotes"),
        _ => wrong(node, path, "a text"),
    }
}

fn wrong(node: &Node, path: &str, expected: &str) -> Result<(), ClusterfileError> {
    let path = if path.is_empty() { "the document".to_owned() } else { path.to_owned() };
    Err(ClusterfileError::WrongKind { line: node.line, path, expected: expected.to_owned() })
}

/// The JSON Schema (draft 2020-12) of a Clusterfile's own documents.
pub fn json_schema() -> Json {
    let document = |kind: &str, fields| {
        let mut schema = object(fields);
        schema["properties"]["kind"] = json!({ "const": kind });
        schema["properties"]["apiVersion"] = json!({ "const": super::API });
        schema["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
        schema["title"] = json!(kind);
        schema
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Clusterfile",
        "description": "One document of a Clusterfile. Documents of other kinds (kubeadm's, k3s's) are kept as they are.",
        "oneOf": [document("Cluster", CLUSTER), document("Config", CONFIG)],
    })
}

fn object(fields: &[Field]) -> Json {
    let properties = fields.iter().map(|field| {
        let mut schema = kind_schema(&field.kind);
        schema["description"] = json!(field.about);
        (field.name.to_owned(), schema)
    });
    json!({ "type": "object", "additionalProperties": false, "properties": properties.collect::<serde_json::Map<_, _>>() })
}

fn kind_schema(kind: &Kind) -> Json {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Port => json!({ "type": "integer", "minimum": 0, "maximum": 65535 }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Map(fields) => object(fields),
        Kind::Maps(fields) => json!({ "type": "array", "items": object(fields) }),
        Kind::Labels => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Any => json!({}),
    }
}
