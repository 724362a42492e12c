//! Rules: where custom resources, environment variables, arguments and annotations hold images.
//!
//! ```yaml
//! rules:
//! - name: acme                        # what `--why` shows
//!   for: [acme.example/Widget]        # group/Kind with *; left out: every object
//!   named: [default-*]                # objects of these names only
//!   images: [spec.image]              # values that are images
//!   triples:                          # maps with the parts of a name
//!   - {at: spec.server, registry: registry, repository: repository, tag: tag, digest: digest}
//!   compose:                          # images that a version stands for
//!   - {image: "hub.example/acme:{spec.version}", unless: [spec.image]}
//!   expects: [spec.image]             # without one of these the operator chooses the image
//!   manifests: [spec.template]        # texts that hold manifests or values
//!   env: [ACME_*_IMAGE]               # environment variables, and keys of config maps
//!   args: [--acme-image]              # arguments, with = or in two words
//!   annotations: [acme.example/image]
//!   note: …                           # what the user should know
//!   skip: true                        # nothing in these objects is an image
//! ```
//!
//! A table of well-known operators is part of the program; the context's `images.rules.yaml` goes beside it.

use super::glob;
use super::path::Path;
use super::yaml::{self, Node, Value};

/// The table that is part of the program.
const TABLE: &str = include_str!("rules.yaml");

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    kinds: Vec<String>,
    named: Vec<String>,
    pub(crate) images: Vec<Path>,
    pub(crate) triples: Vec<Triple>,
    pub(crate) compose: Vec<Composed>,
    pub(crate) expects: Vec<Path>,
    pub(crate) manifests: Vec<Path>,
    pub(crate) env: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) annotations: Vec<String>,
    pub(crate) note: Option<String>,
    pub(crate) skip: bool,
}

/// A map that holds the parts of a name, and the keys that they have there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Triple {
    pub(crate) at: Path,
    pub(crate) registry: String,
    pub(crate) repository: String,
    pub(crate) tag: String,
    pub(crate) digest: String,
}

/// An image whose name is made of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Composed {
    parts: Vec<Part>,
    unless: Vec<Path>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The first value that is there.
    Values(Vec<Path>),
}

/// What a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    /// The group of `apiVersion`; empty for the core.
    pub(crate) group: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
}

/// All rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// Why a text is no table of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RulesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl Rules {
    /// The rules that are part of the program.
    ///
    /// # Errors
    /// Never: a test reads the table.
    pub fn builtin() -> Result<Self, RulesError> {
        Self::parse(TABLE)
    }

    /// Reads a table.
    ///
    /// # Errors
    /// When it is not YAML, or a rule is not well formed.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let documents = yaml::documents(text).map_err(|error| RulesError { line: error.line, reason: error.reason })?;
        let mut rules = Vec::new();
        for document in &documents {
            let known = document.entries().iter().find(|(key, _)| key != "rules");
            if let Some((key, node)) = known {
                return Err(wrong(node, format!("`{key}` is not known here; a list `rules` is")));
            }
            let list = document.get("rules").ok_or_else(|| wrong(document, "a list `rules` is missing"))?;
            for node in list.items() {
                rules.push(rule(node)?);
            }
        }
        Ok(Self(rules))
    }

    /// These rules and others.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    pub(crate) fn for_object<'a>(&'a self, identity: Identity<'_>) -> Vec<&'a Rule> {
        self.0.iter().filter(|rule| rule.is_for(identity)).collect()
    }

    /// Rules about objects of every kind.
    pub(crate) fn general(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter().filter(|rule| rule.kinds.is_empty() && rule.named.is_empty())
    }
}

impl Rule {
    fn is_for(&self, identity: Identity<'_>) -> bool {
        let whole = match identity.group {
            "" => identity.kind.to_owned(),
            group => format!("{group}/{}", identity.kind),
        };
        let kind = self.kinds.iter().any(|kind| glob::matches(kind, &whole));
        kind && (self.named.is_empty() || self.named.iter().any(|name| glob::matches(name, identity.name)))
    }
}

