//! Text -> [`Kubefile`], as BuildKit reads Dockerfiles.
//!
//! ```text
//! text ─ lines ─▶ logical lines, directives, heredocs
//!      ─ words ─▶ keyword, flags, arguments
//!      ─ typed ─▶ Instruction            ─ parse ─▶ Kubefile { stages, warnings }
//! Instruction ─ resolve + expand (an environment) ─▶ Instruction without variables
//! ```
//!
//! Invariants: this room is pure (no file, socket, process, clock or random); no input makes it panic; nothing is
//! expanded while parsing; every error and warning names file, line and column and shows the line.
//!
//! What it does not do: read files, resolve images, decide which stages are built, or apply `ARG` overrides.
//!
//! Where it departs from BuildKit, on purpose: a duplicate stage name, an unclosed quote and a malformed `${…}` are
//! errors at once, even in a stage nobody builds; an `ONBUILD` trigger is checked when it is written; flags may hold
//! non-ASCII text; nesting and size of expansions are bounded.

pub mod duration;
pub mod error;
pub mod expand;
mod flags;
pub mod glob;
pub mod heredoc;
pub mod ignore;
pub mod instruction;
mod keyword;
mod lexer;
mod lines;
pub mod mount;
mod mount_fields;
mod parse;
pub mod port;
mod resolve;
mod shell_pattern;
pub mod span;
mod suggest;
mod typed;
mod typed_run;
pub mod warning;
mod words;

pub use error::{KubefileError, Problem};
pub use expand::{Escape, ExpandError, Lookup};
pub use heredoc::Heredoc;
pub use ignore::IgnoreFile;
pub use instruction::{
    Add, ArgDeclaration, CommandLine, Copy, Healthcheck, Instruction, Kubefile, Network, Onbuild, Pair, Probe, Run,
    Script, Security, Source, Stage,
};
pub use keyword::Keyword;
pub use mount::{Device, Mount, MountKind, RunMount, Sharing};
pub use parse::{parse, parse_trigger};
pub use resolve::StageBase;
pub use span::{Located, Origin, Place, Span};
pub use warning::{Caution, Warning};

#[cfg(test)]
mod tests;
