//! `registries.conf`, version 2: what it says, and which of its rules is for an image.
//!
//! Source: containers-registries.conf(5).

use std::collections::BTreeMap;

use oci::Reference;
use serde::Deserialize;

/// All files together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conf {
    /// Registries for names without one; none if no file says so.
    pub(crate) search: Option<Vec<String>>,
    /// Short names and what they stand for.
    pub(crate) aliases: BTreeMap<String, String>,
    /// Programs to be asked for credentials; `containers-auth.json` are the auth files.
    pub(crate) helpers: Option<Vec<String>>,
    pub(crate) rules: Vec<Rule>,
}

/// One `[[registry]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What the names that it is for begin with; `*.example.com` is for all hosts below.
    pub(crate) prefix: String,
    /// What stands instead of the prefix in the real name.
    pub(crate) location: Option<String>,
    pub(crate) insecure: bool,
    pub(crate) blocked: bool,
    pub(crate) mirror_by_digest_only: bool,
    pub(crate) mirrors: Vec<Mirror>,
}

/// One `[[registry.mirror]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) location: String,
    pub(crate) insecure: bool,
    pub(crate) pull_from: PullFrom,
}

/// What a mirror is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum PullFrom {
    #[default]
    #[serde(rename = "all")]
    All,
    #[serde(rename = "digest-only")]
    Digest,
    #[serde(rename = "tag-only")]
    Tag,
}

/// One file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    credential_helpers: Option<Vec<String>>,
    #[serde(default)]
    registry: Vec<FileRule>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    /// The first version's tables.
    registries: Option<toml::Table>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FileRule {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<FileMirror>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FileMirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: PullFrom,
}

impl Conf {
    /// Adds what a file says; it goes before what was said already.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if file.registries.is_some() {
            return Err("it is of version 1; write `[[registry]]` tables instead of `[registries.…]`".to_owned());
        }
        self.search = file.unqualified_search_registries.or(self.search.take());
        self.helpers = file.credential_helpers.or(self.helpers.take());
        for (name, target) in file.aliases {
            // An empty target takes an alias of an earlier file away.
            match target.is_empty() {
                true => drop(self.aliases.remove(&name)),
                false => drop(self.aliases.insert(name, target)),
            }
        }
        for rule in file.registry {
            let rule = rule.checked()?;
            self.rules.retain(|other| other.prefix != rule.prefix);
            self.rules.push(rule);
        }
        Ok(())
    }

    /// The rule for an image: the one with the longest prefix that fits.
    pub(crate) fn rule(&self, name: &Reference) -> Option<&Rule> {
        let digest = name.digest().map(|digest| format!("@{digest}")).unwrap_or_default();
        let tag = name.tag_or_default().map(|tag| format!(":{tag}")).unwrap_or_default();
        self.rule_of(&format!("{}/{}{tag}{digest}", name.registry(), name.repository()))
    }

    /// The same for a name as text, in its normal form.
    pub(crate) fn rule_of(&self, name: &str) -> Option<&Rule> {
        let fitting = self.rules.iter().filter(|rule| rule.fits(name));
        fitting.max_by_key(|rule| rule.prefix.len())
    }
}

impl FileRule {
    fn checked(self) -> Result<Rule, String> {
        let location = self.location.as_deref().map(bare).filter(|location| !location.is_empty());
        let prefix = self.prefix.as_deref().map(bare).filter(|prefix| !prefix.is_empty());
        let prefix = prefix.or_else(|| location.clone()).ok_or("a `[[registry]]` has neither prefix nor location")?;
        if prefix.starts_with("*.") && prefix.contains('/') {
            return Err(format!("the prefix `{prefix}` has a wildcard and a path"));
        }
        if self.mirror_by_digest_only && self.mirror.iter().any(|mirror| mirror.pull_from_mirror != PullFrom::All) {
            return Err(format!("`{prefix}` has both mirror-by-digest-only and pull-from-mirror"));
        }
        let mirrors = self.mirror.into_iter().map(|mirror| {
            let (insecure, pull_from) = (mirror.insecure, mirror.pull_from_mirror);
            Mirror { location: bare(&mirror.location), insecure, pull_from }
        });
        let mirrors: Vec<Mirror> = mirrors.collect();
        if mirrors.iter().any(|mirror| mirror.location.is_empty()) {
            return Err(format!("a mirror of `{prefix}` has no location"));
        }
        Ok(Rule {
            location,
            prefix,
            insecure: self.insecure,
            blocked: self.blocked,
            mirror_by_digest_only: self.mirror_by_digest_only,
            mirrors,
        })
    }
}

/// A location without what does not belong there.
fn bare(text: &str) -> String {
    let text = text.trim().trim_end_matches('/');
    text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text).to_owned()
}

impl Rule {
    fn fits(&self, name: &str) -> bool {
        let host = name.split('/').next().unwrap_or_default();
        if let Some(domain) = self.prefix.strip_prefix('*') {
            // The port is the host's.
            let host = if domain.contains(':') { host } else { host.split(':').next().unwrap_or_default() };
            return host.len() > domain.len() && host.ends_with(domain);
        }
        let Some(rest) = name.strip_prefix(self.prefix.as_str()) else { return false };
        match rest.chars().next() {
            None | Some('/' | '@') => true,
            // What follows a host is its port, and another host's then.
            Some(':') => self.prefix.contains('/'),
            Some(_) => false,
        }
    }

    /// A name with `location` instead of what the prefix stands for.
    pub(crate) fn rewrite(&self, name: &str, location: &str) -> String {
        let prefix = match self.prefix.starts_with("*.") {
            true => name.split('/').next().unwrap_or_default(),
            false => self.prefix.split(['@']).next().unwrap_or_default(),
        };
        match name.strip_prefix(prefix) {
            Some(rest) => format!("{location}{rest}"),
            // The prefix names a tag, which `name` does not have.
            None => location.to_owned(),
        }
    }
}
