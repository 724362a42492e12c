//! Directories and archives, whole and wrong.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{ChartsError, Links, read};
use crate::helm::{RenderOptions, render};

/// A directory with a chart in `app`.
fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().expect("a directory");
    let chart = place.path().join("app");
    write(&chart.join("Chart.yaml"), "apiVersion: v2\nname: app\nversion: 1.0.0\n");
    write(&chart.join("templates/x.yaml"), "{{ range $path, $_ := .Files.Glob \"**\" }}{{ $path }} {{ end }}");
    (place, chart)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
    fs::write(path, text).expect("writable");
}

/// What `.Files` holds.
fn seen(chart: &Path, links: Links<'_>) -> Result<String, String> {
    let chart = read(chart, links).map_err(|error| error.to_string())?;
    let rendered = render(&chart, &RenderOptions::default()).map_err(|error| error.to_string())?;
    Ok(rendered[0].text.trim().to_owned())
}

#[test]
fn links_are_followed_as_far_as_they_may_lead() {
    let (place, chart) = place();
    write(&place.path().join("shared/a.txt"), "a");
    write(&place.path().join("secret"), "s");
    symlink("../shared", chart.join("linked")).expect("a link");
    symlink("Chart.yaml", chart.join("again")).expect("a link");
    assert_eq!(seen(&chart, Links::Anywhere).as_deref(), Ok("again linked/a.txt"));
    assert_eq!(seen(&chart, Links::Below(place.path())).as_deref(), Ok("again linked/a.txt"));
    let error = seen(&chart, Links::Below(&chart)).expect_err("it leads out");
    assert!(error.starts_with("`linked` of the chart is a link that leads out of"), "{error}");
    write(&chart.join(".helmignore"), "linked\n");
    assert_eq!(seen(&chart, Links::Below(&chart)).as_deref(), Ok(".helmignore again"));
}

#[test]
fn a_chart_that_is_a_link_out_of_the_context_is_refused() {
    let (place, chart) = place();
    let context = place.path().join("context");
    fs::create_dir(&context).expect("writable");
    symlink(&chart, context.join("app")).expect("a link");
    assert!(matches!(read(&context.join("app"), Links::Below(&context)), Err(ChartsError::LeadsOut { .. })));
    assert!(read(&context.join("app"), Links::Anywhere).is_ok());
}

#[test]
fn links_in_a_circle_end() {
    let (_place, chart) = place();
    symlink(".", chart.join("circle")).expect("a link");
    let error = seen(&chart, Links::Anywhere).expect_err("a circle");
    assert!(error.contains("links may lead in a circle") || error.contains("Too many levels"), "{error}");
    fs::remove_file(chart.join("circle")).expect("removable");
    symlink("nowhere", chart.join("broken")).expect("a link");
    assert!(seen(&chart, Links::Anywhere).expect_err("broken").contains("broken"));
}

#[test]
fn what_is_no_file_and_what_is_too_large_is_refused_unless_it_is_ignored() {
    let (_place, chart) = place();
    let large = fs::File::create(chart.join("large.bin")).expect("writable");
    large.set_len(6 << 20).expect("sparse");
    let error = seen(&chart, Links::Anywhere).expect_err("too large");
    assert!(error.contains("large.bin` is larger than the 5242880 bytes that a file of a chart may have"), "{error}");
    write(&chart.join(".helmignore"), "*.bin\nsocket\n");
    let socket = std::os::unix::net::UnixListener::bind(chart.join("socket")).expect("a socket");
    assert_eq!(seen(&chart, Links::Anywhere).as_deref(), Ok(".helmignore"));
    write(&chart.join(".helmignore"), "*.bin\n");
    let error = seen(&chart, Links::Anywhere).expect_err("a socket");
    assert_eq!(error, "`socket` of the chart is neither a file nor a directory");
    drop(socket);
}

#[test]
fn names_that_are_no_text_are_refused() {
    let (_place, chart) = place();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(chart.join(name), "x").expect("writable");
    let error = seen(&chart, Links::Anywhere).expect_err("no text");
    assert!(error.ends_with("has a name that is not UTF-8"), "{error}");
}

#[test]
fn what_is_no_chart_says_so_with_its_path() {
    let (place, chart) = place();
    fs::remove_file(chart.join("Chart.yaml")).expect("removable");
    let error = read(&chart, Links::Anywhere).expect_err("no chart");
    assert_eq!(error.to_string(), format!("`{}`: this is no chart: there is no `Chart.yaml`", chart.display()));
    assert!(error.help().is_some());
    write(&place.path().join("x.tgz"), "no archive");
    let error = read(&place.path().join("x.tgz"), Links::Anywhere).expect_err("no archive").to_string();
    assert!(error.contains("cannot unpack the chart: "), "{error}");
    assert!(matches!(read(&place.path().join("nothing"), Links::Anywhere), Err(ChartsError::Read { .. })));
}

#[test]
fn a_helm_that_is_not_there_is_named() {
    let (_place, chart) = place();
    let error = super::render_with(Path::new("/nowhere/helm"), &chart, &RenderOptions::default()).expect_err("no helm");
    assert!(error.to_string().starts_with("cannot run `/nowhere/helm`: "), "{error}");
    assert!(error.help().is_some());
}
