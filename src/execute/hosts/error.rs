//! What can go wrong while a plan is carried out on hosts.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::trees::TreeError;
use crate::cluster::Address;
use crate::report::causes;
use crate::transport::TransportError;

/// Why one step failed on one host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The host says why.
    #[error("{error}{}", quoted(tail))]
    Failed {
        /// What it says.
        error: String,
        /// What to do, if it knows.
        help: Option<String>,
        /// The exit code of the command that failed.
        code: Option<u8>,
        /// The last lines that it printed.
        tail: Vec<String>,
    },
    /// The program on the host ended without a word.
    #[error("the program on the host ended without an answer{}", quoted(tail))]
    Silent {
        /// The last lines that it printed.
        tail: Vec<String>,
    },
    /// The host was not reached, or lost.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Talking with the host broke off.
    #[error("the talk with the host broke off: {0}")]
    Talk(#[source] io::Error),
    /// The files of an image cannot be listed.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

fn quoted(tail: &[String]) -> String {
    tail.iter().map(|line| format!("\n  | {line}")).collect()
}

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    /// Where.
    pub host: Address,
    /// The step in words.
    pub step: String,
    /// Why.
    pub error: StepError,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {}: {}: {}", self.host, self.step, causes(&self.error))
    }
}

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostsError {
    /// Steps failed; what was running was finished, and nothing new was begun.
    #[error("{}\n{done} steps were done, {left} are left", listed(failures))]
    Failed {
        /// Which.
        failures: Vec<Failure>,
        /// How many steps were done.
        done: usize,
        /// How many are left.
        left: usize,
    },
    /// The user wished to stop.
    #[error("interrupted: {done} steps were done, {left} are left")]
    Interrupted {
        /// How many steps were done.
        done: usize,
        /// How many are left.
        left: usize,
    },
    /// Another run works on the cluster.
    #[error("another run works on the cluster: {owner}")]
    Busy {
        /// Who, as that one said.
        owner: String,
    },
    /// The lock was lost: another run may begin.
    #[error(
        "the connection to {host}, which holds the cluster's lock, is lost: {done} steps were done, {left} are left"
    )]
    LeaseLost {
        /// The first master.
        host: Address,
        /// How many steps were done.
        done: usize,
        /// How many are left.
        left: usize,
    },
    /// The lock could not be had.
    #[error("cannot lock the cluster on {host}: {reason}")]
    Lease {
        /// The first master.
        host: Address,
        /// Why.
        reason: String,
    },
    /// A host that is in the plan and was not named.
    #[error("the plan has steps for {0}, which is not among the hosts")]
    NoHost(Address),
    /// The log or the journal could not be written.
    #[error("cannot write `{}`", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn listed(failures: &[Failure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl HostsError {
    /// The exit code of the program: that of the one command that failed, 130 when interrupted, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed { failures, .. } => match failures.as_slice() {
                [Failure { error: StepError::Failed { code: Some(code), .. }, .. }] => (*code).max(1),
                _ => 1,
            },
            Self::Interrupted { .. } => 130,
            _ => 1,
        }
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        let again = "the same command again continues there";
        match self {
            Self::Failed { failures, .. } => {
                let told = failures.iter().find_map(|failure| match &failure.error {
                    StepError::Failed { help, .. } => help.clone(),
                    StepError::Transport(error) => error.help(),
                    _ => None,
                });
                Some(told.map_or_else(|| again.to_owned(), |told| format!("{told}; {again}")))
            }
            Self::Interrupted { .. } | Self::LeaseLost { .. } => Some(again.to_owned()),
            Self::Busy { .. } => Some("wait until it has ended, then run it again".to_owned()),
            _ => None,
        }
    }
}
