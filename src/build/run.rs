//! RUN: its command in the sandbox, on the layers so far, and what it changed as a layer.
//!
//! The layers are unpacked once for a stage, when the first RUN that is not cached needs them; the changes of one RUN
//! are the next one's uppermost directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use content::Scratch;
use content::tar::EntryKind;

use super::arguments::PROXIES;
use super::config;
use super::copy::Copied;
use super::error::BuildError;
use super::event::{BuildEvent, OutputStream};
use super::item::{Content, Item, arrange};
use super::layer::Key;
use super::request::{RunCalls, RunIsolation, RunNetwork, SecretPlace};
use super::stage::{Build, Done, StageState, Work};
use crate::kubefile::instruction::{Network as RunFlag, Security};
use crate::kubefile::{Run, Script};
use crate::rootfs::{Ownership, UnpackOptions, unpack};
use crate::sandbox::{Calls, Changes, Isolation, Job, Network, Outcome, Stream};

/// Where a heredoc that is a script of its own lies while it runs.
const SCRIPT: &str = "/dev/pipes/EOF";

/// Directories of layers, lowest first, for the sandbox.
#[derive(Debug, Default)]
pub(crate) struct Lowers {
    directories: Vec<PathBuf>,
    /// How many layers of the stage they hold.
    count: usize,
    held: Vec<Arc<Scratch>>,
}

/// The changes of a command, and the directory that they are in.
#[derive(Debug)]
pub(crate) struct HeldChanges {
    /// The changes.
    pub(crate) changes: Changes,
    _scratch: Arc<Scratch>,
}

