//! `Chart.yaml` of both versions, `requirements.yaml`, and what templates see of them as `.Chart`.
//!
//! Fields are read as Go's JSON decoder reads them: capitals do not matter, a number where a text is wanted becomes its
//! shortest text, an unknown field is passed over.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::ChartError;
use crate::template::version_is_valid;
use crate::yaml::{self, Numbers};

/// A dependency as a chart declares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) repository: String,
    pub(crate) condition: String,
    pub(crate) tags: Vec<String>,
    pub(crate) alias: String,
    pub(crate) import_values: Vec<Json>,
}

/// Somebody who looks after a chart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maintainer {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) url: String,
}

/// What `Chart.yaml` says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) home: String,
    pub(crate) sources: Vec<String>,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) keywords: Vec<String>,
    pub(crate) maintainers: Vec<Maintainer>,
    pub(crate) icon: String,
    pub(crate) api_version: String,
    pub(crate) condition: String,
    pub(crate) tags: String,
    pub(crate) app_version: String,
    pub(crate) deprecated: bool,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) kube_version: String,
    /// `None` when nothing is said of dependencies, which is not the same as none to Helm.
    pub(crate) dependencies: Option<Vec<Dependency>>,
    pub(crate) kind: String,
}

/// A YAML map being read into fields.
struct Fields<'m> {
    file: &'m str,
    map: &'m Map<String, Json>,
}

impl<'m> Fields<'m> {
    fn wrong(&self, reason: impl Into<String>) -> ChartError {
        ChartError::Invalid { file: self.file.to_owned(), reason: reason.into() }
    }

    fn get(&self, name: &str) -> Option<&'m Json> {
        let found = self.map.get(name).or_else(|| {
            let same = |(key, _): &(&String, &Json)| key.eq_ignore_ascii_case(name);
            self.map.iter().find(same).map(|(_, value)| value)
        });
        found.filter(|value| !value.is_null())
    }

    fn text(&self, name: &str, into: &mut String) -> Result<(), ChartError> {
        if let Some(value) = self.get(name) {
            let text = yaml::text_of(value).ok_or_else(|| self.wrong(format!("has no text in `{name}`")))?;
            *into = sanitized(&text);
        }
        Ok(())
    }

    fn list(&self, name: &str) -> Result<Option<&'m [Json]>, ChartError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.wrong(format!("has no list in `{name}`"))),
        }
    }

    fn texts(&self, name: &str, into: &mut Vec<String>) -> Result<(), ChartError> {
        let Some(items) = self.list(name)? else { return Ok(()) };
        let texts = items.iter().map(|item| match item {
            Json::Null => Ok(String::new()),
            item => yaml::text_of(item).ok_or_else(|| self.wrong(format!("has no text in the list `{name}`"))),
        });
        *into = texts.collect::<Result<Vec<_>, _>>()?.iter().map(|text| sanitized(text)).collect();
        Ok(())
    }

    fn maps(&self, name: &str) -> Result<Option<Vec<Fields<'m>>>, ChartError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        let maps = items.iter().map(|item| match item {
            Json::Object(map) => Ok(Fields { file: self.file, map }),
            _ => Err(self.wrong(format!("has something else than a map in the list `{name}`"))),
        });
        maps.collect::<Result<_, _>>().map(Some)
    }
}

/// Helm takes characters that do not print out of a chart's texts, and makes every white space a space.
fn sanitized(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_whitespace() || !c.is_control());
    kept.map(|c| if c.is_whitespace() { ' ' } else { c }).collect()
}

impl Metadata {
    /// Reads a file over what is already known: `requirements.yaml` comes after `Chart.yaml`.
    pub(crate) fn read(&mut self, file: &str, text: &str) -> Result<(), ChartError> {
        let value =
            yaml::first(text, Numbers::Exact).map_err(|source| ChartError::File { file: file.to_owned(), source })?;
        let map = match &value {
            Json::Object(map) => map,
            Json::Null => return Ok(()),
            _ => return Err(ChartError::Invalid { file: file.to_owned(), reason: "is no map".to_owned() }),
        };
        self.fill(&Fields { file, map })
    }

