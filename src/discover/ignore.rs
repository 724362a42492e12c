//! `.sealignore`: images that are not carried, and files that are not looked at.
//!
//! One a line; `#` at the beginning of a line or behind white space begins a comment. A line that begins with `./` or
//! `/` is the path of a file or directory of the context; every other line is a name. Both may hold `*` (any text) and
//! `?` (one character). A name without tag leaves out all tags.

use oci::Reference;

use super::glob;
use super::text::without_comment;

/// What is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    names: Vec<String>,
    paths: Vec<String>,
}

impl Ignore {
    /// Reads the file.
    pub fn parse(text: &str) -> Self {
        let mut ignore = Self::default();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = without_comment(line);
            if line.is_empty() {
                continue;
            }
            match line.strip_prefix("./").or_else(|| line.strip_prefix('/')) {
                Some(path) => ignore.paths.push(path.trim_end_matches('/').to_owned()),
                None => ignore.names.push(line.to_owned()),
            }
        }
        ignore
    }

    /// Leaves out one more name or pattern.
    pub fn add(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }

    /// Whether an image is left out: its name as written, in full, or without tag and digest fits a line.
    pub fn has(&self, name: &Reference) -> bool {
        if self.names.is_empty() {
            return false;
        }
        let bare = format!("{}/{}", name.registry(), name.repository());
        let tagged = name.tag_or_default().map(|tag| format!("{bare}:{tag}"));
        let mut forms = vec![name.familiar(), name.normal(), name.familiar_name().to_owned(), bare];
        forms.extend(tagged);
        if name.digest().is_some() {
            forms.extend(name.tag().map(|tag| format!("{}:{tag}", name.familiar_name())));
        }
        let fits = |line: &String| {
            let written = forms.iter().any(|form| glob::matches(line, form));
            // `nginx` is `docker.io/library/nginx`, too.
            let meant = line.parse::<Reference>().is_ok_and(|line| same(&line, name));
            written || meant
        };
        self.names.iter().any(fits)
    }

    /// Whether a text that may be no name is left out.
    pub fn has_text(&self, text: &str) -> bool {
        self.names.iter().any(|line| glob::matches(line, text))
            || text.parse::<Reference>().is_ok_and(|name| self.has(&name))
    }

    /// Whether a path of the context is left out, itself or a directory above it.
    pub fn has_path(&self, path: &str) -> bool {
        let fits = |line: &String| {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            ends.into_iter().any(|end| glob::matches(line, &path[..end]))
        };
        self.paths.iter().any(fits)
    }
}

/// Whether a line without patterns means the image.
fn same(line: &Reference, name: &Reference) -> bool {
    let is_one = line.registry() == name.registry() && line.repository() == name.repository();
    let tag = line.tag().is_none_or(|tag| Some(tag) == name.tag_or_default());
    let digest = line.digest().is_none_or(|digest| Some(digest) == name.digest());
    is_one && tag && digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_leave_out_what_they_name() {
        let text = "# comment\n\nnginx:1.27   # not this one\nquay.io/team/*\n  busybox\n*-debug\n./manifests/old/\n/a/?.yaml\r\n";
        let ignore = Ignore::parse(text);
        for (name, want) in [
            ("nginx:1.27", true),
            ("docker.io/library/nginx:1.27", true),
            ("nginx:1.28", false),
            ("quay.io/nginx:1.27", false),
            ("quay.io/team/a/b:1", true),
            ("quay.io/teams/a:1", false),
            ("busybox:1", true),
            ("busybox@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", true),
            ("hub.example/busybox", false),
            ("gcr.io/x/y:v1-debug", true),
            ("comment", false),
        ] {
            assert_eq!(ignore.has(&name.parse().unwrap()), want, "{name}");
        }
        for (path, want) in [
            ("manifests/old", true),
            ("manifests/old/a.yaml", true),
            ("manifests/older/a.yaml", false),
            ("a/b.yaml", true),
            ("a/bc.yaml", false),
        ] {
            assert_eq!(ignore.has_path(path), want, "{path}");
        }
        assert!(Ignore::parse("IMAGE_*").has_text("IMAGE_NAME"));
    }
}
