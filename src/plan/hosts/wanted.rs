//! What every host of a cluster shall have: chains of steps, from the cluster and its images.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use oci::{Digest, Reference, RuntimeConfig};

use crate::cluster::{
    Address, Cluster, ClusterError, ClusterName, Environment, Host, HostName, ImageKind, Layout, Role, commands,
    mount_name, rewrite, shell,
};
use crate::plan::hosts::{Action, ChangeRef, Direction, HostStep, ImageRef, stage};
use crate::plan::{ImageCommand, StepId};

/// The chain of the files that all hosts have.
pub(super) const FILES: &str = "rootfs";
/// The chain of the lines in `/etc/hosts`.
pub(super) const NAMES: &str = "names";
/// The chain of the scripts of the rootfs image.
pub(super) const BOOTSTRAP: &str = "bootstrap";

/// What is known of an image before any layer is read.
#[derive(Clone, Debug)]
pub struct ImageFacts {
    /// Its name, as the cluster's list has it.
    pub name: String,
    /// Its manifest.
    pub digest: Digest,
    /// What its configuration says about running.
    pub config: RuntimeConfig,
    /// Bytes of its layers, compressed.
    pub bytes: u64,
}

impl ImageFacts {
    fn image_ref(&self) -> ImageRef {
        ImageRef { name: self.name.clone(), digest: self.digest }
    }
}

/// The name that an image keeps over its versions: its repository, or all of its name where that is no reference.
pub fn lineage(image: &str) -> String {
    match image.parse::<Reference>() {
        Ok(reference) if !image.starts_with("sha256:") => {
            let text = reference.familiar();
            let text = text.split('@').next().unwrap_or_default();
            match text.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
                _ => text.to_owned(),
            }
        }
        _ => image.to_owned(),
    }
}

/// Steps of one host that follow from each other.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// The environment of its templates and commands.
    pub environment: Environment,
    /// The steps, in order.
    pub steps: Vec<HostStep>,
}

/// What one host shall have.
#[derive(Clone, Debug)]
pub struct WantedHost {
    /// The host.
    pub address: Address,
    /// The chains, in order.
    pub chains: Vec<Chain>,
}

/// What every host of a cluster shall have.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The cluster.
    pub cluster: ClusterName,
    /// The hosts.
    pub hosts: Vec<WantedHost>,
}

struct Builder<'a> {
    cluster: &'a Cluster,
    images: &'a [ImageFacts],
    kinds: Vec<ImageKind>,
    layout: &'a Layout,
    addresses: &'a BTreeMap<Address, IpAddr>,
}

impl Wanted {
    /// What the hosts of `cluster` shall have of its images; `addresses` are those of hosts that are known by a name.
    ///
    /// # Errors
    /// When labels or variables are wrong, or two images are one in two versions.
    pub fn new(
        cluster: &Cluster,
        images: &[ImageFacts],
        layout: &Layout,
        addresses: &BTreeMap<Address, IpAddr>,
    ) -> Result<Self, ClusterError> {
        let kinds = images.iter().map(|image| ImageKind::of(&image.config.labels)).collect::<Result<Vec<_>, _>>()?;
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for image in images {
            if let Some(first) = seen.insert(lineage(&image.name), &image.name) {
                let (first, second) = (first.to_owned(), image.name.clone());
                return Err(ClusterError::TwoVersions { first, second });
            }
        }
        let roots: Vec<_> = images.iter().zip(&kinds).filter(|(_, kind)| **kind == ImageKind::Rootfs).collect();
        if let [(first, _), (second, _), ..] = roots.as_slice() {
            return Err(ClusterError::TwoRootfs { first: first.name.clone(), second: second.name.clone() });
        }
        let builder = Builder { cluster, images, kinds, layout, addresses };
        let hosts = cluster.hosts.iter().map(|host| builder.host(host)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { cluster: cluster.name.clone(), hosts })
    }

