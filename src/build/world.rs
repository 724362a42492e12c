//! What a build may touch: the store, and what others bring from elsewhere.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::sync::{Mutex, PoisonError};

use content::Disk;
use oci::{Descriptor, ImageConfig, Platform};

use super::carrying::Carrier;
use super::event::BuildObserver;
use super::request::PullPolicy;

/// An error of whoever was asked; `help` is what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct SeamError {
    /// What it said.
    pub source: Box<dyn Error + Send + Sync>,
    /// What the user can do about it.
    pub help: Option<String>,
}

impl SeamError {
    /// An error without advice.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into(), help: None }
    }
}

/// A file behind a URL.
pub struct Fetched {
    /// Its bytes, not verified.
    pub body: Box<dyn Read + Send>,
    /// How many there are, if the server said so.
    pub size: Option<u64>,
}

/// Gets files behind http(s) URLs.
pub trait Fetch: Send + Sync {
    /// The file behind a URL.
    ///
    /// # Errors
    /// When it cannot be had.
    fn fetch(&self, url: &str) -> Result<Fetched, SeamError>;
}

/// Brings images into the store.
pub trait Resolver: Send + Sync {
    /// The root of the image, which is whole in the store afterwards; none if the policy forbids to get what is not
    /// there.
    ///
    /// # Errors
    /// When there is no such image, or it cannot be had.
    fn resolve_and_pull(
        &self,
        name: &str,
        platform: &Platform,
        policy: PullPolicy,
    ) -> Result<Option<Descriptor>, SeamError>;

    /// The configuration of the image, without its layers: to know what it says before it is brought into the store.
    /// None if it is not known who has it.
    ///
    /// # Errors
    /// When there is no such image, or it cannot be looked at.
    fn configuration(
        &self,
        name: &str,
        platform: &Platform,
        policy: PullPolicy,
    ) -> Result<Option<ImageConfig>, SeamError> {
        let (_, _, _) = (name, platform, policy);
        Ok(None)
    }

    /// The platforms that the image is there for, asked where it comes from; nothing is pulled.
    ///
    /// # Errors
    /// When there is no such image, or nobody can be asked.
    fn platforms(&self, name: &str) -> Result<Vec<Platform>, SeamError>;
}

/// A [`Fetch`] and a [`Resolver`] that reach nothing: for builds that must not use the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offline;

/// Why [`Offline`] has nothing.
#[derive(Debug, thiserror::Error)]
#[error("this build does not use the network")]
struct NoNetwork;

impl Fetch for Offline {
    fn fetch(&self, _url: &str) -> Result<Fetched, SeamError> {
        Err(SeamError::new(NoNetwork))
    }
}

impl Resolver for Offline {
    fn resolve_and_pull(
        &self,
        _name: &str,
        _platform: &Platform,
        _policy: PullPolicy,
    ) -> Result<Option<Descriptor>, SeamError> {
        Ok(None)
    }

    fn platforms(&self, _name: &str) -> Result<Vec<Platform>, SeamError> {
        Err(SeamError::new(NoNetwork))
    }
}

/// What a build may touch.
pub struct World<'a> {
    /// Where images come from and go to.
    pub store: &'a Disk,
    /// Who fetches URLs.
    pub fetch: &'a dyn Fetch,
    /// Who pulls images.
    pub resolver: &'a dyn Resolver,
    /// Who brings the container images that the context asks for; none if nothing is carried.
    pub carrier: Option<&'a dyn Carrier>,
    /// Who hears about it.
    pub observer: &'a dyn BuildObserver,
    /// Standard input, for `-`.
    pub stdin: Mutex<Box<dyn Read + Send + 'a>>,
    /// Standard output, for a tar to `-`.
    pub stdout: Mutex<Box<dyn Write + Send + 'a>>,
    /// The environment, for arguments without a value, secrets and `SOURCE_DATE_EPOCH`.
    pub environment: BTreeMap<String, String>,
}

impl<'a> World<'a> {
    /// A world of nothing but a store.
    pub fn offline(store: &'a Disk, observer: &'a dyn BuildObserver) -> Self {
        Self {
            store,
            fetch: &Offline,
            resolver: &Offline,
            carrier: None,
            observer,
            stdin: Mutex::new(Box::new(std::io::empty())),
            stdout: Mutex::new(Box::new(std::io::sink())),
            environment: BTreeMap::new(),
        }
    }

    /// Calls `read` with standard input.
    pub(crate) fn with_stdin<T>(&self, read: impl FnOnce(&mut (dyn Read + Send + 'a)) -> T) -> T {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        read(&mut **stdin)
    }
}
