//! Where an image is, as a user writes it: one grammar for every command.
//!
//! ```text
//! NAME or ID                    an image of the store (or of a registry, where a command says so)
//! docker://NAME                 an image of a registry
//! PATH                          a file or directory that holds images; which kind, its contents tell
//! oci:DIR[:NAME]                an OCI image layout
//! oci-archive:FILE[:NAME]       the same in a tar
//! docker-archive:FILE[:NAME]    what `docker save` writes
//! dir:DIR                       one image in a flat directory
//! containers-storage:NAME       podman's and buildah's store
//! docker-daemon:NAME            the Docker daemon's
//! ```
//!
//! `dir:x` and `oci-archive:app.tar` are also possible names of images. What is read from is such a name if the store
//! has an image of that name; else the file, if there is one; else a name. `dir:./x` is never a name, and
//! `docker.io/library/dir:x` never a file. What is written to is always a transport.
//!
//! PATH may contain colons: it is the longest one that exists, else it ends at the first colon.
//!
//! Nothing is opened here; what exists is asked of [`Facts`].

use std::fmt;
use std::path::{Path, PathBuf};

use oci::{Reference, ReferenceError};

use crate::archive::Format;

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An image of the store: a name, or the beginning of an id.
    Store(String),
    /// An image of a registry.
    Registry(Reference),
    /// Images in a file or directory.
    File {
        /// What the user said it is; none if its contents have to tell.
        format: Option<Format>,
        /// The file or directory.
        path: PathBuf,
        /// Which of its images: a name or a bare tag.
        name: Option<String>,
    },
    /// An image of another program's store.
    Foreign {
        /// Whose.
        keeper: Keeper,
        /// The image as that program calls it.
        name: String,
    },
}

/// Another program that keeps images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keeper {
    /// containers/storage, which podman, buildah and CRI-O share.
    ContainersStorage,
    /// The Docker daemon.
    DockerDaemon,
}

/// What a name without a transport means to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// An image of the store.
    Store,
    /// An image of a registry.
    Registry,
}

/// What there is, as far as the grammar depends on it.
pub trait Facts {
    /// Whether a path exists.
    fn exists(&self, path: &Path) -> bool;
    /// Whether the store has an image of exactly this name.
    fn is_image(&self, name: &str) -> bool;
}

/// Why a text is no location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Neither a name nor anything else.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// Nothing behind the transport.
    #[error("`{text}` names nothing: expected {expected}")]
    Nothing {
        /// The whole text.
        text: String,
        /// The form that was expected.
        expected: &'static str,
    },
    /// A path where something is to be written, and nobody said what.
    #[error("`{text}` is a path, which does not say what is to be written there")]
    Path {
        /// The whole text.
        text: String,
    },
    /// A path where nothing is.
    #[error("there is no file `{text}`, and it is no name of an image")]
    Absent {
        /// The whole text.
        text: String,
    },
    /// A scheme that is not known.
    #[error("`{scheme}` is not a place that images are moved from or to")]
    Scheme {
        /// What stands before the colon.
        scheme: String,
    },
}

impl LocationError {
    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Name(_) | Self::Nothing { .. } => None,
            Self::Path { text } => {
                let name = if text.parse::<Reference>().is_ok() {
                    format!("; `{text}:latest` is an image of that name")
                } else {
                    String::new()
                };
                Some(format!(
                    "write `oci-archive:{text}` for one file with the image, `oci:{text}` for a layout in a directory, or \
                     `docker-archive:{text}` for what `docker load` reads{name}"
                ))
            }
            Self::Absent { .. } => Some(format!("places are {PLACES}")),
            Self::Scheme { .. } => Some(format!("places are {PLACES}")),
        }
    }
}

/// All forms, for messages.
const PLACES: &str = "NAME, docker://NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:DIR, \
                      containers-storage:NAME and docker-daemon:NAME";

/// The transports of files, with what stands behind them.
const FILES: [(&str, Format, &str); 4] = [
    ("oci-archive:", Format::OciArchive, "oci-archive:FILE[:NAME]"),
    ("docker-archive:", Format::DockerArchive, "docker-archive:FILE[:NAME]"),
    ("oci:", Format::OciDir, "oci:DIR[:NAME]"),
    ("dir:", Format::DockerDir, "dir:DIR"),
];

/// The transports of other programs.
const KEEPERS: [(Keeper, &str, &str); 2] = [
    (Keeper::ContainersStorage, "containers-storage:", "containers-storage:NAME"),
    (Keeper::DockerDaemon, "docker-daemon:", "docker-daemon:NAME"),
];

