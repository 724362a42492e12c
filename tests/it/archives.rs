//! Saving, loading, comparing and unpacking images.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::fixture::{Made, Spec, layout};
use crate::sandbox::{Said, Sandbox};

const OLD: &[&[(&str, &str)]] = &[&[("etc/a", "one"), ("etc/b", "two"), ("same", "same")]];
const NEW: &[&[(&str, &str)]] = &[OLD[0], &[("etc/.wh.b", ""), ("etc/a", "ONE"), ("new", "three")]];

fn filled() -> (Sandbox, Vec<Made>) {
    let sandbox = Sandbox::new();
    let specs = [
        Spec { name: Some("app:v1"), layers: OLD, ..Spec::default() },
        Spec { name: Some("app:v2"), layers: NEW, ..Spec::default() },
    ];
    layout(&sandbox.path("layout"), &specs);
    let made = layout(&sandbox.path("store"), &specs);
    (sandbox, made)
}

#[test]
fn every_format_comes_back_with_all_its_images() {
    let (sandbox, made) = filled();
    for format in ["oci-archive", "oci-dir", "docker-archive"] {
        // A colon is an ordinary character of a path.
        let path = format!("out:{format}");
        let saved = sandbox.sealos(&["save", "-q", "--format", format, "-o", &path, "app:v1", "app:v2"]);
        assert_eq!(saved, Said::only(""), "{format}");
        assert_eq!(sandbox.sealos(&["rmi", "--all"]).code, Some(0), "{format}");
        let loaded = sandbox.sealos(&["load", "-q", "-i", &path]);
        assert_eq!(loaded, Said::only("Loaded image: app:v1\nLoaded image: app:v2\n"), "{format}");
        let ids = sandbox.sealos(&["images", "--no-trunc", "--format", "{{.ID}}", "app:v2"]).stdout;
        assert_eq!(ids.trim(), made[1].config.digest.to_string(), "{format}");
    }
}

