//! What refers to an image (signatures, SBOMs) is found by others where it was copied to, whether the registry keeps a
//! list of it or not.

use serde_json::Value;

use crate::own::Own;
use crate::peers::{digest, digest_at, published, say};
use crate::registry::Registry;
use crate::sandbox::run;

/// The referrers of an image as oras finds them.
fn referrers(name: &str, how: &str) -> Vec<String> {
    let args = ["discover", "--plain-http", "--distribution-spec", how, "--format", "json", name];
    let found: Value = serde_json::from_str(&say("oras", &args)).unwrap();
    let list = found["referrers"].as_array().or(found["manifests"].as_array()).cloned().unwrap_or_default();
    let mut all: Vec<String> = list.iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

const TAG: &str = "v1.1-referrers-tag";
const API: &str = "v1.1-referrers-api";

#[test]
fn referrers_are_listed_under_a_tag_where_the_registry_keeps_no_list() {
    let (sandbox, from, one, _) = published();
    let subject = from.name("team/one:v1");
    std::fs::write(sandbox.path("sbom"), "all of it").unwrap();
    std::fs::write(sandbox.path("note"), "checked").unwrap();
    let here = sandbox.root().to_str().unwrap();
    for file in ["sbom", "note"] {
        let attach = format!(
            "cd {here} && oras attach --plain-http --distribution-spec {TAG} --artifact-type example/{file} {subject} {file}"
        );
        run("bash", &["-c", &attach]);
    }
    let attached = referrers(&subject, TAG);
    assert_eq!(attached.len(), 2, "{attached:?}");

    let (docker, own) = (Registry::plain(), Own::new());
    for (name, how) in [(docker.name("mirror/one"), TAG), (own.name("mirror/one"), API)] {
        sandbox.sealos(&["copy", "-q", &format!("docker://{subject}"), &format!("docker://{name}:v1")]).fine();
        for digest in &attached {
            let what = format!("docker://{}@{digest}", from.name("team/one"));
            sandbox.sealos(&["copy", "-q", &what, &format!("docker://{name}@{digest}")]).fine();
        }
        // A second time changes nothing.
        let what = format!("docker://{}@{}", from.name("team/one"), attached[0]);
        sandbox.sealos(&["copy", "-q", &what, &format!("docker://{name}@{}", attached[0])]).fine();
        assert_eq!(referrers(&format!("{name}:v1"), how), attached, "{name}");
        assert_eq!(digest_at(&format!("docker://{name}:v1")), one);
    }
    // The list is an image like any other for who syncs the repository, and says whose it is.
    let tags = sandbox.sealos(&["tags", &docker.name("mirror/one")]).fine();
    assert!(tags.lines().any(|tag| tag == one.replace(':', "-")), "{tags}");
    let again = Own::new();
    sandbox.sealos(&["sync", "-q", "--all", &docker.name("mirror/one"), again.host()]).fine();
    assert_eq!(referrers(&again.name("mirror/one:v1"), API), attached, "they came with the list");
    assert_eq!(digest(&sandbox, "one:v1"), one);
}

#[test]
fn of_many_referrers_that_come_at_once_none_is_lost() {
    let (sandbox, from, ..) = published();
    let subject = from.name("team/one:v1");
    let here = sandbox.root().to_str().unwrap();
    let own = Own::new();
    let there = own.name("many/one:v1");
    sandbox.sealos(&["copy", "-q", &format!("docker://{subject}"), &format!("docker://{there}")]).fine();
    for at in 0..8 {
        std::fs::write(sandbox.path("note"), format!("{at}")).unwrap();
        run(
            "bash",
            &["-c", &format!("cd {here} && oras attach --plain-http --artifact-type example/note {there} note")],
        );
    }
    let attached = referrers(&there, API);
    assert_eq!(attached.len(), 8);
    let list: String = attached.iter().map(|digest| format!("{}@{digest}\n", own.name("many/one"))).collect();
    std::fs::write(sandbox.path("list.txt"), format!("{there}\n{list}")).unwrap();
    let docker = Registry::plain();
    sandbox.sealos(&["sync", "-q", "list.txt", docker.name("").trim_end_matches('/')]).fine();
    assert_eq!(referrers(&docker.name("many/one:v1"), TAG), attached);
}
