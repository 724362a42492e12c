//! An ordinary user: everything without RUN needs nothing, RUN needs a user namespace, and the result is root's.

use super::lab::{BASE, Lab, User, WAYS, unproven};

#[test]
fn all_but_run_instructions_work_without_any_user_namespace() {
    let Some(lab) = Lab::new() else { return unproven() };
    lab.file("hello.sh", "echo hello from an ordinary user\n");
    let kubefile = format!("{BASE}COPY hello.sh /\nCMD [\"sh hello.sh\"]\n");
    for user in [User::Nobody, User::Forbidden] {
        let store = format!("{user:?}");
        let sealos = |args: &[&str]| lab.sealos(user, &store, "none", args).fine_for(&format!("{user:?} {args:?}"));
        let built = lab.build(user, &store, (&[], "none"), &kubefile, &["-q", "-t", "app:v1"]).fine_for("build");
        let as_root = lab.build(User::Root, "root", (&[], "none"), &kubefile, &["-q"]).fine_for("build");
        assert_eq!(built, as_root, "{user:?}");
        let archive = lab.at(&format!("home/{user:?}.tar"));
        sealos(&["save", "-q", "-o", &archive, "app:v1"]);
        sealos(&["rmi", "app:v1"]);
        sealos(&["prune", "--all"]);
        assert!(sealos(&["load", "-i", &archive]).contains("app:v1"), "{user:?}");
        assert!(sealos(&["inspect", "app:v1"]).contains("hello.sh"), "{user:?}");
        let ran = lab.command(user, &store, "none", &["run", "app:v1"]);
        let ran = with_path(&ran).output().unwrap();
        let text = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(ran.status.success() && text.contains("hello from an ordinary user"), "{user:?}: {text}");
        std::fs::remove_dir_all(lab.path("home/data")).unwrap();
    }
}

/// The commands of an image run on this machine, with its programs.
fn with_path(command: &std::process::Command) -> std::process::Command {
    let mut changed = std::process::Command::new(command.get_program());
    let args = command.get_args().map(|arg| match arg.to_string_lossy().starts_with("PATH=") {
        true => "PATH=/usr/bin:/bin".into(),
        false => arg.to_owned(),
    });
    changed.args(args).current_dir(command.get_current_dir().unwrap());
    changed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    changed
}

#[test]
fn run_enters_a_user_namespace_and_makes_what_root_makes() {
    let Some(lab) = Lab::new() else { return unproven() };
    let kubefile = format!(
        "{BASE}RUN mkdir /d && id -u > /d/uid && ln /d/uid /d/same && rm /etc/group\nUSER app\nRUN pwd > /who\n"
    );
    let as_root = lab.build(User::Root, "root", WAYS[0], &kubefile, &["-q", "-t", "app:v1"]).fine_for("root");
    assert_eq!(lab.content("root", &as_root, "who"), "/\n");
    for (number, way) in WAYS.into_iter().enumerate() {
        let store = format!("store{number}");
        let id = lab.build(User::Nobody, &store, way, &kubefile, &["-q", "-t", "app:v1"]).fine_for(&format!("{way:?}"));
        assert_eq!(id, as_root, "{way:?}");
        for layer in lab.layers(&store, &id) {
            for entry in super::lab::listing(&layer) {
                assert!(entry.contains(" 0/0 "), "{way:?}: {entry}");
            }
        }
        // What was built inside of the namespace is the user's own outside.
        lab.sealos(User::Nobody, &store, "none", &["rmi", "app:v1"]).fine_for("rmi");
        lab.sealos(User::Nobody, &store, "none", &["prune", "--all"]).fine_for("prune");
        lab.holds_nothing(&store);
    }
}

#[test]
fn a_recipe_on_stdin_may_have_run_too() {
    let Some(lab) = Lab::new() else { return unproven() };
    let kubefile = format!("{BASE}RUN id -u > /uid\n");
    let context = lab.at("context");
    let args = ["build", "-q", "--isolation", "chroot", "-f", "-", &context];
    let as_root = lab.sealos_reading(&kubefile, User::Root, "root", &args).fine_for("root");
    assert_eq!(lab.sealos_reading(&kubefile, User::Nobody, "nobody", &args).fine_for("nobody"), as_root);
    lab.sealos_reading(&kubefile, User::Forbidden, "forbidden", &args).refused(&["user namespace"]);
    lab.holds_nothing("forbidden");
    let id = lab.sealos_reading(BASE, User::Forbidden, "forbidden", &args).fine_for("without RUN");
    assert!(id.starts_with("sha256:"), "{id}");
}
