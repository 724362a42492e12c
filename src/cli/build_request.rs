//! From the arguments of `sealos build` to what the build room is asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci::Reference;

use super::build::{Build, Isolation, ManifestFormat, NetworkMode, Pull};
use super::error::CommandError;
use crate::build::{
    BuildRequest, CacheUse, ContextPlace, Format, KubefilePlace, Layering, NamedContext, Output, Platforms, PullPolicy,
    RunCalls, RunIsolation, RunNetwork, SecretPlace,
};

/// What the arguments ask for.
pub(crate) fn request(args: &Build) -> Result<BuildRequest, CommandError> {
    let mut request = BuildRequest::new(ContextPlace::parse(&args.context));
    let mut files = args.file.iter().map(|file| KubefilePlace::parse(file));
    request.kubefile = files.next().unwrap_or(KubefilePlace::Discovered);
    request.more_kubefiles = files.collect();
    let names = args.tag.iter().chain(&args.manifest).map(|name| name.parse::<Reference>());
    request.tags = names.collect::<Result<_, _>>()?;
    request.ignore_file.clone_from(&args.ignorefile);
    request.platforms = match args.all_platforms {
        true => Platforms::OfBases,
        false => Platforms::Listed(args.platform.clone()),
    };
    request.target.clone_from(&args.target);
    request.from.clone_from(&args.from);
    request.pull = match args.pull {
        Pull::True => PullPolicy::Newer,
        Pull::False => PullPolicy::Missing,
        Pull::Always => PullPolicy::Always,
        Pull::Never => PullPolicy::Never,
    };
    request.build_args = args.build_arg.iter().map(|text| with_value(text)).collect();
    request.build_arg_files.clone_from(&args.build_arg_file);
    request.build_contexts = args.build_context.iter().cloned().map(|(n, p)| (n, NamedContext::parse(&p))).collect();
    request.labels = args.label.iter().map(|text| or_empty(text)).collect();
    request.annotations = args.annotation.iter().map(|text| or_empty(text)).collect();
    request.env = args.env.iter().map(|text| with_value(text)).collect();
    request.unset_env.clone_from(&args.unsetenv);
    request.format = match args.format {
        ManifestFormat::Oci => Format::Oci,
        ManifestFormat::Docker => Format::Docker,
    };
    request.compression = args.compression;
    request.compression_level = args.compression_level;
    request.threads = args.jobs.unwrap_or(0);
    request.layering = match args.squash || args.layers == Some(false) {
        true => Layering::Squashed,
        false => Layering::PerInstruction,
    };
    request.cache = if args.no_cache { CacheUse::Ignore } else { CacheUse::Use };
    request.timestamp = args.timestamp;
    request.secrets = args.secret.iter().cloned().collect::<BTreeMap<_, _>>();
    request.ssh = args.ssh.iter().cloned().collect();
    if args.security_opt.contains(&Security::UnconfinedCalls) {
        request.calls = RunCalls::All;
    }
    request.network = match args.network {
        NetworkMode::Default => RunNetwork::Default,
        NetworkMode::None => RunNetwork::None,
        NetworkMode::Host => RunNetwork::Host,
    };
    request.isolation = args.isolation.map(|isolation| match isolation {
        Isolation::Oci => RunIsolation::Oci,
        Isolation::Chroot => RunIsolation::Chroot,
    });
    request.outputs.clone_from(&args.output);
    request.iidfile.clone_from(&args.iidfile);
    request.metadata_file.clone_from(&args.metadata_file);
    Ok(request)
}

/// A text that begins with a name: what a variable without one would be, nobody can say.
pub(crate) fn named(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err("the name is missing".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// `NAME=VALUE`, or `NAME` for the environment's value.
fn with_value(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// `NAME=VALUE`, or `NAME` for an empty value, as docker and buildah read labels.
fn or_empty(text: &str) -> (String, String) {
    let (name, value) = with_value(text);
    (name, value.unwrap_or_default())
}

/// `NAME=PLACE`.
pub(crate) fn build_context(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, place)) if !name.is_empty() && !place.is_empty() => Ok((name.to_owned(), place.to_owned())),
        _ => Err("expected NAME=PLACE".to_owned()),
    }
}

