//! Kubernetes manifests: which images their pods and custom resources ask for.
//!
//! ```text
//! text ─ documents ─▶ object (items of lists one by one)
//!   ├ pods      containers, initContainers, ephemeralContainers, image volumes: at any depth, of any kind
//!   ├ rules     custom resources, environment, arguments, annotations
//!   ├ texts     config maps and secrets that hold manifests or configuration
//!   ├ fields    `image: name:tag`, and a repository with its tag, where Kubernetes itself defines no fields
//!   └ the rest  strings that look like images are reported, not taken
//! ```

mod pods;
mod texts;

use std::collections::HashSet;

use super::found::{Findings, From};
use super::path::Path;
use super::place::Place;
use super::rules::{Identity, Rule, Rules, Triple};
use super::text::{definite, guessed, listed};
use super::yaml::{self, Node, Value};

/// Groups whose objects are defined by Kubernetes itself: their pods hold images, and nothing else does.
const OWN_GROUPS: [&str; 6] = ["", "apps", "batch", "extensions", "policy", "autoscaling"];

/// Fields whose texts are prose or history.
const PROSE: [&str; 5] =
    ["description", "managedFields", "status", "kubectl.kubernetes.io/last-applied-configuration", "summary"];

/// Reads manifests and takes the images they ask for.
///
/// A text that is no YAML is a mistake, of which the place is named.
pub(crate) fn manifests(text: &str, place: &Place<'_>, rules: &Rules, findings: &mut Findings) {
    match yaml::documents(text) {
        Ok(documents) => {
            let mut walker = Walker { rules, findings, place: place.clone(), taken: HashSet::new(), nesting: 0 };
            documents.iter().for_each(|document| walker.object(document, None));
        }
        Err(error) => {
            let help = "if nothing there is a manifest, put `./` and the file's path on a line of .sealignore";
            findings.mistake(place.origin(error.line, "", "manifest"), error.reason, Some(help.to_owned()));
        }
    }
}

/// What an object is.
#[derive(Clone, Debug)]
struct Object {
    group: String,
    kind: String,
    name: String,
}

impl Object {
    fn identity(&self) -> Identity<'_> {
        Identity { group: &self.group, kind: &self.kind, name: &self.name }
    }

    /// Whether Kubernetes itself defines it.
    fn is_own(&self) -> bool {
        !self.kind.is_empty() && (OWN_GROUPS.contains(&self.group.as_str()) || self.group.ends_with(".k8s.io"))
    }

    fn shown(&self) -> String {
        match (self.kind.is_empty(), self.name.is_empty()) {
            (true, _) => String::new(),
            (false, true) => self.kind.clone(),
            (false, false) => format!("{} {}", self.kind, self.name),
        }
    }
}

struct Walker<'a, 'p> {
    rules: &'a Rules,
    findings: &'a mut Findings,
    place: Place<'p>,
    /// Scalars that gave an image.
    taken: HashSet<*const Node>,
    nesting: usize,
}

impl Walker<'_, '_> {
    fn object(&mut self, node: &Node, of: Option<&Object>) {
        let api = node.text_of("apiVersion").unwrap_or_default();
        let group = api.rsplit_once('/').map_or("", |(group, _)| group);
        let name = node.at(&["metadata", "name"]).and_then(Node::text).unwrap_or_default();
        let mut object = Object {
            group: group.to_owned(),
            kind: node.text_of("kind").unwrap_or_default().to_owned(),
            name: name.to_owned(),
        };
        if let (true, Some(items)) = (object.kind.ends_with("List"), node.get("items")) {
            // Items of a `PodList` need not say that they are pods.
            let kind = object.kind.trim_end_matches("List").to_owned();
            let each = Object { kind, ..object };
            return items.items().iter().for_each(|item| self.object(item, Some(&each)));
        }
        if let (Some(of), true) = (of, object.kind.is_empty()) {
            object = Object { name: object.name, ..of.clone() };
        }
        if object.kind == "CustomResourceDefinition" {
            return self.defaults(node, &object);
        }
        // The input of kustomize; what it makes is looked at instead.
        if object.group == "kustomize.config.k8s.io" {
            return;
        }
        let rules = self.rules;
        let own: Vec<&Rule> = rules.for_object(object.identity());
        for note in own.iter().filter_map(|rule| rule.note.as_ref()) {
            self.findings.note(self.place.origin(node.line, &object.shown(), "note"), note.clone());
        }
        if !own.iter().any(|rule| rule.skip) {
            self.pods(node, &object);
            own.iter().for_each(|rule| self.rule(rule, node, &object));
            self.texts(node, &object, &own);
            if !object.is_own() {
                self.fields(node, &object.shown(), "field");
            }
        }
        self.rest(node, &object.shown());
    }

    fn take(&mut self, node: &Node, text: &str, what: &str, rule: &str) {
        self.taken.insert(node);
        self.findings.take_text(text, self.place.origin(node.line, what, rule));
    }

