//! What PAX and GNU headers say about the entry that follows them.

use std::collections::BTreeMap;

use super::pax;

/// Facts that stand in front of an entry and win over its header.
#[derive(Clone, Debug, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) sparse: SparseFacts,
}

/// The `GNU.sparse.` keywords.
#[derive(Clone, Debug, Default)]
pub(super) struct SparseFacts {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) size: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) map: Option<Vec<u8>>,
    /// Alternating offsets and lengths of format 0.0, which repeats its keywords.
    pub(super) numbers: Vec<u64>,
}

/// Why a PAX header cannot be taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// A rule of the format.
    Rule(&'static str),
    /// The number of a keyword.
    Number(&'static str),
}

impl Extensions {
    /// Takes the records of a local header (`x`).
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        for (keyword, value) in pax::records(bytes).map_err(Refused::Rule)? {
            self.record(keyword, value)?;
        }
        Ok(())
    }

    /// Takes the records of a global header (`g`). What belongs to one file only cannot be said of all that follow:
    /// tars disagree about such headers, which is how archives are made that two tools read differently.
    pub(super) fn take_global(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        for (keyword, value) in pax::records(bytes).map_err(Refused::Rule)? {
            let is_own = matches!(keyword, b"path" | b"linkpath" | b"size");
            if is_own || keyword.starts_with(b"GNU.sparse.") || keyword.starts_with(b"SCHILY.xattr.") {
                return Err(Refused::Rule("a global header says what only one entry can have"));
            }
            self.record(keyword, value)?;
        }
        Ok(())
    }

    fn record(&mut self, keyword: &[u8], value: &[u8]) -> Result<(), Refused> {
        // An empty value takes back what an earlier header said (POSIX).
        let text = (!value.is_empty()).then(|| value.to_vec());
        match keyword {
            b"path" => self.path = text,
            b"linkpath" => self.link = text,
            b"size" => self.size = number(value, "size")?,
            b"uid" => self.uid = number(value, "uid")?,
            b"gid" => self.gid = number(value, "gid")?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(pax::seconds(value).ok_or(Refused::Number("mtime"))?),
            b"GNU.sparse.major" => self.sparse.major = number(value, "GNU.sparse.major")?,
            b"GNU.sparse.minor" => self.sparse.minor = number(value, "GNU.sparse.minor")?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size = number(value, "GNU.sparse.size")?,
            b"GNU.sparse.name" => self.sparse.name = text,
            b"GNU.sparse.map" => self.sparse.map = Some(value.to_vec()),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse.alternate(keyword, value)?,
            _ => {
                if let Some(name) = keyword.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.insert(name.to_vec(), value.to_vec());
                }
            }
        }
        Ok(())
    }
}

impl SparseFacts {
    fn alternate(&mut self, keyword: &[u8], value: &[u8]) -> Result<(), Refused> {
        let expects_offset = self.numbers.len().is_multiple_of(2);
        if expects_offset != (keyword == b"GNU.sparse.offset") {
            return Err(Refused::Rule("the numbers of its sparse map are out of order"));
        }
        self.numbers.push(pax::decimal(value).ok_or(Refused::Number("GNU.sparse.offset"))?);
        Ok(())
    }
}

fn number(value: &[u8], field: &'static str) -> Result<Option<u64>, Refused> {
    if value.is_empty() {
        return Ok(None);
    }
    // Offsets in a stream have to fit into its position.
    let number = pax::decimal(value).filter(|number| i64::try_from(*number).is_ok());
    number.map(Some).ok_or(Refused::Number(field))
}