impl Keeper {
    /// The name of the transport, without the colon.
    pub fn transport(self) -> &'static str {
        match self {
            Self::ContainersStorage => "containers-storage",
            Self::DockerDaemon => "docker-daemon",
        }
    }
}

impl Location {
    /// What a command reads from.
    ///
    /// # Errors
    /// When the text is no location.
    pub fn source(text: &str, plain: Plain, facts: &dyn Facts) -> Result<Self, LocationError> {
        let transport = transport(text, facts)?;
        match transport {
            Some(registry @ Self::Registry(_)) => Ok(registry),
            // It may be a name that only looks like a transport.
            Some(other) => match text.parse::<Reference>() {
                Ok(_) if facts.is_image(text) => Ok(Self::Store(text.to_owned())),
                Ok(name) if !other.may_exist(facts) => Ok(name_of(text, name, plain)),
                _ => Ok(other),
            },
            None if plain == Plain::Store && facts.is_image(text) => Ok(Self::Store(text.to_owned())),
            None => match text.parse::<Reference>() {
                Ok(name) if plain == Plain::Registry => Ok(Self::Registry(name)),
                name => match split(text, facts) {
                    (path, tail) if facts.exists(path) => Ok(file(None, path, tail)),
                    // An id, or the beginning of one, is no name but may be known to the store.
                    _ if plain == Plain::Store && (name.is_ok() || is_id(text)) => Ok(Self::Store(text.to_owned())),
                    _ if begins_as_path(text) => Err(LocationError::Absent { text: text.to_owned() }),
                    _ => Err(name.map_or_else(LocationError::Name, |_name| scheme(text))),
                },
            },
        }
    }

    /// What a command writes to.
    ///
    /// # Errors
    /// When the text is no location.
    pub fn target(text: &str, plain: Plain, facts: &dyn Facts) -> Result<Self, LocationError> {
        match transport(text, facts)? {
            Some(location) => Ok(location),
            // A name of nobody's images, and often a file that was meant.
            None if is_path(text, facts) => Err(LocationError::Path { text: text.to_owned() }),
            None => Ok(name_of(text, text.parse()?, plain)),
        }
    }

    /// Whether it has to be looked for at all: what is not a file is somebody else's to know.
    fn may_exist(&self, facts: &dyn Facts) -> bool {
        match self {
            Self::File { path, .. } => facts.exists(path),
            _ => true,
        }
    }
}

fn name_of(text: &str, name: Reference, plain: Plain) -> Location {
    match plain {
        Plain::Store => Location::Store(text.to_owned()),
        Plain::Registry => Location::Registry(name),
    }
}

fn file(format: Option<Format>, path: &Path, name: Option<&str>) -> Location {
    Location::File { format, path: path.to_owned(), name: name.map(str::to_owned) }
}

fn scheme(text: &str) -> LocationError {
    LocationError::Scheme { scheme: text.split(':').next().unwrap_or_default().to_owned() }
}

/// What a text with a transport in front means, whatever else it may mean.
fn transport(text: &str, facts: &dyn Facts) -> Result<Option<Location>, LocationError> {
    let nothing = |expected| LocationError::Nothing { text: text.to_owned(), expected };
    if let Some(name) = text.strip_prefix("docker://") {
        return match name {
            "" => Err(nothing("docker://NAME")),
            name => Ok(Some(Location::Registry(name.parse()?))),
        };
    }
    for (prefix, format, expected) in FILES {
        let Some(rest) = text.strip_prefix(prefix) else { continue };
        let (path, name) = match format {
            // A flat directory holds one image without a name.
            Format::DockerDir => (Path::new(rest), None),
            _ => split(rest, facts),
        };
        return match (path.as_os_str().is_empty(), name) {
            (false, None | Some(_)) if name != Some("") => Ok(Some(file(Some(format), path, name))),
            _ => Err(nothing(expected)),
        };
    }
    for (keeper, prefix, expected) in KEEPERS {
        match text.strip_prefix(prefix) {
            None => {}
            Some("") => return Err(nothing(expected)),
            Some(name) => return Ok(Some(Location::Foreign { keeper, name: name.to_owned() })),
        }
    }
    match text.contains("://") {
        true => Err(scheme(text)),
        false => Ok(None),
    }
}

/// `PATH[:NAME]`: the longest path that exists, else up to the first colon.
fn split<'a>(text: &'a str, facts: &dyn Facts) -> (&'a Path, Option<&'a str>) {
    if facts.exists(Path::new(text)) {
        return (Path::new(text), None);
    }
    let cut = |at: usize| (Path::new(&text[..at]), Some(&text[at + 1..]));
    let existing = text.rmatch_indices(':').map(|(at, _)| at).find(|at| facts.exists(Path::new(&text[..*at])));
    match existing.or_else(|| text.find(':')) {
        Some(at) => cut(at),
        None => (Path::new(text), None),
    }
}

