//! What is legal in a Kubefile yet probably not meant. Pure data: whoever parses decides what to show.

use std::fmt;

use super::keyword::Keyword;
use super::span::Place;

/// Something legal that deserves a second look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Caution {
    /// The argument looks like a JSON array but is not one, so it is a shell command (or plain words).
    #[error("the argument of `{instruction}` looks like a JSON array but is not valid JSON; it is read as plain text")]
    NotJson {
        /// Which instruction.
        instruction: Keyword,
    },
    /// Only the last `CMD`, `ENTRYPOINT` or `HEALTHCHECK` of a stage counts.
    #[error("this stage has several `{instruction}`; this one is overridden by the one on line {by}")]
    Overridden {
        /// Which instruction.
        instruction: Keyword,
        /// The line of the one that counts.
        by: usize,
    },
    /// A continued instruction holds an empty line.
    #[error("an empty line inside a continued instruction")]
    EmptyContinuation,
    /// `RUN`, `CMD` or `ENTRYPOINT` without a command.
    #[error("`{instruction}` has no command")]
    NoCommand {
        /// Which instruction.
        instruction: Keyword,
    },
    /// Flags on an instruction that reads none.
    #[error("`{instruction}` ignores the flag `{flag}`")]
    IgnoredFlag {
        /// Which instruction.
        instruction: Keyword,
        /// The flag as written.
        flag: String,
    },
}

impl Caution {
    /// What to do about it, where that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NotJson { .. } => Some("JSON strings need double quotes: `[\"a\", \"b\"]`".to_owned()),
            Self::EmptyContinuation => {
                Some("remove the empty line, or the line continuation before it; comments may stay".to_owned())
            }
            Self::Overridden { .. } | Self::NoCommand { .. } | Self::IgnoredFlag { .. } => None,
        }
    }
}

/// A [`Caution`] and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is.
    pub caution: Caution,
    /// Where it is.
    pub place: Place,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.render(f, &format_args!("warning: {}", self.caution))?;
        match self.caution.help() {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}
