//! A cluster's life: installed, repeated, upgraded, grown, shrunk, taken away.

use std::fs;

use crate::lab::Lab;

const ROOTFS: &str = "FROM scratch\nLABEL sealos.io.type=rootfs sealos.io.version=v1beta1\n\
    LABEL init=\"init.sh \\$registryDomain\" clean=clean.sh\n\
    ENV registryDomain=sealos.hub greeting=hello\nCOPY . /\nCMD [\"echo rootfs command $greeting >> /var/log/story\"]\n";
const APP: &str = "FROM scratch\nENV who=nobody\nLABEL clean=\"clean.sh\" init=hijack.sh\nCOPY . /\n\
    CMD [\"echo first $who >> /var/log/story\", \"sh scripts/install.sh\"]\n";

/// The images of a small cluster.
fn images(lab: &Lab) {
    lab.image(
        "rootfs:v1",
        ROOTFS,
        &[
            ("scripts/check.sh", "echo check >> /var/log/story\n"),
            ("scripts/init.sh", "echo init $1 $WHO >> /var/log/story\n"),
            ("scripts/clean.sh", "echo clean >> /var/log/story\n"),
            ("etc/node.conf.tmpl", "{{ .greeting }} {{ .SEALOS_SYS_RUN_MODE }}"),
            ("bin/old", "old"),
            ("bin/same", "same"),
        ],
    );
    lab.image(
        "patch:v1",
        "FROM scratch\nLABEL sealos.io.type=patch\nCOPY . /\n",
        &[("bin/same", "patched"), ("etc/patched", "yes")],
    );
    for (name, product) in [("app:v1", "app"), ("other:v1", "other")] {
        lab.image(
            name,
            APP,
            &[
                ("scripts/install.sh", &format!("echo {product} for $who >> /var/log/story\n")),
                ("clean.sh", &format!("echo {product} uninstalled >> /var/log/story\n")),
                ("etc/app.conf", "base"),
            ],
        );
    }
}

