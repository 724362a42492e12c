//! What `RUN --mount` asks for, as the sandbox takes it, and what of it counts for the cache.

use std::path::PathBuf;

use content::Scratch;

use super::agent::{Agent, Owner};
use super::copy_step::From;
use super::destination::absolute;
use super::error::BuildError;
use super::fingerprint::Fingerprint;
use super::run::secret;
use super::sources::{Wanted, select};
use super::stage::{Build, Done, StageState, Work};
use super::view::{self, Shown};
use super::walk::Verdict;
use crate::kubefile::{Mount, MountKind as Kind, Run, RunMount, Sharing as KubefileSharing};
use crate::rootfs::{Ownership, UnpackOptions, unpack};
use crate::sandbox::{Access, JobMount, MountKind, Secret, Sharing};

/// Where secrets are, unless they say otherwise.
const SECRETS: &str = "/run/secrets";
/// Mode of secrets.
const SECRET_MODE: u32 = 0o400;
/// Where sockets of agents are, unless they say otherwise: behind this, a dot and their number.
const AGENTS: &str = "/run/buildkit/ssh_agent";
/// Mode of those sockets.
const AGENT_MODE: u32 = 0o600;
/// Mode of a new cache.
const CACHE_MODE: u32 = 0o755;

/// The mounts of one RUN; to be kept as long as it runs.
#[derive(Default)]
pub(crate) struct Mounts {
    pub(crate) list: Vec<JobMount>,
    /// Variables that say where something is.
    pub(crate) env: Vec<(String, String)>,
    /// Variables that hold secrets.
    pub(crate) secret_env: Vec<(String, Secret)>,
    /// What counts for the cache.
    described: Vec<String>,
    /// Agents that listen. They end before their directories go.
    agents: Vec<Agent>,
    /// Directories that sources were unpacked into.
    held: Vec<Scratch>,
}

impl Mounts {
    /// Adds to a key what decides about the command's result: what is bound, and which caches and secrets there are,
    /// but not what is in those.
    pub(crate) fn describe(&self, key: &mut Fingerprint) {
        key.list(&self.described);
    }

    fn hold(&mut self, scratch: Scratch) -> PathBuf {
        let place = scratch.path().to_owned();
        self.held.push(scratch);
        place
    }
}

/// A script that is seen at `target` while it runs.
pub(crate) fn script(target: &str, text: String) -> JobMount {
    let content = Secret(text.into_bytes());
    JobMount { target: target.to_owned(), kind: MountKind::Secret { content, mode: 0o755, uid: 0, gid: 0 } }
}

