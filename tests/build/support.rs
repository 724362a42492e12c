//! A store, a context, and what came of a build.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;

use content::layer::LayerReader;
use content::tar::{Entry, EntryKind, TarReader};
use content::{Disk, Image, load_image};
use oci::{Platform, Reference};
use sealos::build::{BuildError, BuildEvent, BuildObserver, BuildOutcome, BuildRequest, ContextPlace, World, build};

/// Keeps what it hears.
#[derive(Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<BuildEvent>>);

impl BuildObserver for Heard {
    fn event(&self, event: &BuildEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// A temporary place with a store and a context.
pub(crate) struct Lab {
    pub(crate) place: tempfile::TempDir,
    pub(crate) store: Disk,
    pub(crate) heard: Heard,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("context")).unwrap();
        let store = Disk::open(place.path().join("store")).unwrap();
        Self { place, store, heard: Heard::default() }
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.place.path().join("context")
    }

    /// Writes a file of the context, and its directories.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    pub(crate) fn request(&self) -> BuildRequest {
        let mut request = BuildRequest::new(ContextPlace::Directory(self.context()));
        request.working_directory = self.place.path().to_owned();
        request
    }

    pub(crate) fn world(&self) -> World<'_> {
        World::offline(&self.store, &self.heard)
    }

    /// Builds a Kubefile with the defaults.
    pub(crate) fn build(&self, kubefile: &str) -> Result<Built, BuildError> {
        self.build_with(kubefile, |_| {})
    }

    pub(crate) fn build_with(
        &self,
        kubefile: &str,
        change: impl FnOnce(&mut BuildRequest),
    ) -> Result<Built, BuildError> {
        self.file("Kubefile", kubefile);
        let mut request = self.request();
        change(&mut request);
        let outcome = build(&request, &self.world())?;
        Ok(self.look(outcome))
    }

    /// Builds what has to fail, and says how it does: the chain of errors and the help.
    pub(crate) fn failure(&self, kubefile: &str) -> String {
        match self.build(kubefile) {
            Ok(_) => panic!("{kubefile} was built"),
            Err(error) => explained(&error),
        }
    }

    pub(crate) fn look(&self, outcome: BuildOutcome) -> Built {
        let image = load_image(&self.store, &outcome.images[0].manifest, &outcome.images[0].platform).unwrap();
        let layers = image.layers.iter().map(|layer| {
            let reader = LayerReader::open(&self.store, &layer.descriptor).unwrap();
            let mut tar = TarReader::new(reader.verify_diff_id(layer.diff_id).unwrap());
            let mut files = Vec::new();
            while let Some(entry) = tar.next().unwrap() {
                let mut content = Vec::new();
                tar.read_to_end(&mut content).unwrap();
                files.push((entry, content));
            }
            files
        });
        Built { layers: layers.collect(), image, outcome }
    }

    /// How often a step was found in the cache since the last call, of all that made layers.
    pub(crate) fn cached(&self) -> (usize, usize) {
        let events = std::mem::take(&mut *self.heard.0.lock().unwrap());
        let count = |is: fn(&BuildEvent) -> bool| events.iter().filter(|event| is(event)).count();
        (count(|event| matches!(event, BuildEvent::Cached)), count(|event| matches!(event, BuildEvent::Layer { .. })))
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let events = self.heard.0.lock().unwrap();
        let text = |event: &BuildEvent| if let BuildEvent::Warning(text) = event { Some(text.clone()) } else { None };
        events.iter().filter_map(text).collect()
    }
}

/// An error, its causes and its help.
pub(crate) fn explained(error: &BuildError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!("\n  caused by: {inner}"));
        cause = inner.source();
    }
    if let Some(help) = error.help() {
        text.push_str(&format!("\nhelp: {help}"));
    }
    text
}

/// What was built.
pub(crate) struct Built {
    pub(crate) outcome: BuildOutcome,
    pub(crate) image: Image,
    pub(crate) layers: Vec<Vec<(Entry, Vec<u8>)>>,
}

impl Built {
    /// All files: path to what is there, later layers on top (whiteouts are files like others here).
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for (entry, content) in self.layers.iter().flatten() {
            let what = match &entry.kind {
                EntryKind::File { .. } => String::from_utf8_lossy(content).into_owned(),
                EntryKind::Directory => "/".to_owned(),
                EntryKind::Symlink { target } => format!("-> {}", String::from_utf8_lossy(target)),
                EntryKind::HardLink { target } => format!("= {}", String::from_utf8_lossy(target)),
                other => format!("{other:?}"),
            };
            files.insert(String::from_utf8_lossy(&entry.path).into_owned(), what);
        }
        files
    }

    /// The names of all files that are no directories, with their contents, as `path=content`.
    pub(crate) fn plain(&self) -> Vec<String> {
        let files = self.files().into_iter().filter(|(_, what)| what != "/");
        files.map(|(path, what)| format!("{path}={what}")).collect()
    }

    pub(crate) fn entry(&self, path: &str) -> &Entry {
        let found = self.layers.iter().flatten().rev().find(|(entry, _)| entry.path == path.as_bytes());
        &found.unwrap_or_else(|| panic!("no {path} in {:?}", self.files())).0
    }

    pub(crate) fn config(&self) -> &oci::ImageConfig {
        self.image.config.value()
    }
}

pub(crate) fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

pub(crate) fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}
