//! What planning for hosts promises.

use oci::{Digest, RuntimeConfig};

use super::*;
use crate::cluster::{Cluster, FileChange, Host, Layout, Role, Strategy};

fn image(name: &str, labels: &[(&str, &str)], env: &[&str], cmd: &[&str]) -> ImageFacts {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    ImageFacts {
        name: name.to_owned(),
        digest: Digest::of(name.as_bytes()),
        config: RuntimeConfig {
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            env: texts(env),
            cmd: Some(texts(cmd)),
            ..RuntimeConfig::default()
        },
        bytes: 1,
    }
}

fn rootfs(tag: &str) -> ImageFacts {
    let labels = [("sealos.io.type", "rootfs"), ("init", "init.sh $registryDomain"), ("clean", "clean.sh")];
    image(&format!("rootfs:{tag}"), &labels, &["registryDomain=sealos.hub", "A=1"], &["echo $A"])
}

fn patch() -> ImageFacts {
    image("patch:v1", &[("sealos.io.type", "patch")], &[], &["echo patched"])
}

fn app(name: &str) -> ImageFacts {
    image(
        name,
        &[("clean", "uninstall.sh"), ("init", "hijack.sh"), ("check", "hijack.sh")],
        &["A=app"],
        &["one", "two"],
    )
}

fn cluster(masters: usize, nodes: usize, images: &[ImageFacts]) -> Cluster {
    let host = |number: usize, role: Role| Host {
        address: format!("10.0.{}.{}:22", number / 250, number % 250 + 1).parse().unwrap(),
        roles: [role].into(),
        env: vec![format!("WHO=host{number}")],
        ssh: crate::cluster::Ssh::default(),
    };
    let masters = (0..masters).map(|number| host(number, Role::Master));
    let nodes = (0..nodes).map(|number| host(1000 + number, Role::Node));
    Cluster {
        images: images.iter().map(|image| image.name.clone()).collect(),
        hosts: masters.chain(nodes).collect(),
        ..Cluster::default()
    }
}

fn wanted(cluster: &Cluster, images: &[ImageFacts]) -> Wanted {
    Wanted::new(cluster, images, &Layout::at("/d"), &BTreeMap::new()).unwrap()
}

/// Does all of a plan, as hosts record it.
fn done(plan: &HostPlan, before: &BTreeMap<Address, Vec<Done>>) -> BTreeMap<Address, Vec<Done>> {
    let mut all = before.clone();
    for (step, time) in plan.steps.iter().zip(1..) {
        let list = all.entry(step.host.clone()).or_default();
        let time = time + 1000 * list.len() as u64;
        match (step.direction, &step.action) {
            (_, Action::Sweep) => list.clear(),
            (_, Action::Forget) => list.retain(|done| done.step.chain != step.chain),
            (Direction::Undo, _) => {
                list.retain(|done| (&done.step.chain, done.step.ordinal) != (&step.chain, step.ordinal));
            }
            (Direction::Do, _) => {
                list.retain(|done| done.step.chain != step.chain || done.step.ordinal < step.ordinal);
                list.push(Done { step: step.clone(), reach: Reach::Done, time });
            }
        }
    }
    all.retain(|_, done| !done.is_empty());
    all
}

fn texts(plan: &HostPlan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}: {}", step.host, step.image, step.action)).collect()
}

