//! Tars as they are, as other tools make them, and as an attacker makes them.

mod hostile;
mod peers;
mod writing;

use std::collections::BTreeMap;
use std::io::Read;

use super::{Entry, EntryKind, TarError, TarReader, TarWriter};

fn entry(path: &[u8], kind: EntryKind) -> Entry {
    let mode = if kind == EntryKind::Directory { 0o755 } else { 0o644 };
    Entry { path: path.to_vec(), kind, mode, uid: 0, gid: 0, mtime: 1, xattrs: BTreeMap::new() }
}

fn file(path: &[u8], size: usize) -> Entry {
    entry(path, EntryKind::File { size: size as u64 })
}

/// A tar of entries; those that are files have the bytes beside them.
fn tar(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, content) in entries {
        writer.append(entry, &mut &content[..]).unwrap();
    }
    writer.finish().unwrap()
}

/// All entries of a tar with their contents.
fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = TarReader::new(bytes);
    let mut found = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut content = Vec::new();
        if let Err(error) = reader.content().read_to_end(&mut content) {
            return Err(error.downcast::<TarError>().unwrap());
        }
        found.push((entry, content));
    }
    Ok(found)
}
