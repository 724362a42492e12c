//! What planning promises.

use std::path::Path;

use oci::{Digest, RuntimeConfig};
use proptest::prelude::*;

use super::*;
use crate::cluster::{ClusterName, Layout};

fn mount(name: &str, adjust: impl FnOnce(&mut RuntimeConfig, &mut Override)) -> Mount {
    let mut config = RuntimeConfig {
        env: vec!["A=1".into()],
        cmd: Some(vec!["first $(A)".into(), "second".into()]),
        ..RuntimeConfig::default()
    };
    let mut overrides = Override::default();
    adjust(&mut config, &mut overrides);
    let subject = Subject { name, digest: Digest::of(format!("{config:?}").as_bytes()), config: &config };
    Mount::new(&Layout::at("/d"), &ClusterName::default(), &subject, &overrides).unwrap()
}

fn desired(mounts: Vec<Mount>) -> Desired {
    Desired { cluster: ClusterName::default(), mounts }
}

/// As after carrying out the first `count` steps of a plan.
fn after(plan: &Plan, count: usize) -> Observed {
    let mut observed = Observed::default();
    for step in plan.skipped.iter().chain(&plan.steps[..count]) {
        observed.done.entry(step.mount.clone()).or_default().insert(step.id.clone());
        observed.present.insert(step.mount.clone());
    }
    observed
}

fn kind(config: &mut RuntimeConfig, value: &str) {
    config.labels.insert("sealos.io.type".into(), value.into());
}

#[test]
fn a_plan_says_what_will_be_done() {
    let rootfs = mount("kube:v1", |config, _| kind(config, "rootfs"));
    let patch = mount("fix:v1", |config, _| {
        kind(config, "patch");
        config.cmd = None;
    });
    let app = mount("app:v1", |config, overrides| {
        config.entrypoint = Some(vec!["enter".into()]);
        overrides.cmd = Some(vec!["mine\nof two lines\u{1b}".into()]);
    });
    let directory = app.directory.display().to_string();
    let printed = plan(&desired(vec![rootfs, patch, app]), &Observed::default()).to_string();
    let want = "1. kube:v1: unpack to /d/default/rootfs
2. kube:v1: render the templates
3. kube:v1: run command 1 of 2: first $(A)
4. kube:v1: run command 2 of 2: second
5. kube:v1: record the rootfs
6. fix:v1: unpack over /d/default/rootfs
7. fix:v1: render the templates
8. fix:v1: record the patch
9. app:v1: unpack to DIRECTORY
10. app:v1: render the templates
11. app:v1: run command 1 of 2: enter
12. app:v1: run command 2 of 2: mine of two lines
13. app:v1: record the application
";
    assert_eq!(printed, want.replace("DIRECTORY", &directory));
    assert!(Path::new(&directory).starts_with("/d/default/applications"));
}

#[test]
fn planning_after_success_plans_nothing() {
    let desired = desired(vec![mount("a", |_, _| ()), mount("b", |_, _| ())]);
    let first = plan(&desired, &Observed::default());
    let second = plan(&desired, &after(&first, first.steps.len()));
    assert!(second.is_empty());
    assert_eq!(second.skipped, first.steps);
    assert_eq!(second.to_string(), "nothing is left to do\n");
}

#[test]
fn what_changed_is_done_again_with_all_behind_it() {
    let base = desired(vec![mount("a", |_, _| ())]);
    let first = plan(&base, &Observed::default());
    let done = after(&first, first.steps.len());
    for (what, changed, want) in [
        ("the environment", mount("a", |_, overrides| overrides.env = vec!["A=2".into()]), 4),
        ("the second command", mount("a", |_, o| o.cmd = Some(vec!["first $(A)".into(), "other".into()])), 2),
        (
            "a command more",
            mount("a", |_, o| o.cmd = Some(["first $(A)", "second", "x"].map(String::from).to_vec())),
            2,
        ),
        ("the image", mount("a", |config, _| config.user = "x".into()), 5),
    ] {
        assert_eq!(plan(&desired(vec![changed]), &done).steps.len(), want, "{what}");
    }
    let absent = Observed { present: BTreeSet::new(), ..done };
    assert_eq!(plan(&base, &absent).steps.len(), 5, "the directory is gone");
}

