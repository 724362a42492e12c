//! What images are called where they are synced to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::Reference;

use super::super::error::TransferError;

/// How much of an image's name is kept below the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The path of its repository: `quay.io/a/b` is `DEST/a/b`.
    Path,
    /// The last part of that: `DEST/b`.
    Base,
    /// The registry too: `DEST/quay.io/a/b`.
    Full,
}

/// Where images are synced to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A registry, or a path in one: `HOST[:PORT][/PATH]`.
    Registry(String),
    /// A layout that has all of them.
    Layout(PathBuf),
    /// An archive that has all of them.
    OciArchive(PathBuf),
    /// A directory with one directory for each, as skopeo has it.
    Directories(PathBuf),
    /// The store.
    Store,
}

/// One image's place at the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// Under a name: in a registry, a layout, an archive or the store.
    Name(Reference),
    /// A directory.
    Directory(PathBuf),
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{}", name.familiar()),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Destination {
    /// Where an image goes. `path` is the repository's path as its place has it.
    ///
    /// # Errors
    /// When the name that it would have is none.
    pub(crate) fn spot(&self, name: &Reference, path: &str, naming: Naming) -> Result<Spot, TransferError> {
        let reference = match (name.digest(), name.tag_or_default()) {
            (Some(digest), None) => format!("@{digest}"),
            (_, tag) => format!(":{}", tag.unwrap_or_default()),
        };
        Ok(match self {
            Self::Registry(prefix) => {
                Spot::Name(format!("{prefix}/{}{reference}", suffix(name, path, naming)).parse()?)
            }
            Self::Directories(root) => Spot::Directory(root.join(format!("{}{reference}", suffix(name, path, naming)))),
            Self::Layout(_) | Self::OciArchive(_) => Spot::Name(name.normal().parse()?),
            Self::Store => Spot::Name(name.clone()),
        })
    }

    /// The registry's name, for credentials; empty for everything else.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Registry(prefix) => prefix.split('/').next().unwrap_or_default(),
            _ => "",
        }
    }
}

fn suffix(name: &Reference, path: &str, naming: Naming) -> String {
    match naming {
        Naming::Path => path.to_owned(),
        Naming::Base => path.rsplit('/').next().unwrap_or_default().to_owned(),
        // A path has no ports.
        Naming::Full => format!("{}/{}", name.registry().replace([':', '[', ']'], "-"), name.repository()),
    }
}

/// Two images in one place would overwrite each other: nothing may be copied then.
///
/// # Errors
/// When there are such.
pub(crate) fn refuse_collisions<'a>(
    spots: impl Iterator<Item = (&'a Reference, &'a Spot)>,
) -> Result<(), TransferError> {
    let mut taken: BTreeMap<String, &Reference> = BTreeMap::new();
    for (name, spot) in spots {
        match taken.insert(spot.to_string(), name) {
            Some(other) if other != name => {
                let (a, b) = (other.normal(), name.normal());
                return Err(TransferError::Collision { spot: spot.to_string(), a, b });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The name that an image has in a tree of directories, as skopeo writes it: `a/b:tag`, `a/b@sha256:…`.
pub(crate) fn in_tree(root: &Path, directory: &Path) -> Option<Reference> {
    let inside = directory.strip_prefix(root).ok().filter(|inside| !inside.as_os_str().is_empty());
    let text = match inside {
        Some(inside) => inside.to_str()?,
        // The directory itself is an image.
        None => directory.file_name()?.to_str()?,
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_far_as_was_said() {
        let digest = oci::Digest::of(b"x");
        let by_digest = format!("quay.io/a/b@{digest}");
        for (name, naming, registry, directory) in [
            ("quay.io/a/b:1", Naming::Path, "hub.example:5000/m/a/b:1", "out/a/b:1".to_owned()),
            ("quay.io/a/b:1", Naming::Base, "hub.example:5000/m/b:1", "out/b:1".to_owned()),
            ("quay.io/a/b:1", Naming::Full, "hub.example:5000/m/quay.io/a/b:1", "out/quay.io/a/b:1".to_owned()),
            ("h:5000/b:1", Naming::Full, "hub.example:5000/m/h-5000/b:1", "out/h-5000/b:1".to_owned()),
            ("nginx", Naming::Path, "hub.example:5000/m/library/nginx:latest", "out/library/nginx:latest".to_owned()),
            (&by_digest, Naming::Base, &format!("hub.example:5000/m/b@{digest}"), format!("out/b@{digest}")),
        ] {
            let name: Reference = name.parse().unwrap();
            let spot =
                Destination::Registry("hub.example:5000/m".to_owned()).spot(&name, name.repository(), naming).unwrap();
            assert_eq!(spot.to_string(), registry);
            let spot = Destination::Directories("out".into()).spot(&name, name.repository(), naming).unwrap();
            assert_eq!(spot.to_string(), directory);
            assert_eq!(Destination::Store.spot(&name, name.repository(), naming).unwrap(), Spot::Name(name));
        }
    }

    #[test]
    fn two_images_never_get_one_place() {
        let names: Vec<Reference> = ["a/x:1", "b/x:1", "a/x:1"].map(|name| name.parse().unwrap()).to_vec();
        let destination = Destination::Registry("hub.example".to_owned());
        let spots = |naming: Naming, names: &[Reference]| -> Vec<Spot> {
            names.iter().map(|name| destination.spot(name, name.repository(), naming).unwrap()).collect()
        };
        let check = |naming, names: &[Reference]| refuse_collisions(names.iter().zip(&spots(naming, names)));
        assert!(check(Naming::Path, &names).is_ok());
        assert!(check(Naming::Base, &names).is_err());
    }

    #[test]
    fn directories_have_the_names_that_skopeo_gives_them() {
        for (root, directory, want) in [
            ("m", "m/a/b:1", Some("a/b:1")),
            ("m", "m/quay.io/a/b:1", Some("quay.io/a/b:1")),
            ("m/b:1", "m/b:1", Some("b:1")),
            ("m", "m/A", None),
        ] {
            let name = in_tree(Path::new(root), Path::new(directory));
            assert_eq!(name.map(|name| name.familiar()).as_deref(), want, "{root} {directory}");
        }
    }
}