impl Triple {
    /// The name that the parts of a map make, if a repository and a tag or digest are there.
    pub(crate) fn name(&self, map: &Node) -> Option<String> {
        let part = |key: &str| map.text_of(key).map(str::trim).filter(|text| !text.is_empty());
        let repository = part(&self.repository)?;
        let front = part(&self.registry).map(|registry| format!("{}/", registry.trim_end_matches('/')));
        let (mut tag, mut digest) = (part(&self.tag), part(&self.digest));
        // Some charts take a digest for a tag.
        if tag.is_some_and(|tag| tag.starts_with("sha256:")) {
            digest = tag.take();
        }
        if tag.is_none() && digest.is_none() {
            return None;
        }
        let digest = digest.map(|digest| match digest.contains(':') {
            true => digest.to_owned(),
            false => format!("sha256:{digest}"),
        });
        let mut name = format!("{}{repository}", front.unwrap_or_default());
        name.extend(tag.map(|tag| format!(":{tag}")));
        name.extend(digest.map(|digest| format!("@{digest}")));
        Some(name)
    }

    /// The parts as most charts and operators call them.
    pub(crate) fn usual(at: Path) -> Self {
        let [registry, repository, tag, digest] = ["registry", "repository", "tag", "digest"].map(str::to_owned);
        Self { at, registry, repository, tag, digest }
    }

    fn called(registry: &str, repository: &str, tag: &str) -> Self {
        let [registry, repository, tag] = [registry, repository, tag].map(str::to_owned);
        Self { registry, repository, tag, ..Self::usual(Path::default()) }
    }

    /// How a map holds the parts of a name, wherever it is.
    pub(crate) fn shapes() -> [Self; 6] {
        [
            Self::usual(Path::default()),
            Self::called("imageRegistry", "imageRepository", "imageTag"),
            Self::called("imageRegistry", "imageName", "imageTag"),
            Self::called("imageRegistry", "image", "imageTag"),
            Self::called("registry", "image", "tag"),
            Self::called("imageRegistry", "imageRepo", "imageTag"),
        ]
    }

    /// How a map that is called after an image may hold them besides.
    pub(crate) fn inside_of_an_image() -> [Self; 1] {
        [Self::called("registry", "name", "tag")]
    }
}

impl Composed {
    /// The name, and the line of the first value in it.
    pub(crate) fn name(&self, root: &Node) -> Option<(String, usize)> {
        if self.unless.iter().any(|path| !path.select(root).is_empty()) {
            return None;
        }
        let (mut name, mut line) = (String::new(), None);
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Values(paths) => {
                    let mut values = paths.iter().flat_map(|path| path.select(root));
                    let node = values.find(|node| node.text().is_some_and(|text| !text.is_empty()))?;
                    line = line.or(Some(node.line));
                    name.push_str(node.text().unwrap_or_default());
                }
            }
        }
        Some((name, line.unwrap_or(root.line)))
    }
}

fn wrong(node: &Node, reason: impl Into<String>) -> RulesError {
    RulesError { line: node.line, reason: reason.into() }
}

fn rule(node: &Node) -> Result<Rule, RulesError> {
    let mut rule = Rule::default();
    for (key, value) in node.entries() {
        match key.as_str() {
            "name" => rule.name = text(value)?,
            "for" => rule.kinds = texts(value)?,
            "named" => rule.named = texts(value)?,
            "images" => rule.images = paths(value)?,
            "triples" => rule.triples = value.items().iter().map(triple).collect::<Result<_, _>>()?,
            "compose" => rule.compose = value.items().iter().map(composed).collect::<Result<_, _>>()?,
            "expects" => rule.expects = paths(value)?,
            "manifests" => rule.manifests = paths(value)?,
            "env" => rule.env = texts(value)?,
            "args" => rule.args = texts(value)?,
            "annotations" => rule.annotations = texts(value)?,
            "note" => rule.note = Some(text(value)?),
            "skip" => rule.skip = text(value)? == "true",
            _ => {
                let known = "name, for, named, images, triples, compose, expects, manifests, env, args, annotations, note and skip";
                return Err(wrong(value, format!("a rule has no `{key}`; there are {known}")));
            }
        }
    }
    match rule.name.is_empty() {
        true => Err(wrong(node, "a rule needs a `name`")),
        false => Ok(rule),
    }
}

fn text(node: &Node) -> Result<String, RulesError> {
    node.text().map(str::to_owned).ok_or_else(|| wrong(node, "expected a text"))
}

/// A list of texts, or one.
fn texts(node: &Node) -> Result<Vec<String>, RulesError> {
    match &node.value {
        Value::List(items) => items.iter().map(text).collect(),
        _ => Ok(vec![text(node)?]),
    }
}

