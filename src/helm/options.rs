//! What a rendering is told besides the chart: release, versions, values.

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
    pub const KUBE_VERSION: &str = "v1.34.0";
}
