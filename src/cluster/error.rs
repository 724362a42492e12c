//! What can be wrong with a cluster, an image's labels or an override.

use std::path::PathBuf;

/// Why a run cannot be described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A label has a value that nobody defined.
    #[error("the image's label `{label}` is `{value}`, which is no known {what}")]
    UnknownLabelValue {
        /// The label.
        label: String,
        /// Its value.
        value: String,
        /// What the label tells.
        what: &'static str,
        /// The values there are.
        known: &'static str,
    },
    /// An override that is not `NAME=VALUE`.
    #[error("`{text}` is not an environment variable of the form NAME=VALUE")]
    NotAVariable {
        /// As it was given.
        text: String,
    },
    /// A name that no process can be given, or that is a sign of quotes gone astray.
    #[error("`{name}` cannot be the name of an environment variable")]
    VariableName {
        /// The name.
        name: String,
    },
    /// A value that no process can be given.
    #[error("the value of the environment variable `{name}` holds a NUL character")]
    VariableValue {
        /// The name.
        name: String,
    },
    /// A name that is kept for facts about the cluster.
    #[error("`{name}` cannot be set: names that begin with `SEALOS_SYS` tell facts about the cluster")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// A name that is no cluster's.
    #[error("`{name}` cannot be the name of a cluster")]
    Name {
        /// The name.
        name: String,
    },
    /// An image that is wanted in two versions at once.
    #[error("`{first}` and `{second}` are two versions of one image")]
    TwoVersions {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A cluster stands on one root file system.
    #[error("`{first}` and `{second}` are both a rootfs: a cluster has one")]
    TwoRootfs {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A patch without what it is for.
    #[error("`{image}` is a patch, and there is no rootfs among the images")]
    PatchAlone {
        /// The patch.
        image: String,
    },
    /// Neither a setting nor a home says where data goes.
    #[error("there is no place for the data of clusters: neither SEALOS_DATA_ROOT, XDG_DATA_HOME nor HOME is set")]
    NoDataRoot,
    /// The place of data must not depend on the current directory.
    #[error("the place for the data of clusters, `{}` from {variable}, is not an absolute path", path.display())]
    RelativeDataRoot {
        /// The path.
        path: PathBuf,
        /// Where it comes from.
        variable: &'static str,
    },
}

impl ClusterError {
    /// What the user can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownLabelValue { known, .. } => Some(format!("known are {known}")),
            Self::NotAVariable { .. } => Some("write `--env NAME=VALUE`, once for each variable".to_owned()),
            Self::VariableName { name } if name.starts_with(['"', '\'']) => Some(
                "no quotes are needed inside the argument: one `--env` takes one variable, and commas stay in its value"
                    .to_owned(),
            ),
            Self::Name { .. } => Some(
                "a name is at most 63 lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit"
                    .to_owned(),
            ),
            Self::NoDataRoot | Self::RelativeDataRoot { .. } => {
                Some("set SEALOS_DATA_ROOT to an absolute path".to_owned())
            }
            Self::TwoVersions { first, second } | Self::TwoRootfs { first, second } => {
                Some(format!("keep `{first}` or `{second}` in the list, not both"))
            }
            Self::PatchAlone { .. } => Some("name the rootfs image as well, before the patch".to_owned()),
            Self::VariableName { .. } | Self::VariableValue { .. } | Self::ReservedName { .. } => None,
        }
    }
}
