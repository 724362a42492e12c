//! `sealos build [CONTEXT]`: the flags, those of the Go sealos and of buildah as far as they mean something here.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use oci::{Compression, Platform};

use super::error::CommandError;
use super::go_bool;
use super::world::World;

/// Build an image from a Kubefile
///
/// The recipe is the first of Sealfile, Kubefile, Dockerfile and Containerfile in the context, or what `--file`
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
    /// The recipe: a path here or in the context, a URL, or - for stdin; several are put together
    #[arg(short, long, value_name = "FILE", value_delimiter = ',')]
    pub(crate) file: Vec<String>,
    /// A name for the image
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Vec<String>,
    /// Which platforms to build for [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub(crate) platform: Vec<Platform>,
    /// Build for every platform of the base image
    #[arg(long, conflicts_with = "platform")]
    pub(crate) all_platforms: bool,
    /// Put the images into an index of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) manifest: Option<String>,
    /// A value for an ARG; without =VALUE the environment's
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) build_arg: Vec<String>,
    /// Files with a NAME=VALUE a line
    #[arg(long, value_name = "FILE")]
    pub(crate) build_arg_file: Vec<PathBuf>,
    /// A further context for COPY --from=NAME: a directory, a URL or docker-image://IMAGE
    #[arg(long, value_name = "NAME=PLACE")]
    pub(crate) build_context: Vec<String>,
    /// Stop after this stage
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// The image for the first FROM
    #[arg(long, value_name = "IMAGE")]
    pub(crate) from: Option<String>,
    /// When base images are pulled
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_value_t = Pull::True,
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
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Take a variable out of the image's environment
    #[arg(long, value_name = "NAME")]
    pub(crate) unsetenv: Vec<String>,
    /// The time of files and history, in seconds since 1970 [default: SOURCE_DATE_EPOCH or 0]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timestamp: Option<i64>,
    /// One layer an instruction, and a cache of them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_missing_value = "true", value_parser = go_bool::parser(), hide_possible_values = true,
          env = "BUILDAH_LAYERS", hide_env = true)]
    pub(crate) layers: Option<bool>,
    /// Put everything, base layers included, into one layer
    #[arg(long)]
    pub(crate) squash: bool,
    /// Do every step anew
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// How layers are compressed
    #[arg(long, default_value = "zstd", value_name = "zstd|gzip|none", value_parser = compression)]
    pub(crate) compression: Compression,
    /// How hard, in the compressor's own numbers
    #[arg(long, value_name = "LEVEL", allow_hyphen_values = true)]
    pub(crate) compression_level: Option<i32>,
    /// Write the files of the image instead of keeping it: type=local,dest=DIR, type=tar,dest=FILE, or - for stdout
    #[arg(short, long, value_name = "WHERE")]
    pub(crate) output: Option<String>,
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
    #[arg(long, value_name = "SPEC")]
    pub(crate) secret: Vec<String>,
    /// Steps and stages done at the same time [default: the number of processors]
    #[arg(long, alias = "max-pull-procs", value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Print the id only, no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Carry no container images
    #[arg(long)]
    pub(crate) no_carry: bool,
    /// false: the same as --no-carry
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value = "true", default_missing_value = "true", value_parser = go_bool::parser())]
    pub(crate) save_image: bool,
    #[command(flatten)]
    pub(crate) registry: Registry,
    #[command(flatten)]
    ignored: Ignored,
}

/// How registries are spoken to.
#[derive(Debug, Args)]
pub(crate) struct Registry {
    /// The file with credentials
    #[arg(long, env = "REGISTRY_AUTH_FILE", hide_env = true, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,
    /// Credentials for the registry
    #[arg(long, value_name = "USER[:PASSWORD]")]
    pub(crate) creds: Option<String>,
    /// A directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    pub(crate) cert_dir: Option<PathBuf>,
    /// Whether registries have to prove who they are
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value = "true", default_missing_value = "true", value_parser = go_bool::parser(),
          hide_possible_values = true)]
    pub(crate) tls_verify: bool,
    /// How often a failing transfer is tried again
    #[arg(long, hide = true, default_value_t = 3)]
    pub(crate) retry: u32,
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
    /// Everything carried is carried for all platforms that are built.
    #[arg(long = "all", hide = true)]
    all: bool,
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
    #[arg(long, hide = true)]
    retry_delay: Option<String>,
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
impl Build {
    pub(crate) fn run(self, _: &mut World<'_>) -> Result<(), CommandError> {
        Ok(())
    }
}
