//! What the program does on a host: one step, for a controller at the other end of its input and output.
//!
//! A connection that breaks does not stop a command in the middle: it comes to its end and is recorded, and the next run
//! finds it so. Files are another matter: without the controller there are no bytes, and what was placed stays for the
//! next time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use content::layer::LayerReader;
use content::tar::TarReader;
use content::{BlobReader, ContentError, Source};
use oci::{Descriptor, DiffId, Digest, Reference};

use super::names;
use super::protocol::{Given, PIECE, Request, Said, Wares, line, pass_on, read};
use super::record::HostRecord;
use crate::cluster::{Environment, ShellScript};
use crate::execute::tail::Tail;
use crate::execute::templates;
use crate::plan::hosts::{Action, Direction};
use crate::probe::State;
use crate::report::causes;
use crate::rootfs::{Ownership, RootfsError, Syncer, TreeManifest, UnpackOptions, hash, remove_synced};
use crate::template::{Engine, Mode};
use crate::transport::{Command, Interrupt, Local, Stream, Transport, TransportError};

/// How long a step of an earlier run is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why a step failed, as it is told.
struct Failure {
    error: String,
    help: Option<String>,
    code: Option<u8>,
    tail: Vec<String>,
}

impl Failure {
    fn new(doing: &str, error: &dyn std::error::Error) -> Self {
        Self::of(format!("{doing}: {}", causes(error)))
    }

    /// One that only this text tells of.
    fn of(error: String) -> Self {
        Self { error, help: None, code: None, tail: Vec::new() }
    }
}

fn failed<E: std::error::Error>(doing: impl Into<String>) -> impl FnOnce(E) -> Failure {
    let doing = doing.into();
    move |error| Failure::new(&doing, &error)
}

/// The controller, as the program on a host sees it.
struct Controller<'a> {
    input: RefCell<&'a mut dyn BufRead>,
    output: RefCell<&'a mut dyn Write>,
}

impl Controller<'_> {
    /// Says something. A controller that is gone is told nothing; a command goes on without it.
    fn say(&self, what: &Said) {
        if let Ok(line) = line(what) {
            let mut output = self.output.borrow_mut();
            output.write_all(&line).and_then(|()| output.flush()).unwrap_or_default();
        }
    }

    /// Fetches bytes from `from` on to `to`; returns how many came.
    fn fetch(&self, digest: Digest, from: u64, to: &mut dyn Write) -> io::Result<u64> {
        let mut output = self.output.borrow_mut();
        output.write_all(&line(&Said::Fetch { digest, from })?)?;
        output.flush()?;
        let mut input = self.input.borrow_mut();
        let size = match read::<Given>(&mut **input)? {
            Some(Given::Bytes(size)) => size,
            Some(Given::Nothing(why)) => return Err(io::Error::other(why)),
            None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the controller is gone")),
        };
        pass_on(&mut **input, size, to, "the controller is gone")?;
        Ok(size)
    }
}

