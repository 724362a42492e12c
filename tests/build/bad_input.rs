//! What cannot be built, and what is said about it.

use std::fs;
use std::io::Write;

use sealos::build::{BuildError, BuildRequest, ContextPlace, KubefilePlace, NamedContext, build};

use super::support::{Lab, explained};

#[test]
fn mistakes_are_shown_where_they_are() {
    let lab = Lab::new();
    lab.file("etc/app.conf", "").file("x", "").link("out", "/etc").link("up", "../..").link("loop", "loop");
    lab.file("dir/.wh.gone", "").file("ignored", "").file(".dockerignore", "ignored\n");
    for (instruction, want) in [
        ("COPY etc/app.cnf /", "Kubefile:2: `COPY etc/app.cnf /` failed"),
        ("COPY etc/app.cnf /", "matches nothing in the context"),
        ("COPY etc/app.cnf /", "there is `etc/app.conf`"),
        ("COPY *.none /", "matches nothing"),
        ("COPY ignored /", "the ignore file leaves it out"),
        ("COPY ../secret /", "leaves the context"),
        ("COPY out/passwd /", "leaves the context"),
        ("COPY up/x /", "leaves the context"),
        ("COPY loop /", "cannot look at"),
        ("COPY x etc /d", "help: write `/d/`"),
        ("COPY dir /", "mean removed files"),
        ("COPY [ /", "the pattern"),
        ("COPY x /x\nCOPY x /x/y", "`/x` is no directory in the image"),
        ("COPY --chown=nobody x /", "nobody"),
        ("COPY --chmod=99 x /", "99"),
        ("COPY --from=nothing x /", "no image `nothing`"),
        ("ADD git@example.com:a/b.git /", "is not supported"),
        ("ADD --checksum=sha256:1 x /", "checksum"),
    ] {
        let text = lab.failure(&format!("FROM scratch\n{instruction}\n"));
        assert!(text.contains(want), "{instruction}:\n{text}");
    }
    for (kubefile, want) in [
        ("FROM nowhere:v1\n", "there is no image `nowhere:v1` in the store"),
        ("FROM scratch\nCOYP x /\n", "COPY"),
        ("FROM --platform=nonsense scratch\n", "not a platform"),
        ("\n\n", "it is empty"),
    ] {
        let text = lab.failure(kubefile);
        assert!(text.contains(want), "{kubefile}:\n{text}");
    }
    assert_eq!(lab.store.records().unwrap().len(), 0, "nothing that failed is visible");
}

fn attempt(lab: &Lab, change: impl FnOnce(&mut BuildRequest)) -> Result<String, String> {
    let mut request = lab.request();
    change(&mut request);
    build(&request, &lab.world()).map(|outcome| outcome.id.to_string()).map_err(|error| explained(&error))
}

#[test]
fn requests_that_cannot_be_met_say_why() {
    let lab = Lab::new();
    let missing = attempt(&lab, |_| {}).unwrap_err();
    assert!(missing.contains("there is no Kubefile") && missing.contains("with `-f`"), "{missing}");
    lab.file("Kubefile", "FROM scratch AS one\nFROM scratch\nCOPY bytes /\n").file("bytes", b"\xff\xfe");
    let place = lab.context();
    for (what, want) in [
        (
            &(|it: &mut BuildRequest| it.kubefile = KubefilePlace::Path("none".into())) as &dyn Fn(&mut BuildRequest),
            "neither here",
        ),
        (&|it| it.kubefile = KubefilePlace::Path(place.clone()), "it is a directory"),
        (&|it| it.kubefile = KubefilePlace::Path("bytes".into()), "not UTF-8"),
        (&|it| it.kubefile = KubefilePlace::Url("http://x.example/K".into()), "cannot fetch `http://x.example/K`"),
        (&|it| it.context = ContextPlace::Directory("none".into()), "cannot be used"),
        (&|it| (it.context, it.kubefile) = (ContextPlace::Stdin, KubefilePlace::Stdin), "stdin cannot be both"),
        (&|it| it.context = ContextPlace::Stdin, "there is no Kubefile"),
        (&|it| it.target = Some("two".into()), "one"),
        (&|it| it.ignore_file = Some("none".into()), "cannot read the ignore file"),
        (&|it| it.build_arg_files = vec!["none".into()], "cannot read the argument file"),
        (&|it| it.compression_level = Some(77), "77"),
        (&|it| drop(it.build_contexts.insert("x".into(), NamedContext::Directory("none".into()))), "cannot be used"),
    ] {
        let text = attempt(&lab, |request| what(request)).unwrap_err();
        assert!(text.contains(want), "{want}:\n{text}");
    }
}

#[test]
fn other_names_of_the_kubefile_are_mentioned() {
    let lab = Lab::new();
    lab.file("Dockerfile", "FROM scratch\nENV A=docker\n").file("Sealfile", "FROM scratch\nENV A=seal\n");
    let outcome = build(&lab.request(), &lab.world()).unwrap();
    assert_eq!(lab.look(outcome).config().env("A"), Some("seal"));
    assert_eq!(lab.warnings(), ["`Sealfile` is used; there is also `Dockerfile`"]);
}

#[test]
fn a_file_that_changes_while_it_is_read_ends_the_build() {
    let lab = Lab::new();
    lab.file("grows", vec![7; 1 << 20]);
    lab.file("Kubefile", "FROM scratch\nCOPY . /\n");
    let path = lab.context().join("grows");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let failed = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::File::options().append(true).open(&path).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                file.write_all(b"more").unwrap();
            }
        });
        let failed = (0..20).find_map(|_| build(&lab.request(), &lab.world()).err());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        failed
    });
    let Some(error) = failed else { panic!("20 builds of a file that grows all went well") };
    let text = explained(&error);
    assert!(text.contains("grows` changed while it was read"), "{text}");
    assert!(matches!(error, BuildError::Step { line: 2, .. }));
}

#[test]
fn an_argument_file_line_that_is_no_pair_is_named() {
    let lab = Lab::new();
    lab.file("Kubefile", "FROM scratch\n").file("args", "A=1\n\n# x\nnonsense\n");
    let text = attempt(&lab, |it| it.build_arg_files = vec!["context/args".into()]).unwrap_err();
    assert!(text.contains("line 4"), "{text}");
}
