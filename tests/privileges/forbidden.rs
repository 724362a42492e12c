//! Where RUN cannot work, that is said before anything is built.

use super::lab::{BASE, Lab, User};

#[test]
fn run_without_user_namespaces_is_refused_before_anything_is_built() {
    let lab = Lab::new();
    let kubefile = format!("{BASE}RUN id\n");
    for way in super::lab::WAYS {
        let said = lab.build(User::Forbidden, "store", way, &kubefile, &["-t", "app:v1"]);
        said.refused(&["error: ", "user namespace", "build as root", "sysctl -w user.max_user_namespaces="]);
        assert!(!said.stderr.contains("[1/"), "{}", said.stderr);
        lab.holds_nothing("store");
    }
}

#[test]
fn a_runtime_that_is_wished_for_and_missing_is_refused_before_anything_is_built() {
    let lab = Lab::new();
    let kubefile = format!("{BASE}RUN id\n");
    for user in [User::Root, User::Nobody] {
        let said =
            lab.build(user, &format!("{user:?}"), (&["--isolation", "oci"], "none"), &kubefile, &["-t", "app:v1"]);
        said.refused(&["error: ", "crun or runc", "--isolation chroot"]);
        assert!(!said.stderr.contains("[1/"), "{}", said.stderr);
        lab.holds_nothing(&format!("{user:?}"));
    }
    // Nobody needs a runtime where nothing is run.
    lab.build(User::Nobody, "third", (&["--isolation", "oci"], "none"), BASE, &[]).fine_for("no RUN");
}