#[test]
fn everything_is_done_in_order_and_a_second_time_nothing() {
    let images = [rootfs("v1"), patch(), app("app:v1")];
    let cluster = cluster(1, 1, &images);
    let wanted = wanted(&cluster, &images);
    let first = plan(&wanted, &BTreeMap::new(), &Again::Nothing);
    let texts = texts(&first);
    let place =
        |part: &str| texts.iter().position(|text| text.contains(part)).unwrap_or_else(|| panic!("{part}: {texts:#?}"));
    let order = [
        "bring the files of rootfs:v1, patch:v1 to /d/default/rootfs",
        "render",
        "/etc/hosts: 10.0.0.1 sealos.hub",
        "`check`",
        "`init`",
        "rootfs:v1: run command 1 of 1: echo $A",
        "patch:v1: run command 1 of 1",
        "bring the files of app:v1",
        "app:v1: run command 2 of 2: two",
        "app:v1: record the application",
    ];
    assert!(order.iter().map(|part| place(part)).is_sorted(), "{texts:#?}");
    assert_eq!(texts.iter().filter(|text| text.contains("app:v1")).count(), 5, "applications are for the first master");
    assert_eq!(texts.iter().filter(|text| text.contains("`init`")).count(), 2);
    let again = plan(&wanted, &done(&first, &BTreeMap::new()), &Again::Nothing);
    assert!(again.is_empty() && again.skipped.len() == first.steps.len(), "{again}");
    assert_eq!(again.to_string(), "nothing is left to do\n");
}

#[test]
fn labels_of_other_images_change_no_script_of_the_rootfs() {
    let images = [rootfs("v1"), app("app:v1")];
    let cluster = cluster(1, 0, &images);
    for step in plan(&wanted(&cluster, &images), &BTreeMap::new(), &Again::Nothing).steps {
        if let Action::Script { name, script, .. } = &step.action {
            assert!(!script.text.contains("hijack"), "{name}: {}", script.text);
            assert_eq!(step.image, "rootfs:v1");
        }
    }
}

#[test]
fn no_value_of_the_environment_is_in_a_plan() {
    let images = [image("app:v1", &[], &["PASSWORD=hush"], &["login $PASSWORD $(PASSWORD)"])];
    let mut cluster = cluster(1, 0, &images);
    cluster.image_env.insert("app:v1".into(), vec!["TOKEN=hush".into()]);
    let plan = plan(&wanted(&cluster, &images), &BTreeMap::new(), &Again::Nothing);
    let json = serde_json::to_string(&plan).unwrap();
    assert!(!json.contains("hush"), "{json}");
    assert_eq!(serde_json::from_str::<HostPlan>(&json).unwrap(), plan);
}

#[test]
fn every_change_is_seen_and_only_what_depends_on_it_is_done_again() {
    let images = [rootfs("v1"), patch(), app("app:v1")];
    let before = cluster(1, 2, &images);
    let first = plan(&wanted(&before, &images), &BTreeMap::new(), &Again::Nothing);
    let state = done(&first, &BTreeMap::new());
    let left =
        |cluster: &Cluster, images: &[ImageFacts]| texts(&plan(&wanted(cluster, images), &state, &Again::Nothing));

    let mut spec = before.clone();
    spec.env = vec!["B=2".into()];
    assert!(left(&spec, &images).iter().any(|text| text.contains("app:v1: run command 1")));
    let mut host = before.clone();
    host.hosts[2].env.push("C=3".into());
    let touched = left(&host, &images);
    assert!(!touched.is_empty() && touched.iter().all(|text| text.starts_with("10.0.4.2:22 ")), "{touched:#?}");
    let mut config = before.clone();
    let change = FileChange {
        name: "c".into(),
        image: Some("app:v1".into()),
        path: "etc/a".into(),
        data: "x".into(),
        strategy: Strategy::Append,
    };
    config.configs.push(change);
    let touched = left(&config, &images);
    assert!(!touched.is_empty() && touched.iter().all(|text| text.contains("app:v1")), "{touched:#?}");
    let state = done(&plan(&wanted(&config, &images), &state, &Again::Nothing), &state);
    assert!(plan(&wanted(&config, &images), &state, &Again::Nothing).is_empty(), "appending twice is appending once");

    let newer = [rootfs("v2"), patch(), app("app:v1")];
    let mut upgraded = before.clone();
    upgraded.images[0] = "rootfs:v2".into();
    let touched = left(&upgraded, &newer);
    assert!(touched.iter().any(|text| text.contains("`init`")) && !touched.iter().any(|text| text.contains("`check`")));
    assert!(!touched.iter().any(|text| text.contains("app:v1: run")), "{touched:#?}");
}

