//! Where the text of the Kubefile and the patterns of the ignore file come from.

use registry_client::redacted;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::BuildError;
use super::event::BuildEvent;
use super::request::{BuildRequest, ContextPlace, KubefilePlace};
use super::world::World;
use crate::kubefile::{self, Kubefile};

/// Names that are looked for in the context, in this order.
pub const NAMES: [&str; 4] = ["Kubefile", "Sealfile", "Dockerfile", "Containerfile"];

/// No Kubefile is larger, in bytes.
pub(crate) const LIMIT: u64 = 16 << 20;

/// The text of a Kubefile.
#[derive(Clone, Debug)]
pub struct KubefileText {
    /// How messages call it.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Where it lies, if it is a file here.
    pub path: Option<PathBuf>,
}

/// The stages of all Kubefiles of a request, whose context is at `context`, and the first one's text.
///
/// # Errors
/// When there is none, or one cannot be read or parsed.
pub fn find_and_parse(
    request: &BuildRequest,
    context: &Path,
    world: &World<'_>,
) -> Result<(Kubefile, KubefileText), BuildError> {
    let first = find(request, &request.kubefile, context, world)?;
    let mut kubefile = kubefile::parse(&first.text, &first.name)?;
    for place in &request.more_kubefiles {
        let text = find(request, place, context, world)?;
        kubefile.append(kubefile::parse(&text.text, &text.name)?)?;
    }
    Ok((kubefile, first))
}

/// Finds and reads a Kubefile of a request.
fn find(
    request: &BuildRequest,
    place: &KubefilePlace,
    context: &Path,
    world: &World<'_>,
) -> Result<KubefileText, BuildError> {
    match place {
        KubefilePlace::Stdin if request.context == ContextPlace::Stdin => Err(BuildError::StdinTwice),
        KubefilePlace::Stdin => world.with_stdin(|stdin| {
            let text = text(stdin, "-", |source| unreadable(Path::new("-"), source))?;
            Ok(KubefileText { name: "-".to_owned(), text, path: None })
        }),
        KubefilePlace::Url(url) => {
            let fetched = world.fetch.fetch(url);
            let fetched = fetched.map_err(|source| BuildError::Fetch { url: redacted(url), source })?;
            let text =
                text(fetched.body, &redacted(url), |source| BuildError::FetchBody { url: redacted(url), source })?;
            Ok(KubefileText { name: redacted(url), text, path: None })
        }
        KubefilePlace::Path(path) => {
            let places = [request.working_directory.join(path), context.join(path)];
            let found = places.iter().find(|place| place.exists());
            let found = found.ok_or_else(|| BuildError::KubefileNotFound { path: path.clone() })?;
            read(found, &path.display().to_string())
        }
        KubefilePlace::Discovered => discover(context, world),
    }
}

fn discover(context: &Path, world: &World<'_>) -> Result<KubefileText, BuildError> {
    let mut found = NAMES.into_iter().filter(|name| context.join(name).is_file());
    let first = found.next().ok_or_else(|| BuildError::NoKubefile { context: context.to_owned() })?;
    let others: Vec<&str> = found.collect();
    if !others.is_empty() {
        let text = format!("`{first}` is used; there is also `{}`", others.join("`, `"));
        world.observer.event(&BuildEvent::Warning(text));
    }
    read(&context.join(first), first)
}

fn read(path: &Path, name: &str) -> Result<KubefileText, BuildError> {
    if path.is_dir() {
        return Err(BuildError::NotKubefile { name: name.to_owned(), reason: "it is a directory" });
    }
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    let text = text(file, name, |source| unreadable(path, source))?;
    Ok(KubefileText { name: name.to_owned(), text, path: Some(path.to_owned()) })
}

fn text(input: impl Read, name: &str, problem: impl FnOnce(io::Error) -> BuildError) -> Result<String, BuildError> {
    let mut bytes = Vec::new();
    input.take(LIMIT + 1).read_to_end(&mut bytes).map_err(problem)?;
    let refuse = |reason| BuildError::NotKubefile { name: name.to_owned(), reason };
    match () {
        () if bytes.len() as u64 > LIMIT => Err(refuse("it has more than 16 MiB")),
        () if bytes.iter().all(u8::is_ascii_whitespace) => Err(refuse("it is empty")),
        () => String::from_utf8(bytes).map_err(|_not_text| refuse("it is not UTF-8 text")),
    }
}

fn unreadable(path: &Path, source: io::Error) -> BuildError {
    BuildError::InputFile { what: "Kubefile", path: path.to_owned(), source }
}

/// The text of the ignore file: the one that is named, the Kubefile's own, or the context's; none if there is none.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn ignore_text(
    request: &BuildRequest,
    kubefile: &KubefileText,
    context: &Path,
) -> Result<Option<(String, String)>, BuildError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map(|text| (path.display().to_string(), text))
            .map_err(|source| BuildError::InputFile { what: "ignore file", path: path.to_owned(), source })
    };
    if let Some(path) = &request.ignore_file {
        return read(&request.working_directory.join(path)).map(Some);
    }
    let suffixes = [".containerignore", ".dockerignore"];
    let own = kubefile.path.iter().flat_map(|path| {
        suffixes.map(|suffix| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        })
    });
    let places = own.chain(suffixes.map(|name| context.join(name)));
    match places.into_iter().find(|path| path.is_file()) {
        Some(path) => read(&path).map(Some),
        None => Ok(None),
    }
}