/// `id=ID,src=FILE` or `id=ID,env=NAME`.
pub(crate) fn secret(text: &str) -> Result<(String, SecretPlace), String> {
    let (mut id, mut place) = (None, None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("src" | "source", value)) => place = Some(SecretPlace::File(PathBuf::from(value))),
            Some(("env", value)) => place = Some(SecretPlace::Variable(value.to_owned())),
            Some(("type", "file" | "env")) => {}
            _ => return Err(format!("`{part}` is none of id=ID, src=FILE and env=NAME")),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or("the secret has no id=ID")?;
    // As with docker: without a place, the variable of the secret's name.
    let place = place.unwrap_or_else(|| SecretPlace::Variable(id.clone()));
    Ok((id, place))
}

/// `default`, `ID`, `ID=SOCKET` or `ID=KEY,KEY`.
pub(crate) fn ssh(text: &str) -> Result<(String, Vec<PathBuf>), String> {
    let (id, places) = text.split_once('=').unwrap_or((text, ""));
    let places = places.split(',').filter(|place| !place.is_empty()).map(PathBuf::from);
    match id.is_empty() {
        true => Err("the id is missing".to_owned()),
        false => Ok((id.to_owned(), places.collect())),
    }
}

/// A `--security-opt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// `seccomp=unconfined`.
    UnconfinedCalls,
    /// What holds here anyway: there are no labels.
    Anyway,
}

/// `seccomp=unconfined`, and what other tools are told about labels.
pub(crate) fn security_opt(text: &str) -> Result<Security, String> {
    match text.split_once(['=', ':']) {
        Some(("seccomp", "unconfined")) => Ok(Security::UnconfinedCalls),
        Some(("label", "disable") | ("apparmor", "unconfined")) => Ok(Security::Anyway),
        _ => Err("expected seccomp=unconfined".to_owned()),
    }
}

/// `type=local,dest=DIR`, `type=tar,dest=FILE`, `type=oci-archive,dest=FILE` (`oci` is BuildKit's word for it), a directory, or `-`.
pub(crate) fn output(text: &str) -> Result<Output, String> {
    if text == "-" {
        return Ok(Output::TarStream);
    }
    if !text.contains('=') {
        return Ok(Output::Directory(PathBuf::from(text)));
    }
    let (mut kind, mut dest) = ("", None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("type", value)) => kind = value,
            Some(("dest", value)) => dest = Some(value),
            _ => return Err(format!("`{part}` is neither type=KIND nor dest=PATH")),
        }
    }
    let dest = dest.ok_or("dest=PATH is missing")?;
    match (kind, dest) {
        ("tar", "-") => Ok(Output::TarStream),
        ("tar", path) => Ok(Output::Tar(PathBuf::from(path))),
        ("local", path) => Ok(Output::Directory(PathBuf::from(path))),
        ("oci-archive" | "oci", path) => Ok(Output::OciArchive(PathBuf::from(path))),
        _ => Err("expected type=local, type=tar or type=oci-archive".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_and_secrets_are_read() {
        for (text, want) in [
            ("-", Ok(Output::TarStream)),
            ("out", Ok(Output::Directory("out".into()))),
            ("type=local,dest=out", Ok(Output::Directory("out".into()))),
            ("type=tar,dest=a.tar", Ok(Output::Tar("a.tar".into()))),
            ("dest=-,type=tar", Ok(Output::TarStream)),
            ("type=oci,dest=a.tar", Ok(Output::OciArchive("a.tar".into()))),
            ("type=oci-archive,dest=a.tar", Ok(Output::OciArchive("a.tar".into()))),
            ("type=tar", Err("dest=PATH is missing".to_owned())),
            ("type=zip,dest=a", Err("expected type=local, type=tar or type=oci-archive".to_owned())),
        ] {
            assert_eq!(output(text), want, "{text}");
        }
        for (text, want) in [
            ("id=a,src=f", Some(SecretPlace::File("f".into()))),
            ("id=a,env=V", Some(SecretPlace::Variable("V".to_owned()))),
            ("id=a", Some(SecretPlace::Variable("a".to_owned()))),
            ("src=f", None),
            ("id=a,what=f", None),
        ] {
            assert_eq!(secret(text).ok().map(|(_, place)| place), want, "{text}");
        }
    }
}
