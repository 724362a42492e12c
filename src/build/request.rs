//! What a build is asked for. Plain data: nothing here is opened or looked up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci::{Compression, Platform, Reference};

/// Where the files for COPY and ADD are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextPlace {
    /// A directory.
    Directory(PathBuf),
    /// A tar on stdin, compressed or not.
    Stdin,
    /// A tar, compressed or not, behind an http(s) URL.
    Url(String),
}

impl ContextPlace {
    /// What a command line means: `-`, a URL, or a directory.
    pub fn parse(text: &str) -> Self {
        match text {
            "-" => Self::Stdin,
            url if is_url(url) => Self::Url(url.to_owned()),
            path => Self::Directory(PathBuf::from(path)),
        }
    }
}

/// Where the Kubefile is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubefilePlace {
    /// The first of the known names in the context.
    Discovered,
    /// Stdin.
    Stdin,
    /// Behind an http(s) URL.
    Url(String),
    /// A path, relative to the working directory or else to the context.
    Path(PathBuf),
}

impl KubefilePlace {
    /// What `-f` means: `-`, a URL, or a path.
    pub fn parse(text: &str) -> Self {
        match text {
            "-" => Self::Stdin,
            url if is_url(url) => Self::Url(url.to_owned()),
            path => Self::Path(PathBuf::from(path)),
        }
    }
}

/// What a further name for `--from` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory.
    Directory(PathBuf),
    /// An image of the store or of a registry: `docker-image://…`.
    Image(String),
    /// An OCI layout, directory or archive: `oci-layout://…`.
    Layout(PathBuf),
}

impl NamedContext {
    /// What the part behind `NAME=` means.
    pub fn parse(text: &str) -> Self {
        if let Some(image) = text.strip_prefix("docker-image://") {
            return Self::Image(image.to_owned());
        }
        match text.strip_prefix("oci-layout://") {
            Some(path) => Self::Layout(PathBuf::from(path)),
            None => Self::Directory(PathBuf::from(text)),
        }
    }
}

/// When base images are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Always, even if the registry has the same.
    Always,
    /// If the store has none.
    #[default]
    Missing,
    /// If the registry has another one than the store.
    Newer,
    /// Never.
    Never,
}

/// The kind of manifest and configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// OCI image specification 1.1.
    #[default]
    Oci,
    /// Docker image manifest version 2, schema 2.
    Docker,
}

/// How instructions become layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layering {
    /// One layer for every instruction that changes files.
    #[default]
    PerInstruction,
    /// One layer for all of this build's instructions.
    Squashed,
}

/// Whether results of earlier builds are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CacheUse {
    /// They are.
    #[default]
    Use,
    /// Every step is done anew; its result is still recorded.
    Ignore,
}

/// The network of RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RunNetwork {
    /// The host's, as far as it can be had.
    #[default]
    Default,
    /// None.
    None,
    /// The host's.
    Host,
}

/// How RUN is kept apart from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunIsolation {
    /// By an OCI runtime.
    Oci,
    /// By what is built in.
    Chroot,
}

/// What to build for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platforms {
    /// These; the host's if there are none.
    Listed(Vec<Platform>),
    /// All that every base image is there for.
    OfBases,
}

impl Default for Platforms {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

/// Which system calls RUN may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RunCalls {
    /// Those that container engines allow by default.
    #[default]
    Filtered,
    /// All.
    All,
}

/// Where the value of a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

/// Where else the result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The root file system, into a directory.
    Directory(PathBuf),
    /// The root file system, as a tar file.
    Tar(PathBuf),
    /// The root file system, as a tar to the world's output stream.
    TarStream,
    /// The image, as an oci-archive.
    OciArchive(PathBuf),
}

