//! Which roots somebody outside the store (a cluster) needs: `uses/`, a file for each root and user of it.

use std::fs;
use std::io;
use std::path::PathBuf;

use oci::Digest;

use super::Disk;
use super::lock::Hold;
use crate::{ContentError, Source, durable};

impl Disk {
    /// Records that `by` (a cluster's name, for instance) uses a root: pruning leaves it alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mark_used(&self, root: &Digest, by: &str) -> Result<(), ContentError> {
        let _guard = self.locked(Hold::Exclusive)?;
        let written = durable::replace(&self.use_path(root, by), format!("{root}\n{by}\n").as_bytes());
        written.map_err(ContentError::io(format!("record a use of {root} in {}", Source::place(self))))
    }

    /// Takes the record away; that there is none is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn unmark_used(&self, root: &Digest, by: &str) -> Result<(), ContentError> {
        let _guard = self.locked(Hold::Exclusive)?;
        let removed = durable::remove(&self.use_path(root, by));
        removed.map_err(ContentError::io(format!("remove a use of {root} in {}", Source::place(self))))
    }

    /// All recorded uses: root and user.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn uses(&self) -> Result<Vec<(Digest, String)>, ContentError> {
        let directory = self.directory("uses");
        let doing = || ContentError::io(format!("read {}", directory.display()));
        let files = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(doing())?,
        };
        let mut uses = Vec::new();
        for file in files {
            let file = file.map_err(doing())?;
            // The beginning of a record that was never finished.
            if file.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let text = fs::read_to_string(file.path()).map_err(doing())?;
            let (digest, by) = text.split_once('\n').unwrap_or((&text, ""));
            let digest = digest.parse().map_err(|error: oci::DigestError| ContentError::Format {
                place: file.path().display().to_string(),
                format: "record of a use",
                reason: error.to_string(),
            })?;
            uses.push((digest, by.trim_end_matches('\n').to_owned()));
        }
        uses.sort();
        Ok(uses)
    }

    /// Users' names can have any characters, so the file is named by their hash.
    fn use_path(&self, root: &Digest, by: &str) -> PathBuf {
        self.directory("uses").join(Digest::of(format!("{root}\n{by}").as_bytes()).hex())
    }
}
