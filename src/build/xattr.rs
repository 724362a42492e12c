//! The extended attributes that belong into a layer: `user.*` and file capabilities. All others (labels of security
//! modules, access control lists) say something about the machine where the build runs.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

/// Extended attributes, sorted by name.
pub(crate) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

fn is_kept(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name == b"security.capability"
}

/// The attributes of an open file.
pub(crate) fn of_open(file: impl AsFd) -> io::Result<Xattrs> {
    let mut kept = Xattrs::new();
    let mut names = vec![0; 256];
    let length = loop {
        match rustix::fs::flistxattr(&file, &mut names[..]) {
            Ok(length) => break length,
            Err(Errno::RANGE) => names.resize(names.len() * 4, 0),
            Err(Errno::NOTSUP) => return Ok(kept),
            Err(error) => return Err(error.into()),
        }
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        let mut value = vec![0; 256];
        loop {
            match rustix::fs::fgetxattr(&file, name, &mut value[..]) {
                Ok(length) => {
                    value.truncate(length);
                    kept.insert(name.to_vec(), value);
                    break;
                }
                Err(Errno::RANGE) => value.resize(value.len() * 4, 0),
                // Gone since it was listed.
                Err(Errno::NODATA) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(kept)
}