/// Everything a build is asked for.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// Where the files are.
    pub context: ContextPlace,
    /// Where the Kubefile is.
    pub kubefile: KubefilePlace,
    /// Where further ones are, whose stages stand behind those of the first.
    pub more_kubefiles: Vec<KubefilePlace>,
    /// What relative paths of the command line are relative to.
    pub working_directory: PathBuf,
    /// The ignore file, instead of the ones that are looked for.
    pub ignore_file: Option<PathBuf>,
    /// Names for the result.
    pub tags: Vec<Reference>,
    /// What to build for.
    pub platforms: Platforms,
    /// The stage to stop after; the last one if none.
    pub target: Option<String>,
    /// What the first FROM names instead of what is written.
    pub from: Option<String>,
    /// When base images are pulled.
    pub pull: PullPolicy,
    /// Values for ARG, the later wins; without a value the environment's, if there is one.
    pub build_args: Vec<(String, Option<String>)>,
    /// Files of `NAME=VALUE` lines, weaker than `build_args`.
    pub build_arg_files: Vec<PathBuf>,
    /// Further names for `--from`.
    pub build_contexts: BTreeMap<String, NamedContext>,
    /// Labels of the result.
    pub labels: Vec<(String, String)>,
    /// Annotations of the manifest and the index.
    pub annotations: Vec<(String, String)>,
    /// Environment of the result; without a value the environment's, if there is one.
    pub env: Vec<(String, Option<String>)>,
    /// Variables that are taken out of the result's environment.
    pub unset_env: Vec<String>,
    /// The kind of manifest.
    pub format: Format,
    /// How layers are compressed; zstd for OCI and gzip for Docker if none.
    pub compression: Option<Compression>,
    /// The compressor's level; its default if none.
    pub compression_level: Option<i32>,
    /// Threads that compress; 0 for as many as there are processors.
    pub threads: usize,
    /// How instructions become layers.
    pub layering: Layering,
    /// Whether earlier results are used.
    pub cache: CacheUse,
    /// The time of every file and every date, in seconds since 1970; `SOURCE_DATE_EPOCH` or else 0 if none.
    pub timestamp: Option<i64>,
    /// What `RUN --mount=type=secret` can ask for, by id.
    pub secrets: BTreeMap<String, SecretPlace>,
    /// What `RUN --mount=type=ssh` can ask for, by id: the socket of an agent, or key files; the user's agent if empty.
    pub ssh: BTreeMap<String, Vec<PathBuf>>,
    /// Which system calls RUN may make.
    pub calls: RunCalls,
    /// The network of RUN where the instruction says nothing.
    pub network: RunNetwork,
    /// How RUN is kept apart; the best there is if none.
    pub isolation: Option<RunIsolation>,
    /// Where else the result goes.
    pub outputs: Vec<Output>,
    /// A file that gets the image's id.
    pub iidfile: Option<PathBuf>,
    /// A file that gets facts about the result, as JSON.
    pub metadata_file: Option<PathBuf>,
}

impl BuildRequest {
    /// A build of a context, everything else being the default.
    pub fn new(context: ContextPlace) -> Self {
        Self {
            context,
            kubefile: KubefilePlace::Discovered,
            more_kubefiles: Vec::new(),
            working_directory: PathBuf::from("."),
            ignore_file: None,
            tags: Vec::new(),
            platforms: Platforms::default(),
            target: None,
            from: None,
            pull: PullPolicy::default(),
            build_args: Vec::new(),
            build_arg_files: Vec::new(),
            build_contexts: BTreeMap::new(),
            labels: Vec::new(),
            annotations: Vec::new(),
            env: Vec::new(),
            unset_env: Vec::new(),
            format: Format::default(),
            compression: None,
            compression_level: None,
            threads: 0,
            layering: Layering::default(),
            cache: CacheUse::default(),
            timestamp: None,
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
            calls: RunCalls::default(),
            network: RunNetwork::default(),
            isolation: None,
            outputs: Vec::new(),
            iidfile: None,
            metadata_file: None,
        }
    }
}

pub(crate) fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        for (text, want) in [
            ("-", ContextPlace::Stdin),
            (".", ContextPlace::Directory(".".into())),
            ("https://x.example/a.tar.gz", ContextPlace::Url("https://x.example/a.tar.gz".into())),
            ("./-", ContextPlace::Directory("./-".into())),
        ] {
            assert_eq!(ContextPlace::parse(text), want, "{text}");
        }
        for (text, want) in [
            ("docker-image://alpine:3", NamedContext::Image("alpine:3".into())),
            ("oci-layout:///tmp/x", NamedContext::Layout("/tmp/x".into())),
            ("../lib", NamedContext::Directory("../lib".into())),
        ] {
            assert_eq!(NamedContext::parse(text), want, "{text}");
        }
    }
}
