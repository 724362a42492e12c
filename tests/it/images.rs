//! Listing, looking at, naming and removing images.

use std::time::{Duration, SystemTime};

use sealos::report::time::Moment;
use serde_json::Value;

use crate::fixture::{Made, Spec, layout};
use crate::sandbox::{Said, Sandbox};

use crate::bounded::Bounded;

const FILES: &[&[(&str, &str)]] = &[&[("etc/a", "one"), ("etc/b", "two")], &[("etc/.wh.b", ""), ("c", "three")]];

/// Two images, of which the second is older and was made three hours ago; both are in the store.
fn filled() -> (Sandbox, Vec<Made>) {
    let sandbox = Sandbox::new();
    let ago = |minutes: u64| Moment::from(SystemTime::now() - Duration::from_secs(minutes * 60)).to_string();
    let (new, old) = (ago(130), ago(190));
    let specs = [
        Spec { name: Some("team/app:v1"), created: Some(&new), labels: &[("team", "core")], layers: FILES },
        Spec { name: Some("hub.example/old:v2"), created: Some(&old), labels: &[], layers: &FILES[..1] },
    ];
    layout(&sandbox.path("layout"), &specs);
    // The store is an OCI layout: another tool may have written it.
    let made = layout(&sandbox.path("store"), &specs);
    (sandbox, made)
}

#[test]
fn an_empty_store_lists_no_image() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.sealos(&["images"]), Said::only("REPOSITORY   TAG   IMAGE ID   CREATED   SIZE\n"));
    assert_eq!(sandbox.sealos(&["images", "-q"]), Said::only(""));
    assert_eq!(sandbox.sealos(&["images", "-n"]), Said::only(""));
    for json in ["--json", "--format=json"] {
        assert_eq!(sandbox.sealos(&["images", json]), Said::only("[]\n"), "{json}");
    }
}

#[test]
fn images_are_listed_newest_first_as_their_names_were_typed() {
    let (sandbox, made) = filled();
    let (a, b) = (made[0].config.digest, made[1].config.digest);
    let size = |made: &Made| sealos::report::size::human(made.size());
    let want = format!(
        "REPOSITORY        TAG   IMAGE ID       CREATED       SIZE\n\
         team/app          v1    {}   2 hours ago   {}\n\
         hub.example/old   v2    {}   3 hours ago   {}\n",
        a.short(),
        size(&made[0]),
        b.short(),
        size(&made[1])
    );
    assert_eq!(sandbox.sealos(&["images"]), Said::only(&want));
    for (args, want) in [
        (&["images", "-q"][..], format!("{}\n{}\n", a.short(), b.short())),
        (&["images", "-q", "--no-trunc", "old"], format!("{b}\n")),
        (&["images", "-n", "--format", "{{.Repository}}:{{.Tag}}"], "team/app:v1\nhub.example/old:v2\n".to_owned()),
        (
            &["images", "--format", r"table {{.Repository}}\t{{.Digest}}", "team/app"],
            format!("REPOSITORY   DIGEST\nteam/app     {}\n", made[0].manifest.digest),
        ),
        (
            &["images", "--digests", "-n", "team/app:v1"],
            format!("team/app   v1   {}   {}   2 hours ago   {}\n", made[0].manifest.digest, a.short(), size(&made[0])),
        ),
    ] {
        assert_eq!(sandbox.sealos(args), Said::only(&want), "{args:?}");
    }
}

#[test]
fn filters_choose_images() {
    let (sandbox, made) = filled();
    let id = made[1].config.digest.hex();
    for (filters, want) in [
        (&["label=team"][..], "team/app\n"),
        (&["label=team=core"], "team/app\n"),
        (&["label=team=other"], ""),
        (&["label!=team"], "hub.example/old\n"),
        (&["reference=*/app"], "team/app\n"),
        (&["reference=app", "reference=old:*"], "team/app\nhub.example/old\n"),
        (&["reference=app", "label!=team"], ""),
        (&["after=hub.example/old:v2"], "team/app\n"),
        (&["since=hub.example/old:v2"], "team/app\n"),
        (&["before=team/app:v1"], "hub.example/old\n"),
        (&["until=3h"], "hub.example/old\n"),
        (&["until!=3h"], "team/app\n"),
        (&["dangling=true"], ""),
        (&["dangling=false", "manifest=false"], "team/app\nhub.example/old\n"),
        (&["manifest=true"], ""),
        (&["readonly=true"], ""),
        (&["containers=false", "intermediate=false"], "team/app\nhub.example/old\n"),
        (&[&format!("id={}", &id[..12])], "hub.example/old\n"),
        (&[&format!("digest={}", made[0].manifest.digest)], "team/app\n"),
    ] {
        let mut args = vec!["images", "--format", "{{.Repository}}"];
        filters.iter().for_each(|filter| args.extend(["--filter", filter]));
        assert_eq!(sandbox.sealos(&args), Said::only(want), "{filters:?}");
    }
}