/// Does the one step that `input` asks for. Returns whether it did.
///
/// # Errors
/// When there is no order to read.
pub fn serve(input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<bool> {
    let Some(request) = read::<Request>(input)? else { return Ok(false) };
    let controller = Controller { input: RefCell::new(input), output: RefCell::new(output) };
    match perform(&request, &controller) {
        Ok((already, note)) => {
            controller.say(&Said::Done { already, note });
            Ok(true)
        }
        Err(Failure { error, help, code, tail }) => {
            controller.say(&Said::Failed { error, help, code, tail });
            Ok(false)
        }
    }
}

fn perform(request: &Request, controller: &Controller<'_>) -> Result<(bool, String), Failure> {
    let Request { cluster, step, environment, again, .. } = request;
    let doing = || format!("open the record in {}", cluster.display());
    let mut record = HostRecord::open(cluster, PATIENCE).map_err(failed(doing()))?;
    if step.direction == Direction::Do {
        if record.has(step) && !again {
            return Ok((true, String::new()));
        }
        record.note(step, State::Started).map_err(failed("write the record"))?;
    }
    let kept = match environment {
        Some(given) => {
            record.keep_environment(&step.chain, given).map_err(failed("keep the environment"))?;
            given.clone()
        }
        None => record.environment(&step.chain).map_err(failed("read the environment"))?,
    };
    if step.action == Action::Sweep {
        record.sweep().map_err(failed("remove what is kept"))?;
        return Ok((false, String::new()));
    }
    let note = effect(request, &kept, controller)?;
    let state = match (step.direction, &step.action) {
        (_, Action::Forget) => State::Forgotten,
        (Direction::Do, _) => State::Done,
        (Direction::Undo, _) => State::Undone,
    };
    record.note(step, state).map_err(failed("write the record"))?;
    Ok((false, note))
}

fn effect(
    request: &Request,
    environment: &BTreeMap<String, String>,
    controller: &Controller<'_>,
) -> Result<String, Failure> {
    let step = &request.step;
    match &step.action {
        Action::Files { directory, .. } => {
            let none = || Failure::of("the order has no list of files".to_owned());
            let wares = request.wares.as_ref().ok_or_else(none)?;
            sync(&request.cluster, directory, wares, controller)
        }
        Action::Render { directory } => {
            let lines: Vec<String> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut known = Environment::of_image(&lines);
            if let Some(path) = environment.get("PATH") {
                known.set("PATH", path);
            }
            let engine = Engine::new(Mode::Strict);
            templates::render(&step.image, directory, &known, &engine).map_err(|error| {
                let help = error.help();
                Failure { help, ..Failure::new("render", &error) }
            })?;
            Ok(String::new())
        }
        Action::HostsFile { lines } => {
            let name = request.cluster.file_name().unwrap_or_default().to_string_lossy();
            names::write(Path::new("/etc/hosts"), &name, lines).map_err(failed("write /etc/hosts"))?;
            Ok(String::new())
        }
        Action::Script { script, directory, needs, .. } => {
            if needs.as_ref().is_some_and(|needs| !directory.join(needs).exists()) {
                return Ok("the image has none".to_owned());
            }
            let argv = vec!["/bin/bash".to_owned(), "-c".to_owned(), script.text.clone()];
            run(request, argv, script, directory, environment, controller)
        }
        Action::Command(command) => {
            let argv = command.shell.iter().chain([&command.script.text]).cloned().collect();
            run(request, argv, &command.script, &command.directory, environment, controller)
        }
        Action::RemoveFiles { directory } => {
            let done = remove_synced(directory, &tree_record(&request.cluster, directory))
                .map_err(failed("remove the files"))?;
            Ok(format!("{} files removed", done.removed))
        }
        Action::Record { .. } | Action::Forget | Action::Sweep => Ok(String::new()),
    }
}

/// Where it is kept which files a directory was brought to.
fn tree_record(cluster: &Path, directory: &Path) -> PathBuf {
    let inside = directory.strip_prefix(cluster).unwrap_or(directory);
    cluster.join("trees").join(format!("{}.tree", inside.display().to_string().replace('/', "~")))
}

fn run(
    request: &Request,
    argv: Vec<String>,
    script: &ShellScript,
    directory: &Path,
    environment: &BTreeMap<String, String>,
    controller: &Controller<'_>,
) -> Result<String, Failure> {
    let aliases =
        script.aliases.iter().filter_map(|(alias, name)| Some((alias.clone(), environment.get(name)?.clone())));
    let env = environment.clone().into_iter().chain(aliases).collect();
    let timeout = request.timeout.map(Duration::from_secs);
    let command = Command { argv, env, cwd: Some(directory.to_owned()), timeout, ..Command::default() };
    let host = Local::new(std::env::vars_os(), Interrupt::default());
    let mut tail = Tail::default();
    let ended = host.run(&command, &mut |stream: Stream, bytes| {
        let text = String::from_utf8_lossy(bytes).trim_end_matches(['\n', '\r']).to_owned();
        tail.push(text.chars().take(Tail::WIDTH).collect());
        controller.say(&Said::Output { stream, text });
    });
    let told = |error: String, help: Option<String>, code| Failure { error, help, code, tail: tail.lines() };
    match ended {
        Ok(status) if status.success() => Ok(String::new()),
        Ok(status) => Err(told(format!("it failed with {status}"), None, Some(status.code()))),
        Err(error @ TransportError::Timeout { .. }) => {
            Err(told("it took too long and was stopped".to_owned(), error.help(), None))
        }
        Err(error) => Err(Failure::new("it did not run", &error)),
    }
}

/// Brings a directory to a list of files: bytes that are there are not fetched, and of the layers only those that have
/// bytes that are not.
fn sync(cluster: &Path, directory: &Path, wares: &Wares, controller: &Controller<'_>) -> Result<String, Failure> {
    let cache = cluster.join("transfer");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&cache)
        .map_err(failed("make the directory for layers"))?;
    let blobs = Blobs { directory: cache, controller };
    let (digest, size) = wares.manifest;
    let list = blobs.get(digest, size).map_err(failed("fetch the list of files"))?;
    let manifest = zstd::Decoder::new(list).and_then(|mut list| TreeManifest::read(&mut list));
    let manifest = manifest.map_err(failed("read the list of files"))?;
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(failed("make the directory"))?;
    }
    let options = UnpackOptions { ownership: Ownership::Preserve, ..UnpackOptions::default() };
    let record = tree_record(cluster, directory);
    let doing = || format!("bring the files to {}", directory.display());
    let mut syncer = Syncer::begin(directory, &record, &manifest, &options).map_err(failed(doing()))?;
    let mut by_layer: BTreeMap<Option<u32>, BTreeMap<Vec<u8>, Vec<usize>>> = BTreeMap::new();
    for number in syncer.needed().to_vec() {
        let file = &manifest.files[number];
        let paths = by_layer.entry(file.layer).or_default();
        paths.entry(file.path_in_layer().to_vec()).or_default().push(number);
    }
    let mut fetched = 0;
    for (layer, mut paths) in by_layer {
        match layer {
            None => {
                for number in paths.into_values().flatten() {
                    let Some((size, digest)) = manifest.files[number].content() else { continue };
                    let mut file = blobs.get(digest, size).map_err(failed("fetch a file"))?;
                    syncer.place(number, &mut file).map_err(failed(doing()))?;
                    blobs.drop(digest);
                }
            }
            Some(layer) => {
                let known = usize::try_from(layer).ok().and_then(|layer| wares.layers.get(layer));
                let none = || Failure::of(format!("the list of files names layer {layer}, which there is not"));
                let (descriptor, diff_id) = known.ok_or_else(none)?;
                fetched += place_layer(&blobs, descriptor, *diff_id, &mut paths, &mut syncer)?;
            }
        }
    }
    let done = syncer.finish().map_err(failed(doing()))?;
    for warning in &done.warnings {
        controller.say(&Said::Warning { text: warning.to_string() });
    }
    blobs.drop(digest);
    Ok(format!("{} files written, {} removed, {} kept, {fetched} bytes fetched", done.written, done.removed, done.kept))
}