#[test]
fn a_cluster_is_installed_repeated_upgraded_grown_shrunk_and_taken_away() {
    let lab = Lab::new(4);
    images(&lab);
    let key = lab.key();
    let story = |number: usize| lab.read(number, "/var/log/story");
    let all = ["run", "rootfs:v1", "patch:v1", "app:v1", "other:v1"];
    let hosts = ["--masters", "10.77.0.11", "--nodes", "10.77.0.12,10.77.0.13", "--pk", &key];
    let run = [&all[..], &hosts, &["-e", "who=Zoë, \"the\" $(first)"]].concat();

    let told = lab.sealos(&[&run[..], &["--dry-run"]].concat()).fine();
    assert!(told.contains("sealos itself goes to 10.77.0.11:22, 10.77.0.12:22, 10.77.0.13:22"), "{told}");
    assert_eq!(story(1), "", "a dry run changes nothing");

    lab.sealos(&run).fine();
    let master = story(1);
    let lines: Vec<&str> = master.lines().collect();
    assert_eq!(
        lines,
        [
            "check",
            "init sealos.hub",
            "rootfs command hello",
            "first Zoë, \"the\" $(first)",
            "app for Zoë, \"the\" $(first)",
            "first Zoë, \"the\" $(first)",
            "other for Zoë, \"the\" $(first)",
        ]
    );
    for number in [2, 3] {
        assert_eq!(story(number), "check\ninit sealos.hub\nrootfs command hello\n", "host {number}");
    }
    let root = "/var/lib/sealos/data/default/rootfs";
    assert_eq!(lab.read(1, &format!("{root}/etc/node.conf")), "hello master");
    assert_eq!(lab.read(2, &format!("{root}/etc/node.conf")), "hello node");
    assert_eq!(lab.read(3, &format!("{root}/bin/same")), "patched");
    let names = lab.read(2, "/etc/hosts");
    assert!(names.starts_with("127.0.0.1 localhost\n10.77.0.12 host-2 # itself\n"), "{names}");
    assert!(names.contains("\n10.77.0.11 sealos.hub\n"), "{names}");

    // The same again does nothing.
    let again = lab.sealos(&run);
    assert!(again.stderr.contains("nothing is left to do"), "{}", again.stderr);
    again.fine();
    assert_eq!(story(1), master);

    // What is stored has no value of a variable in clear, and is what another machine would find.
    let stored = fs::read_to_string(lab.sandbox.path("home/.sealos/default/Clusterfile")).unwrap();
    assert!(stored.contains("who=sealed:") && !stored.contains("(first)"), "{stored}");
    assert_eq!(lab.read(1, "/var/lib/sealos/data/default/Clusterfile"), stored);

    let apps = lab.sealos(&["apps"]).fine();
    assert!(apps.contains("rootfs:v1") && apps.contains("10.77.0.11:22,10.77.0.12:22,10.77.0.13:22"), "{apps}");
    assert!(lab.sealos(&["status"]).fine().contains("host-3"));
    let said = lab.sealos(&["exec", "--roles", "node", "hostname; echo \"it's $((1 + 1))\""]).fine();
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    let want = ["10.77.0.12:22: host-2", "10.77.0.12:22: it's 2", "10.77.0.13:22: host-3", "10.77.0.13:22: it's 2"];
    assert_eq!(said, want);
    let directory = lab.sandbox.path("give");
    fs::create_dir_all(directory.join("sub")).unwrap();
    fs::write(directory.join("sub/file"), "given").unwrap();
    lab.sealos(&["scp", "--ips", "10.77.0.13", "give", "/opt/given"]).fine();
    assert_eq!(lab.read(3, "/opt/given/sub/file"), "given");
    assert_eq!(lab.read(2, "/opt/given/sub/file"), "");

    // A new rootfs: what is no more in it goes, the applications stay as they are.
    lab.image(
        "rootfs:v2",
        ROOTFS,
        &[
            ("scripts/check.sh", "exit 1\n"),
            ("scripts/init.sh", "echo init2 $1 >> /var/log/story\n"),
            ("scripts/clean.sh", "echo clean2 >> /var/log/story\n"),
            ("bin/new", "new"),
            ("bin/same", "same"),
        ],
    );
    lab.sealos(&["run", "rootfs:v2"]).fine();
    let added = story(1).strip_prefix(&master).unwrap().to_owned();
    assert_eq!(added, "init2 sealos.hub\nrootfs command hello\n");
    assert_eq!(lab.on(2, &format!("ls {root}/bin")).fine(), "new\nsame\n");
    assert_eq!(lab.read(2, &format!("{root}/bin/same")), "patched");

    // One host comes, another goes; `check` is asked of the new one only.
    let check = ("scripts/check.sh", "echo check3 >> /var/log/story\n");
    let clean = ("scripts/clean.sh", "echo clean3 >> /var/log/story\n");
    lab.image("rootfs:v3", ROOTFS, &[check, clean, ("scripts/init.sh", "true\n")]);
    lab.sealos(&["run", "rootfs:v3"]).fine();
    lab.sealos(&["add", "--nodes", "10.77.0.14"]).fine();
    assert_eq!(story(4), "check3\nrootfs command hello\n");
    let refused = lab.sealos(&["delete", "--nodes", "10.77.0.12"]);
    refused.refused(&["remove 10.77.0.12 from the cluster `default`: there is no terminal to ask at", "`--yes`"]);
    lab.sealos(&["delete", "--nodes", "10.77.0.12", "--yes"]).fine();
    assert!(story(2).ends_with("clean3\n"), "{}", story(2));
    assert_eq!(lab.on(2, "ls -A /var/lib/sealos/data").fine(), "");
    assert_eq!(lab.read(2, "/etc/hosts"), "127.0.0.1 localhost\n10.77.0.12 host-2 # itself\n");
    lab.sealos(&["delete", "--masters", "10.77.0.11", "--yes"]).refused(&["the last master cannot be removed"]);

    // By a file: an application goes, another one is changed; then nothing is left to do.
    let text = format!(
        "apiVersion: apps.sealos.io/v1beta1\nkind: Cluster\nmetadata:\n  name: default\nspec:\n  image:\n  - rootfs:v3\n  - \
         patch:v1\n  - app:v1\n  ssh:\n    pk: {key}\n  hosts:\n  - ips: [10.77.0.11]\n    roles: [master]\n  - ips: \
         [10.77.0.13-10.77.0.14]\n    roles: [node]\n---\napiVersion: apps.sealos.io/v1beta1\nkind: Config\nmetadata:\n  name: \
         more\nspec:\n  path: etc/app.conf\n  match: app:v1\n  strategy: append\n  data: more {{{{ .Values.size }}}}\n"
    );
    fs::write(lab.sandbox.path("Clusterfile"), text).unwrap();
    let apply = ["apply", "-f", "Clusterfile", "--set", "size=7"];
    let plan = lab.sealos(&["plan", "--set", "size=7", "--json"]);
    assert_eq!(plan.code, Some(2), "{}", plan.stderr);
    let json: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(json["changes"], true);
    let before = story(1);
    lab.sealos(&apply).fine();
    let added = story(1).strip_prefix(&before).unwrap().to_owned();
    assert!(added.starts_with("other uninstalled\n") && added.contains("app for Zoë"), "{added}");
    assert_eq!(
        lab.on(1, "cat /var/lib/sealos/data/default/applications/*/workdir/etc/app.conf").fine(),
        "base\nmore 7"
    );
    let before = story(1);
    lab.sealos(&apply).fine();
    assert_eq!((story(1), lab.sealos(&["plan", "--set", "size=7"]).code), (before.clone(), Some(0)));

    lab.sealos(&["reset", "--yes"]).fine();
    assert_eq!(story(1).strip_prefix(&before).unwrap(), "app uninstalled\nclean3\n");
    for number in [1, 3, 4] {
        assert_eq!(lab.on(number, "ls -A /var/lib/sealos/data").fine(), "", "host {number}");
        assert!(!lab.read(number, "/etc/hosts").contains("sealos"));
    }
    lab.sealos(&["status"]).refused(&["there is no cluster `default` here"]);
}