#[test]
fn patches_follow_a_rootfs_that_is_unpacked_anew() {
    let patch = || mount("fix", |config, _| kind(config, "patch"));
    let rootfs = |user: &str| {
        mount("kube", |config, _| {
            kind(config, "rootfs");
            config.user = user.into();
        })
    };
    let first = plan(&desired(vec![rootfs("1"), patch()]), &Observed::default());
    let second = plan(&desired(vec![rootfs("2"), patch()]), &after(&first, first.steps.len()));
    assert_eq!(second.steps.len(), first.steps.len());
}

#[test]
fn a_plan_can_be_kept_and_holds_no_value() {
    let secret = mount("a", |config, overrides| {
        config.cmd = Some(vec!["login '$(PASSWORD)' $(x.y)".into()]);
        overrides.env = vec!["PASSWORD=hush".into(), "x.y=hush".into()];
    });
    let variables = secret.variables(&crate::cluster::rewrite("$(x.y)", &secret.environment));
    assert_eq!(variables["SEALOS_VALUE_1"], "hush");
    let first = plan(&desired(vec![secret]), &Observed::default());
    let text = serde_json::to_string(&first).unwrap();
    assert!(!text.contains("hush") && !format!("{first:?}").contains("hush"));
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), first);
}

#[test]
fn a_rootfs_is_told_its_version() {
    let rootfs = mount("kube", |config, _| {
        kind(config, "rootfs");
        config.labels.insert("version".into(), "v1.29.0".into());
    });
    assert_eq!(rootfs.environment.get("SEALOS_SYS_KUBE_VERSION"), Some("v1.29.0"));
    assert!(!mount("app", |_, _| ()).environment.contains("SEALOS_SYS_SEALOS_VERSION"));
}

#[test]
fn what_a_run_offers_comes_whole_or_not_at_all() {
    let offered = |own: &str, user: &str, precedence: Precedence| {
        mount("a", |config, overrides| {
            config.env.push(own.into());
            overrides.env.push(user.into());
            overrides.offered = vec!["domain=127.0.0.1".into(), "port=20000".into()];
            overrides.precedence = precedence;
        })
    };
    let (image, over) = (Precedence::Image, Precedence::Offered);
    for (own, user, precedence, want) in [
        ("B=1", "C=1", image, [Some("127.0.0.1"), Some("20000")]),
        // A port by itself says nothing about another registry.
        ("domain=hub.example", "C=1", image, [Some("hub.example"), None]),
        ("domain=hub.example", "C=1", over, [Some("127.0.0.1"), Some("20000")]),
        ("B=1", "domain=hub.example", over, [Some("hub.example"), None]),
        ("port=5000", "domain=hub.example", over, [Some("hub.example"), Some("5000")]),
    ] {
        let mount = offered(own, user, precedence);
        assert_eq!(["domain", "port"].map(|name| mount.environment.get(name)), want, "{own} {user} {precedence:?}");
        assert_eq!(mount.passing.is_empty(), want[0] != Some("127.0.0.1"), "{own} {user} {precedence:?}");
    }
}

proptest! {
    #[test]
    fn an_interrupted_plan_is_taken_up_where_it_ended(count in 0_usize..10) {
        let desired = desired(vec![mount("a", |_, _| ()), mount("b", |_, _| ())]);
        let first = plan(&desired, &Observed::default());
        let second = plan(&desired, &after(&first, count));
        prop_assert_eq!(&second.steps[..], &first.steps[count..]);
    }

    #[test]
    fn different_parts_have_different_ids(a in prop::collection::vec("[a,:0-9]{0,3}", 0..4), b in prop::collection::vec("[a,:0-9]{0,3}", 0..4)) {
        let id = |parts: &[String]| StepId::of(parts.iter().map(String::as_str));
        prop_assert_eq!(id(&a) == id(&b), a == b);
    }
}
