//! Texts in config maps, secrets and custom resources that hold manifests or configuration.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::found::From;
use super::super::glob;
use super::super::rules::Rule;
use super::super::text::{definite, unquoted, without_comment};
use super::super::yaml::{self, Node};
use super::{Object, Walker, is_image_key};

/// Manifests in texts of manifests, and so on.
const MAX_NESTING: usize = 4;

impl Walker<'_, '_> {
    /// Texts that hold manifests or configuration.
    pub(super) fn texts(&mut self, node: &Node, object: &Object, rules: &[&Rule]) {
        let shown = object.shown();
        let named = rules.iter().flat_map(|rule| &rule.manifests).flat_map(|path| path.select(node));
        let named: Vec<&Node> = named.collect();
        for text in named {
            self.text(text, &shown);
            for rule in rules.iter().filter(|rule| !rule.manifests.is_empty()) {
                self.composed_inside(rule, text, &shown);
            }
        }
        if object.group.is_empty() && object.kind == "ConfigMap" {
            self.data(node.get("data"), &shown);
        }
        if object.group.is_empty() && object.kind == "Secret" {
            self.data(node.get("stringData"), &shown);
            for (key, value) in node.get("data").map(Node::entries).unwrap_or_default() {
                let packed = value.text().unwrap_or_default().split_whitespace().collect::<String>();
                let decoded = STANDARD.decode(packed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let is_release = key == "release";
                if let Some(text) = decoded.filter(|_| !is_release) {
                    // What it holds is read and not shown.
                    self.taken.insert(value);
                    self.nested(&text, value, format!("{shown}, key {key}"));
                }
            }
        }
    }

    fn data(&mut self, data: Option<&Node>, shown: &str) {
        let rules = self.rules;
        let entries = data.map(Node::entries).unwrap_or_default();
        self.pairs(&entries.iter().map(|(key, node)| (key.as_str(), node)).collect::<Vec<_>>(), shown);
        for (key, value) in entries {
            let what = format!("{shown}, key {key}");
            let meant = |rule: &&Rule| rule.env.iter().any(|pattern| glob::matches(pattern, key));
            for rule in rules.general().filter(meant) {
                self.take_listed(value, value.text().unwrap_or_default(), &what, &rule.name);
            }
            if is_image_key(key) && !self.is_taken(value) {
                self.take_definite(value, &what, "field");
            }
            // A rule may have read it.
            if !self.is_taken(value) {
                self.text(value, &what);
            }
        }
    }

    /// Names that a rule makes of values in a text of a manifest.
    fn composed_inside(&mut self, rule: &Rule, value: &Node, what: &str) {
        // A text that is no YAML was looked at as lines.
        let documents = value.text().and_then(|text| yaml::documents(text).ok()).unwrap_or_default();
        for document in &documents {
            for (name, line) in rule.compose.iter().filter_map(|composed| composed.name(document)) {
                if let Some(reference) = definite(&name) {
                    let origin = self.place.inside(value, what.to_owned()).origin(line, "", &rule.name);
                    self.findings.take(reference, From::Registry, origin);
                }
            }
        }
    }

    fn text(&mut self, value: &Node, what: &str) {
        if let Some(text) = value.text() {
            self.nested(text, value, what.to_owned());
        }
    }

    /// A text inside a manifest: manifests themselves, structured configuration, or lines.
    fn nested(&mut self, text: &str, value: &Node, what: String) {
        let is_structured = text.contains(':') && (text.contains('\n') || text.trim_start().starts_with('{'));
        if !is_structured || self.nesting >= MAX_NESTING {
            return;
        }
        let place = self.place.inside(value, what);
        let mut inner = Walker {
            rules: self.rules,
            findings: &mut *self.findings,
            place,
            taken: HashSet::new(),
            nesting: self.nesting + 1,
        };
        match yaml::documents(text) {
            Ok(documents) if documents.iter().any(|document| document.text().is_none()) => {
                for document in &documents {
                    match document.get("kind").is_some() && document.get("apiVersion").is_some() {
                        true => inner.object(document, None),
                        false => {
                            inner.fields(document, "", "field");
                            inner.pods(
                                document,
                                &Object { group: "-".into(), kind: String::new(), name: String::new() },
                            );
                            inner.rest(document, "");
                        }
                    }
                }
                self.taken.insert(value);
            }
            _ => inner.lines(text),
        }
    }

    /// A text that is no YAML, such as a template: lines that give an image to a key.
    fn lines(&mut self, text: &str) {
        for (at, line) in text.lines().enumerate() {
            let line = without_comment(line);
            // TOML and INI write `=`.
            let Some((key, value)) = line.trim_start_matches("- ").split_once([':', '=']) else { continue };
            let key = unquoted(key.trim());
            let value = unquoted(value.trim().trim_end_matches(','));
            if let (true, Some(reference)) = (is_image_key(key), definite(value)) {
                self.findings.take(reference, From::Registry, self.place.origin(at + 1, "", "line"));
            }
        }
    }
}