    /// The environment of a step.
    pub fn environment(&self, step: &HostStep) -> Option<&Environment> {
        let host = self.hosts.iter().find(|host| host.address == step.host)?;
        Some(&host.chains.iter().find(|chain| chain.name == step.chain)?.environment)
    }
}

impl Builder<'_> {
    fn of_kind(&self, wanted: impl Fn(ImageKind) -> bool) -> Vec<&ImageFacts> {
        self.images.iter().zip(&self.kinds).filter(|(_, kind)| wanted(**kind)).map(|(image, _)| image).collect()
    }

    fn rootfs(&self) -> Option<&ImageFacts> {
        self.of_kind(|kind| kind == ImageKind::Rootfs).first().copied()
    }

    /// The variables of an image on a host.
    fn environment(&self, image: &ImageFacts, kind: ImageKind, host: &Host) -> Result<Environment, ClusterError> {
        let given = self.cluster.image_env.get(&image.name).map(Vec::as_slice).unwrap_or_default();
        let mut environment = Environment::of_image(&image.config.env)
            .overlaid(&self.cluster.env)?
            .overlaid(&host.env)?
            .overlaid(given)?;
        if kind != ImageKind::Application {
            environment.set("SEALOS_SYS_SEALOS_VERSION", env!("CARGO_PKG_VERSION"));
            if let Some(version) = image.config.labels.get("version") {
                environment.set("SEALOS_SYS_KUBE_VERSION", version);
            }
        }
        let roles: Vec<&str> = host.roles.iter().map(Role::as_str).collect();
        environment.set("SEALOS_SYS_RUN_MODE", &roles.join(","));
        Ok(environment)
    }

    fn host(&self, host: &Host) -> Result<WantedHost, ClusterError> {
        let mut chains = Vec::new();
        if let Some(rootfs) = self.rootfs() {
            chains.push(self.files(host, rootfs)?);
            chains.extend(self.names(host, rootfs)?);
            chains.push(self.bootstrap(host, rootfs)?);
        }
        let is_first = self.cluster.first_master().is_some_and(|first| first.address == host.address);
        for (number, (image, kind)) in self.images.iter().zip(&self.kinds).enumerate() {
            match kind {
                ImageKind::Application if !is_first => {}
                // A patch is nothing without what it is for.
                ImageKind::Patch if self.rootfs().is_none() => {
                    return Err(ClusterError::PatchAlone { image: image.name.clone() });
                }
                _ => chains.push(self.image(host, image, *kind, number)?),
            }
        }
        Ok(WantedHost { address: host.address.clone(), chains })
    }

    fn changes(&self, images: &[&ImageFacts]) -> Vec<ChangeRef> {
        let for_one = |change: &&crate::cluster::FileChange| match &change.image {
            Some(image) => images.iter().any(|known| known.name == *image),
            None => true,
        };
        let digest = |change: &crate::cluster::FileChange| {
            let what = format!("{}\0{:?}\0{}", change.path, change.strategy, change.data);
            ChangeRef { name: change.name.clone(), digest: Digest::of(what.as_bytes()) }
        };
        self.cluster.configs.iter().filter(for_one).map(digest).collect()
    }

    fn files(&self, host: &Host, rootfs: &ImageFacts) -> Result<Chain, ClusterError> {
        let images = self.of_kind(|kind| kind != ImageKind::Application);
        let serves = self.cluster.registries().iter().any(|registry| registry.address == host.address);
        let registry = if serves { self.images.iter().map(ImageFacts::image_ref).collect() } else { Vec::new() };
        let directory = self.layout.work_directory(&self.cluster.name, ImageKind::Rootfs, "");
        // Templates of a patch see what the patch says, over what the rootfs says.
        let mut environment = self.environment(rootfs, ImageKind::Rootfs, host)?;
        for image in images.iter().filter(|image| image.name != rootfs.name) {
            for (name, value) in self.environment(image, ImageKind::Patch, host)?.iter() {
                environment.set(name, value);
            }
        }
        let mut chain = Links::new(FILES, host, rootfs, environment);
        let action = Action::Files {
            directory: directory.clone(),
            images: images.iter().map(|image| image.image_ref()).collect(),
            registry,
            changes: self.changes(&images),
        };
        chain.push(stage::FILES, action, Some(Action::RemoveFiles { directory: directory.clone() }));
        chain.know_environment();
        chain.push(stage::FILES, Action::Render { directory }, None);
        Ok(chain.done())
    }

    /// Where the registry is, for every host.
    fn names(&self, host: &Host, rootfs: &ImageFacts) -> Result<Option<Chain>, ClusterError> {
        let environment = self.environment(rootfs, ImageKind::Rootfs, host)?;
        let (Some(domain), Some(registry)) =
            (environment.get("registryDomain").map(str::to_owned), self.cluster.registries().first().copied())
        else {
            return Ok(None);
        };
        let ip = match &registry.address.name {
            HostName::Ip(ip) => Some(*ip),
            HostName::Name(_) => self.addresses.get(&registry.address).copied(),
        };
        let Some(ip) = ip else { return Ok(None) };
        let mut chain = Links::new(NAMES, host, rootfs, Environment::default());
        let lines = vec![format!("{ip} {domain}")];
        chain.know(&lines[0]);
        chain.push(stage::FILES, Action::HostsFile { lines }, Some(Action::HostsFile { lines: Vec::new() }));
        Ok(Some(chain.done()))
    }

    /// The scripts of the rootfs image, which no other image's labels change.
    fn bootstrap(&self, host: &Host, rootfs: &ImageFacts) -> Result<Chain, ClusterError> {
        let directory = self.layout.work_directory(&self.cluster.name, ImageKind::Rootfs, "");
        let environment = self.environment(rootfs, ImageKind::Rootfs, host)?;
        let script = |name: &str| script(&rootfs.config, name, &environment, &directory.join("scripts"));
        let serves = self.cluster.registries().iter().any(|registry| registry.address == host.address);
        let mut chain = Links::unknown(BOOTSTRAP, host, rootfs, environment.clone());
        // A host that was found fit is not asked again: what the scripts after it begin is no leftover of others.
        chain.push(stage::CHECK, script("check"), None);
        chain.know(&rootfs.digest.to_string());
        chain.know_environment();
        if serves {
            chain.push(stage::REGISTRY, script("init-registry"), Some(script("clean-registry")));
        }
        if rootfs.config.labels.contains_key("init-cri") {
            let undo = rootfs.config.labels.contains_key("clean-cri").then(|| script("clean-cri"));
            chain.push(stage::RUNTIME, script("init-cri"), undo);
        }
        chain.push(stage::INIT, script("init"), Some(script("clean")));
        Ok(chain.done())
    }

    fn image(&self, host: &Host, image: &ImageFacts, kind: ImageKind, number: usize) -> Result<Chain, ClusterError> {
        let mount = mount_name(&self.cluster.name, &lineage(&image.name));
        let directory = self.layout.work_directory(&self.cluster.name, kind, &mount);
        let environment = self.environment(image, kind, host)?;
        let mut chain = Links::new(&mount, host, image, environment.clone());
        let stage = stage::image(number);
        if kind == ImageKind::Application {
            let registry = if self.rootfs().is_none() { vec![image.image_ref()] } else { Vec::new() };
            let (images, changes) = (vec![image.image_ref()], self.changes(&[image]));
            let action = Action::Files { directory: directory.clone(), images, registry, changes };
            chain.push(stage, action, Some(Action::RemoveFiles { directory: directory.clone() }));
            chain.know_environment();
            let clean = image.config.labels.get("clean").filter(|clean| !clean.trim().is_empty());
            let undo = clean.map(|_| script(&image.config, "clean", &environment, &directory));
            chain.push(stage, Action::Render { directory: directory.clone() }, undo);
        } else {
            chain.know_environment();
        }
        let given = self.cluster.image_cmd.get(&image.name).filter(|cmd| !cmd.is_empty());
        let shell = shell(&image.config);
        let texts = commands(&image.config, given.map(Vec::as_slice));
        for word in &shell {
            chain.know(word);
        }
        for (text, index) in texts.iter().zip(1..) {
            chain.know(text);
            let command = ImageCommand {
                index,
                of: texts.len(),
                text: text.clone(),
                shell: shell.clone(),
                script: rewrite(text, &environment),
                directory: directory.clone(),
            };
            chain.push(stage + 1, Action::Command(command), None);
        }
        chain.push(stage + 1, Action::Record { kind, directory }, None);
        Ok(chain.done())
    }
}

