//! What can be wrong with a Clusterfile.

use std::fmt;

use crate::cluster::{AddressError, ClusterError};
use crate::template::TemplateError;

/// Why a Clusterfile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterfileError {
    /// A template in it is wrong.
    #[error("the template is wrong")]
    Template(#[source] TemplateError),
    /// It is no YAML.
    #[error("line {line}: this is no valid YAML: {reason}")]
    Yaml {
        /// The line, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// A field holds something else than it should.
    #[error("line {line}: `{path}` has to be {expected}")]
    WrongKind {
        /// The line, from 1.
        line: u64,
        /// The field.
        path: String,
        /// What it should be.
        expected: String,
    },
    /// It has no document of this kind.
    #[error("there is no document of the kind Cluster")]
    NoCluster,
    /// It has two of what there can be only one of.
    #[error("line {line}: a second document of the kind Cluster (the first one is on line {first})")]
    TwoClusters {
        /// The line of the second.
        line: u64,
        /// The line of the first.
        first: u64,
    },
    /// A version of a document that nobody defined.
    #[error("line {line}: `{api}` is no known version of {kind}")]
    Version {
        /// The line, from 1.
        line: u64,
        /// The version.
        api: String,
        /// The document's kind.
        kind: &'static str,
    },
    /// A host that cannot be.
    #[error("line {line}: {source}")]
    Address {
        /// The line, from 1.
        line: u64,
        /// Why.
        source: AddressError,
    },
    /// Something else that cannot be in a cluster.
    #[error("line {line}: {source}")]
    Cluster {
        /// The line, from 1.
        line: u64,
        /// Why.
        source: ClusterError,
    },
    /// A field that has to be there.
    #[error("line {line}: `{path}` is missing")]
    Missing {
        /// The line of what it is missing in, from 1.
        line: u64,
        /// The field.
        path: String,
    },
    /// A file of an image outside of it.
    #[error("line {line}: `{path}` is no path inside an image")]
    OutsidePath {
        /// The line, from 1.
        line: u64,
        /// The path.
        path: String,
    },
    /// `--set` with something else than values.
    #[error("`--set {text}` is wrong: {reason}")]
    Set {
        /// As it was given.
        text: String,
        /// Why.
        reason: String,
    },
    /// A values file that is no map.
    #[error("the values of `{name}` are no map")]
    Values {
        /// The file.
        name: String,
    },
}

impl ClusterfileError {
    /// What the user can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Template(source) => source.help(),
            Self::NoCluster => Some("a Clusterfile begins so: `sealos gen IMAGE --masters IP` writes one".to_owned()),
            Self::Version { .. } => Some(format!("known is `{}`", super::API)),
            Self::Cluster { source, .. } => source.help(),
            Self::Set { .. } => Some("write `--set name=value,list[0].name=value,other={a,b}`".to_owned()),
            _ => None,
        }
    }
}

/// Something about a Clusterfile that its writer should know, though it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A field that means nothing.
    UnknownField {
        /// The line, from 1.
        line: u64,
        /// The field.
        path: String,
        /// The field that was probably meant.
        similar: Option<String>,
    },
    /// A document that means nothing to us and is kept.
    UnknownDocument {
        /// The line, from 1.
        line: u64,
        /// Its kind.
        kind: String,
    },
    /// A secret that another machine sealed: it is as if it were not there.
    Sealed {
        /// The line, from 1.
        line: u64,
        /// The field.
        path: String,
    },
    /// A change of files for an image that is not in the list.
    NoSuchImage {
        /// The line, from 1.
        line: u64,
        /// The document's name.
        config: String,
        /// The image.
        image: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField { line, path, similar: None } => {
                write!(f, "line {line}: there is no field `{path}`; it is ignored")
            }
            Self::UnknownField { line, path, similar: Some(similar) } => {
                write!(f, "line {line}: there is no field `{path}`; it is ignored (did you mean `{similar}`?)")
            }
            Self::UnknownDocument { line, kind } => {
                write!(f, "line {line}: documents of the kind `{kind}` mean nothing here; it is kept")
            }
            Self::Sealed { line, path } => {
                write!(f, "line {line}: `{path}` was sealed on another machine and cannot be opened here")
            }
            Self::NoSuchImage { line, config, image } => {
                write!(f, "line {line}: the Config `{config}` is for `{image}`, which is not in spec.image")
            }
        }
    }
}
