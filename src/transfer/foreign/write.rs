//! An image into another program's store, by `skopeo copy`.
//!
//! skopeo is given an image layout of two small files whose blobs lie where they are: nothing is copied for it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use oci::{Descriptor, Index, annotation};

use super::super::error::TransferError;
use super::Address;
use super::proxy::{PROGRAM, one_line};

/// How the image is called in the layout.
const NAME: &str = "image";

/// Writes an image. `blobs` is the `blobs` directory of a layout that has everything that the image needs; `scratch` is
/// an empty directory.
///
/// # Errors
/// When skopeo is not installed or fails; its last words are the reason.
pub(crate) fn write(blobs: &Path, root: &Descriptor, scratch: &Path, address: &Address) -> Result<(), TransferError> {
    let doing = |source| TransferError::Program { program: PROGRAM, doing: "prepare what it reads", source };
    let index = Index::new(vec![root.clone().annotated(annotation::REF_NAME, NAME)]);
    let index = serde_json::to_vec(&index).map_err(|error| doing(error.into()))?;
    fs::write(scratch.join("index.json"), index).map_err(doing)?;
    fs::write(scratch.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(doing)?;

    let mut source = OsString::from("oci:");
    source.push(scratch);
    source.push(format!(":{NAME}"));
    let mut command = Command::new(PROGRAM);
    // The policy is about where images come from; this one was verified here.
    command.args(["--insecure-policy", "copy", "--quiet", "--src-shared-blob-dir"]).arg(blobs);
    command.args(address.daemon_flag("--dest-daemon-host")).arg(source).arg(address.to_string());
    let output = command.stdin(Stdio::null()).output().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => TransferError::NoProgram { program: PROGRAM, place: address.to_string() },
        _ => TransferError::Program { program: PROGRAM, doing: "start it", source },
    })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rfind(|line| !line.trim().is_empty()).map(one_line);
    let reason = last.unwrap_or_else(|| output.status.to_string());
    Err(TransferError::Refused { place: address.to_string(), reason })
}