/// The script that a label names, or the one of the label's name if the image has it.
fn script(config: &RuntimeConfig, name: &str, environment: &Environment, directory: &Path) -> Action {
    let label = config.labels.get(name).filter(|label| !label.trim().is_empty());
    let usual = format!("{name}.sh");
    let needs = label.is_none().then(|| usual.clone());
    let text = format!("bash {}", label.unwrap_or(&usual));
    Action::Script {
        name: name.to_owned(),
        script: rewrite(&text, environment),
        directory: directory.to_owned(),
        needs,
    }
}

/// A chain in the making: the id of a step tells all that is known when it is added.
struct Links {
    chain: Chain,
    host: Address,
    image: String,
    digest: Digest,
    known: Vec<String>,
}

impl Links {
    /// A chain whose steps depend on the image.
    fn new(name: &str, host: &Host, image: &ImageFacts, environment: Environment) -> Self {
        let mut links = Self::unknown(name, host, image, environment);
        links.know(&image.digest.to_string());
        links
    }

    /// A chain whose first steps do not.
    fn unknown(name: &str, host: &Host, image: &ImageFacts, environment: Environment) -> Self {
        Self {
            chain: Chain { name: name.to_owned(), environment, steps: Vec::new() },
            host: host.address.clone(),
            image: image.name.clone(),
            digest: image.digest,
            known: vec![name.to_owned()],
        }
    }