/// Whether nobody would write a name so.
fn begins_as_path(text: &str) -> bool {
    text == "." || text == ".." || ["/", "./", "../", "~/"].iter().any(|front| text.starts_with(front))
}

/// Whether a file was meant rather than a name: by its beginning, or by the ending of an archive, without a tag and
/// without a registry in front.
fn is_path(text: &str, facts: &dyn Facts) -> bool {
    let is_archive = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz"].iter().any(|ending| text.ends_with(ending));
    let is_here = || match text.rsplit_once('/') {
        Some((directory, _)) => facts.exists(Path::new(directory)),
        None => true,
    };
    begins_as_path(text) || (is_archive && !text.contains(':') && is_here())
}

/// Whether this may be the id of an image, whole or its beginning.
fn is_id(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("sha512:")).unwrap_or(text);
    !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(name) => f.write_str(name),
            Self::Registry(name) => write!(f, "docker://{}", name.familiar()),
            Self::File { format, path, name } => {
                let prefix = FILES.iter().find(|(_, known, _)| Some(*known) == *format).map(|(prefix, ..)| *prefix);
                write!(f, "{}{}", prefix.unwrap_or_default(), path.display())?;
                name.iter().try_for_each(|name| write!(f, ":{name}"))
            }
            Self::Foreign { keeper, name } => write!(f, "{}:{name}", keeper.transport()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The paths and images that there are.
    struct World<'a>(&'a [&'a str], &'a [&'a str]);

    impl Facts for World<'_> {
        fn exists(&self, path: &Path) -> bool {
            self.0.iter().any(|known| Path::new(known) == path)
        }
        fn is_image(&self, name: &str) -> bool {
            self.1.contains(&name)
        }
    }

    fn shown(location: Result<Location, LocationError>) -> String {
        match location {
            Ok(Location::Store(name)) => format!("store {name}"),
            Ok(Location::Registry(name)) => format!("registry {}", name.normal()),
            Ok(Location::File { format, path, name }) => {
                format!("{format:?} {} {}", path.display(), name.unwrap_or_default()).trim_end().to_owned()
            }
            Ok(Location::Foreign { keeper, name }) => format!("{keeper:?} {name}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn sources_are_read_as_documented() {
        let world = World(&["x", "app.tar", "a:b", "dir", "lay:out"], &["oci:v1", "app:v1"]);
        for (text, in_store, in_registry) in [
            ("app:v1", "store app:v1", "registry docker.io/library/app:v1"),
            ("absent:v1", "store absent:v1", "registry docker.io/library/absent:v1"),
            ("0123abcd", "store 0123abcd", "registry docker.io/library/0123abcd:latest"),
            ("docker://hub.example/app:v1", "registry hub.example/app:v1", "registry hub.example/app:v1"),
            ("app.tar", "None app.tar", "registry docker.io/library/app.tar:latest"),
            ("app.tar:v1", "None app.tar v1", "registry docker.io/library/app.tar:v1"),
            ("oci-archive:app.tar", "Some(OciArchive) app.tar", "Some(OciArchive) app.tar"),
            ("oci-archive:app.tar:v1", "Some(OciArchive) app.tar v1", "Some(OciArchive) app.tar v1"),
            (
                "oci:lay:out:hub.example:5000/x:v1",
                "Some(OciDir) lay:out hub.example:5000/x:v1",
                "Some(OciDir) lay:out hub.example:5000/x:v1",
            ),
            ("docker-archive:/absent/a:b:c", "Some(DockerArchive) /absent/a b:c", "Some(DockerArchive) /absent/a b:c"),
            // Names that only look like transports, and the ways to say which is meant.
            ("oci:v1", "store oci:v1", "store oci:v1"),
            ("dir:x", "Some(DockerDir) x", "Some(DockerDir) x"),
            ("dir:absent", "store dir:absent", "registry docker.io/library/dir:absent"),
            ("dir:./absent", "Some(DockerDir) ./absent", "Some(DockerDir) ./absent"),
            ("docker://dir:x", "registry docker.io/library/dir:x", "registry docker.io/library/dir:x"),
            ("docker:27", "store docker:27", "registry docker.io/library/docker:27"),
            ("dir:5000/app:v1", "store dir:5000/app:v1", "registry dir:5000/app:v1"),
            (
                "containers-storage:localhost/app:v1",
                "ContainersStorage localhost/app:v1",
                "ContainersStorage localhost/app:v1",
            ),
            ("docker-daemon:app:v1", "DockerDaemon app:v1", "DockerDaemon app:v1"),
            ("sha256:0123abcd", "store sha256:0123abcd", "registry docker.io/library/sha256:0123abcd"),
        ] {
            assert_eq!(shown(Location::source(text, Plain::Store, &world)), in_store, "{text}");
            assert_eq!(shown(Location::source(text, Plain::Registry, &world)), in_registry, "{text}");
        }
    }

    #[test]
    fn targets_are_transports_or_names() {
        let world = World(&["lay:out"], &["dir:x"]);
        for (text, want) in [
            ("dir:x", "Some(DockerDir) x"),
            ("oci:new:v1", "Some(OciDir) new v1"),
            ("oci:lay:out:v1", "Some(OciDir) lay:out v1"),
            ("oci-archive:new.tar:hub.example:5000/x:v1", "Some(OciArchive) new.tar hub.example:5000/x:v1"),
            ("docker-daemon:app:v1", "DockerDaemon app:v1"),
            ("hub.example/app.tar", "store hub.example/app.tar"),
            ("app.tar:v1", "store app.tar:v1"),
            ("docker.io/library/dir:x", "store docker.io/library/dir:x"),
            ("hub.example/app:v1", "store hub.example/app:v1"),
        ] {
            assert_eq!(shown(Location::target(text, Plain::Store, &world)), want, "{text}");
        }
        let registry = Location::target("hub.example/app", Plain::Registry, &world);
        assert_eq!(shown(registry), "registry hub.example/app:latest");
    }

    #[test]
    fn what_is_no_location_is_refused() {
        let world = World(&[], &[]);
        for text in [
            "",
            "docker://",
            "docker://A",
            "oci:",
            "dir:",
            "oci:x:",
            "oci::v1",
            "containers-storage:",
            "ostree://x",
            "A b",
            "/absent",
            "./absent.tar",
        ] {
            assert!(Location::source(text, Plain::Store, &world).is_err(), "{text}");
            assert!(Location::target(text, Plain::Registry, &world).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_alone_does_not_say_what_is_to_be_written() {
        let world = World(&["out", "app.tar"], &[]);
        for (text, has_name) in [
            ("/etc/passwd", false),
            ("./x", false),
            ("..", false),
            ("app.tar", true),
            ("x.tgz", true),
            ("out/x.tar.gz", true),
        ] {
            let error = Location::target(text, Plain::Registry, &world).unwrap_err();
            assert_eq!(error, LocationError::Path { text: text.to_owned() });
            let help = error.help().unwrap();
            assert!(help.contains(&format!("`oci-archive:{text}`")), "{help}");
            assert_eq!(help.contains(&format!("`{text}:latest`")), has_name, "{help}");
        }
        let absent = Location::source("/absent.tar", Plain::Store, &world).unwrap_err();
        assert_eq!(absent.to_string(), "there is no file `/absent.tar`, and it is no name of an image");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(
            text in "(docker://|oci:|oci-archive:|docker-archive:|dir:|containers-storage:|docker-daemon:)?[a-z0-9./:@-]{0,24}",
        ) {
            let world = World(&[], &[]);
            for plain in [Plain::Store, Plain::Registry] {
                if let Ok(location) = Location::target(&text, plain, &world) {
                    let again = Location::target(&location.to_string(), plain, &world);
                    prop_assert_eq!(again, Ok(location));
                }
            }
        }

        #[test]
        fn every_name_can_be_given_without_being_taken_for_a_transport(
            name in "(dir|oci|docker|oci-archive|docker-daemon):[a-z0-9]{1,8}",
            there in any::<bool>(),
        ) {
            let path = name.split_once(':').map(|(_, path)| path).unwrap_or_default();
            let paths: &[&str] = if there { &[path] } else { &[] };
            let known = World(paths, &[&name]);
            prop_assert_eq!(Location::source(&name, Plain::Store, &known), Ok(Location::Store(name.clone())));
            let explicit = format!("docker://{name}");
            let registry = Location::Registry(name.parse().expect("a name"));
            prop_assert_eq!(Location::source(&explicit, Plain::Store, &known), Ok(registry));
            let full = format!("docker.io/library/{name}");
            prop_assert_eq!(Location::target(&full, Plain::Store, &known), Ok(Location::Store(full.clone())));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let world = World(&["a"], &["b"]);
            for plain in [Plain::Store, Plain::Registry] {
                drop(Location::source(&text, plain, &world));
                drop(Location::target(&text, plain, &world));
            }
        }
    }
}
