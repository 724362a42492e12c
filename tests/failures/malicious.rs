//! Layers made to do harm: entries that leave the root, links that lead out, bombs.

use std::fs;
use std::process::Command;

use crate::sandbox::{Bounded, Sandbox};

/// Loads an image whose only layer is the tar that a Python script writes into the file object `t`.
fn load(sandbox: &Sandbox, script: &str) -> String {
    let program = format!(
        r#"
import tarfile, io, json, hashlib, sys, gzip
def entry(t, name, kind=tarfile.REGTYPE, data=b"", link=""):
    i = tarfile.TarInfo(name); i.type = kind; i.size = len(data); i.linkname = link
    t.addfile(i, io.BytesIO(data))
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w", format=tarfile.GNU_FORMAT) as t:
{script}
layer = layer.getvalue()
digest = hashlib.sha256(layer).hexdigest()
config = json.dumps({{"architecture": "amd64", "os": "linux", "config": {{}}, "rootfs": {{"type": "layers", "diff_ids": ["sha256:" + digest]}}}}).encode()
manifest = json.dumps([{{"Config": "config.json", "RepoTags": ["evil:v1"], "Layers": [digest + ".tar"]}}]).encode()
with tarfile.open("evil.tar", "w") as t:
    for name, data in [("config.json", config), (digest + ".tar", layer), ("manifest.json", manifest)]:
        entry(t, name, data=data)
"#
    );
    let output = Command::new("python3").args(["-c", &program]).current_dir(sandbox.root()).bounded().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    sandbox.sealos(&["load", "-q", "-i", &sandbox.at("evil.tar")]).fine();
    "evil:v1".to_owned()
}

#[test]
fn an_entry_that_would_leave_the_root_is_refused_and_named() {
    for (script, named) in [
        ("    entry(t, '../escaped', data=b'x')", "../escaped"),
        ("    entry(t, 'a/../../escaped', data=b'x')", "a/../../escaped"),
        ("    entry(t, 'hard', tarfile.LNKTYPE, link='../../etc/passwd')", "hard"),
    ] {
        let sandbox = Sandbox::new();
        let name = load(&sandbox, script);
        sandbox.sealos(&["create", "--short", &name]).refused(&[named]);
        sandbox.sealos(&["run", &name]).refused(&[named]);
        assert!(!sandbox.path("escaped").exists() && !sandbox.path("store/escaped").exists());
    }
}

#[test]
fn a_symlink_to_the_outside_is_not_written_through() {
    for target in ["/tmp", "../../../../../../../../tmp"] {
        let sandbox = Sandbox::new();
        let canary = format!("sealos-escaped-{}", std::process::id());
        let script =
            format!("    entry(t, 'out', tarfile.SYMTYPE, link='{target}')\n    entry(t, 'out/{canary}', data=b'x')");
        let name = load(&sandbox, &script);
        // Whether it is refused or kept inside is the extractor's choice; outside nothing may appear.
        let said = sandbox.sealos(&["create", "--short", &name]);
        assert!(!fs::exists(format!("/tmp/{canary}")).unwrap(), "{said:?}");
        if said.code == Some(0) {
            let root = said.stdout.trim().to_owned();
            assert!(fs::exists(format!("{root}/tmp/{canary}")).unwrap(), "it was kept inside the root");
        }
    }
}

#[test]
fn an_absolute_name_stays_in_the_root_or_is_refused() {
    let sandbox = Sandbox::new();
    let canary = format!("/tmp/sealos-absolute-{}", std::process::id());
    let name = load(&sandbox, &format!("    entry(t, '{canary}', data=b'x')"));
    let said = sandbox.sealos(&["create", "--short", &name]);
    assert!(!fs::exists(&canary).unwrap(), "{said:?}");
    said.refused(&[&canary]);
}

#[test]
fn a_bomb_is_refused_by_the_limit() {
    let sandbox = Sandbox::new();
    let script = "import tarfile, io, json, hashlib, gzip, zlib
c = zlib.compressobj(9, zlib.DEFLATED, 31)
out, h = [], hashlib.sha256()
i = tarfile.TarInfo('zeros'); i.size = 3 << 30
head = i.tobuf()
block = bytes(1 << 20)
h.update(head); out.append(c.compress(head))
for _ in range(3 << 10):
    h.update(block); out.append(c.compress(block))
h.update(bytes(1024)); out.append(c.compress(bytes(1024))); out.append(c.flush())
layer = b''.join(out)
digest = h.hexdigest()
config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {}, 'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + digest]}}).encode()
manifest = json.dumps([{'Config': 'config.json', 'RepoTags': ['evil:v1'], 'Layers': ['layer.tar']}]).encode()
with tarfile.open('evil.tar', 'w') as t:
    for name, data in [('config.json', config), ('layer.tar', layer), ('manifest.json', manifest)]:
        i = tarfile.TarInfo(name); i.size = len(data); t.addfile(i, io.BytesIO(data))
";
    let output = Command::new("python3").args(["-c", script]).current_dir(sandbox.root()).bounded().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let loaded = sandbox.sealos(&["load", "-q", "-i", &sandbox.at("evil.tar")]);
    if loaded.code == Some(0) {
        sandbox.sealos(&["create", "--short", "evil:v1"]).refused(&["limit"]);
    } else {
        loaded.refused(&["limit"]);
    }
}