    /// Takes a value if it is a name beyond doubt.
    fn take_definite(&mut self, node: &Node, what: &str, rule: &str) {
        if let Some(reference) = node.text().and_then(definite) {
            self.taken.insert(node);
            self.findings.take(reference, From::Registry, self.place.origin(node.line, what, rule));
        }
    }

    /// Takes the names that a value lists.
    fn take_listed(&mut self, node: &Node, text: &str, what: &str, rule: &str) {
        if self.take_listed_at(node.line, text, what, rule) {
            self.taken.insert(node);
        }
    }

    /// The same for a part of a value that stands in a line; whether there was any.
    fn take_listed_at(&mut self, line: usize, text: &str, what: &str, rule: &str) -> bool {
        let found = listed(text);
        let is_any = !found.is_empty();
        for reference in found {
            self.findings.take(reference, From::Registry, self.place.origin(line, what, rule));
        }
        is_any
    }

    /// Whether a scalar gave an image already.
    fn is_taken(&self, node: &Node) -> bool {
        self.taken.contains(&std::ptr::from_ref(node))
    }

    /// What a rule says about an object of its kind.
    fn rule(&mut self, rule: &Rule, node: &Node, object: &Object) {
        let shown = object.shown();
        for value in rule.images.iter().flat_map(|path| path.select(node)) {
            let text = value.text().unwrap_or_default();
            let text = text.strip_prefix("docker://").unwrap_or(text);
            if text.parse::<oci::Reference>().is_ok() {
                self.take(value, text, &shown, &rule.name);
            }
        }
        for triple in &rule.triples {
            triple.at.select(node).into_iter().for_each(|map| self.triple(triple, map, &shown, &rule.name));
        }
        for (name, line) in rule.compose.iter().filter_map(|composed| composed.name(node)) {
            if let Some(reference) = definite(&name) {
                self.findings.take(reference, From::Registry, self.place.origin(line, &shown, &rule.name));
            }
        }
        let is_there = |path: &Path| !path.select(node).is_empty();
        if !rule.expects.is_empty() && !rule.expects.iter().any(is_there) {
            let text = "it names no image, so that its operator chooses one; name it there, or list it in a file of images/shim";
            self.findings.note(self.place.origin(node.line, &shown, &rule.name), text);
        }
    }

    fn triple(&mut self, triple: &Triple, map: &Node, what: &str, rule: &str) {
        let Some(reference) = triple.name(map).as_deref().and_then(definite) else { return };
        let keys = [&triple.repository, &triple.tag, &triple.registry, &triple.digest];
        self.taken.extend(keys.iter().filter_map(|key| map.get(key)).map(std::ptr::from_ref::<Node>));
        let line = map.get(&triple.repository).map_or(map.line, |node| node.line);
        self.findings.take(reference, From::Registry, self.place.origin(line, what, rule));
    }

    /// Fields called `image`, and repositories with their tags.
    fn fields(&mut self, node: &Node, what: &str, rule: &str) {
        let shapes = Triple::shapes();
        let inner = Triple::inside_of_an_image();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            open.extend(node.items());
            open.extend(node.entries().iter().filter(|(key, _)| key != "status").map(|(_, node)| node));
            shapes.iter().for_each(|shape| self.triple(shape, node, what, rule));
            for (key, value) in node.entries() {
                if is_image_key(key) {
                    inner.iter().for_each(|shape| self.triple(shape, value, what, rule));
                }
                if is_image_key(key) && !self.is_taken(value) {
                    self.take_definite(value, what, rule);
                }
            }
        }
    }

    /// Defaults of a resource's definition: an image there is used where a resource names none.
    fn defaults(&mut self, node: &Node, object: &Object) {
        let shown = object.shown();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            open.extend(node.items());
            open.extend(node.entries().iter().map(|(_, node)| node));
            if let Some(default) = node.get("default") {
                self.guess(default, &shown);
            }
        }
    }

    /// Reports strings that look like images and were not taken.
    fn rest(&mut self, node: &Node, what: &str) {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            open.extend(node.items());
            let told = node.entries().iter().filter(|(key, _)| !PROSE.contains(&key.as_str()));
            open.extend(told.map(|(_, node)| node));
            self.guess(node, what);
        }
    }

    fn guess(&mut self, node: &Node, what: &str) {
        let Value::Scalar(scalar) = &node.value else { return };
        if !self.is_taken(node) {
            for reference in guessed(&scalar.text) {
                self.findings.report(reference, self.place.origin(node.line, what, "guess"));
            }
        }
    }
}

/// Whether a key is called after an image: `image`, `sidecarImage`, `init_image`, `imageRef`.
fn is_image_key(key: &str) -> bool {
    let key = key.strip_suffix("Ref").unwrap_or(key);
    let lower = key.to_ascii_lowercase();
    lower == "image"
        || lower.ends_with(".image")
        || lower.ends_with("-image")
        || lower.ends_with("_image")
        || key.ends_with("Image")
}

#[cfg(test)]
mod tests;
