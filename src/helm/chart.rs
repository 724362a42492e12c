//! A chart and its subcharts, from the files of one tree.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::archive;
use super::ignore::Ignore;
use super::metadata::Metadata;
use super::{ChartError, ChartFile};
use crate::yaml::{self, Numbers};

/// How deep charts may lie in each other's `charts/`.
const MAX_NESTING: usize = 32;
const BOM: &[u8] = &[0xef, 0xbb, 0xbf];

/// A chart with its subcharts, read and checked.
#[derive(Clone, Debug)]
pub struct Chart {
    pub(crate) metadata: Metadata,
    pub(crate) values: Map<String, Json>,
    pub(crate) schema: Option<Arc<[u8]>>,
    pub(crate) templates: Vec<Arc<ChartFile>>,
    /// Everything that is neither of the others: what `.Files` sees.
    pub(crate) files: Vec<Arc<ChartFile>>,
    pub(crate) dependencies: Vec<Chart>,
    crds: Vec<ChartFile>,
}

impl Chart {
    /// Reads a chart from the files of its directory, in any order: `Chart.yaml` of either version, `values.yaml`,
    /// `values.schema.json`, `templates/`, `crds/`, and subcharts in `charts/`, as directories or `.tgz`.
    /// `.helmignore` is applied.
    ///
    /// # Errors
    /// A file that cannot be understood, named.
    pub fn load(files: impl IntoIterator<Item = ChartFile>) -> Result<Self, ChartError> {
        let files: Vec<ChartFile> = files.into_iter().collect();
        let ignore = match files.iter().find(|file| file.path == Ignore::FILE) {
            Some(file) => Ignore::parse(&String::from_utf8_lossy(&file.bytes))
                .map_err(|reason| ChartError::Invalid { file: Ignore::FILE.to_owned(), reason })?,
            None => Ignore::default(),
        };
        Self::from_files(files.into_iter().filter(|file| !ignore.leaves_out(&file.path)), 0)
    }

    /// Reads a packed chart (`.tgz`); `.helmignore` was applied when it was packed.
    ///
    /// # Errors
    /// It cannot be unpacked, or a file in it cannot be understood.
    pub fn unpack(packed: impl Read) -> Result<Self, ChartError> {
        Self::from_files(archive::unpack(packed)?, 0)
    }

    fn from_files(files: impl IntoIterator<Item = ChartFile>, depth: usize) -> Result<Self, ChartError> {
        let mut files: Vec<ChartFile> = files.into_iter().collect();
        for file in files.iter_mut().filter(|file| file.bytes.starts_with(BOM)) {
            file.bytes.drain(..BOM.len());
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut metadata = Metadata::default();
        let found = files.iter().find(|file| file.path == "Chart.yaml").ok_or(ChartError::NoChartYaml)?;
        metadata.read("Chart.yaml", &text(found))?;
        let mut chart = Self {
            metadata,
            values: Map::new(),
            schema: None,
            templates: Vec::new(),
            files: Vec::new(),
            dependencies: Vec::new(),
            crds: Vec::new(),
        };
        let mut subcharts: BTreeMap<String, Vec<ChartFile>> = BTreeMap::new();
        for file in files {
            chart.place(file, &mut subcharts)?;
        }
        chart.metadata.validate()?;
        for (name, files) in subcharts {
            if name.starts_with(['_', '.']) {
                continue;
            }
            let failed = |source| ChartError::Subchart { name: name.clone(), source: Box::new(source) };
            if depth >= MAX_NESTING {
                let reason = format!("lies more than {MAX_NESTING} charts deep");
                return Err(failed(ChartError::Invalid { file: "Chart.yaml".to_owned(), reason }));
            }
            if let Some(sub) = subchart(&name, files, depth + 1).map_err(failed)? {
                chart.dependencies.push(sub);
            }
        }
        chart.crds = chart.own_crds();
        Ok(chart)
    }

    /// Puts one file where it belongs.
    fn place(&mut self, file: ChartFile, subcharts: &mut BTreeMap<String, Vec<ChartFile>>) -> Result<(), ChartError> {
        let is_v1 = matches!(self.metadata.api_version.as_str(), "" | "v1");
        match file.path.as_str() {
            "Chart.yaml" | "Chart.lock" => {}
            "values.yaml" => {
                self.values = match yaml::first(&text(&file), Numbers::Floats) {
                    Ok(Json::Object(map)) => map,
                    Ok(Json::Null) => Map::new(),
                    Ok(_) => {
                        let reason = "is no map of names to values".to_owned();
                        return Err(ChartError::Invalid { file: file.path, reason });
                    }
                    Err(source) => return Err(ChartError::File { file: file.path, source }),
                };
            }
            "values.schema.json" => self.schema = Some(file.bytes.into()),
            "requirements.yaml" => {
                self.metadata.read("requirements.yaml", &text(&file))?;
                if is_v1 {
                    self.files.push(Arc::new(file));
                }
            }
            "requirements.lock" if !is_v1 => {}
            path if path.starts_with("templates/") => self.templates.push(Arc::new(file)),
            path if path.starts_with("charts/") && !path.ends_with(".prov") => {
                let below = path["charts/".len()..].to_owned();
                let name = below.split('/').next().unwrap_or_default().to_owned();
                subcharts.entry(name).or_default().push(ChartFile { path: below, bytes: file.bytes });
            }
            _ => self.files.push(Arc::new(file)),
        }
        Ok(())
    }

    fn own_crds(&self) -> Vec<ChartFile> {
        let is_manifest = |path: &str| {
            let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
            ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        };
        let own = self.files.iter().filter(|file| file.path.starts_with("crds/") && is_manifest(&file.path));
        let mut crds: Vec<ChartFile> = own
            .map(|file| ChartFile { path: format!("{}/{}", self.name(), file.path), bytes: file.bytes.clone() })
            .collect();
        for sub in &self.dependencies {
            let below = sub.crds.iter();
            crds.extend(below.map(|crd| ChartFile {
                path: format!("{}/charts/{}", self.name(), crd.path),
                bytes: crd.bytes.clone(),
            }));
        }
        crds
    }

    /// The chart's name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The chart's version.
    pub fn version(&self) -> &str {
        &self.metadata.version
    }

    /// The version of the application; empty when the chart names none.
    pub fn app_version(&self) -> &str {
        &self.metadata.app_version
    }

    /// The annotations of `Chart.yaml`, such as `helm.sh/images`.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.metadata.annotations
    }