#[test]
fn additions_and_removals_are_in_one_plan() {
    let images = [rootfs("v1"), app("app:v1"), app("other:v1")];
    let before = cluster(1, 2, &images);
    let state = done(&plan(&wanted(&before, &images), &BTreeMap::new(), &Again::Nothing), &BTreeMap::new());
    let mut after = cluster(1, 3, &images);
    after.hosts.remove(1);
    after.images.pop();
    let plan = plan(&wanted(&after, &images[..2]), &state, &Again::Nothing);
    let texts = texts(&plan);
    let on = |host: &str| texts.iter().filter(|text| text.starts_with(host)).cloned().collect::<Vec<_>>();
    let (master, gone, new) = (on("10.0.0.1:22"), on("10.0.4.1:22"), on("10.0.4.3:22"));
    let (clean, files) = (
        master.iter().position(|text| text.contains("other:v1: run the script `clean`")),
        master.iter().position(|text| text.contains("other:v1: remove the files")),
    );
    assert!(clean.is_some() && clean < files, "{master:#?}");
    assert!(new.iter().any(|text| text.contains("`init`")), "{new:#?}");
    let clean = gone.iter().position(|text| text.contains("`clean`")).unwrap();
    let files = gone.iter().position(|text| text.contains("remove the files")).unwrap();
    assert!(clean < files && gone.last().unwrap().contains("remove what is kept"), "{gone:#?}");
    let state = done(&plan, &state);
    assert_eq!(state.len(), 3);
    assert!(super::plan(&wanted(&after, &images[..2]), &state, &Again::Nothing).is_empty());
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one() {
    let before = cluster(1, 0, &[app("team/app:v1")]);
    let state =
        done(&plan(&wanted(&before, &[app("team/app:v1")]), &BTreeMap::new(), &Again::Nothing), &BTreeMap::new());
    let after = cluster(1, 0, &[app("team/app:v2")]);
    let plan = plan(&wanted(&after, &[app("team/app:v2")]), &state, &Again::Nothing);
    assert!(plan.steps.iter().all(|step| step.direction == Direction::Do), "{plan}");
    for (image, want) in [
        ("team/app:v1", "team/app"),
        ("hub.example:5000/team/app", "hub.example:5000/team/app"),
        ("hub.example:5000/team/app:v1", "hub.example:5000/team/app"),
        ("/srv/app", "/srv/app"),
    ] {
        assert_eq!(lineage(image), want);
    }
    let two = cluster(1, 0, &[app("app:v1"), app("app:v2")]);
    assert!(Wanted::new(&two, &[app("app:v1"), app("app:v2")], &Layout::at("/d"), &BTreeMap::new()).is_err());
}

#[test]
fn a_step_that_began_is_not_done_and_is_undone() {
    let images = [app("app:v1")];
    let cluster = cluster(1, 0, &images);
    let wanted = wanted(&cluster, &images);
    let first = plan(&wanted, &BTreeMap::new(), &Again::Nothing);
    let begun = Done { step: first.steps[0].clone(), reach: Reach::Begun, time: 1 };
    let state: BTreeMap<_, _> = [(first.steps[0].host.clone(), vec![begun])].into();
    assert_eq!(plan(&wanted, &state, &Again::Nothing).steps, first.steps);
    let leaving = plan_leaving(&state);
    assert!(matches!(leaving.steps[0].action, Action::RemoveFiles { .. }), "{leaving}");
}

#[test]
fn a_thousand_hosts_are_planned() {
    let images = [rootfs("v1"), patch(), app("app:v1"), app("other:v1")];
    let cluster = cluster(3, 997, &images);
    let wanted = wanted(&cluster, &images);
    let first = plan(&wanted, &BTreeMap::new(), &Again::Nothing);
    assert_eq!(first.hosts().len(), 1000);
    assert!(plan(&wanted, &done(&first, &BTreeMap::new()), &Again::Nothing).is_empty());
    assert!(first.to_string().lines().count() < 100, "what is the same on all hosts is said once");
}
