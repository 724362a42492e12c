//! Images in other programs' stores, read through skopeo: `containers-storage:` and `docker-daemon:`.
//!
//! ```text
//! proxy ── manifest, configuration ──▶ an image whose layers are those that the store really has
//!       ── blobs, several proxies at once ──▶ copy
//! ```
//!
//! Such a store keeps layers unpacked and gives them out as plain tars, whatever the manifest says that they were once.
//! So the manifest is rewritten to what can be had; the configuration, and with it the image's id, stays as it is.

mod proxy;
mod write;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use content::{BlobReader, ContentError, Keeper, Source};
use oci::{Compression, Descriptor, Digest, ImageConfig, ImageManifest, MediaType, Raw, Reference};
use serde_json::Value;

use super::error::TransferError;
use proxy::Proxy;

pub(crate) use write::write;

/// Proxies for one image; a daemon is asked for the whole image for each of them.
const PROXIES: usize = 4;

/// An image of another program, as skopeo is told.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    keeper: Keeper,
    name: String,
}

impl Address {
    /// The image `name` of a program's store.
    pub(crate) fn new(keeper: Keeper, name: &str) -> Self {
        Self { keeper, name: name.to_owned() }
    }

    /// Whose store it is.
    pub(crate) fn keeper(&self) -> Keeper {
        self.keeper
    }

    /// skopeo does not read DOCKER_HOST as Docker's own programs do.
    fn daemon_flag(&self, flag: &str) -> Vec<String> {
        let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        match (self.keeper, host) {
            (Keeper::DockerDaemon, Some(host)) => vec![flag.to_owned(), host],
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.keeper.transport(), self.name)
    }
}

/// An image of another program's store, as a source.
#[derive(Debug)]
pub(crate) struct Foreign {
    address: Address,
    root: Descriptor,
    /// The manifest and the configuration.
    documents: HashMap<Digest, Vec<u8>>,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Debug)]
struct Pool {
    idle: Vec<Proxy>,
    /// Proxies that may still be started.
    left: usize,
}

impl Foreign {
    /// Opens an image.
    ///
    /// # Errors
    /// When skopeo is not installed, or says that there is no such image.
    pub(crate) fn open(address: Address) -> Result<Self, TransferError> {
        let mut proxy = Proxy::open(&address)?;
        let bytes = proxy.manifest()?;
        let manifest = Raw::<ImageManifest>::parse(bytes).map_err(|source| wrong(&address, source))?;
        let config = read_config(&mut proxy, manifest.value())?;
        let parsed = ImageConfig::parse(config.clone()).map_err(|error| ContentError::Document {
            place: address.to_string(),
            digest: manifest.value().config.digest,
            source: error.into(),
        })?;
        let bytes = with_real_layers(&mut proxy, &address, &manifest, parsed.value())?;
        let root = Descriptor::of(MediaType::OCI_MANIFEST, &bytes).for_platform(parsed.value().platform());
        let documents = HashMap::from([(root.digest, bytes), (manifest.value().config.digest, config)]);
        let left = if address.keeper == Keeper::DockerDaemon { 0 } else { PROXIES - 1 };
        let pool = Mutex::new(Pool { idle: vec![proxy], left });
        Ok(Self { address, root, documents, pool, returned: Condvar::new() })
    }

