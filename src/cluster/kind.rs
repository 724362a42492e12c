//! What kind of cluster image an image is, from its labels.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::ClusterError;

/// What an image adds to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// The cluster itself: Kubernetes' programs, the container runtime, scripts. On every node.
    Rootfs,
    /// Something that is installed in a cluster.
    Application,
    /// Files that go over those of the rootfs.
    Patch,
}

/// Which Kubernetes a rootfs holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Installed by kubeadm.
    Kubernetes,
    /// K3s.
    K3s,
}

/// The value of `sealos.io.KEY`, else of `apps.sealos.io/KEY`; the first that is not empty counts.
pub fn label<'a>(labels: &'a BTreeMap<String, String>, key: &str) -> Option<(String, &'a str)> {
    [format!("sealos.io.{key}"), format!("apps.sealos.io/{key}")].into_iter().find_map(|name| {
        let value = labels.get(&name).map(String::as_str).filter(|value| !value.is_empty())?;
        Some((name, value))
    })
}

impl ImageKind {
    /// The kind that the labels say; an application when they say nothing.
    ///
    /// # Errors
    /// [`ClusterError::UnknownLabelValue`]: an image of a kind we do not know must not be taken for an application.
    pub fn of(labels: &BTreeMap<String, String>) -> Result<Self, ClusterError> {
        match label(labels, "type") {
            None => Ok(Self::Application),
            Some((_, "rootfs")) => Ok(Self::Rootfs),
            Some((_, "application")) => Ok(Self::Application),
            Some((_, "patch")) => Ok(Self::Patch),
            Some((label, value)) => Err(ClusterError::UnknownLabelValue {
                label,
                value: value.to_owned(),
                what: "kind of cluster image",
                known: "`rootfs`, `application` and `patch`",
            }),
        }
    }
}

impl fmt::Display for ImageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rootfs => "rootfs",
            Self::Application => "application",
            Self::Patch => "patch",
        })
    }
}

impl Distribution {
    /// The distribution that the labels say; Kubernetes unless they say `k3s`.
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        match label(labels, "distribution") {
            Some((_, "k3s")) => Self::K3s,
            _ => Self::Kubernetes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_first_type_label_that_is_not_empty_says_the_kind() {
        for (pairs, want) in [
            (&[][..], Ok(ImageKind::Application)),
            (&[("sealos.io.type", "rootfs")], Ok(ImageKind::Rootfs)),
            (&[("apps.sealos.io/type", "patch")], Ok(ImageKind::Patch)),
            (&[("sealos.io.type", ""), ("apps.sealos.io/type", "rootfs")], Ok(ImageKind::Rootfs)),
            (&[("sealos.io.type", "application"), ("apps.sealos.io/type", "rootfs")], Ok(ImageKind::Application)),
            (&[("sealos.io.type", "rootsf")], Err(())),
        ] {
            assert_eq!(ImageKind::of(&labels(pairs)).map_err(drop), want, "{pairs:?}");
        }
    }

    #[test]
    fn only_k3s_is_not_kubernetes() {
        for (pairs, want) in [
            (&[][..], Distribution::Kubernetes),
            (&[("sealos.io.distribution", "k3s")], Distribution::K3s),
            (&[("apps.sealos.io/distribution", "kubernetes")], Distribution::Kubernetes),
        ] {
            assert_eq!(Distribution::of(&labels(pairs)), want, "{pairs:?}");
        }
    }
}