#[test]
fn archives_travel_through_pipes_compressed_or_not() {
    let (sandbox, _) = filled();
    for compress in [&[][..], &["--compress", "gzip"], &["--compress", "zstd"]] {
        let args = [&["save", "-q", "app:v1"], compress].concat();
        let archive = sandbox.command(&args).output().unwrap().stdout;
        assert!(!archive.is_empty(), "{compress:?}");
        let mut child = sandbox.command(&["load", "-q"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&archive).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "Loaded image: app:v1\n", "{compress:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_save_without_an_error() {
    let (sandbox, _) = filled();
    let mut child =
        sandbox.command(&["save", "-q", "app:v1"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let (sandbox, made) = filled();
    fs::write(sandbox.path("out.tar"), "old").unwrap();
    let said = sandbox.sealos(&["save", "-q", "-o", "out.tar", "absent"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    fs::remove_file(sandbox.path("store/blobs/sha256").join(made[0].layers[0].digest.hex())).unwrap();
    let said = sandbox.sealos(&["save", "-q", "-o", "out.tar", "app:v1"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains(&made[0].layers[0].digest.to_string()), "{}", said.stderr);
    assert_eq!(fs::read_to_string(sandbox.path("out.tar")).unwrap(), "old");
    let said = sandbox.sealos(&["save", "-q", "--format", "oci-dir", "app:v1"]);
    let want = "error: a directory cannot be written to stdout\nhelp: name it with `-o DIR`\n";
    assert_eq!(said, Said::failure(2, want));
}

#[test]
fn what_is_no_archive_is_refused_and_leaves_the_store_as_it_was() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("text"), "this is no archive").unwrap();
    for path in ["text", "absent"] {
        let said = sandbox.sealos(&["load", "-q", "-i", path]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{path}");
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains(path), "{}", said.stderr);
    }
    assert_eq!(sandbox.sealos(&["images", "-q"]), Said::only(""));
}

#[test]
fn progress_is_told_line_by_line_or_as_json_and_never_on_stdout() {
    let (sandbox, _) = filled();
    assert_eq!(sandbox.sealos(&["prune", "--all"]).code, Some(0));
    let said = sandbox.sealos(&["load", "--progress", "json", "layout"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "Loaded image: app:v1\nLoaded image: app:v2\n"));
    for line in said.stderr.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["event"].is_string(), "{line}");
    }
    assert!(!said.stderr.is_empty());
    assert_eq!(sandbox.sealos(&["prune", "--all"]).code, Some(0));
    let said = sandbox.sealos(&["load", "layout"]);
    assert_eq!(said.stdout, "Loaded image: app:v1\nLoaded image: app:v2\n");
    assert!(said.stderr.contains("layer ") && !said.stderr.contains('\u{1b}'), "{}", said.stderr);
}

#[test]
fn the_difference_of_two_images_is_shown() {
    let (sandbox, _) = filled();
    let table = "CHANGE    PATH\nchanged   /etc/a\ndeleted   /etc/b\nadded     /new\n";
    assert_eq!(sandbox.sealos(&["diff", "app:v1", "app:v2"]), Said::only(table));
    assert_eq!(sandbox.sealos(&["diff", "app:v1", "oci:layout:app:v2"]), Said::only(table));
    assert_eq!(sandbox.sealos(&["diff", "app:v1", "app:v1"]), Said::only("CHANGE   PATH\n"));
    let said = sandbox.sealos(&["diff", "-o", "json", "app:v2", "app:v1"]);
    let got: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(got, serde_json::json!({"added": ["/etc/b"], "changed": ["/etc/a"], "deleted": ["/new"]}));
}

#[test]
fn a_patch_holds_what_was_added_and_changed() {
    let (sandbox, _) = filled();
    for name in ["p.tar", "p.tar.gz", "p.tar.zst"] {
        assert_eq!(sandbox.sealos(&["diff", "--patch", name, "app:v1", "app:v2"]).code, Some(0), "{name}");
        let bytes = fs::read(sandbox.path(name)).unwrap();
        let tar: Box<dyn std::io::Read> = match name {
            "p.tar.gz" => Box::new(flate2::read::MultiGzDecoder::new(&bytes[..])),
            "p.tar.zst" => Box::new(zstd::Decoder::new(&bytes[..]).unwrap()),
            _ => Box::new(&bytes[..]),
        };
        let mut tar = content::tar::TarReader::new(tar);
        let mut found = Vec::new();
        while let Some(entry) = tar.next().unwrap() {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut tar.content(), &mut text).unwrap();
            found.push((String::from_utf8(entry.path).unwrap(), text));
        }
        let want = [("etc/a", "ONE"), ("new", "three")].map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(found, want, "{name}");
    }
    let said = sandbox.sealos(&["diff", "--patch", "p.zip", "app:v1", "app:v2"]);
    assert_eq!(said.code, Some(2));
}

#[test]
fn a_patch_keeps_links() {
    let sandbox = Sandbox::new();
    for (name, files) in [("v1", &[("d/kept", "0")][..]), ("v2", &[("d/kept", "0"), ("d/one", "1"), ("e/kept", "0")])] {
        let context = sandbox.path(name);
        for (path, text) in files {
            fs::create_dir_all(context.join(path).parent().unwrap()).unwrap();
            fs::write(context.join(path), text).unwrap();
        }
        fs::write(context.join("Kubefile"), "FROM scratch\nCOPY . .\n").unwrap();
        if name == "v2" {
            fs::hard_link(context.join("d/one"), context.join("e/two")).unwrap();
            std::os::unix::fs::symlink("d", context.join("to-d")).unwrap();
        }
        let built = sandbox.sealos(&["build", "-q", "-t", &format!("links:{name}"), context.to_str().unwrap()]);
        assert_eq!(built.code, Some(0), "{}", built.stderr);
    }
    let said = sandbox.sealos(&["diff", "--patch", "p.tar", "links:v1", "links:v2"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let mut tar = content::tar::TarReader::new(fs::File::open(sandbox.path("p.tar")).unwrap());
    let mut found = Vec::new();
    while let Some(entry) = tar.next().unwrap() {
        let kind = match &entry.kind {
            content::tar::EntryKind::Directory => "directory".to_owned(),
            content::tar::EntryKind::File { size } => format!("{size} bytes"),
            content::tar::EntryKind::HardLink { target } => format!("= {}", String::from_utf8_lossy(target)),
            content::tar::EntryKind::Symlink { target } => format!("-> {}", String::from_utf8_lossy(target)),
            other => format!("{other:?}"),
        };
        found.push((String::from_utf8(entry.path).unwrap(), kind));
    }
    // Content comes in the order of the layer.
    found[2..].sort();
    let want =
        [("e", "directory"), ("to-d", "-> d"), ("d/one", "1 bytes"), ("e/kept", "1 bytes"), ("e/two", "= d/one")];
    assert_eq!(found, want.map(|(path, kind)| (path.to_owned(), kind.to_owned())));
}
