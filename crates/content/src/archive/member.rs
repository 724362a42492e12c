//! Paths in archives and the links between them.

use std::collections::HashMap;

use oci::Digest;

/// Links to links that are followed.
const MAX_LINKS: usize = 16;

/// What an archive's paths stand for: contents of a kind that the way of reading determines, and links.
#[derive(Debug)]
pub(super) struct Members<T> {
    contents: HashMap<Vec<u8>, T>,
    links: HashMap<Vec<u8>, Vec<u8>>,
}

impl<T> Members<T> {
    pub(super) fn new() -> Self {
        Self { contents: HashMap::new(), links: HashMap::new() }
    }

    pub(super) fn add(&mut self, path: Vec<u8>, content: T) {
        self.links.remove(&path);
        self.contents.insert(path, content);
    }

    pub(super) fn add_hard_link(&mut self, path: Vec<u8>, target: Vec<u8>) {
        self.contents.remove(&path);
        self.links.insert(path, target);
    }

    /// A link's target counts from the directory that the link is in.
    pub(super) fn add_symlink(&mut self, path: Vec<u8>, target: &[u8]) {
        let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        parts.pop();
        if target.starts_with(b"/") {
            parts.clear();
        }
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let target = parts.join(&b'/');
        self.add_hard_link(path, target);
    }

    /// The content of a path, through links.
    pub(super) fn find(&self, path: &str) -> Option<&T> {
        let mut path = path.trim_start_matches("./").as_bytes();
        for _ in 0..MAX_LINKS {
            match self.links.get(path) {
                Some(target) => path = target,
                None => return self.contents.get(path),
            }
        }
        None
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = (&[u8], &T)> {
        self.contents.iter().map(|(path, content)| (path.as_slice(), content))
    }
}

/// The digest that a path in a layout stands for: `blobs/sha256/<hex>`.
pub(super) fn blob_digest(path: &[u8]) -> Option<Digest> {
    let (algorithm, hex) = str::from_utf8(path).ok()?.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_contents() {
        let mut members = Members::new();
        members.add(b"a/layer.tar".to_vec(), 1);
        members.add_symlink(b"b/layer.tar".to_vec(), b"../a/layer.tar");
        members.add_symlink(b"c/layer.tar".to_vec(), b"../b/./layer.tar");
        members.add_hard_link(b"d.tar".to_vec(), b"c/layer.tar".to_vec());
        members.add_symlink(b"loop".to_vec(), b"loop");
        for (path, want) in [("a/layer.tar", Some(1)), ("./c/layer.tar", Some(1)), ("d.tar", Some(1)), ("loop", None)] {
            assert_eq!(members.find(path).copied(), want, "{path}");
        }
    }

    #[test]
    fn only_blobs_of_a_layout_have_digests() {
        let hex = "ab".repeat(32);
        assert!(blob_digest(format!("blobs/sha256/{hex}").as_bytes()).is_some());
        for path in [format!("blobs/md5/{hex}"), format!("{hex}.tar"), "blobs/sha256/../x".to_owned()] {
            assert!(blob_digest(path.as_bytes()).is_none(), "{path}");
        }
    }
}
