//! Pods and what stands in them: containers with their variables, arguments and scripts; annotations.

use super::super::found::From;
use super::super::glob;
use super::super::rules::Rule;
use super::super::text::{definite, is_well_known};
use super::super::yaml::{Node, Style, Value};
use super::{Object, Walker};

/// Lists of containers, wherever they are.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

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

impl Walker<'_, '_> {
    /// Pods at any depth.
    pub(super) fn pods(&mut self, node: &Node, object: &Object) {
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
                if rule.env.iter().any(|pattern| glob::matches(pattern, name)) {
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
            let is_meant = rule.args.iter().any(|pattern| glob::matches(pattern, flag));
            if let (true, Some((node, value))) = (is_meant, value) {
                self.take_listed(node, value, &format!("{what}, argument {flag}"), &rule.name);
            }
        }
    }

    /// Arguments inside of a script, such as the one that `sh -c` is given. What else is in it is looked at with the rest.
    fn script(&mut self, script: &Node, rule: &Rule, what: &str) {
        let Value::Scalar(scalar) = &script.value else { return };
        if !scalar.text.contains(char::is_whitespace) {
            return;
        }
        let lines = scalar.text.lines().enumerate();
        let words = lines.flat_map(|(at, line)| line.split_whitespace().map(move |word| (at, word)));
        // A command goes on behind a backslash.
        let mut words = words.filter(|(_, word)| *word != "\\").peekable();
        while let Some((at, word)) = words.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word, words.peek().map(|(_, next)| *next)),
            };
            let is_meant = rule.args.iter().any(|pattern| glob::matches(pattern, flag));
            if let (true, Some(value)) = (is_meant, value) {
                let line = if scalar.style == Style::Block { script.line + at } else { script.line };
                self.take_listed_at(line, value, &format!("{what}, argument {flag}"), &rule.name);
            }
        }
    }

    /// Repositories and tags that stand in two entries beside each other: `X_IMAGE_REPOSITORY` and `X_IMAGE_TAG`.
    pub(super) fn pairs(&mut self, entries: &[(&str, &Node)], what: &str) {
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
            let meant = |rule: &&Rule| rule.annotations.iter().any(|pattern| glob::matches(pattern, key));
            if let Some(rule) = rules.general().find(meant) {
                let text = value.text().unwrap_or_default();
                self.take_listed(value, text, &format!("{what}, annotation {key}"), &rule.name);
            }
        }
    }
}