fn place_layer(
    blobs: &Blobs<'_, '_>,
    descriptor: &Descriptor,
    diff_id: DiffId,
    paths: &mut BTreeMap<Vec<u8>, Vec<usize>>,
    syncer: &mut Syncer<'_>,
) -> Result<u64, Failure> {
    let doing = || format!("read the layer {}", descriptor.digest);
    let (_, fetched) = blobs.fetch_whole(descriptor.digest, descriptor.size).map_err(failed(doing()))?;
    let whole = Fetched { directory: blobs.directory.clone() };
    let reader = LayerReader::open(&whole, descriptor).and_then(|reader| reader.verify_diff_id(diff_id));
    let mut tar = TarReader::new(reader.map_err(failed(doing()))?);
    while let Some(entry) = tar.next().map_err(failed(doing()))? {
        let Some(number) = paths.get(&entry.path).and_then(|numbers| numbers.first().copied()) else { continue };
        match syncer.place(number, &mut tar) {
            Ok(()) => drop(paths.remove(&entry.path)),
            // A layer can have a path twice; the last one is meant.
            Err(RootfsError::WrongContent { .. }) => {}
            Err(error) => return Err(failed(doing())(error)),
        }
        if paths.is_empty() {
            break;
        }
    }
    drop(tar);
    if let Some(path) = paths.keys().next() {
        let path = String::from_utf8_lossy(path);
        return Err(Failure::of(format!("the layer {} has no `{path}`", descriptor.digest)));
    }
    blobs.drop(descriptor.digest);
    Ok(fetched)
}

/// What is fetched, in a directory until it is used. A part of it is kept for the next time.
struct Blobs<'a, 'b> {
    directory: PathBuf,
    controller: &'a Controller<'b>,
}

impl Blobs<'_, '_> {
    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(digest.hex())
    }

    /// Fetches what is missing of something and verifies it; also returns how many bytes came.
    fn fetch_whole(&self, digest: Digest, size: u64) -> io::Result<(File, u64)> {
        let path = self.path(digest);
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
        let mut there = file.metadata()?.len();
        if there > size {
            file.set_len(0)?;
            there = 0;
        }
        let came = if there < size { self.controller.fetch(digest, there, &mut file)? } else { 0 };
        file.seek(SeekFrom::Start(0))?;
        if hash(&mut file, &mut vec![0; PIECE])? != digest {
            drop(file);
            fs::remove_file(&path)?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("what came is not {digest}")));
        }
        file.seek(SeekFrom::Start(0))?;
        Ok((file, came))
    }

    fn get(&self, digest: Digest, size: u64) -> io::Result<BufReader<File>> {
        Ok(BufReader::new(self.fetch_whole(digest, size)?.0))
    }

    /// What was used is not kept.
    fn drop(&self, digest: Digest) {
        fs::remove_file(self.path(digest)).unwrap_or_default();
    }
}

/// Whole blobs in a directory, for those who read layers.
struct Fetched {
    directory: PathBuf,
}

impl Source for Fetched {
    fn place(&self) -> String {
        self.directory.display().to_string()
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        Err(ContentError::UnknownImage { place: self.place(), name: name.familiar(), similar: Vec::new() })
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        let opened = File::open(self.directory.join(what.digest.hex())).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            Ok(file)
        });
        let file = opened.map_err(ContentError::io(format!("read {}", what.digest)))?;
        Ok(Box::new(BufReader::with_capacity(PIECE, file)))
    }
}