fn path(text: &str, node: &Node) -> Result<Path, RulesError> {
    Path::parse(text).map_err(|reason| wrong(node, format!("`{text}`: {reason}")))
}

fn paths(node: &Node) -> Result<Vec<Path>, RulesError> {
    texts(node)?.iter().map(|text| path(text, node)).collect()
}

fn triple(node: &Node) -> Result<Triple, RulesError> {
    let at = node.get("at").ok_or_else(|| wrong(node, "a triple needs `at`, the path of the map"))?;
    let mut triple = Triple::usual(path(&text(at)?, at)?);
    for (key, value) in node.entries() {
        match key.as_str() {
            "at" => {}
            "registry" => triple.registry = text(value)?,
            "repository" => triple.repository = text(value)?,
            "tag" => triple.tag = text(value)?,
            "digest" => triple.digest = text(value)?,
            _ => {
                let known = "at, registry, repository, tag and digest";
                return Err(wrong(value, format!("a triple has no `{key}`; there are {known}")));
            }
        }
    }
    Ok(triple)
}

fn composed(node: &Node) -> Result<Composed, RulesError> {
    let image = node.get("image").ok_or_else(|| wrong(node, "`image` is missing"))?;
    let unless = node.get("unless").map_or(Ok(Vec::new()), paths)?;
    let (mut parts, whole) = (Vec::new(), text(image)?);
    let mut rest = whole.as_str();
    while let Some((front, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').ok_or_else(|| wrong(image, "a `{` is not closed"))?;
        parts.push(Part::Text(front.to_owned()));
        let paths = inside.split('|').map(|text| path(text, image));
        parts.push(Part::Values(paths.collect::<Result<_, _>>()?));
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(Composed { parts, unless })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        let rules = Rules::builtin().unwrap();
        assert!(rules.0.len() > 50);
        let mut names: Vec<&str> = rules.0.iter().map(|rule| rule.name.as_str()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "each rule has a name of its own");
    }

    #[test]
    fn mistakes_name_the_line() {
        for (text, line, part) in [
            ("rules:\n- name: x\n  imgaes: [a]\n", 3, "imgaes"),
            ("rules:\n- images: [a]\n", 2, "name"),
            ("rules:\n- name: x\n  images: ['a[']\n", 3, "not closed"),
            ("rules:\n- name: x\n  compose:\n  - {image: 'a:{b'}\n", 4, "not closed"),
            ("rules:\n- name: x\n  triples: [{repository: a}]\n", 3, "at"),
            ("rule: []\n", 1, "`rule`"),
            ("rules: [\n", 1, ""),
        ] {
            let error = Rules::parse(text).unwrap_err();
            assert!(error.line == line && error.reason.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_made_of_parts() {
        let map = |text: &str| yaml::documents(text).unwrap().remove(0);
        let triple = Triple::usual(Path::parse("a").unwrap());
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, want) in [
            ("{registry: quay.io, repository: a/b, tag: 1.20}", Some("quay.io/a/b:1.20".to_owned())),
            ("{repository: a/b, tag: ''}", None),
            ("{registry: '', repository: a/b, tag: x}", Some("a/b:x".to_owned())),
            (&format!("{{repository: a, tag: x, digest: sha256:{hex}}}"), Some(format!("a:x@sha256:{hex}"))),
            (&format!("{{repository: a, digest: {hex}}}"), Some(format!("a@sha256:{hex}"))),
            (&format!("{{repository: a, tag: sha256:{hex}}}"), Some(format!("a@sha256:{hex}"))),
            ("{repository: a}", None),
            ("{tag: a}", None),
        ] {
            assert_eq!(triple.name(&map(text)), want, "{text}");
        }
        let rules = "rules:\n- name: x\n  compose:\n  - {image: 'h/{a.t|a.k}:{v}', unless: [i]}\n";
        let composed = &Rules::parse(rules).unwrap().0[0].compose[0];
        for (text, want) in [
            ("{a: {k: beats}, v: 1}", Some("h/beats:1")),
            ("{a: {k: beats, t: x}, v: 1}", Some("h/x:1")),
            ("{a: {k: beats}, v: 1, i: y}", None),
            ("{a: {k: beats}}", None),
        ] {
            assert_eq!(composed.name(&map(text)).map(|(name, _)| name).as_deref(), want, "{text}");
        }
    }
}
