//! The layers as one directory: stacked by the kernel, or copied.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::changes::Changes;
use super::lowers::Lowers;
use super::mounts::Stub;
use super::script::{Op, Ops, path, text};
use super::userns::is_in_user_namespace;
use super::{SandboxError, SandboxError as Error};
use crate::rootfs::{Extractor, RootfsError, UnpackOptions, join};

/// Makes the mount points that the image lacks, in a layer of their own. Directories on the way that the image has
/// become like those of the image: the layer is on top, and what it says counts.
pub(super) fn make_stubs(lowers: &Lowers, into: &Path, stubs: &[(Vec<u8>, Stub)]) -> Result<(), SandboxError> {
    if let Some(found) = lowers.find(b"")? {
        imitate(&found.place, into)?;
    }
    for (target, stub) in stubs {
        if lowers.find(target)?.is_some() {
            continue;
        }
        let parts: Vec<&[u8]> = target.split(|byte| *byte == b'/').collect();
        let mut above = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let here = join(&above, part);
            let place = into.join(OsStr::from_bytes(&here));
            let doing = || format!("make the mount point {}", place.display());
            let is_file = index + 1 == parts.len() && *stub == Stub::File;
            let made = if is_file { fs::File::create_new(&place).map(|_| ()) } else { fs::create_dir(&place) };
            match made {
                Ok(()) => {
                    let mode = if is_file { 0o644 } else { 0o755 };
                    fs::set_permissions(&place, fs::Permissions::from_mode(mode)).map_err(Error::prepare(doing()))?;
                    if let Some(found) = lowers.find(&here)? {
                        imitate(&found.place, &place)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::prepare(doing())(error)),
            }
            above = here;
        }
    }
    Ok(())
}

/// Gives a directory the owner, mode, attributes and time of another.
pub(super) fn imitate(model: &Path, directory: &Path) -> Result<(), SandboxError> {
    let apply = || -> io::Result<()> {
        let metadata = model.symlink_metadata()?;
        std::os::unix::fs::lchown(directory, Some(metadata.uid()), Some(metadata.gid()))?;
        fs::set_permissions(directory, metadata.permissions())?;
        fs::File::open(directory)?.set_modified(metadata.modified()?)
    };
    apply().map_err(Error::prepare(format!("make {} like the image's directory", directory.display())))
}

/// Prepares what [`mount`] mounts.
pub(super) fn prepare(lowers: &Lowers, scratch: &Path) -> Result<(), SandboxError> {
    for (index, layer) in lowers.top_first().iter().enumerate() {
        let doing = format!("link to the layer {}", layer.display());
        let layer = layer.canonicalize().map_err(Error::prepare(doing.clone()))?;
        symlink(layer, scratch.join("l").join(index.to_string())).map_err(Error::prepare(doing))?;
    }
    // The root directory's mode and owner are those of the upper directory.
    match lowers.find(b"")? {
        Some(found) => imitate(&found.place, &scratch.join("upper")),
        None => Ok(()),
    }
}

/// The operations that mount the layers on `scratch/root`.
pub(super) fn mount(ops: &mut Ops, lowers: &Lowers, scratch: &Path) -> Result<(), SandboxError> {
    ops.push("enter the scratch directory", Op::Enter(path(scratch)?));
    let names: Vec<String> = (0..lowers.top_first().len()).map(|index| format!("l/{index}")).collect();
    let data = options(&names.join(":"), "upper", "work");
    ops.push("stack the layers", Op::Overlay { target: text("root")?, data: text(data)? });
    Ok(())
}

/// The text that an overlay is mounted with. Renamed directories and files whose metadata alone changed are copied:
/// overlayfs's shorthands for them mean nothing in a layer.
pub(super) fn options(lower: &str, upper: &str, work: &str) -> String {
    let own = if is_in_user_namespace() { ",userxattr" } else { ",redirect_dir=off,metacopy=off,index=off" };
    format!("lowerdir={lower},upperdir={upper},workdir={work}{own}")
}

/// Copies the merged view, bottom first.
pub(super) fn copy(lowers: &Lowers, into: &Path) -> Result<(), SandboxError> {
    let mut extractor = Extractor::new(into, &UnpackOptions::default())?;
    for layer in lowers.top_first().iter().rev() {
        let changes = Changes::read_whole(layer)?;
        for entry in changes.entries() {
            match changes.open(entry)? {
                Some(mut file) => extractor.apply(entry, &mut file)?,
                None => extractor.apply(entry, &mut io::empty())?,
            }
        }
        extractor.end_layer();
    }
    extractor.finish()?;
    match lowers.find(b"")? {
        Some(found) => imitate(&found.place, into),
        None => Ok(()),
    }
}

/// Copies one file or directory tree of the host.
pub(super) fn copy_tree(from: &Path, into: &Path) -> Result<(), SandboxError> {
    let bytes = from.as_os_str().as_bytes();
    if from.is_dir() {
        fs::create_dir(into).map_err(RootfsError::io("copy", bytes))?;
        copy(&Lowers::new(&[from.to_owned()]), into)
    } else {
        fs::copy(from, into).map_err(RootfsError::io("copy", bytes))?;
        Ok(())
    }
}
