//! Lists of images: a name a line.
//!
//! ```text
//! nginx:1.27                          # comments; quotes; `- ` and `image:` in front
//! quay.io/a/b:1@sha256:…
//! containers-storage:localhost/x:1    from podman's storage      docker-daemon:x:1   from Docker
//! oci-archive:x.tar                   all images of a file       oci-archive:x.tar:NAME   one of them
//! docker-archive:x.tar@library/x:1    its image, called so       oci:DIR  dir:DIR
//! ```

use content::Origin;
use oci::Reference;

use super::found::{ArchiveKind, Archived, Findings, From};
use super::text::{unquoted, without_comment};

/// What a line of a list says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Image(Reference, From),
    Archive { kind: ArchiveKind, path: String, pick: Option<String>, name: Option<Reference> },
}

const ARCHIVES: [(&str, ArchiveKind); 4] = [
    ("oci-archive:", ArchiveKind::Oci),
    ("docker-archive:", ArchiveKind::Docker),
    ("oci:", ArchiveKind::OciDirectory),
    ("dir:", ArchiveKind::Directory),
];

const PLACES: [(&str, From); 3] = [
    ("containers-storage:", From::ContainersStorage),
    ("docker-daemon:", From::DockerDaemon),
    ("docker://", From::Registry),
];

/// Reads a list. A line that is none of the above is a mistake, of which the place is named.
pub fn list(text: &str, file: &str, findings: &mut Findings) {
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = unquoted(without_comment(line)).trim();
        let line = line.strip_prefix("- ").map_or(line, str::trim_start);
        let line = line.strip_prefix("image:").map_or(line, |rest| unquoted(rest.trim()));
        // A document's beginning in a list that is YAML, too.
        if line.is_empty() || line == "---" || line == "images:" {
            continue;
        }
        let origin = Origin { file: file.to_owned(), line: Some(at + 1), what: String::new(), rule: "list".to_owned() };
        if findings.ignore().has_text(line) {
            continue;
        }
        match entry(line) {
            Ok(Entry::Image(reference, from)) => findings.take(reference, from, origin),
            Ok(Entry::Archive { kind, path, pick, name }) => {
                findings.archive(Archived { kind, path, pick, name, origin });
            }
            Err(reason) => findings.mistake(origin, reason, None),
        }
    }
}

fn entry(line: &str) -> Result<Entry, String> {
    if let Some((rest, kind)) = ARCHIVES.iter().find_map(|(front, kind)| Some((line.strip_prefix(front)?, *kind))) {
        let (rest, name) = match rest.rsplit_once('@') {
            Some((path, name)) if !name.starts_with("sha256:") => (path, Some(reference(name)?)),
            _ => (rest, None),
        };
        let (path, pick) = match rest.split_once(':') {
            Some((path, pick)) => (path, Some(pick.to_owned())),
            None => (rest, None),
        };
        if path.is_empty() {
            return Err(format!("`{line}` names no file"));
        }
        return Ok(Entry::Archive { kind, path: path.to_owned(), pick, name });
    }
    let place = PLACES.iter().find_map(|(front, from)| Some((line.strip_prefix(front)?, *from)));
    let (name, from) = place.unwrap_or((line, From::Registry));
    Ok(Entry::Image(reference(name)?, from))
}

fn reference(text: &str) -> Result<Reference, String> {
    text.parse::<Reference>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::Ignore;

    #[test]
    fn every_line_is_an_image_a_file_or_a_mistake() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text = format!(
            "\u{feff}# images\r\nnginx:1.27\r\n\n  'quay.io/a/b' # why\n- image: \"x/y:1\"\nq/w:1@{digest}\n\
             docker-daemon:mine:2\ncontainers-storage:localhost/z\noci-archive:a/b.tar@library/c:1\n\
             docker-archive:d.tar\noci:dir:v1\nNot A Name\noci-archive:\nleft:out\nbad image\n"
        );
        let mut findings = Findings::new(Ignore::parse("left:*\nbad image\n"));
        list(&text, "images/shim/x", &mut findings);
        let images: Vec<_> =
            findings.images().map(|f| (f.reference.familiar(), f.from, f.origins[0].line.unwrap())).collect();
        assert_eq!(
            images,
            [
                ("mine:2".to_owned(), From::DockerDaemon, 7),
                ("nginx:1.27".to_owned(), From::Registry, 2),
                (format!("q/w:1@{digest}"), From::Registry, 6),
                ("x/y:1".to_owned(), From::Registry, 5),
                ("localhost/z:latest".to_owned(), From::ContainersStorage, 8),
                ("quay.io/a/b:latest".to_owned(), From::Registry, 4),
            ]
        );
        let archives: Vec<_> = findings
            .archives()
            .iter()
            .map(|a| (a.kind, a.path.as_str(), a.pick.as_deref(), a.name.as_ref().map(|n| n.normal())))
            .collect();
        assert_eq!(
            archives,
            [
                (ArchiveKind::Oci, "a/b.tar", None, Some("docker.io/library/c:1".to_owned())),
                (ArchiveKind::Docker, "d.tar", None, None),
                (ArchiveKind::OciDirectory, "dir", Some("v1"), None),
            ]
        );
        let mistakes: Vec<_> = findings.mistakes().map(|m| m.origin.line.unwrap()).collect();
        assert_eq!(mistakes, [12, 13]);
    }
}
