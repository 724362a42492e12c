//! The same directory, used by this registry and by docker's in turn.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use registry::backend::Distribution;
use registry::options::ServeOptions;
use registry::service::Registry;

use crate::client::{Client, is_whole};
use crate::deadline::Bounded;
use crate::docker::{Docker, configuration};
use crate::server::Server;

fn ours(directory: &Path) -> Server {
    Server::with(Registry::new(Arc::new(Distribution::open(directory).unwrap()), ServeOptions::default()))
}

#[test]
fn docker_serves_what_was_pushed_here_and_its_collector_keeps_it() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("registry");
    let server = ours(&directory);
    let mut client = Client::new(&server.address);
    for (repository, tag) in [("library/a", "1"), ("library/a", "2"), ("quay.io/deep/er/b", "x")] {
        let (_, status) = client.push_image(repository, tag, format!("{repository}{tag}").as_bytes()).unwrap();
        assert_eq!(status, 201, "{repository}:{tag}");
    }
    drop(server);
    let docker = Docker::start(&directory, None);
    for (repository, tag) in [("library/a", "1"), ("library/a", "2"), ("quay.io/deep/er/b", "x")] {
        is_whole(&docker.address, repository, tag).unwrap();
    }
    let mut client = Client::new(&docker.address);
    assert_eq!(client.get("/v2/_catalog").text().trim(), r#"{"repositories":["library/a","quay.io/deep/er/b"]}"#);
    let tags = client.get("/v2/library/a/tags/list").text();
    assert!(tags.contains(r#""1""#) && tags.contains(r#""2""#), "{tags}");
    let file = configuration(&directory, None, "127.0.0.1:0");
    let collected = Command::new("docker-registry").args(["garbage-collect", "--dry-run"]).arg(file).bounded().unwrap();
    let said = String::from_utf8_lossy(&collected.stdout).into_owned();
    assert!(collected.status.success(), "{said}");
    assert!(said.contains("0 blobs and 0 manifests eligible for deletion"), "{said}");
}

#[test]
fn what_docker_wrote_is_served_here_at_once() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("registry");
    let docker = Docker::start(&directory, None);
    Client::new(&docker.address).push_image("team/app", "v1", b"first").unwrap();
    let server = ours(&directory);
    is_whole(&server.address, "team/app", "v1").unwrap();
    let mut client = Client::new(&server.address);
    assert!(client.get("/v2/_catalog").text().contains("team/app"));
    // Both work on the directory at the same time: what one writes, the other sees with the next request.
    for number in 2..6 {
        let tag = format!("v{number}");
        let (digest, _) = Client::new(&docker.address).push_image("team/app", "latest", tag.as_bytes()).unwrap();
        let found = client.get("/v2/team/app/manifests/latest");
        assert_eq!(found.header("docker-content-digest"), Some(digest.to_string().as_str()), "{tag}");
        is_whole(&server.address, "team/app", "latest").unwrap();
        let (digest, _) = client.push_image("team/app", &tag, tag.as_bytes()).unwrap();
        let found = Client::new(&docker.address).get(&format!("/v2/team/app/manifests/{tag}"));
        assert_eq!(found.header("docker-content-digest"), Some(digest.to_string().as_str()), "{tag}");
    }
    let tags = client.get("/v2/team/app/tags/list").text();
    assert_eq!(tags, r#"{"name":"team/app","tags":["latest","v1","v2","v3","v4","v5"]}"#);
}

#[test]
fn links_with_line_ends_are_read_and_broken_ones_are_not_there() {
    let parent = tempfile::tempdir().unwrap();
    let server = ours(parent.path());
    let mut client = Client::new(&server.address);
    client.push_image("a", "good", b"x").unwrap();
    let tags = parent.path().join("docker/registry/v2/repositories/a/_manifests/tags");
    let link = fs::read_to_string(tags.join("good/current/link")).unwrap();
    assert_eq!(link.len(), 71, "a link has no line end: {link:?}");
    for (tag, text, status) in
        [("line", format!("{link}\n"), 200), ("empty", String::new(), 404), ("torn", link[..30].to_owned(), 404)]
    {
        fs::create_dir_all(tags.join(tag).join("current")).unwrap();
        fs::write(tags.join(tag).join("current/link"), text).unwrap();
        assert_eq!(client.get(&format!("/v2/a/manifests/{tag}")).status, status, "{tag}");
    }
    assert_eq!(client.get("/v2/a/tags/list").text(), r#"{"name":"a","tags":["good","line"]}"#);
}