    /// The image's manifest.
    pub(crate) fn root(&self) -> &Descriptor {
        &self.root
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A proxy that is free; waits for one if there are enough.
    fn take(&self) -> Result<Proxy, TransferError> {
        let mut pool = self.pool();
        loop {
            if let Some(proxy) = pool.idle.pop() {
                return Ok(proxy);
            }
            if pool.left > 0 {
                pool.left -= 1;
                drop(pool);
                return Proxy::open(&self.address).inspect_err(|_error| self.lost());
            }
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give(&self, proxy: Proxy) {
        self.pool().idle.push(proxy);
        self.returned.notify_one();
    }

    /// A proxy that was taken is of no use any more.
    fn lost(&self) {
        self.pool().left += 1;
        self.returned.notify_one();
    }

    fn remote(&self, error: TransferError) -> ContentError {
        let help = error.help();
        ContentError::Remote { place: self.place(), source: Box::new(error), help }
    }
}

fn wrong(address: &Address, source: serde_json::Error) -> TransferError {
    TransferError::Document { place: address.to_string(), source }
}

fn read_config(proxy: &mut Proxy, manifest: &ImageManifest) -> Result<Vec<u8>, TransferError> {
    let what = &manifest.config;
    let mut bytes = Vec::new();
    let read = proxy.blob(&what.digest, what.size)?.take(what.size + 1).read_to_end(&mut bytes);
    proxy.end()?;
    read.map_err(|source| TransferError::Program { program: proxy::PROGRAM, doing: "read a blob from it", source })?;
    Ok(bytes)
}

/// The manifest with the layers as the store gives them out.
fn with_real_layers(
    proxy: &mut Proxy,
    address: &Address,
    manifest: &Raw<ImageManifest>,
    config: &ImageConfig,
) -> Result<Vec<u8>, TransferError> {
    let (layers, diff_ids) = (&manifest.value().layers, &config.rootfs.diff_ids);
    if layers.len() != diff_ids.len() {
        let (layers, diff_ids) = (layers.len(), diff_ids.len());
        return Err(TransferError::LayerCount { place: address.to_string(), layers, diff_ids });
    }
    let mut document: Value = serde_json::from_slice(manifest.bytes()).map_err(|source| wrong(address, source))?;
    for (at, (layer, diff_id)) in layers.iter().zip(diff_ids).enumerate() {
        if layer.digest == diff_id.0 {
            continue;
        }
        let entry = &mut document["layers"][at];
        entry["mediaType"] = MediaType::oci_layer(Compression::None).as_str().into();
        entry["digest"] = diff_id.0.to_string().into();
        entry["size"] = proxy.size(&diff_id.0)?.into();
    }
    match layers.iter().zip(diff_ids).all(|(layer, diff_id)| layer.digest == diff_id.0) {
        true => Ok(manifest.bytes().to_vec()),
        false => serde_json::to_vec(&document).map_err(|source| wrong(address, source)),
    }
}

impl Source for Foreign {
    fn place(&self) -> String {
        self.address.to_string()
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        let (place, name) = (self.place(), name.familiar());
        Err(ContentError::UnknownImage { place, name, similar: Vec::new() })
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        if let Some(bytes) = self.documents.get(&what.digest) {
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            return Ok(Box::new(&bytes[from..]));
        }
        let mut proxy = self.take().map_err(|error| self.remote(error))?;
        match proxy.blob(&what.digest, what.size) {
            Ok(pipe) => {
                let mut blob = Blob { owner: self, proxy: Some(proxy), pipe, left: what.size };
                // The protocol knows no ranges.
                let skipped = io::copy(&mut (&mut blob).take(from), &mut io::sink());
                skipped.map_err(ContentError::io(format!("read {} of {}", what.digest, self.place())))?;
                Ok(Box::new(blob))
            }
            Err(error) => {
                self.give(proxy);
                Err(self.remote(error))
            }
        }
    }
}

/// A blob being read. Its proxy goes back when it was read to its end, and is ended otherwise.
struct Blob<'a> {
    owner: &'a Foreign,
    proxy: Option<Proxy>,
    pipe: File,
    left: u64,
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = if self.proxy.is_some() { self.pipe.read(buffer)? } else { 0 };
        self.left = self.left.saturating_sub(count as u64);
        // Whoever reads exactly as many bytes as there are asks no further.
        if (count == 0 && !buffer.is_empty() || self.left == 0)
            && let Some(mut proxy) = self.proxy.take()
        {
            match proxy.end() {
                Ok(()) => self.owner.give(proxy),
                Err(error) => {
                    self.owner.lost();
                    return Err(self.owner.remote(error).into());
                }
            }
        }
        Ok(count)
    }
}

impl Drop for Blob<'_> {
    fn drop(&mut self) {
        if self.proxy.take().is_some() {
            self.owner.lost();
        }
    }
}
