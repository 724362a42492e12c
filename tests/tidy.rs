//! The rules that no compiler checks: which room may look at which, what pure rooms may not touch, how long a file may
//! be, which words do not belong in the tree.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src/` and their levels. A room looks only at rooms of a lower level.
const ROOMS: [(&str, u32); 21] = [
    ("yaml", 0),
    ("kubefile", 1),
    ("template", 1),
    ("cluster", 1),
    ("report", 1),
    ("clusterfile", 2),
    ("bootstrap", 2),
    ("helm", 2),
    ("discover", 3),
    ("plan", 2),
    ("transport", 3),
    ("rootfs", 3),
    ("charts", 3),
    ("sandbox", 4),
    ("carry", 4),
    ("probe", 4),
    ("build", 5),
    ("transfer", 5),
    ("execute", 5),
    ("cli", 6),
    ("main", 7),
];

/// Rooms that use no file, socket, process, clock or random.
const PURE: [&str; 9] =
    ["yaml", "kubefile", "clusterfile", "template", "cluster", "bootstrap", "helm", "discover", "plan"];

/// What a pure room may not say.
const IMPURE: [&str; 8] = [
    "std::fs",
    "TcpStream",
    "ToSocketAddrs",
    "std::process",
    "SystemTime::now",
    "Instant::now",
    "std::env::",
    "rustix::",
];

/// The crates and the crates of the workspace that they may use.
const CRATES: [(&str, &[&str]); 4] = [
    ("oci", &[]),
    ("content", &["oci"]),
    ("registry-client", &["oci", "content"]),
    ("registry", &["oci", "content", "registry-client"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files that the project consists of, relative to its root.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![root().to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap_or_default().to_owned();
            if path.is_symlink() || matches!(name.as_str(), "target" | ".git") {
                continue;
            }
            match path.is_dir() {
                true => todo.push(path),
                false => found.push(path.strip_prefix(root()).unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<(PathBuf, String)> {
    let rust = files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| (path.clone(), fs::read_to_string(root().join(&path)).unwrap())).collect()
}

/// The room that a file of `src/` is in.
fn room(path: &Path) -> Option<String> {
    let inside = path.strip_prefix("src").ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    Some(first.trim_end_matches(".rs").to_owned()).filter(|room| room != "lib")
}

fn level(room: &str) -> Option<u32> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, level)| *level)
}

/// The lines of a file before its unit tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
}

/// Whether a file of `src/` holds nothing but unit tests.
fn is_test(path: &Path) -> bool {
    path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem == "tests" || stem.ends_with("_tests"))
}

#[test]
fn every_room_is_in_the_table_and_looks_only_downwards() {
    for (path, text) in rust_files() {
        let Some(own) = room(&path).filter(|_| !is_test(&path)) else { continue };
        let own_level =
            level(&own).unwrap_or_else(|| panic!("{}: `{own}` is not in the table of rooms", path.display()));
        for (other, other_level) in ROOMS.iter().filter(|(name, _)| *name != own) {
            let looks =
                code(&text).contains(&format!("crate::{other}::")) || code(&text).contains(&format!("crate::{other};"));
            assert!(!looks || *other_level < own_level, "{}: `{own}` may not look at `{other}`", path.display());
        }
    }
}

#[test]
fn pure_rooms_touch_nothing() {
    for (path, text) in rust_files() {
        if is_test(&path) {
            continue;
        }
        let Some(own) = room(&path).filter(|own| PURE.contains(&own.as_str())) else { continue };
        for word in IMPURE {
            assert!(!code(&text).contains(word), "{}: the room `{own}` is pure, but says `{word}`", path.display());
        }
    }
}

#[test]
fn crates_depend_only_downwards() {
    for (name, allowed) in CRATES {
        // What ships by itself lies beside `src`, what only others use lies under `crates`.
        let directory = [root().join(name), root().join("crates").join(name)].into_iter().find(|path| path.is_dir());
        let manifest = fs::read_to_string(directory.unwrap().join("Cargo.toml")).unwrap();
        for (other, _) in CRATES {
            let depends = manifest.lines().any(|line| line.starts_with(&format!("{other}.workspace")));
            assert!(!depends || allowed.contains(&other), "crates/{name} may not depend on {other}");
        }
    }
    let known = CRATES.map(|(name, _)| name);
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name.as_str()), "crates/{name} is not in the table of crates");
    }
}

#[test]
fn files_are_short_or_say_why_not() {
    // Tables of test cases are as long as they are.
    for (path, text) in rust_files().into_iter().filter(|(path, _)| !path.starts_with("tests") && !is_test(path)) {
        let lines = code(&text).lines().count();
        let explained =
            text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains("Long because"));
        assert!(
            lines <= 600 || explained,
            "{}: {lines} lines; say `Long because …` in its header or split it",
            path.display()
        );
    }
}

#[test]
fn modules_say_what_they_are() {
    for (path, text) in rust_files() {
        assert!(text.starts_with("//!"), "{}: a file begins with what it is", path.display());
    }
}

#[test]
fn no_file_is_called_after_what_it_is_not() {
    for path in files() {
        for part in &path {
            let stem = part.to_str().unwrap_or_default().split('.').next().unwrap_or_default();
            let vague = matches!(stem, "util" | "utils" | "helper" | "helpers" | "common" | "misc" | "types");
            assert!(!vague, "{}: `{stem}` says nothing", path.display());
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Spelt apart, so that this file does not hold them.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X:"].concat(), ["todo", "!("].concat()];
    for (path, text) in rust_files() {
        for word in &words {
            assert!(!text.contains(word.as_str()), "{}: holds `{word}`", path.display());
        }
    }
}
