//! YAML as Kubernetes and Helm read and write it: YAML 1.1's plain words (`yes`, `on`, `0755`), merge keys, the last of two equal
//! keys, everything turned into JSON.
//!
//! The text is cut into events by `granit-parser`; what a scalar means is decided here, as Go's `sigs.k8s.io/yaml`
//! decides it. Pure, and bounded: nesting by the parser, aliases by [`MAX_ALIASED`].

mod order;
mod read;
mod resolve;
mod scalar;
mod write;

#[cfg(test)]
mod tests;

pub use read::{Document, all, first};
pub use resolve::text_of;
pub use write::{Dialect, write};

/// How many values aliases may repeat in one document: enough for any manifest, too few for a bomb.
pub const MAX_ALIASED: usize = 1_000_000;

/// How numbers become JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Every number is a float, as in Helm's values: 1000000 prints as `1e+06` in a template.
    Floats,
    /// Whole numbers stay whole.
    Exact,
}

/// Why a text is not YAML that has a meaning in JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}