#[test]
fn wrong_filters_and_fields_are_refused() {
    let (sandbox, _) = filled();
    for (args, want) in [
        (&["images", "-f", "lable=x"][..], "error: there is no filter `lable`\nhelp: did you mean `label`?\n"),
        (&["images", "-f", "x"], "error: the filter `x` is wrong: expected KEY=VALUE\n"),
    ] {
        assert_eq!(sandbox.sealos(args), Said::failure(2, want), "{args:?}");
    }
    let said = sandbox.sealos(&["images", "--format", "{{.Nonsense}}"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
    assert!(said.stderr.contains("Nonsense"), "{}", said.stderr);
    let said = sandbox.sealos(&["images", "nothing"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{}", said.stderr);
}

#[test]
fn the_json_of_images_has_the_keys_that_scripts_know() {
    let (sandbox, made) = filled();
    let images: Value = serde_json::from_str(&sandbox.sealos(&["images", "--json"]).stdout).unwrap();
    let image = &images[0];
    assert_eq!(images.as_array().unwrap().len(), 2);
    for (key, want) in [
        ("id", Value::from(made[0].config.digest.hex())),
        ("names", serde_json::json!(["team/app:v1"])),
        ("digest", Value::from(made[0].manifest.digest.to_string())),
        ("createdat", "2 hours ago".into()),
        ("readonly", false.into()),
        ("history", serde_json::json!(["team/app:v1"])),
        ("bytes", made[0].size().into()),
    ] {
        assert_eq!(image[key], want, "{key}");
    }
    let raw = Moment::parse(image["createdatraw"].as_str().unwrap()).unwrap();
    assert_eq!(image["created"], raw.seconds);
}

#[test]
fn inspect_shows_an_image_wherever_it_is() {
    let (sandbox, made) = filled();
    let digest = made[0].manifest.digest.to_string();
    for name in
        ["team/app:v1", "docker.io/team/app:v1", &digest, &made[0].config.digest.hex()[..8], "oci:layout:team/app:v1"]
    {
        let said = sandbox.sealos(&["inspect", name]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{name}");
        assert!(said.stdout.starts_with("{\n    \""), "{name}: four spaces");
        assert!(said.stdout.contains("echo '<hello> & you'"), "{name}: no HTML escapes");
        let document: Value = serde_json::from_str(&said.stdout).unwrap();
        for (key, want) in [
            ("Name", "team/app:v1".into()),
            ("FromImageDigest", digest.clone().into()),
            ("FromImageID", made[0].config.digest.hex().into()),
            ("OCIv1", serde_json::from_slice::<Value>(&made[0].config_bytes).unwrap()),
            ("Digest", digest.clone().into()),
            ("Size", made[0].size().into()),
            ("Labels", serde_json::json!({"team": "core"})),
        ] {
            assert_eq!(document[key], want, "{name} {key}");
        }
        assert_eq!(document["Layers"].as_array().unwrap().len(), 2, "{name}");
    }
    let several: Value =
        serde_json::from_str(&sandbox.sealos(&["inspect", "app", "old:v2"]).stdout).unwrap_or_default();
    assert_eq!(several, Value::Null, "`app` is not `team/app`");
    let several = sandbox.sealos(&["inspect", "team/app:v1", "hub.example/old:v2"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&several).unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn inspect_gives_documents_byte_for_byte_and_by_template() {
    let (sandbox, made) = filled();
    let raw = sandbox.sealos(&["inspect", "--raw", "team/app:v1"]).stdout;
    assert_eq!(raw.as_bytes(), made[0].manifest_bytes);
    let config = sandbox.sealos(&["inspect", "--config", "team/app:v1"]).stdout;
    assert_eq!(config.as_bytes(), made[0].config_bytes);
    for (format, want) in [
        ("{{.OCIv1.config.Labels.team}}", "core\n"),
        ("{{.Nonsense}}", "<no value>\n"),
        ("{{index .RepoTags 0}}", "team/app:v1\n"),
    ] {
        assert_eq!(sandbox.sealos(&["inspect", "-f", format, "team/app:v1"]), Said::only(want), "{format}");
    }
    let said = sandbox.sealos(&["inspect", "--platform", "linux/s390x", "team/app:v1"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("has no image for linux/s390x"), "{}", said.stderr);
}

#[test]
fn what_is_not_there_is_named_and_the_rest_is_shown() {
    let (sandbox, _) = filled();
    let said = sandbox.sealos(&["inspect", "-f", "{{.Name}}", "absent", "team/app:v1", "gone"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), "team/app:v1\n"));
    assert_eq!(said.stderr.matches("error: ").count(), 2, "{}", said.stderr);
}

#[test]
fn history_shows_the_newest_step_first() {
    let (sandbox, made) = filled();
    let want = format!(
        "LAYER          CREATED       CREATED BY                                      SIZE      COMMENT\n\
         <none>         2 hours ago   CMD [\"echo <hello> && true\"] # and some more…   0 B\n\
         {}   2 hours ago   COPY layer1 /                                   {}\n\
         {}   2 hours ago   COPY layer0 /                                   {}\n",
        made[0].layers[1].digest.short(),
        sealos::report::size::human(made[0].layers[1].size),
        made[0].layers[0].digest.short(),
        sealos::report::size::human(made[0].layers[0].size),
    );
    let said = sandbox.sealos(&["history", "team/app:v1"]);
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeeze(&said.stdout), squeeze(&want));
    for (args, want) in [
        (
            &["history", "-q", "team/app:v1"][..],
            format!("<none>\n{}\n{}\n", made[0].layers[1].digest, made[0].layers[0].digest),
        ),
        (
            &["history", "--human=false", "--format", "{{.Size}}", "team/app:v1"],
            format!("0\n{}\n{}\n", made[0].layers[1].size, made[0].layers[0].size),
        ),
        (
            &["history", "--no-trunc", "--format", "{{.CreatedBy}}", "oci:layout:hub.example/old:v2"],
            "CMD [\"echo <hello> && true\"] # and some more words that make this a long line\nCOPY layer0 /\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(sandbox.sealos(args), Said::only(&want), "{args:?}");
    }
    let steps: Value = serde_json::from_str(&sandbox.sealos(&["history", "--json", "team/app:v1"]).stdout).unwrap();
    assert_eq!(steps[1]["layer"], made[0].layers[1].digest.to_string());
    assert_eq!(steps[0]["emptyLayer"], true);
}

#[test]
fn names_are_given_moved_and_taken_away() {
    let (sandbox, made) = filled();
    let id = made[0].config.digest.hex();
    assert_eq!(sandbox.sealos(&["tag", "team/app:v1", "app", "app:v3"]), Said::only(""));
    assert_eq!(sandbox.sealos(&["tag", "hub.example/old:v2", "app:v3"]), Said::only(""), "a name is moved");
    let names = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
    assert_eq!(sandbox.sealos(&names), Said::only("app:latest\nteam/app:v1\napp:v3\nhub.example/old:v2\n"));
    assert_eq!(sandbox.sealos(&["rmi", "app:v3"]), Said::only("untagged: app:v3\n"));
    let said = sandbox.sealos(&["rmi", &id[..12]]);
    let want = format!(
        "error: `{}` has several names: app:latest, team/app:v1\n\
         help: remove one of the names, or all of them and the image with `--force`\n",
        &id[..12]
    );
    let said_sorted = said.stderr.replace("team/app:v1, app:latest", "app:latest, team/app:v1");
    assert_eq!((said.code, said_sorted), (Some(1), want));
    assert_eq!(sandbox.sealos(&["rmi", "app"]), Said::only("untagged: app:latest\n"));
    assert_eq!(sandbox.sealos(&["rmi", "team/app:v1"]), Said::only(&format!("untagged: team/app:v1\n{id}\n")));
    assert_eq!(sandbox.sealos(&names), Said::only("hub.example/old:v2\n"));
    assert_eq!(sandbox.sealos(&["prune"]).code, Some(0));
    let left: Vec<_> = std::fs::read_dir(sandbox.path("store/blobs/sha256")).unwrap().collect();
    assert_eq!(left.len(), 3, "a manifest, a configuration and a layer");
}

#[test]
fn removing_goes_on_after_an_error_and_says_all_of_them() {
    let (sandbox, made) = filled();
    let said = sandbox.sealos(&["rmi", "absent", "team/app:v1", "gone"]);
    let id = made[0].config.digest.hex();
    assert_eq!((said.code, said.stdout), (Some(1), format!("untagged: team/app:v1\n{id}\n")));
    assert_eq!(said.stderr.matches("error: ").count(), 2, "{}", said.stderr);
    let id = made[1].config.digest.hex();
    assert_eq!(sandbox.sealos(&["rmi", "--all"]), Said::only(&format!("untagged: hub.example/old:v2\n{id}\n")));
    assert_eq!(sandbox.sealos(&["rmi", "--all"]), Said::only(""));
}

#[test]
fn wrong_names_are_refused_before_anything_changes() {
    let (sandbox, made) = filled();
    for bad in ["App", "a:b:c", &format!("a@{}", made[0].manifest.digest)] {
        let said = sandbox.sealos(&["tag", "team/app:v1", "good:v1", bad]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{bad}");
        assert!(said.stderr.starts_with("error: "), "{}", said.stderr);
    }
    assert_eq!(sandbox.sealos(&["images", "-q", "-f", "reference=good"]), Said::only(""));
    let said = sandbox.sealos(&["tag", "absent", "good:v1"]);
    assert_eq!(said.code, Some(1));
}

#[test]
fn pruning_frees_what_has_no_name() {
    let (sandbox, made) = filled();
    assert_eq!(sandbox.sealos(&["prune"]), Said::only("Freed 0 B\n"));
    assert_eq!(sandbox.sealos(&["tag", "team/app:v1", "hub.example/old:v2"]), Said::only(""));
    let digest = made[1].manifest.digest;
    // The layer is the other image's too.
    let bytes = made[1].manifest.size + made[1].config.size;
    let freed = sealos::report::size::human(bytes);
    assert_eq!(sandbox.sealos(&["prune", "--dry-run"]), Said::only(&format!("{digest}\nWould free {freed}\n")));
    assert_eq!(sandbox.sealos(&["prune"]), Said::only(&format!("{digest}\nFreed {freed}\n")));
    assert_eq!(sandbox.sealos(&["images", "-q", "-f", "dangling=true"]), Said::only(""));
    let said: Value = serde_json::from_str(&sandbox.sealos(&["prune", "--all", "--json"]).stdout).unwrap();
    assert_eq!(said["bytes"], made[0].size());
    assert_eq!(said["images"], serde_json::json!(["hub.example/old:v2", "team/app:v1"]));
    assert_eq!(sandbox.sealos(&["images", "-q"]), Said::only(""));
}

#[test]
fn pruning_takes_the_images_that_fit() {
    let (sandbox, _) = filled();
    let names = || sandbox.sealos(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).stdout;
    assert_eq!(names(), "team/app:v1\nhub.example/old:v2\n");
    let would = |filters: &[&str]| {
        let filters: Vec<&str> = filters.iter().flat_map(|filter| ["--filter", filter]).collect();
        let said = sandbox.sealos(&[&["prune", "--all", "--dry-run", "--json"][..], &filters].concat());
        let said: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
        said["images"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (filters, want) in [
        (&["label=team=core"][..], &["team/app:v1"][..]),
        (&["label!=team"], &["hub.example/old:v2"]),
        (&["until=3h"], &["hub.example/old:v2"]),
        (&["until=3h", "label=team"], &[]),
        (&["reference=team/*"], &["team/app:v1"]),
        (&["before=team/app:v1"], &["hub.example/old:v2"]),
    ] {
        assert_eq!(would(filters), want, "{filters:?}");
    }
    let said = sandbox.sealos(&["prune", "--all", "--filter", "until=3h"]).stdout;
    assert!(said.starts_with("hub.example/old:v2\nFreed "), "{said}");
    assert_eq!(names(), "team/app:v1\n");
    let said = sandbox.sealos(&["prune", "--filter", "dangling=true"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("there is no filter `dangling`"), "{}", said.stderr);
}

#[test]
fn what_is_installed_is_known_as_such_and_not_removed_by_the_way() {
    let (sandbox, made) = filled();
    let ran =
        sandbox.command(&["run", "-q", "team/app:v1"]).env("PATH", std::env::var("PATH").unwrap()).bounded().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let listed = |filter: &str| sandbox.sealos(&["images", "--format", "{{.Repository}}", "-f", filter]).stdout;
    assert_eq!(listed("containers=true"), "team/app\n");
    assert_eq!(listed("containers=false"), "hub.example/old\n");
    let id = made[0].config.digest.hex();
    for name in ["team/app:v1", &id[..12]] {
        let want =
            format!("error: `{name}` is in use by cluster default\nhelp: remove it all the same with `--force`\n");
        assert_eq!(sandbox.sealos(&["rmi", name]), Said::failure(1, &want));
    }
    assert_eq!(sandbox.sealos(&["tag", "team/app:v1", "app:other"]), Said::only(""));
    assert_eq!(sandbox.sealos(&["rmi", "app:other"]), Said::only("untagged: app:other\n"), "a further name may go");
    let said = sandbox.sealos(&["rmi", "--all"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(listed("reference=**"), "team/app\n");
    assert_eq!(sandbox.sealos(&["prune", "--all"]).code, Some(0));
    assert_eq!(listed("reference=**"), "team/app\n");
    assert_eq!(
        sandbox.sealos(&["rmi", "--force", "team/app:v1"]),
        Said::only(&format!("untagged: team/app:v1\n{id}\n"))
    );
    assert_eq!(std::fs::read_dir(sandbox.path("store/uses")).unwrap().count(), 0);
}
