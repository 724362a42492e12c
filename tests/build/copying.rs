//! COPY and ADD.

use super::support::Lab;

#[test]
fn a_context_becomes_an_image() {
    let lab = Lab::new();
    lab.file("etc/app.conf", "a=1").file("bin/run", "#!").link("bin/again", "run");
    let built = lab.build("FROM scratch\nCOPY . /\nCMD [\"bin/run\"]\n").unwrap();
    assert_eq!(built.plain()[..3], ["Kubefile=FROM scratch\nCOPY . /\nCMD [\"bin/run\"]\n", "bin/again=-> run", "bin/run=#!"]);
    assert_eq!(built.layers.len(), 1);
    assert_eq!(built.config().config.cmd.as_deref(), Some(&["bin/run".to_owned()][..]));
}