impl<'w> Build<'_, 'w> {
    /// The mounts of a RUN.
    ///
    /// # Errors
    /// When a source or a required secret is not there.
    pub(crate) fn mounts(
        &self,
        run: &Run,
        state: &StageState<'w>,
        work: &Work<'_>,
        done: &mut Done<'w>,
    ) -> Result<Mounts, BuildError> {
        let mut mounts = Mounts::default();
        for mount in &run.mounts {
            let RunMount::Ready(mount) = mount else { continue };
            match mount.kind {
                Kind::Bind => self.bind(mount, work, done, &mut mounts)?,
                Kind::Cache => self.cache(mount, state, work, done, &mut mounts)?,
                Kind::Tmpfs => {
                    let target = target(mount)?;
                    mounts.described.push(format!("tmpfs {target}"));
                    mounts.list.push(JobMount { target, kind: MountKind::Tmpfs { size: mount.size } });
                }
                Kind::Secret => self.secret(mount, &mut mounts)?,
                Kind::Ssh => self.ssh(mount, &mut mounts)?,
            }
        }
        Ok(mounts)
    }

    fn bind(&self, mount: &Mount, work: &Work<'_>, done: &mut Done<'w>, mounts: &mut Mounts) -> Result<(), BuildError> {
        let target = target(mount)?;
        let (Shown { root: source, inside }, key) = self.source(mount, work, done, mounts)?;
        mounts.described.push(format!("bind {target} {key}"));
        let access = if mount.read_only { Access::ReadOnly } else { Access::ReadWrite };
        mounts.list.push(JobMount { target, kind: MountKind::Bind { source, inside, access } });
        Ok(())
    }

    /// What `from` and `source` of a mount mean, and a text that changes with it.
    fn source(
        &self,
        mount: &Mount,
        work: &Work<'_>,
        done: &mut Done<'w>,
        mounts: &mut Mounts,
    ) -> Result<(Shown, String), BuildError> {
        let below = absolute(mount.source.as_deref().unwrap_or("/"), "");
        let from = match &mount.from {
            None => From::Context(self.context),
            Some(name) => self.named(name, work.index, done)?,
        };
        match from {
            From::Context(context) => {
                let (judge, everything) = (self.judge(context), |_: &[u8], _: bool| Verdict::Take);
                let wanted = Wanted { judge: &judge, exclude: &everything, keeps_parents: false };
                let text = String::from_utf8_lossy(&below).into_owned();
                let mut key = Fingerprint::new("bind");
                let picks = select(&*context.base, &text, &wanted)?;
                for found in picks.iter().flat_map(|pick| &pick.files) {
                    key.bytes(&found.path).bytes(&found.target).facts(&found.facts);
                }
                let picked = picks.first().map(|pick| pick.root.clone()).unwrap_or_default();
                let found = context.base.find(&picked)?;
                let scratch = || Ok(mounts.hold(self.world.store.scratch("shown")?));
                Ok((view::show(&context.base, &found, &judge, scratch)?, key.finish().to_string()))
            }
            From::Stage(index) => {
                let layers = done.get(&index).map(|stage| stage.files.layers().to_vec()).unwrap_or_default();
                self.unpacked(&layers, &below, mounts)
            }
            From::Image(_, files) => self.unpacked(files.layers(), &below, mounts),
        }
    }

    /// Files of an image, unpacked for a mount.
    fn unpacked(
        &self,
        layers: &[content::LayerInfo],
        below: &[u8],
        mounts: &mut Mounts,
    ) -> Result<(Shown, String), BuildError> {
        use std::os::unix::ffi::OsStrExt;
        let digests: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let key = format!("{} {}", super::shown::shown(below), digests.join(" "));
        let pairs: Vec<_> = layers.iter().map(|layer| (layer.descriptor.clone(), layer.diff_id)).collect();
        let directory = mounts.hold(self.world.store.scratch("mount")?).join("rootfs");
        let ownership = if rustix::process::geteuid().is_root() { Ownership::Preserve } else { Ownership::Caller };
        unpack(self.world.store, &pairs, &directory, &UnpackOptions { ownership, ..UnpackOptions::default() })?;
        let mut files = super::files::Files::new(self.world.store, layers.to_vec())?;
        let inside = files.tree()?.resolve(below)?;
        let root = directory.join(std::ffi::OsStr::from_bytes(&inside));
        Ok((Shown { root, inside: Vec::new() }, key))
    }

    fn cache(
        &self,
        mount: &Mount,
        state: &StageState<'w>,
        work: &Work<'_>,
        done: &mut Done<'w>,
        mounts: &mut Mounts,
    ) -> Result<(), BuildError> {
        let written = mount.target.clone().unwrap_or_default();
        let target = super::config::workdir(&state.config.config.working_dir, &written);
        let mut id = mount.id.clone().unwrap_or_else(|| target.clone());
        let mut base = None;
        if mount.from.is_some() {
            let (Shown { root, .. }, key) = self.source(mount, work, done, mounts)?;
            // A cache that begins with other files is another one.
            id = format!("{id} {key}");
            base = Some(root);
        }
        mounts.described.push(format!("cache {target} {id}"));
        let kind = MountKind::Cache {
            caches: self.world.store.cache_dir().join("run"),
            id,
            base,
            sharing: match mount.sharing {
                None | Some(KubefileSharing::Shared) => Sharing::Shared,
                Some(KubefileSharing::Private) => Sharing::Private,
                Some(KubefileSharing::Locked) => Sharing::Locked,
            },
            access: if mount.read_only { Access::ReadOnly } else { Access::ReadWrite },
            mode: mount.mode.unwrap_or(CACHE_MODE),
            uid: mount.uid.unwrap_or(0),
            gid: mount.gid.unwrap_or(0),
        };
        mounts.list.push(JobMount { target, kind });
        Ok(())
    }

    fn ssh(&self, mount: &Mount, mounts: &mut Mounts) -> Result<(), BuildError> {
        let id = mount.id.as_deref().filter(|id| !id.is_empty()).unwrap_or("default");
        let target = mount.target.clone().filter(|target| !target.is_empty());
        let target = target.unwrap_or_else(|| format!("{AGENTS}.{}", mounts.agents.len()));
        mounts.described.push(format!("ssh {target} {id}"));
        let Some(places) = self.request.ssh.get(id) else {
            return match mount.required {
                true => Err(BuildError::NoAgent { id: id.to_owned() }),
                false => Ok(()),
            };
        };
        let places: Vec<PathBuf> = places.iter().map(|place| self.request.working_directory.join(place)).collect();
        let usual = self.world.environment.get("SSH_AUTH_SOCK").map(String::as_str);
        let owner =
            Owner { uid: mount.uid.unwrap_or(0), gid: mount.gid.unwrap_or(0), mode: mount.mode.unwrap_or(AGENT_MODE) };
        let directory = mounts.hold(self.world.store.scratch("agent")?);
        let agent = Agent::start(&directory, id, &places, usual, owner)?;
        let (source, inside) = (agent.socket.clone(), Vec::new());
        if mounts.agents.is_empty() {
            mounts.env.push(("SSH_AUTH_SOCK".to_owned(), target.clone()));
        }
        mounts.agents.push(agent);
        mounts.list.push(JobMount { target, kind: MountKind::Bind { source, inside, access: Access::ReadOnly } });
        Ok(())
    }

    fn secret(&self, mount: &Mount, mounts: &mut Mounts) -> Result<(), BuildError> {
        let last = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let named = mount.id.clone().or_else(|| mount.source.clone());
        let id = named.or_else(|| mount.target.as_ref().map(last)).unwrap_or_default();
        mounts.described.push(format!("secret {id} {:?} {:?}", mount.target, mount.env));
        let bytes = match secret(self, &id)? {
            Some(bytes) => Secret(bytes),
            None if mount.required => return Err(BuildError::NoSecret { id }),
            None => return Ok(()),
        };
        if let Some(name) = &mount.env {
            let name = if name.is_empty() { &id } else { name };
            mounts.secret_env.push((name.clone(), bytes.clone()));
        }
        if mount.env.is_none() || mount.target.is_some() {
            let target = mount.target.clone().unwrap_or_else(|| format!("{SECRETS}/{id}"));
            let (uid, gid) = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
            let kind = MountKind::Secret { content: bytes, mode: mount.mode.unwrap_or(SECRET_MODE), uid, gid };
            mounts.list.push(JobMount { target, kind });
        }
        Ok(())
    }
}

fn target(mount: &Mount) -> Result<String, BuildError> {
    mount.target.clone().filter(|target| !target.is_empty()).ok_or_else(|| BuildError::Value {
        what: "the mount",
        text: mount.kind.word().to_owned(),
        reason: "it has no target".to_owned(),
    })
}
