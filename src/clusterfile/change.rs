//! What a `Config` document makes of a file. The file is always the image's own, so that applying twice is applying once.

use serde_json::{Map, Value as Json};

use crate::cluster::{FileChange, Strategy};
use crate::clusterfile::document::split;
use crate::clusterfile::node::Node;
use crate::clusterfile::{ClusterfileError, DocumentText};

/// Why a file cannot be changed so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// One side of a merge is no YAML.
    #[error("the Config `{config}` cannot be merged into `{path}`: {side} is no valid YAML")]
    Yaml {
        /// The document.
        config: String,
        /// The file.
        path: String,
        /// Which side.
        side: &'static str,
        /// Why.
        source: ClusterfileError,
    },
    /// A map meets something else.
    #[error("the Config `{config}` cannot be merged into `{path}`: `{key}` is a map on one side only")]
    Kinds {
        /// The document.
        config: String,
        /// The file.
        path: String,
        /// The key, by its path.
        key: String,
    },
    /// A document that cannot be written as YAML.
    #[error("the Config `{config}` cannot be written: {reason}")]
    Write {
        /// The document.
        config: String,
        /// Why.
        reason: String,
    },
}

/// The file's text after the change; `original` is the image's own, if it has the file.
///
/// # Errors
/// When a merge is not possible.
pub fn change(original: Option<&str>, change: &FileChange) -> Result<String, ChangeError> {
    let FileChange { data, strategy, .. } = change;
    match (strategy, original) {
        (Strategy::Override, _) | (Strategy::Insert | Strategy::Append, None) => Ok(data.clone()),
        (Strategy::Insert, Some(original)) => Ok(format!("{data}\n{original}")),
        (Strategy::Append, Some(original)) => Ok(format!("{original}\n{data}")),
        (Strategy::Merge, original) => merge(original.unwrap_or_default(), change),
    }
}

fn merge(original: &str, change: &FileChange) -> Result<String, ChangeError> {
    let parse = |text: &DocumentText, side| {
        let node = Node::parse(&text.text, text.line);
        node.map(|node| node.to_json()).map_err(|source| ChangeError::Yaml {
            config: change.name.clone(),
            path: change.path.clone(),
            side,
            source,
        })
    };
    let data = DocumentText { text: change.data.clone(), line: 1 };
    let patch = match parse(&data, "its data")? {
        Json::Null => Json::Object(Map::new()),
        patch => patch,
    };
    let mut documents = Vec::new();
    for document in split(original) {
        documents.push(parse(&document, "the file")?);
    }
    if documents.is_empty() {
        documents.push(Json::Object(Map::new()));
    }
    let mut texts = Vec::new();
    for mut document in documents {
        overlay(&mut document, &patch, "", change)?;
        let text = serde_saphyr::to_string(&document)
            .map_err(|error| ChangeError::Write { config: change.name.clone(), reason: error.to_string() })?;
        texts.push(text);
    }
    Ok(texts.join("---\n"))
}

/// Maps are merged, all else replaces what is there.
fn overlay(at: &mut Json, patch: &Json, key: &str, change: &FileChange) -> Result<(), ChangeError> {
    match (at, patch) {
        (Json::Object(map), Json::Object(patch)) => {
            for (name, value) in patch {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                match map.get_mut(name) {
                    Some(old) => overlay(old, value, &key, change)?,
                    None => drop(map.insert(name.clone(), value.clone())),
                }
            }
            Ok(())
        }
        (at, patch) if (at.is_object() || patch.is_object()) && !at.is_null() && !patch.is_null() => {
            let key = if key.is_empty() { "the document".to_owned() } else { key.to_owned() };
            Err(ChangeError::Kinds { config: change.name.clone(), path: change.path.clone(), key })
        }
        (at, patch) => {
            *at = patch.clone();
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(original: Option<&str>, data: &str, strategy: Strategy) -> Result<String, String> {
        let change = FileChange { name: "c".into(), image: None, path: "f".into(), data: data.into(), strategy };
        super::change(original, &change).map_err(|error| error.to_string())
    }

    #[test]
    fn text_meets_a_file_by_four_strategies() {
        use Strategy::{Append, Insert, Merge, Override};
        for (strategy, original, data, want) in [
            (Override, Some("old"), "new", "new"),
            (Override, None, "new", "new"),
            (Insert, Some("old"), "new", "new\nold"),
            (Append, Some("old"), "new", "old\nnew"),
            (Append, None, "new", "new"),
            (Merge, Some("a: 1\nb: {c: [1], d: x}\n"), "b: {c: [2]}\ne: 3\n", "a: 1\nb:\n  c:\n  - 2\n  d: x\ne: 3\n"),
            (Merge, Some("a: 1\n---\na: 2\n"), "a: 3\nb: ''\n", "a: 3\nb: ''\n---\na: 3\nb: ''\n"),
            (Merge, Some("a: {b: 1}\n"), "a: null\n", "a: null\n"),
            (Merge, None, "a: 1\n", "a: 1\n"),
            (Merge, Some("a: 1\n"), "", "a: 1\n"),
            (Merge, Some("a: 'yes'\n"), "b: '012'\n", "a: 'yes'\nb: '012'\n"),
        ] {
            let got = changed(original, data, strategy).unwrap().replace('"', "'");
            assert_eq!(got, want, "{strategy:?} {original:?} {data:?}");
        }
    }

    #[test]
    fn what_cannot_be_merged_is_refused() {
        for (original, data, want) in [
            ("a: {b: 1}\n", "a: {b: {c: 1}}\n", "`a.b` is a map on one side only"),
            ("- 1\n", "a: 1\n", "`the document` is a map on one side only"),
            ("a: [\n", "a: 1\n", "the file is no valid YAML"),
            ("a: 1\n", "a: [\n", "its data is no valid YAML"),
        ] {
            let error = changed(Some(original), data, Strategy::Merge).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }
}
