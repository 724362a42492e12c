//! Contents of some of an image's files, copied out of its layers: one pass over each layer that has any.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use content::tar::EntryKind;

use super::write::copy_content;
use super::{Holes, RootfsError, Tree};

/// Contents on disk, under numbers: names, owners and modes are those of the tree's entries, not of these files.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    numbers: HashMap<Vec<u8>, usize>,
}

impl Spool {
    /// Opens the content of a file by the path it has in the tree.
    ///
    /// # Errors
    /// When that path was not spooled, or the file cannot be opened.
    pub fn open(&self, path: &[u8]) -> Result<File, RootfsError> {
        let number = self.numbers.get(path).ok_or_else(|| RootfsError::NoSuchPath(path.to_vec()))?;
        File::open(self.directory.join(number.to_string())).map_err(RootfsError::io("open the spooled", path))
    }
}

impl Tree<'_> {
    /// Copies the contents of these regular files (paths as in the tree) into `scratch`, an empty directory. Paths of
    /// anything else have no content and are passed over.
    ///
    /// # Errors
    /// When a path does not exist, a layer cannot be read or the disk is full.
    pub fn spool(&self, paths: &[&[u8]], scratch: &Path) -> Result<Spool, RootfsError> {
        let mut by_layer: BTreeMap<usize, HashMap<&[u8], usize>> = BTreeMap::new();
        let mut numbers = HashMap::new();
        let mut count = 0;
        for path in paths {
            let node = self.get(path).ok_or_else(|| RootfsError::NoSuchPath(path.to_vec()))?;
            if !matches!(node.entry.kind, EntryKind::File { .. }) {
                continue;
            }
            let number = *by_layer.entry(node.layer).or_default().entry(&node.content).or_insert_with(|| {
                count += 1;
                count
            });
            numbers.insert(path.to_vec(), number);
        }
        let mut buffer = vec![0; 1 << 20];
        for (layer, contents) in &by_layer {
            let wanted: HashSet<&[u8]> = contents.keys().copied().collect();
            self.read_layer(*layer, &wanted, &mut |entry, content| {
                let EntryKind::File { size } = entry.kind else { return Ok(()) };
                let number = contents[entry.path.as_slice()];
                let doing = |error| RootfsError::io("spool", &entry.path)(error);
                let mut file = File::create(scratch.join(number.to_string())).map_err(doing)?;
                let copied = copy_content(content, size, &mut file, Holes::Make, &mut buffer).map_err(doing)?;
                match copied == size {
                    true => Ok(()),
                    false => Err(doing(std::io::ErrorKind::UnexpectedEof.into())),
                }
            })?;
        }
        Ok(Spool { directory: scratch.to_owned(), numbers })
    }
}