    /// The files of `crds/`, of subcharts too; the paths are those that Helm prints, such as `app/crds/x.yaml`.
    pub fn crds(&self) -> &[ChartFile] {
        &self.crds
    }

    /// Whether it is a library chart, which renders nothing by itself.
    pub fn is_library(&self) -> bool {
        self.metadata.is_library()
    }

    /// The text of a template, of a subchart too, by the name that Helm prints: `app/charts/db/templates/service.yaml`.
    /// Subcharts go by their alias where the chart gives one.
    pub fn template_source(&self, template: &str) -> Option<&str> {
        let (_, below) = template.split_once('/')?;
        let Some(inside) = below.strip_prefix("charts/") else {
            let file = self.templates.iter().find(|file| file.path == below)?;
            return std::str::from_utf8(&file.bytes).ok();
        };
        let (name, _) = inside.split_once('/')?;
        let aliased = self.metadata.dependencies.iter().flatten().find(|dependency| dependency.alias == name);
        let name = aliased.map_or(name, |dependency| dependency.name.as_str());
        self.dependencies.iter().find(|sub| sub.name() == name)?.template_source(inside)
    }

    /// The subcharts, enabled or not.
    pub fn subcharts(&self) -> &[Chart] {
        &self.dependencies
    }
}

fn text(file: &ChartFile) -> String {
    String::from_utf8_lossy(&file.bytes).into_owned()
}

/// The chart in a child of `charts/`; `None` for files that belong to no chart.
fn subchart(name: &str, files: Vec<ChartFile>, depth: usize) -> Result<Option<Chart>, ChartError> {
    if name.ends_with(".tgz") {
        let [file] = files.as_slice() else {
            let reason = "is a directory, though its name is that of a packed chart".to_owned();
            return Err(ChartError::Invalid { file: name.to_owned(), reason });
        };
        return Chart::from_files(archive::unpack(file.bytes.as_slice())?, depth).map(Some);
    }
    let below: Vec<ChartFile> = files
        .into_iter()
        .filter_map(|file| {
            let path = file.path.split_once('/')?.1.to_owned();
            Some(ChartFile { path, bytes: file.bytes })
        })
        .collect();
    match below.is_empty() {
        // A file in `charts/` that is no chart, such as a README: Helm refuses it, and so would the installation.
        true => Err(ChartError::NoChartYaml),
        false => Chart::from_files(below, depth).map(Some),
    }
}
