//! Where a registry listens.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use registry::exposure::Protection;
use registry::listener::{Certificates, Listener};
use registry::notify;

use super::failure::RegistryFailure;
use crate::cli::error::CommandError;

/// Whether it is meant that others get in without what protects a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposure {
    Meant,
    Refused,
}

/// Listens on these addresses, or takes over what the service manager listens on.
pub(super) fn open(
    addresses: &[String],
    certificates: Option<&Arc<dyn Certificates>>,
    protection: Protection,
    exposure: Exposure,
) -> Result<Vec<Listener>, CommandError> {
    let secured = |listener: Listener| match certificates {
        Some(certificates) => listener.secured(Arc::clone(certificates)),
        None => listener,
    };
    let check = |address: &str| match exposure {
        Exposure::Meant => Ok(()),
        Exposure::Refused => protection.check(address).map_err(RegistryFailure::from),
    };
    let doing = "take over the sockets of the service manager";
    let inherited = notify::inherited().map_err(CommandError::io(doing))?;
    let mut listeners = Vec::new();
    for one in inherited {
        let listener = Listener::inherited(one.socket).map_err(CommandError::io(doing))?;
        check(listener.name())?;
        // Processes on this machine talk through a Unix socket in the clear.
        let is_local = listener.name().starts_with("unix:");
        listeners.push(if is_local { listener } else { secured(listener) });
    }
    if !listeners.is_empty() {
        return Ok(listeners);
    }
    for address in addresses {
        let failed = |source| RegistryFailure::Listen { address: address.clone(), source };
        listeners.push(match address.strip_prefix("unix:") {
            Some(path) => {
                // What an earlier process left is in the way; one that is in use is not connected to any more.
                if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
                    fs::remove_file(path).map_err(failed)?;
                }
                UnixListener::bind(path).and_then(Listener::unix).map_err(failed)?
            }
            None => {
                check(address)?;
                let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.clone() };
                secured(Listener::tcp(address.as_str()).map_err(failed)?)
            }
        });
    }
    Ok(listeners)
}
