//! Runs one RUN instruction's command on top of layers and tells what it changed.
//!
//! ```text
//! Job ─▶ lowers + stubs ─▶ Script ─▶ clone: new mount, pid, ipc, uts (net) namespaces
//!                                      ├─ overlay of the lowers, /proc, /sys, /dev, binds, secrets
//!                                      └─ pid 1 ─▶ the command (or crun, runc)
//!        Changes ◀─ upper directory ◀──┘
//! ```
//!
//! Invariants: every mount is made in a mount namespace of its own, so none is left behind whatever is killed; the
//! first process in there dies with the thread that started it, and all others with it; mount points made for mounts
//! are a layer below the command's changes and never among them; secrets are only ever written to memory.
//!
//! What this is not: a wall against hostile commands. Capabilities are reduced to what container engines give, so are
//! system calls, device nodes do not work and the kernel's knobs are read-only; but root is the machine's root, and the
//! network is the host's unless `--network=none`. Needs Linux 5.12 or newer.

mod capabilities;
mod changes;
mod compare;
mod error;
mod job;
mod launch;
mod layout;
mod loopback;
mod lowers;
mod mounts;
mod oci;
mod overlay;
mod process;
mod pump;
mod root;
mod script;
mod seccomp;
mod userns;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use changes::Changes;
pub use error::SandboxError;
pub use job::{Access, Calls, Isolation, Job, JobMount, MountKind, Network, Outcome, Secret, Sharing, Status, Stream};
pub use userns::{enter_user_namespace, is_in_user_namespace};

use layout::{Layout, Storage};

/// A way to run commands that works here.
#[derive(Clone, Debug)]
pub struct Sandbox {
    runtime: Option<PathBuf>,
}

impl Sandbox {
    /// Chooses how commands are run. Without a wish: `crun` or `runc` if one is installed and works, else what is
    /// built in.
    ///
    /// # Errors
    /// When commands cannot be run here, or not in the way wished for.
    pub fn choose(wish: Option<Isolation>) -> Result<Self, SandboxError> {
        process::probe()?;
        match wish {
            Some(Isolation::Chroot) => Ok(Self { runtime: None }),
            Some(Isolation::Oci) => oci::find().map(|runtime| Self { runtime: Some(runtime) }),
            None => Ok(Self { runtime: oci::find().ok() }),
        }
    }

    /// How commands are run.
    pub fn isolation(&self) -> Isolation {
        match self.runtime {
            Some(_) => Isolation::Oci,
            None => Isolation::Chroot,
        }
    }

    /// The runtime's program, unless commands are run by what is built in.
    pub fn runtime(&self) -> Option<&Path> {
        self.runtime.as_deref()
    }

    /// Runs a command; `output` gets what it writes, as it comes.
    ///
    /// # Errors
    /// When the command cannot be started. A command that fails is not an error: see [`Outcome::status`].
    pub fn run(&self, job: &Job<'_>, output: &mut dyn FnMut(Stream, &[u8])) -> Result<Outcome, SandboxError> {
        match self.attempt(job, Storage::Overlay, output) {
            Err(SandboxError::Overlay { .. }) => self.attempt(job, Storage::Copy, output),
            other => other,
        }
    }

    fn attempt(
        &self,
        job: &Job<'_>,
        storage: Storage,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Outcome, SandboxError> {
        let layout = Layout::prepare(job, storage)?;
        let script = match &self.runtime {
            Some(runtime) => oci::script(runtime, job, &layout)?,
            None => root::script(job, &layout)?,
        };
        let status = launch::launch(&script, job, output)?;
        Ok(Outcome { status, upper: layout.into_changes()? })
    }
}
