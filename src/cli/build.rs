//! `sealos build [CONTEXT]`: the flags, those of the Go sealos and of buildah as far as they mean something here.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use oci::{Compression, Platform};

use super::build_request::{self, Security, build_context, named, output, secret, security_opt, ssh};
use super::build_world::{build, prepare};
use super::carrying::CarryFlags;
use super::error::CommandError;
use super::go_bool;
use super::registry::Registry;
use super::world::{Silence, World};
use crate::build::{Output, SecretPlace};

/// Build an image from a Kubefile
///
/// The recipe is the first of Kubefile, Sealfile, Dockerfile and Containerfile in the context, or what `--file`
/// names. The id of the image is printed.
#[derive(Debug, Args)]
#[command(visible_aliases = ["bud"], alias = "build-using-dockerfile", after_help = "\
Examples:
  sealos build -t app:v1 .
  sealos build -t app:v1 -f Kubefile --platform linux/amd64,linux/arm64 .
  sealos build --build-arg VERSION=1.2 --label team=core -t app:1.2 ./app
  sealos build -o type=local,dest=./rootfs .")]
pub(crate) struct Build {
    /// The directory with the files to copy, the URL of a tar archive, or - for one on stdin
    #[arg(default_value = ".")]
    pub(crate) context: String,
    /// The recipe: a path here or in the context, a URL, or - for stdin; of several, the stages stand behind each other
    #[arg(short, long, value_name = "FILE", value_delimiter = ',')]
    pub(crate) file: Vec<String>,
    /// A name for the image
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Vec<String>,
    /// Which platforms to build for [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub(crate) platform: Vec<Platform>,
    /// Build for every platform that all base images are there for
    #[arg(long, conflicts_with = "platform")]
    pub(crate) all_platforms: bool,
    /// A name for the index of several platforms; the same as --tag
    #[arg(long, value_name = "NAME")]
    pub(crate) manifest: Option<String>,
    /// A value for an ARG; without =VALUE the environment's
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = named)]
    pub(crate) build_arg: Vec<String>,
    /// Files with a NAME=VALUE a line
    #[arg(long, value_name = "FILE")]
    pub(crate) build_arg_file: Vec<PathBuf>,
    /// A further context for COPY --from=NAME: a directory, a URL or docker-image://IMAGE
    #[arg(long, value_name = "NAME=PLACE", value_parser = build_context)]
    pub(crate) build_context: Vec<(String, String)>,
    /// Stop after this stage
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// The image for the first FROM
    #[arg(long, value_name = "IMAGE")]
    pub(crate) from: Option<String>,
    /// When base images are pulled
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_value_t = Pull::False,
          default_missing_value = "true", value_name = "WHEN")]
    pub(crate) pull: Pull,
    /// The kind of manifest to write
    #[arg(long, value_enum, env = "BUILDAH_FORMAT", hide_env = true, default_value_t = ManifestFormat::Oci)]
    pub(crate) format: ManifestFormat,
    /// A label for the image
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) label: Vec<String>,
    /// An annotation for the manifest
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// An environment variable for the image; without =VALUE the environment's
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = named)]
    pub(crate) env: Vec<String>,
    /// Take a variable out of the image's environment
    #[arg(long, value_name = "NAME")]
    pub(crate) unsetenv: Vec<String>,
    /// The time of files and history, in seconds since 1970 [default: SOURCE_DATE_EPOCH or 0]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timestamp: Option<i64>,
    /// One layer an instruction, as is the default; false: one layer for this build
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_missing_value = "true", value_parser = go_bool::parser(), hide_possible_values = true,
          env = "BUILDAH_LAYERS", hide_env = true)]
    pub(crate) layers: Option<bool>,
    /// One layer for everything that this build does
    #[arg(long)]
    pub(crate) squash: bool,
    /// Do every step anew
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// How layers are compressed [default: zstd, gzip for the docker format]
    #[arg(long, value_name = "zstd|gzip|none", value_parser = compression)]
    pub(crate) compression: Option<Compression>,
    /// How hard, in the compressor's own numbers
    #[arg(long, value_name = "LEVEL", allow_hyphen_values = true)]
    pub(crate) compression_level: Option<i32>,
    /// Also write the files of the image: type=local,dest=DIR, type=tar,dest=FILE or - for stdout; or the image itself:
    /// type=oci-archive,dest=FILE
    #[arg(short, long, value_name = "WHERE", value_parser = output)]
    pub(crate) output: Vec<Output>,
    /// Write the id of the image to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,
    /// Write facts about the image to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,
    /// The patterns of files to leave out [default: .containerignore or .dockerignore]
    #[arg(long, value_name = "FILE")]
    pub(crate) ignorefile: Option<PathBuf>,
    /// How RUN is kept apart from this machine [default: oci where a runtime is installed, else chroot]
    #[arg(long, value_enum, env = "BUILDAH_ISOLATION", hide_env = true)]
    pub(crate) isolation: Option<Isolation>,
    /// The network of RUN
    #[arg(long, alias = "net", value_enum, default_value_t = NetworkMode::Default)]
    pub(crate) network: NetworkMode,
    /// A secret for RUN --mount=type=secret: id=ID,src=FILE or id=ID,env=NAME
    #[arg(long, value_name = "SPEC", value_parser = secret)]
    pub(crate) secret: Vec<(String, SecretPlace)>,
    /// An ssh agent for RUN --mount=type=ssh: default for the one of SSH_AUTH_SOCK, or a socket or key files
    #[arg(long, value_name = "ID[=SOCKET|KEY[,KEY]]", value_parser = ssh)]
    pub(crate) ssh: Vec<(String, Vec<PathBuf>)>,
    /// What RUN may do: seccomp=unconfined lets it make every system call
    #[arg(long, value_name = "OPTION", value_parser = security_opt)]
    pub(crate) security_opt: Vec<Security>,
    /// Threads that compress [default: the number of processors]
    #[arg(long, alias = "max-pull-procs", value_name = "N", overrides_with = "jobs")]
    pub(crate) jobs: Option<usize>,
    /// Print the id only, no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) carry: CarryFlags,
    #[command(flatten)]
    pub(crate) registry: Registry,
    #[command(flatten)]
    ignored: Ignored,
}