impl<'w> Build<'_, 'w> {
    /// Runs a command of a stage, or finds what it came to.
    ///
    /// # Errors
    /// When it cannot be run or fails.
    pub(crate) fn run_command(
        &self,
        run: &Run,
        state: &mut StageState<'w>,
        work: &Work<'_>,
        done: &mut Done<'w>,
    ) -> Result<Copied, BuildError> {
        if run.security == Security::Insecure || run.devices.iter().any(|device| device.required) {
            let what = "RUN with `--security=insecure` or `--device`".to_owned();
            return Err(BuildError::Unsupported { what, instead: None });
        }
        let mut mounts = self.mounts(run, state, work, done)?;
        let (argv, script) = self.argv(run, state);
        let network = match (run.network, self.request.network) {
            (RunFlag::None, _) | (RunFlag::Default, RunNetwork::None) => Network::None,
            (RunFlag::Host, _) | (RunFlag::Default, RunNetwork::Host) => Network::Host,
            (RunFlag::Default, RunNetwork::Default) => Network::Default,
        };
        let visible: Vec<_> =
            work.scope.declared().iter().filter(|(name, _)| !PROXIES.contains(&name.as_str())).collect();
        let mut key = self.layers.key("run", self.timestamp);
        key.list(state.files.layers().iter().map(|layer| layer.diff_id.to_string()));
        key.list(&argv).text(script.as_deref().unwrap_or_default()).list(&state.config.config.env);
        key.list(visible.iter().map(|(name, value)| format!("{name}={value}")));
        key.text(&state.config.config.user).text(&state.config.config.working_dir).text(&format!("{network:?}"));
        mounts.describe(&mut key);
        let key = Key::of(key);
        if let Some(made) = self.layers.find(&key)? {
            return Ok(Copied { made, items: None });
        }
        self.materialise(state)?;
        let scratch = Arc::new(self.world.store.scratch("run")?);
        let mut env = environment(&state.config.config.env);
        for (name, value) in work.scope.declared().iter().cloned().chain(self.arguments.proxies()) {
            if env.iter().all(|(known, _)| *known != name) {
                env.push((name, value));
            }
        }
        env.retain(|(name, _)| mounts.env.iter().all(|(own, _)| own != name));
        env.append(&mut mounts.env);
        let (mut list, secret_env) = (std::mem::take(&mut mounts.list), std::mem::take(&mut mounts.secret_env));
        list.extend(script.map(|text| super::run_mount::script(SCRIPT, text)));
        let job = Job {
            lowers: state.lowers.directories.clone(),
            scratch: scratch.path(),
            argv,
            env,
            secret_env,
            cwd: state.config.config.working_dir.clone(),
            user: state.config.config.user.clone(),
            mounts: list,
            network,
            calls: match self.request.calls {
                RunCalls::Filtered => Calls::Filtered,
                RunCalls::All => Calls::All,
            },
            stdin: None,
        };
        let outcome = self.start_job(&job)?;
        // What it saw is not needed any more.
        drop(mounts);
        if !outcome.status.is_success() {
            return Err(BuildError::Command { status: outcome.status.to_string() });
        }
        for warning in outcome.upper.warnings() {
            self.world.observer.event(&BuildEvent::Warning(warning.to_string()));
        }
        state.lowers.directories.push(outcome.upper.directory().to_owned());
        state.lowers.held.push(Arc::clone(&scratch));
        let items = self.changed(HeldChanges { changes: outcome.upper, _scratch: scratch });
        let made = self.layers.make(&key, &items)?;
        // The directory just pushed is this layer.
        state.lowers.count += usize::from(made.layer.is_some());
        Ok(Copied { made, items: Some(items) })
    }

    fn start_job(&self, job: &Job<'_>) -> Result<Outcome, BuildError> {
        let Some(sandbox) = self.sandbox else {
            return Err(BuildError::Unsupported { what: "RUN".to_owned(), instead: None });
        };
        let observer = self.world.observer;
        Ok(sandbox.run(job, &mut |stream, bytes| {
            let stream = match stream {
                Stream::Stdout => OutputStream::Stdout,
                Stream::Stderr => OutputStream::Stderr,
            };
            observer.event(&BuildEvent::Output { stream, bytes: bytes.to_vec() });
        })?)
    }

    /// What is to be run, and the text of a script that has to lie at [`SCRIPT`].
    fn argv(&self, run: &Run, state: &StageState<'_>) -> (Vec<String>, Option<String>) {
        let shell = config::shell(&state.config);
        match run.script() {
            Script::Exec(argv) => (argv, None),
            Script::Shell(text) => (shell.into_iter().chain([text]).collect(), None),
            Script::File { content, .. } => (vec![SCRIPT.to_owned()], Some(content)),
        }
    }

    /// Brings the layers that are on no directory yet onto one.
    pub(crate) fn materialise(&self, state: &mut StageState<'w>) -> Result<(), BuildError> {
        let layers = state.files.layers();
        if state.lowers.count == layers.len() && !state.lowers.directories.is_empty() {
            return Ok(());
        }
        // A layer alone does not say what its whiteouts hide, so if there may be any, all is unpacked anew.
        let hides = state.lowers.count > 0 && state.files.has_whiteouts(state.lowers.count)?;
        if hides {
            state.lowers = Lowers::default();
        }
        let scratch = Arc::new(self.world.store.scratch("rootfs")?);
        let pairs: Vec<_> = state.files.layers()[state.lowers.count..]
            .iter()
            .map(|layer| (layer.descriptor.clone(), layer.diff_id))
            .collect();
        let directory = scratch.path().join("rootfs");
        let ownership = if rustix::process::geteuid().is_root() { Ownership::Preserve } else { Ownership::Caller };
        let options = UnpackOptions { ownership, ..UnpackOptions::default() };
        for warning in unpack(self.world.store, &pairs, &directory, &options)?.warnings {
            self.world.observer.event(&BuildEvent::Warning(warning.to_string()));
        }
        state.lowers.count += pairs.len();
        state.lowers.directories.push(directory);
        state.lowers.held.push(scratch);
        Ok(())
    }

    fn changed(&self, held: HeldChanges) -> Vec<Item> {
        let held = Arc::new(held);
        let entries = held.changes.entries().iter().cloned();
        let items = entries.map(|mut entry| {
            let has_content = matches!(entry.kind, EntryKind::File { size } if size > 0);
            let inside = entry.clone();
            entry.mtime = self.timestamp;
            let content = match has_content {
                true => Content::Changed { held: Arc::clone(&held), entry: Box::new(inside) },
                false => Content::Nothing,
            };
            Item { entry, content, identity: None }
        });
        arrange(items.collect())
    }
}

/// The sandbox's name for a wish.
pub(crate) fn isolation(wish: RunIsolation) -> Isolation {
    match wish {
        RunIsolation::Oci => Isolation::Oci,
        RunIsolation::Chroot => Isolation::Chroot,
    }
}

/// `NAME=value` lines as pairs.
fn environment(lines: &[String]) -> Vec<(String, String)> {
    lines.iter().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// The bytes of a secret.
pub(crate) fn secret(build: &Build<'_, '_>, id: &str) -> Result<Option<Vec<u8>>, BuildError> {
    match build.request.secrets.get(id) {
        None => Ok(None),
        Some(SecretPlace::Variable(name)) => {
            Ok(build.world.environment.get(name).map(|value| value.clone().into_bytes()))
        }
        Some(SecretPlace::File(path)) => read(&build.request.working_directory.join(path)).map(Some),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    /// No secret is larger, in bytes: they live in memory.
    const LIMIT: u64 = 1 << 20;
    let problem = |source| BuildError::InputFile { what: "secret", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(problem)?;
    if file.metadata().map_err(problem)?.len() > LIMIT {
        return Err(problem(io::ErrorKind::FileTooLarge.into()));
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LIMIT), &mut bytes).map_err(problem)?;
    Ok(bytes)
}
