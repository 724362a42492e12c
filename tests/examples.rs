//! Every example is built and run, so that none can rot.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

#[path = "sandbox/bounded.rs"]
mod bounded;

use std::fs;
use std::path::Path;
use std::process::Command;

use bounded::Bounded;

/// Runs sealos with its own store and data in `dir`; it must succeed. Returns stdout and stderr.
fn sealos(dir: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sealos"))
        .args(args)
        .env("SEALOS_STORAGE_ROOT", dir.join("storage"))
        .env("SEALOS_DATA_ROOT", dir.join("data"))
        .bounded()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "sealos {}: {}\n{said}", args.join(" "), output.status);
    said
}

/// Builds and runs an example twice: the second run finds nothing to do.
fn example(name: &str, expected: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("Kubefile-examples").join(name);
    busybox(dir.path());
    let tag = format!("{name}:v1");
    sealos(dir.path(), &["build", "-t", &tag, source.to_str().unwrap()]);
    let said = sealos(dir.path(), &["run", &tag]);
    for text in expected {
        assert!(said.contains(text), "{name}: `{text}` is not in\n{said}");
    }
    let again = sealos(dir.path(), &["run", &tag]);
    assert!(again.contains("nothing to do") || again.contains("nothing is left to do"), "{again}");
    let direct = sealos(dir.path(), &["run", source.to_str().unwrap(), "--force"]);
    assert!(direct.contains(expected[0]), "{direct}");
}

/// `busybox:1.36` for the example that wants a base with a shell: made of the machine's static busybox.
fn busybox(dir: &Path) {
    let context = dir.join("busybox");
    fs::create_dir_all(context.join("bin")).unwrap();
    fs::copy("/bin/busybox", context.join("bin/busybox")).expect("busybox-static is installed (tests/run does it)");
    for applet in ["sh", "sort", "uniq", "wc", "cat", "tee", "echo"] {
        std::os::unix::fs::symlink("busybox", context.join("bin").join(applet)).unwrap();
    }
    fs::write(context.join("Kubefile"), "FROM scratch\nCOPY bin /bin\n").unwrap();
    sealos(dir, &["build", "-q", "-t", "busybox:1.36", context.to_str().unwrap()]);
}

#[test]
fn hello_greets() {
    example("hello", &["Hello from a cluster image", "./scripts/hello.sh", "installed in /"]);
}

#[test]
fn template_is_rendered() {
    example(
        "template",
        &["listen = sealos.hub:8080", "metrics = on", "upstream.1 = beta.sealos.hub", "replicas: 1", "with 1 replicas"],
    );
}

#[test]
fn template_takes_the_users_values() {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("Kubefile-examples/template");
    let env = ["--env", "domain=a.example", "--env", "replicas=3", "--env", "upstreams=x,y,z"];
    let said = sealos(dir.path(), &[&["run", source.to_str().unwrap()][..], &env].concat());
    for text in ["listen = a.example:8080", "upstream.2 = z.a.example", "serving a.example with 3 replicas"] {
        assert!(said.contains(text), "`{text}` is not in\n{said}");
    }
}

#[test]
fn multi_stage_ships_what_the_first_stage_made() {
    example("multi-stage", &["there are 3 different words", "fig"]);
}

#[test]
fn patch_patches() {
    example("patch", &["patched: max_connections = 4096"]);
}

#[test]
fn rootfs_has_its_labels_and_runs() {
    example("rootfs", &["check: /var/lib/registry", "root file system for sealos.hub:5000 behind 10.103.97.2"]);
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("Kubefile-examples/rootfs");
    sealos(dir.path(), &["build", "-q", "-t", "rootfs:v1", source.to_str().unwrap()]);
    let label = sealos(dir.path(), &["inspect", "-f", "{{.OCIv1.config.Labels.init}}", "rootfs:v1"]);
    assert_eq!(label.trim(), "init.sh $registryDomain $registryPort");
}

/// The images that the example carries, made here and for both platforms: the lock in the example pins them.
fn shop(dir: &Path, source: &Path) {
    for app in ["web:1.4", "backup:2.0"] {
        let (name, _) = app.split_once(':').unwrap();
        let from = source.join("apps").join(name);
        let tag = format!("registry.example/shop/{app}");
        sealos(dir, &["build", "-q", "--platform", "linux/amd64,linux/arm64", "-t", &tag, from.to_str().unwrap()]);
    }
}

#[test]
fn carried_carries_what_its_chart_and_its_list_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("Kubefile-examples/carried");
    let at = source.to_str().unwrap();
    shop(dir.path(), &source);
    if std::env::var_os("BLESS").is_some() {
        // What the old lock pins is not there any more.
        fs::remove_file(source.join("images.lock.json")).unwrap();
        let both = ["--platform", "linux/amd64,linux/arm64"];
        sealos(dir.path(), &[&["build", "-q", "--lock"][..], &both, &[at]].concat());
    }
    // The lock of the example fits what is built here and now.
    sealos(dir.path(), &["build", "-q", "--locked", "--pull=never", "-t", "carried:v1", at]);
    let listed = sealos(dir.path(), &["images", "list", "--why", "carried:v1"]);
    for text in ["registry.example/shop/web:1.4\n", "registry.example/shop/backup:2.0\n", "web.yaml:15", "shim/tools:2"]
    {
        assert!(listed.contains(text), "`{text}` is not in\n{listed}");
    }
    let said = sealos(dir.path(), &["run", "carried:v1"]);
    for text in ["images are served at 127.0.0.1:", "would be installed with 2 replicas"] {
        assert!(said.contains(text), "`{text}` is not in\n{said}");
    }
}
