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

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::found::{Findings, From};
use super::path::Path;
use super::place::Place;
use super::rules::{Identity, Rule, Rules, Triple};
use super::text::{definite, guessed, is_well_known, listed, unquoted, without_comment};
use super::yaml::{self, Node, Value};

/// Manifests in texts of manifests, and so on.
const MAX_NESTING: usize = 4;

/// Lists of containers, wherever they are.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Groups whose objects are defined by Kubernetes itself: their pods hold images, and nothing else does.
const OWN_GROUPS: [&str; 6] = ["", "apps", "batch", "extensions", "policy", "autoscaling"];

/// How the two entries end that hold a repository and its tag.
const PAIRS: [(&str, &str); 8] = [
    ("REPOSITORY", "TAG"),
    ("repository", "tag"),
    ("_IMAGE", "_TAG"),
    ("IMAGE", "IMAGE_TAG"),
    ("IMAGE_NAME", "IMAGE_TAG"),
    ("-image", "-tag"),
    ("-image", "-version"),
    ("image", "image-tag"),
];

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
        for reference in listed(text) {
            self.taken.insert(node);
            self.findings.take(reference, From::Registry, self.place.origin(node.line, what, rule));
        }
    }

    /// Pods at any depth.
    fn pods(&mut self, node: &Node, object: &Object) {
        let shown = object.shown();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            open.extend(node.items());
            open.extend(node.entries().iter().map(|(_, node)| node));
            for key in CONTAINERS {
                let containers = node.get(key).map(Node::items).unwrap_or_default();
                containers.iter().for_each(|container| self.container(container, object));
            }
            for volume in node.get("volumes").map(Node::items).unwrap_or_default() {
                if let Some(reference) = volume.at(&["image", "reference"])
                    && let Some(text) = reference.text()
                {
                    let volume = volume.text_of("name").unwrap_or_default();
                    self.take(reference, text, &format!("{shown}, volume {volume}"), "pod");
                }
            }
            if let Some(annotations) = node.at(&["metadata", "annotations"]) {
                self.annotations(annotations, &shown);
            }
        }
    }

    fn container(&mut self, container: &Node, object: &Object) {
        let name = container.text_of("name").unwrap_or_default();
        let mut what = object.shown();
        what.push_str(if what.is_empty() { "container " } else { ", container " });
        what.push_str(name);
        if let Some(image) = container.get("image")
            && let Some(text) = image.text()
        {
            let is_made_elsewhere = ["$(", "${", "{{"].iter().any(|mark| text.contains(mark));
            // What istio replaces when it injects its proxy.
            let is_injected = text == "auto";
            match object.is_own() {
                _ if text.is_empty() || is_injected => {
                    self.taken.insert(image);
                }
                // A parameter of a workflow.
                false if is_made_elsewhere || text.parse::<oci::Reference>().is_err() => {}
                _ => self.take(image, text, &what, "pod"),
            }
        }
        let rules = self.rules;
        for rule in rules.general() {
            for variable in container.get("env").map(Node::items).unwrap_or_default() {
                let (Some(name), Some(value)) = (variable.text_of("name"), variable.get("value")) else { continue };
                if rule.env.iter().any(|pattern| super::glob::matches(pattern, name)) {
                    let text = value.text().unwrap_or_default();
                    self.take_listed(value, text, &format!("{what}, variable {name}"), &rule.name);
                }
            }
            for key in ["command", "args"] {
                let words = container.get(key).map(Node::items).unwrap_or_default();
                self.arguments(words, rule, &what);
                words.iter().for_each(|word| self.script(word, rule, &what));
            }
        }
        let variables = container.get("env").map(Node::items).unwrap_or_default();
        let named = variables.iter().filter_map(|it| Some((it.text_of("name")?, it.get("value")?)));
        self.pairs(&named.collect::<Vec<_>>(), &what);
    }

    fn arguments(&mut self, words: &[Node], rule: &Rule, what: &str) {
        for (at, word) in words.iter().enumerate() {
            let text = word.text().unwrap_or_default();
            let (flag, value) = match text.split_once('=') {
                Some((flag, value)) => (flag, Some((word, value))),
                None => (text, words.get(at + 1).and_then(|next| Some((next, next.text()?)))),
            };
            let is_meant = rule.args.iter().any(|pattern| super::glob::matches(pattern, flag));
            if let (true, Some((node, value))) = (is_meant, value) {
                self.take_listed(node, value, &format!("{what}, argument {flag}"), &rule.name);
            }
        }
    }

    /// Arguments inside of a script, such as the one that `sh -c` is given.
    fn script(&mut self, script: &Node, rule: &Rule, what: &str) {
        let text = script.text().unwrap_or_default();
        if !text.contains(char::is_whitespace) {
            return;
        }
        let mut words = text.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word, words.peek().copied()),
            };
            let is_meant = rule.args.iter().any(|pattern| super::glob::matches(pattern, flag));
            if let (true, Some(value)) = (is_meant, value) {
                self.take_listed(script, value, &format!("{what}, argument {flag}"), &rule.name);
            }
        }
    }

    /// Repositories and tags that stand in two entries beside each other: `X_IMAGE_REPOSITORY` and `X_IMAGE_TAG`.
    fn pairs(&mut self, entries: &[(&str, &Node)], what: &str) {
        for (key, repository) in entries {
            for (end, tag_end) in PAIRS {
                let Some(stem) = key.strip_suffix(end) else { continue };
                let named = |(key, _): &&(&str, &Node)| key.strip_suffix(tag_end) == Some(stem);
                let Some(tag) = entries.iter().find(named).and_then(|(_, node)| node.text()) else { continue };
                let name = format!("{}:{tag}", repository.text().unwrap_or_default());
                // A repository may be one of sources as well.
                let lower = key.to_ascii_lowercase();
                let says_so = lower.contains("image") || lower.contains("container");
                let Some(reference) = definite(&name) else { continue };
                let origin = self.place.origin(repository.line, &format!("{what}, {key}"), "pair");
                self.taken.insert(*repository);
                match says_so || is_well_known(reference.registry()) {
                    true => self.findings.take(reference, From::Registry, origin),
                    false => self.findings.report(reference, origin),
                }
            }
        }
    }

    fn annotations(&mut self, annotations: &Node, what: &str) {
        let entries = annotations.entries().iter().map(|(key, node)| (key.as_str(), node));
        self.pairs(&entries.collect::<Vec<_>>(), what);
        let rules = self.rules;
        for (key, value) in annotations.entries() {
            let meant = |rule: &&Rule| rule.annotations.iter().any(|pattern| super::glob::matches(pattern, key));
            if let Some(rule) = rules.general().find(meant) {
                let text = value.text().unwrap_or_default();
                self.take_listed(value, text, &format!("{what}, annotation {key}"), &rule.name);
            }
        }
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

    /// Texts that hold manifests or configuration.
    fn texts(&mut self, node: &Node, object: &Object, rules: &[&Rule]) {
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
            let meant = |rule: &&Rule| rule.env.iter().any(|pattern| super::glob::matches(pattern, key));
            for rule in rules.general().filter(meant) {
                self.take_listed(value, value.text().unwrap_or_default(), &what, &rule.name);
            }
            if is_image_key(key) && !self.taken.contains(&std::ptr::from_ref(value)) {
                self.take_definite(value, &what, "field");
            }
            self.text(value, &what);
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
                if is_image_key(key) && !self.taken.contains(&std::ptr::from_ref(value)) {
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
        if !self.taken.contains(&std::ptr::from_ref(node)) {
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
