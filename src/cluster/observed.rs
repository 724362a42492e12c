//! What a host was found to be, and what is wrong with it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::cluster::Address;

/// What a host was found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Its own name.
    pub hostname: String,
    /// The architecture as images name it: `amd64`, `arm64`.
    pub arch: String,
    /// The operating system, as it calls itself.
    pub os: String,
    /// The kernel and its release.
    pub kernel: String,
    /// How far its clock is ahead of ours, in milliseconds; negative where it is behind.
    pub clock_ahead: i64,
    /// How wrong that may be, in milliseconds: half the time that asking took.
    pub clock_uncertainty: i64,
    /// Bytes that are free where the cluster's data goes.
    pub free_bytes: u64,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// TCP ports that somebody listens at.
    pub listening: BTreeSet<u16>,
    /// The digest of the program that acts for us there, in hexadecimal, if it is there.
    pub program: Option<String>,
    /// Other clusters that have left something there.
    pub other_clusters: Vec<String>,
}

/// Something that is wrong with a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The host.
    pub host: Address,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.host, self.what)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}
