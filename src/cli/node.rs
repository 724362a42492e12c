//! `sealos node`: what the program does on a host for a controller elsewhere. Not for people.

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::error::CommandError;
use super::world::World;
use crate::execute::hosts::{hold, serve};

/// Act on this host for a controller
///
/// Orders come on stdin.
#[derive(Debug, Args)]
pub(crate) struct Node {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Do one step
    Step,
    /// Hold the lock of a cluster until stdin ends
    Lease {
        /// The directory of the cluster
        cluster: PathBuf,
        /// Who holds it
        owner: String,
    },
}

impl Node {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        match self.what {
            What::Step => {
                let done = serve(&mut io::stdin().lock(), &mut *world.out);
                match done.map_err(CommandError::io("read the order"))? {
                    true => Ok(()),
                    // The controller has been told.
                    false => Err(CommandError::Absent),
                }
            }
            What::Lease { cluster, owner } => {
                let held = hold(&cluster, &owner, io::stdin(), &mut *world.out);
                held.map_err(CommandError::io(format!("hold the lock in {}", cluster.display())))
            }
        }
    }
}