    fn know(&mut self, what: &str) {
        self.known.push(what.to_owned());
    }

    fn know_environment(&mut self) {
        let pairs: Vec<String> = self.chain.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.known.extend(pairs);
    }

    fn push(&mut self, stage: u32, action: Action, undo: Option<Action>) {
        let ordinal = self.chain.steps.len();
        if let Action::Files { directory, images, registry, changes } = &action {
            self.known.push(directory.display().to_string());
            let images = images.iter().map(|image| image.digest).chain(registry.iter().map(|image| image.digest));
            let digests = images.chain(changes.iter().map(|change| change.digest));
            self.known.extend(digests.map(|digest| digest.to_string()));
            self.known.push(format!("{} {}", registry.len(), changes.len()));
        }
        let what = match &action {
            Action::Script { script, needs, .. } => format!("{}\0{needs:?}", script.text),
            _ => String::new(),
        };
        let place = ordinal.to_string();
        let parts = self.known.iter().map(String::as_str).chain([place.as_str(), what.as_str()]);
        self.chain.steps.push(HostStep {
            id: StepId::of(parts),
            stage,
            host: self.host.clone(),
            chain: self.chain.name.clone(),
            ordinal,
            image: self.image.clone(),
            digest: self.digest,
            direction: Direction::Do,
            action,
            undo,
        });
    }

    fn done(self) -> Chain {
        self.chain
    }
}

/// Hosts that are listed with the names of their chains: what is there and in nobody's list is taken away.
pub(super) fn names(host: &WantedHost) -> BTreeSet<&str> {
    host.chains.iter().map(|chain| chain.name.as_str()).collect()
}
