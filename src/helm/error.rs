//! What can be wrong with a chart or with what is given to it.

use crate::template::TemplateError;
use crate::yaml::YamlError;

/// Why a chart cannot be read or rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChartError {
    /// There is no `Chart.yaml`.
    #[error("this is no chart: there is no `Chart.yaml`")]
    NoChartYaml,
    /// A YAML file of a chart cannot be read.
    #[error("cannot read `{file}` of the chart: {source}")]
    File {
        /// The file, relative to the chart.
        file: String,
        /// What is wrong in it.
        source: YamlError,
    },
    /// A file of a chart is YAML, but says what it may not say.
    #[error("`{file}` of the chart {reason}")]
    Invalid {
        /// The file, relative to the chart.
        file: String,
        /// What is wrong with it, as the end of a sentence.
        reason: String,
    },
    /// A packed chart cannot be unpacked.
    #[error("cannot unpack the chart: {reason}")]
    Archive {
        /// Why not.
        reason: String,
    },
    /// A chart inside `charts/` is wrong.
    #[error("in `charts/{name}`: {source}")]
    Subchart {
        /// The directory or archive.
        name: String,
        /// What is wrong with it.
        source: Box<ChartError>,
    },
    /// A dependency is not there.
    #[error("the chart `{chart}` needs {}, which {} not in `charts/`", list(missing), are(missing))]
    MissingDependency {
        /// The chart.
        chart: String,
        /// The dependencies that are missing.
        missing: Vec<String>,
    },
    /// A chart of parts for other charts.
    #[error("`{chart}` is a library chart: it has nothing to install by itself")]
    Library {
        /// The chart.
        chart: String,
    },
    /// The chart is not for this Kubernetes version.
    #[error("the chart `{chart}` is for Kubernetes {constraint}, not for {version}")]
    Kubernetes {
        /// The chart.
        chart: String,
        /// What it asks for.
        constraint: String,
        /// What it was rendered for.
        version: String,
    },
    /// A text that is no Kubernetes version.
    #[error("`{text}` is no Kubernetes version")]
    KubeVersion {
        /// The text.
        text: String,
    },
    /// A values file cannot be read.
    #[error("cannot read the values of `{file}`: {source}")]
    ValuesFile {
        /// The file.
        file: String,
        /// What is wrong in it.
        source: YamlError,
    },
    /// A values file holds a list or a scalar.
    #[error("the values of `{file}` are no map of names to values")]
    ValuesNoMap {
        /// The file.
        file: String,
    },
    /// A `--set` text or one of its relatives is wrong.
    #[error("cannot understand `--{flag} {text}`: {reason}")]
    Set {
        /// The flag, without dashes.
        flag: &'static str,
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Values for a subchart that are no map.
    #[error("the value of `{name}` must be a map, because it holds the values of the subchart of that name")]
    SubchartValues {
        /// The subchart.
        name: String,
    },
    /// Values that a chart's schema refuses.
    #[error("the values do not fit the schema of {}", failures.join("; "))]
    Schema {
        /// The chart, the place and what is wrong there, one each.
        failures: Vec<String>,
    },
    /// A schema that is none.
    #[error("`values.schema.json` of the chart `{chart}` is no JSON schema: {reason}")]
    NoSchema {
        /// The chart.
        chart: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A template cannot be parsed or rendered; the error holds file, line and column.
    #[error("chart `{chart}`: {source}")]
    Template {
        /// The chart whose template it is.
        chart: String,
        /// What went wrong where.
        source: TemplateError,
    },
    /// A template made something that is not YAML.
    #[error("the template `{template}` of the chart `{chart}` does not make what Kubernetes takes: {source}")]
    Manifest {
        /// The chart.
        chart: String,
        /// The template.
        template: String,
        /// What is wrong in the text it made.
        source: YamlError,
    },
    /// The thread that renders could not be started.
    #[error("cannot start a thread to render the chart")]
    Thread,
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => format!("the dependency {last}"),
        Some((last, rest)) => format!("the dependencies {} and {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

fn are(names: &[String]) -> &'static str {
    if names.len() == 1 { "is" } else { "are" }
}

impl ChartError {
    /// A way out, where one is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::MissingDependency { .. } => Some("run `helm dependency build` in the chart's directory".to_owned()),
            Self::Kubernetes { .. } => Some("give the version it is for with `--kube-version`".to_owned()),
            Self::KubeVersion { .. } => Some("write it like `v1.34.0` or `1.34`".to_owned()),
            Self::Template { source, .. } => source.help(),
            Self::Subchart { source, .. } => source.help(),
            Self::NoChartYaml => {
                Some("a chart is a directory with `Chart.yaml`, or such a directory packed".to_owned())
            }
            _ => None,
        }
    }
}
