//! What a rendering is told besides the chart: release, versions, values.

use serde_json::{Map, Value as Json};

use super::ChartError;
use super::set::{self, Flag};
use crate::yaml::{self, Numbers};

/// A file of values, read already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuesFile {
    /// What errors call it.
    pub name: String,
    /// Its YAML text.
    pub text: String,
}

/// Values laid over the chart's own, in Helm's order: files, then `--set-json`, `--set`, `--set-string`, `--set-file`,
/// `--set-literal`, each in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// `-f FILE`.
    pub files: Vec<ValuesFile>,
    /// `--set-json KEY=JSON`.
    pub set_json: Vec<String>,
    /// `--set KEY=VALUE`.
    pub set: Vec<String>,
    /// `--set-string KEY=TEXT`.
    pub set_string: Vec<String>,
    /// `--set-file KEY=PATH`; the files are in `set_files`.
    pub set_file: Vec<String>,
    /// The texts of the files that `--set-file` names, by path as written.
    pub set_files: Vec<ValuesFile>,
    /// `--set-literal KEY=TEXT`.
    pub set_literal: Vec<String>,
}

impl Values {
    /// The paths of the files that `--set-file` names: whoever reads files fills `set_files` with them.
    ///
    /// # Errors
    /// A text that is none of `KEY=PATH`.
    pub fn wanted_files(&self) -> Result<Vec<String>, ChartError> {
        let mut paths = Vec::new();
        for text in &self.set_file {
            paths.extend(set::paths(text)?);
        }
        Ok(paths)
    }

    /// Every `KEY=PATH` of `--set-file`, cut apart, with the text of its file.
    pub(crate) fn file_pairs(&self) -> Result<Vec<(String, &str)>, ChartError> {
        let mut pairs = Vec::new();
        for text in &self.set_file {
            for pair in set::cut(text, ',') {
                let wrong =
                    |reason: &str| ChartError::Set { flag: "set-file", text: text.clone(), reason: reason.into() };
                let key = set::cut(&pair, '=').swap_remove(0);
                let path = set::paths(&pair)?.pop().ok_or_else(|| wrong("there is no path"))?;
                let file = self.set_files.iter().find(|file| file.name == path);
                pairs.push((key, file.ok_or_else(|| wrong("the file was not read"))?.text.as_str()));
            }
        }
        Ok(pairs)
    }

    fn read(&self, path: &str) -> Option<String> {
        self.set_files.iter().find(|file| file.name == path).map(|file| file.text.clone())
    }

    /// Everything laid over each other, as one map.
    ///
    /// # Errors
    /// A file or a text cannot be understood.
    pub fn merged(&self) -> Result<Map<String, Json>, ChartError> {
        let mut all = Map::new();
        for file in &self.files {
            let values = yaml::first(&file.text, Numbers::Floats)
                .map_err(|source| ChartError::ValuesFile { file: file.name.clone(), source })?;
            match values {
                Json::Object(map) => merge(&mut all, map),
                Json::Null => {}
                _ => return Err(ChartError::ValuesNoMap { file: file.name.clone() }),
            }
        }
        for (flag, texts) in [
            (Flag::Json, &self.set_json),
            (Flag::Typed, &self.set),
            (Flag::Text, &self.set_string),
            (Flag::File, &self.set_file),
            (Flag::Literal, &self.set_literal),
        ] {
            for text in texts {
                set::apply(flag, text, &mut all, &|path| self.read(path))?;
            }
        }
        Ok(all)
    }
}

/// Maps merge; anything else is replaced.
fn merge(target: &mut Map<String, Json>, source: Map<String, Json>) {
    for (key, value) in source {
        match (target.get_mut(&key), value) {
            (Some(Json::Object(old)), Json::Object(new)) => merge(old, new),
            (_, value) => {
                target.insert(key, value);
            }
        }
    }
}

/// What `.Release.IsInstall` and `.Release.IsUpgrade` say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The first installation.
    #[default]
    Install,
    /// An upgrade.
    Upgrade,
}

/// Everything a rendering depends on besides the chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderOptions {
    /// `.Release.Name`; `release-name` unless given, as `helm template` has it.
    pub release_name: String,
    /// `.Release.Namespace`; `default` unless given.
    pub namespace: String,
    /// Installation or upgrade.
    pub stage: Stage,
    /// Values over the chart's own.
    pub values: Values,
    /// The Kubernetes version, such as `1.34.0` or `v1.34`.
    pub kube_version: String,
    /// API versions besides those of Kubernetes itself, such as `monitoring.coreos.com/v1`.
    pub api_versions: Vec<String>,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            release_name: "release-name".to_owned(),
            namespace: "default".to_owned(),
            stage: Stage::Install,
            values: Values::default(),
            kube_version: Self::KUBE_VERSION.to_owned(),
            api_versions: Vec::new(),
        }
    }
}

impl RenderOptions {
    /// The Kubernetes version that charts are rendered for unless one is given.
    pub const KUBE_VERSION: &str = "v1.36.0";
}