    fn fill(&mut self, fields: &Fields<'_>) -> Result<(), ChartError> {
        for (name, into) in [
            ("name", &mut self.name),
            ("home", &mut self.home),
            ("version", &mut self.version),
            ("description", &mut self.description),
            ("icon", &mut self.icon),
            ("apiVersion", &mut self.api_version),
            ("condition", &mut self.condition),
            ("tags", &mut self.tags),
            ("appVersion", &mut self.app_version),
            ("kubeVersion", &mut self.kube_version),
            ("type", &mut self.kind),
        ] {
            fields.text(name, into)?;
        }
        fields.texts("sources", &mut self.sources)?;
        fields.texts("keywords", &mut self.keywords)?;
        match fields.get("deprecated") {
            None => {}
            Some(Json::Bool(b)) => self.deprecated = *b,
            Some(_) => return Err(fields.wrong("has neither true nor false in `deprecated`")),
        }
        match fields.get("annotations") {
            None => {}
            Some(Json::Object(map)) => {
                for (key, value) in map {
                    let text = if value.is_null() { Some(String::new()) } else { yaml::text_of(value) };
                    let text = text.ok_or_else(|| fields.wrong(format!("has no text in the annotation `{key}`")))?;
                    self.annotations.insert(key.clone(), text);
                }
            }
            Some(_) => return Err(fields.wrong("has no map in `annotations`")),
        }
        if let Some(maintainers) = fields.maps("maintainers")? {
            self.maintainers = maintainers.iter().map(Maintainer::read).collect::<Result<_, _>>()?;
        }
        if let Some(dependencies) = fields.maps("dependencies")? {
            self.dependencies = Some(dependencies.iter().map(Dependency::read).collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    /// Checks what Helm checks before it takes a chart.
    pub(crate) fn validate(&mut self) -> Result<(), ChartError> {
        let wrong = |reason: String| Err(ChartError::Invalid { file: "Chart.yaml".to_owned(), reason });
        if self.api_version.is_empty() {
            self.api_version = "v1".to_owned();
        }
        if self.name.is_empty() {
            return wrong("has no `name`".to_owned());
        }
        if matches!(self.name.as_str(), "." | "..") || self.name.contains('/') {
            return wrong(format!("has the name `{}`, which no chart may have", self.name));
        }
        if self.version.is_empty() {
            return wrong("has no `version`".to_owned());
        }
        if !version_is_valid(&self.version) {
            return wrong(format!("has the version `{}`, which is no semantic version", self.version));
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return wrong(format!("has the type `{}`: it must be `application` or `library`", self.kind));
        }
        let mut names: Vec<&str> = Vec::new();
        for dependency in self.dependencies.iter().flatten() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !dependency.alias.chars().all(plain) {
                return wrong(format!("has the alias `{}`, which no dependency may have", dependency.alias));
            }
            let name = if dependency.alias.is_empty() { &dependency.name } else { &dependency.alias };
            if names.contains(&name.as_str()) {
                return wrong(format!("has more than one dependency with the name or alias `{name}`"));
            }
            names.push(name);
        }
        Ok(())
    }

    pub(crate) fn is_library(&self) -> bool {
        self.kind.eq_ignore_ascii_case("library")
    }
}

impl Maintainer {
    fn read(fields: &Fields<'_>) -> Result<Self, ChartError> {
        let mut maintainer = Self::default();
        fields.text("name", &mut maintainer.name)?;
        fields.text("email", &mut maintainer.email)?;
        fields.text("url", &mut maintainer.url)?;
        Ok(maintainer)
    }
}

impl Dependency {
    fn read(fields: &Fields<'_>) -> Result<Self, ChartError> {
        let mut dependency = Self::default();
        fields.text("name", &mut dependency.name)?;
        fields.text("version", &mut dependency.version)?;
        fields.text("repository", &mut dependency.repository)?;
        fields.text("condition", &mut dependency.condition)?;
        fields.text("alias", &mut dependency.alias)?;
        fields.texts("tags", &mut dependency.tags)?;
        dependency.import_values = fields.list("import-values")?.unwrap_or_default().to_vec();
        Ok(dependency)
    }
}
