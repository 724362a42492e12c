//! An ordinary user: everything without RUN needs nothing, RUN needs a user namespace, and the result is root's.

use super::lab::{BASE, Lab, User, WAYS};

use crate::sandbox::Bounded;

#[test]
fn all_but_run_instructions_work_without_any_user_namespace() {
    let lab = Lab::new();
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
        let ran = with_path(&ran).bounded().unwrap();
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
    let lab = Lab::new();
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
    let lab = Lab::new();
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

#[test]
fn with_ranges_of_ids_files_belong_to_whom_they_belong_for_root() {
    let lab = Lab::new();
    let kubefile = format!(
        "{BASE}RUN mkdir /d && chown user:user /d && echo x > /x && chown 65536:65536 /x && chmod 4711 /x\n\
         USER user\nRUN id > /d/who && ln /d/who /d/same\nUSER root\nRUN rm /d/same && cat /d/who > /again\n"
    );
    let as_root = lab.build(User::Root, "root", WAYS[0], &kubefile, &["-q", "-t", "app:v1"]).fine_for("root");
    assert_eq!(lab.content("root", &as_root, "again"), "uid=1000(user) gid=1001(user) groups=1001(user),1002(extra)\n");
    for (number, way) in WAYS.into_iter().enumerate() {
        let (store, what) = (format!("ranged{number}"), format!("{way:?}"));
        let id = lab.build(User::Ranged, &store, way, &kubefile, &["-q", "-t", "app:v1"]).fine_for(&what);
        assert_eq!(id, as_root, "{way:?}");
        let store = format!("ranged/{store}");
        let owners: Vec<String> = lab.layers(&store, &id).iter().flat_map(|layer| super::lab::listing(layer)).collect();
        for entry in ["drwxr-xr-x 1000/1001 d/", "-rws--x--x 65536/65536 x", "-rw-r--r-- 1000/1001 d/same"] {
            assert!(owners.iter().any(|it| it == entry), "{way:?}: {entry} is not in {owners:?}");
        }
        // Files of other ids are gone with the command that made them, and the rest the user can remove.
        let work = std::fs::read_dir(lab.path("home").join(&store).join("work")).unwrap();
        assert_eq!(work.count(), 0, "{way:?}");
        let own = format!("ranged{number}");
        lab.sealos(User::Ranged, &own, "none", &["rmi", "app:v1"]).fine_for("rmi");
        lab.sealos(User::Ranged, &own, "none", &["prune", "--all"]).fine_for("prune");
        lab.holds_nothing(&store);
    }
}

#[test]
fn without_a_home_the_store_has_to_be_named() {
    let lab = Lab::new();
    let program = lab.path("sealos");
    let said = std::process::Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(program)
        .arg("images")
        .env_clear()
        .bounded()
        .unwrap();
    crate::sandbox::Said::from(said)
        .refused(&["cannot tell where images are kept", "help: name a directory with `--root`"]);
}
