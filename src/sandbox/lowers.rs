//! The merged view of the lower directories, as overlayfs will show it.
//!
//! A path in the view is looked up component by component: only directories that are real in a layer are gone through,
//! and a symbolic link is followed inside the view. So no path of the host is reached through an image's links.

use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::rootfs::{OPAQUE_XATTRS, RootfsError, join, split};

/// Links followed on one path at most, as in the kernel.
const MAX_LINKS: u32 = 40;

/// The lower directories, top first.
#[derive(Clone, Debug)]
pub(super) struct Lowers {
    top_first: Vec<PathBuf>,
}

/// What the view has at a path.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it is on the host.
    pub(super) place: PathBuf,
    pub(super) metadata: Metadata,
}

/// A layer's directory with a path of the view below it.
fn below(layer: &Path, path: &[u8]) -> PathBuf {
    layer.join(std::ffi::OsStr::from_bytes(path))
}

/// Whether a file of an upper directory says that the name is gone.
pub(super) fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Whether a directory of an upper directory hides what layers below have in it.
pub(super) fn is_opaque(directory: &Path) -> bool {
    let says = |name: &[u8]| {
        let mut value = [0_u8; 8];
        matches!(rustix::fs::lgetxattr(directory, name, &mut value[..]), Ok(1) if value[0] == b'y')
    };
    OPAQUE_XATTRS.iter().any(|name| says(name)) || directory.join(".wh..wh..opq").symlink_metadata().is_ok()
}

impl Lowers {
    pub(super) fn new(bottom_first: &[PathBuf]) -> Self {
        Self { top_first: bottom_first.iter().rev().cloned().collect() }
    }

    pub(super) fn top_first(&self) -> &[PathBuf] {
        &self.top_first
    }

    pub(super) fn put_on_top(&mut self, layer: PathBuf) {
        self.top_first.insert(0, layer);
    }

    /// What is at a path, no link followed.
    pub(super) fn find(&self, path: &[u8]) -> Result<Option<Found>, RootfsError> {
        let mut layers: Vec<&PathBuf> = self.top_first.iter().collect();
        let Some(top) = layers.first() else { return Ok(None) };
        let metadata = top.symlink_metadata().map_err(RootfsError::io("look at", b"/"))?;
        let mut found = Found { place: top.to_path_buf(), metadata };
        let mut walked = Vec::new();
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            if !found.metadata.is_dir() {
                return Ok(None);
            }
            let next = join(&walked, part);
            let whiteout = join(&walked, &[b".wh.".as_slice(), part].concat());
            let mut first = None;
            let mut merged = Vec::new();
            for layer in layers {
                let place = below(layer, &next);
                match place.symlink_metadata() {
                    Ok(metadata) if is_whiteout(&metadata) => break,
                    Ok(metadata) if !metadata.is_dir() => {
                        if first.is_none() {
                            first = Some(Found { place, metadata });
                        }
                        break;
                    }
                    Ok(metadata) => {
                        let ends = is_opaque(&place);
                        merged.push(layer);
                        first.get_or_insert(Found { place, metadata });
                        if ends {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(RootfsError::io("look at", &next)(error)),
                }
                if below(layer, &whiteout).symlink_metadata().is_ok() {
                    break;
                }
            }
            let Some(first) = first else { return Ok(None) };
            (found, layers, walked) = (first, merged, next);
        }
        Ok(Some(found))
    }

    /// The path that a path means when links are followed inside the view, the last included. What does not exist stays
    /// as it is written.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, RootfsError> {
        let mut todo: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut resolved = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    resolved.truncate(split(&resolved).0.len());
                    continue;
                }
                _ => {}
            }
            let next = join(&resolved, &part);
            match self.find(&next)? {
                Some(found) if found.metadata.is_symlink() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(RootfsError::LinkLoop(path.to_vec()));
                    }
                    let target = std::fs::read_link(&found.place).map_err(RootfsError::io("read the link", &next))?;
                    let target = target.as_os_str().as_bytes();
                    if target.first() == Some(&b'/') {
                        resolved.clear();
                    }
                    todo.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
                }
                _ => resolved = next,
            }
        }
        Ok(resolved)
    }

    /// The bytes of a small file, links followed; empty if there is none.
    pub(super) fn read(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, RootfsError> {
        let path = self.resolve(path)?;
        let Some(found) = self.find(&path)? else { return Ok(Vec::new()) };
        let size = found.metadata.len();
        match found.metadata.is_file() {
            false => Ok(Vec::new()),
            true if size > limit => Err(RootfsError::FileTooLarge { path, size, limit }),
            true => std::fs::read(&found.place).map_err(RootfsError::io("read", &path)),
        }
    }
}
