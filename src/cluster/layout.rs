//! Where the files of a cluster are on a host. Paths only; nothing is made here.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, ImageKind};

/// Where the data of clusters is for root; the Go sealos has it there, too.
const ROOT_DATA: &str = "/var/lib/sealos/data";

/// The name of a cluster: safe as a part of a path and as the beginning of a host's or a container's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

impl FromStr for ClusterName {
    type Err = ClusterError;

    fn from_str(name: &str) -> Result<Self, ClusterError> {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        let valid = name.len() <= 63 && name.chars().all(inner) && end(name.chars().next());
        if valid && end(name.chars().last()) {
            Ok(Self(name.to_owned()))
        } else {
            Err(ClusterError::Name { name: name.to_owned() })
        }
    }
}

impl TryFrom<String> for ClusterName {
    type Error = ClusterError;

    fn try_from(name: String) -> Result<Self, ClusterError> {
        name.parse()
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

impl Default for ClusterName {
    /// `default`, the cluster that is meant when none is named.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an image is called inside a cluster: `<cluster>-<8 characters>`.
///
/// The Go sealos draws the eight characters at random for every run. Here they come from the image's name (with its
/// tag), so that the same image finds its directory and its record again.
pub fn mount_name(cluster: &ClusterName, image: &str) -> String {
    let hex = Digest::of(image.as_bytes()).hex();
    format!("{cluster}-{}", &hex[..8])
}

/// The directories of all clusters on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`, an absolute path.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The layout of a user: `SEALOS_DATA_ROOT`, else `/var/lib/sealos/data` for root, else `sealos/data` in
    /// `XDG_DATA_HOME` or `~/.local/share`. Empty variables count as unset.
    ///
    /// # Errors
    /// When no variable tells, or the path is not absolute.
    pub fn choose(uid: u32, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ClusterError> {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (root, variable) = if let Some(root) = path("SEALOS_DATA_ROOT") {
            (root, "SEALOS_DATA_ROOT")
        } else if uid == 0 {
            return Ok(Self::at(ROOT_DATA));
        } else if let Some(data) = path("XDG_DATA_HOME").filter(|data| data.is_absolute()) {
            (data.join("sealos/data"), "XDG_DATA_HOME")
        } else {
            (path("HOME").ok_or(ClusterError::NoDataRoot)?.join(".local/share/sealos/data"), "HOME")
        };
        if root.is_absolute() {
            Ok(Self { root })
        } else {
            Err(ClusterError::RelativeDataRoot { path: root, variable })
        }
    }

    /// The directory of one cluster.
    pub fn cluster(&self, cluster: &ClusterName) -> PathBuf {
        self.root.join(&cluster.0)
    }

    /// The directory that an image's files are unpacked to and its commands run in. Patches share the one of the
    /// rootfs. The whole image is there, `registry/` included: an image that has nothing else has a directory as well.
    pub fn work_directory(&self, cluster: &ClusterName, kind: ImageKind, mount: &str) -> PathBuf {
        match kind {
            ImageKind::Rootfs | ImageKind::Patch => self.cluster(cluster).join("rootfs"),
            ImageKind::Application => self.cluster(cluster).join("applications").join(mount).join("workdir"),
        }
    }

    /// The top of all clusters.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_are_refused() {
        for (name, valid) in [
            ("default", true),
            ("a", true),
            ("prod-1.eu", true),
            ("", false),
            ("..", false),
            (".a", false),
            ("a-", false),
            ("a/b", false),
            ("A", false),
            ("a\n", false),
            (&"a".repeat(64), false),
        ] {
            assert_eq!(name.parse::<ClusterName>().is_ok(), valid, "{name:?}");
        }
        assert!(serde_json::from_str::<ClusterName>("\"../x\"").is_err());
    }

    #[test]
    fn the_data_root_follows_the_user() {
        for (uid, variables, want) in [
            (0, &[][..], Some("/var/lib/sealos/data")),
            (0, &[("XDG_DATA_HOME", "/x"), ("HOME", "/root")], Some("/var/lib/sealos/data")),
            (0, &[("SEALOS_DATA_ROOT", "/d")], Some("/d")),
            (0, &[("SEALOS_DATA_ROOT", "d")], None),
            (7, &[("XDG_DATA_HOME", "/x"), ("HOME", "/h")], Some("/x/sealos/data")),
            (7, &[("XDG_DATA_HOME", "x"), ("HOME", "/h")], Some("/h/.local/share/sealos/data")),
            (7, &[("HOME", "/h"), ("SEALOS_DATA_ROOT", "")], Some("/h/.local/share/sealos/data")),
            (7, &[], None),
        ] {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            let got = Layout::choose(uid, variable).ok();
            assert_eq!(got.as_ref().map(Layout::root), want.map(Path::new), "{uid} {variables:?}");
        }
    }

    #[test]
    fn the_same_image_finds_its_directory_again() {
        let (layout, cluster) = (Layout::at("/d"), ClusterName::default());
        let mount = mount_name(&cluster, "docker.io/labring/helm:v3");
        assert_eq!(mount, mount_name(&cluster, "docker.io/labring/helm:v3"));
        assert_ne!(mount, mount_name(&cluster, "docker.io/labring/helm:v4"));
        assert_eq!((mount.len(), mount.starts_with("default-")), (16, true));
        let directory = |kind| layout.work_directory(&cluster, kind, "m");
        assert_eq!(directory(ImageKind::Application), Path::new("/d/default/applications/m/workdir"));
        assert_eq!(directory(ImageKind::Rootfs), Path::new("/d/default/rootfs"));
        assert_eq!(directory(ImageKind::Patch), Path::new("/d/default/rootfs"));
    }
}