impl Build {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let request = build_request::request(&self)?;
        prepare(world, &request)?;
        let disk = world.disk()?;
        let reporter = world.reporter(Silence::from(self.quiet));
        let built = build(&request, &disk, &self.registry, &self.carry, &*reporter);
        reporter.finish();
        let outcome = built?;
        // A tar on stdout is the result then; the id would be in it.
        if self.output.contains(&Output::TarStream) { Ok(()) } else { world.say(outcome.id) }
    }
}

/// When base images are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pull {
    /// If the registry has another one
    #[value(aliases = ["ifnewer", "newer"])]
    True,
    /// If they are missing
    #[value(aliases = ["missing", "ifmissing"])]
    False,
    /// Always
    Always,
    /// Never
    Never,
}

/// The kind of manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManifestFormat {
    /// OCI's
    Oci,
    /// Docker's, schema 2
    Docker,
}

/// How RUN is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Isolation {
    /// In a container of crun or runc
    #[value(alias = "rootless")]
    Oci,
    /// In namespaces of our own, without a runtime
    Chroot,
}

/// The network of RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkMode {
    /// The host's as far as it can be had
    #[value(alias = "private")]
    Default,
    /// None
    None,
    /// The host's
    Host,
}

/// Flags of the Go sealos that change nothing here.
#[derive(Debug, Args)]
struct Ignored {
    /// There are no working containers to remove.
    #[arg(long, alias = "purge", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    force_rm: Option<String>,
    /// Unused stages are always skipped.
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_unused_stages: Option<String>,
    /// `--compression` says it.
    #[arg(short = 'D', long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_compression: Option<String>,
    #[arg(long, hide = true)]
    compress: bool,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    http_proxy: Option<String>,
    #[arg(long, hide = true)]
    disable_content_trust: bool,
    #[arg(long, hide = true)]
    runtime: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    identity_label: Option<String>,
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "zstd" => Ok(Compression::Zstd),
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        _ => Err("expected zstd, gzip or none".to_owned()),
    }
}
