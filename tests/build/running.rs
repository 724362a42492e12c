//! RUN. Needs root and a static busybox (tests/run sees to both).

use std::fs;
use std::path::Path;

use sealos::build::{BuildEvent, SecretPlace};

use super::support::{Lab, explained};

/// A lab with a shell.
fn with_shell() -> Lab {
    assert!(rustix::process::geteuid().is_root(), "RUN without a user namespace needs root: run this test as root");
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.expect("busybox-static is installed (tests/run does it)");
    let lab = Lab::new();
    lab.file("bin/busybox", fs::read(busybox).unwrap());
    fs::set_permissions(lab.context().join("bin/busybox"), fs::metadata(busybox).unwrap().permissions()).unwrap();
    for tool in ["sh", "cat", "mkdir", "rm", "test", "env", "id", "echo", "ln", "chmod", "sleep", "ls", "find", "sort"]
    {
        lab.link(&format!("bin/{tool}"), "busybox");
    }
    lab
}

/// A stage with a file.
const MADE: &str = "FROM scratch AS made\nCOPY <<X /d/f\nF\nX\n";
const BASE: &str = "FROM scratch\nCOPY bin /bin\n";

#[test]
fn commands_change_files() {
    let lab = with_shell();
    lab.file("in", "I");
    lab.build_with(MADE, |request| request.tags = vec![super::support::name("image:v1")]).unwrap();
    lab.cached();
    for (instructions, want) in [
        ("RUN echo a > /a", "a=a\n"),
        ("RUN [\"/bin/sh\", \"-c\", \"echo $0\", \"x\"]", ""),
        ("ARG A=1\nENV B=2\nRUN echo $A$B > /a", "a=12\n"),
        ("WORKDIR /w\nRUN echo a > b && ln b c", "w/b=a\n w/c== w/b"),
        ("COPY in /d/in\nRUN rm /d/in && echo x > /d/out", "d/.wh.in= d/in=I d/out=x\n"),
        ("RUN echo 1 > /a\nCOPY in /b\nRUN cat /a /b > /c", "a=1\n b=I c=1\nI"),
        ("RUN <<EOF\necho one > /one\necho two > /two\nEOF", "one=one\n two=two\n"),
        ("RUN <<EOF\n#!/bin/sh\necho $0 > /zero\nEOF", "zero=/dev/pipes/EOF\n"),
        ("RUN --mount=type=bind,source=in,target=/m cat /m > /a", "a=I"),
        ("RUN --mount=type=tmpfs,target=/t echo x > /t/x", ""),
        ("RUN --mount=type=cache,target=/k echo x > /k/x\nRUN --mount=type=cache,target=/k cat /k/x > /a", "a=x\n"),
        (
            "RUN --mount=type=cache,target=/k,from=made,source=d cat /k/f > /a && echo y > /k/f\nRUN --mount=type=cache,target=/k,from=made,source=d cat /k/f >> /a",
            "a=F\ny\n",
        ),
        ("RUN --mount=type=bind,from=made,target=/m cat /m/d/f > /a", "a=F\n"),
        ("RUN --mount=type=bind,from=made,source=/d/f,target=/m,rw cat /m > /a && echo x > /m", "a=F\n"),
        ("RUN --mount=type=bind,from=image:v1,source=d,target=/m cat /m/f > /a", "a=F\n"),
        ("RUN --mount=type=secret,id=s cat /run/secrets/s > /a", "a=secret"),
        ("RUN --mount=type=secret,id=s,env=S echo $S > /a", "a=secret\n"),
    ] {
        let kubefile = format!("{MADE}{BASE}{instructions}\n");
        fs::write(lab.place.path().join("secret"), "secret").unwrap();
        for run in ["first", "again"] {
            let built = lab.build_with(&kubefile, |request| {
                request.secrets.insert("s".into(), SecretPlace::File("secret".into()));
            });
            let built = built.unwrap_or_else(|error| panic!("{instructions}: {}", explained(&error)));
            let plain: Vec<_> = built.plain().into_iter().filter(|file| !file.starts_with("bin/")).collect();
            assert_eq!(plain.join(" "), want, "{instructions} {run}");
            assert!(built.layers.iter().flatten().all(|(entry, _)| entry.mtime == 0), "{instructions}");
        }
        let (cached, made) = lab.cached();
        assert!(cached * 2 >= made, "{instructions}: {cached} of {made}");
    }
}

#[test]
fn a_command_that_fails_ends_the_build_and_is_heard() {
    let lab = with_shell();
    let text = lab.failure(&format!("{BASE}RUN echo heard && exit 7\n"));
    assert!(text.contains("Kubefile:3: `RUN echo heard && exit 7` failed") && text.contains('7'), "{text}");
    let heard: Vec<u8> = lab
        .heard
        .0
        .lock()
        .unwrap()
        .iter()
        .flat_map(|event| match event {
            BuildEvent::Output { bytes, .. } => bytes.clone(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(String::from_utf8_lossy(&heard), "heard\n");
    let text = lab.failure(&format!("{BASE}RUN --mount=type=secret,id=q,required=true true\n"));
    assert!(text.contains("--secret id=q,src=FILE"), "{text}");
}

#[test]
fn a_bind_mount_shows_what_the_ignore_file_leaves() {
    let lab = with_shell();
    for name in ["top", "secret", "all/one", "some/kept", "some/gone.log", "some/deep/x", "none/a", "odd/a", "odd/in/b"]
    {
        lab.file(name, name);
    }
    lab.link("link", "all/one")
        .link("some/link", "kept")
        .file(".dockerignore", "secret\n*/*.log\nnone\nodd\n!odd/in\n.dockerignore\nKubefile\nbin\n");
    let shown = "link odd/in/b some/deep/x some/kept some/link top all/one";
    let mut want: Vec<&str> = shown.split(' ').collect();
    want.sort_unstable();
    let look =
        "cd /m && ls -R . > /dev/null && for f in $(find . ! -type d | sort); do echo ${f#./}=$(cat $f); done > /seen";
    for (access, extra) in [("", ""), (",rw", " && echo new > /m/some/deep/new && rm /m/top")] {
        let lab_text = format!("FROM tools\nRUN --mount=type=bind,target=/m{access} {look}{extra}\n");
        tools(&lab);
        let built = lab.build(&lab_text).unwrap_or_else(|error| panic!("{access}: {}", explained(&error)));
        let files = built.files();
        let seen: Vec<&str> = files["seen"].lines().map(|line| line.split('=').next().unwrap()).collect();
        let seen: Vec<&str> =
            seen.into_iter().filter(|name| *name != "Kubefile" && !name.starts_with("base")).collect();
        assert_eq!(seen, want, "{access}");
        assert!(files["seen"].contains("some/link=some/kept\n"), "{}", files["seen"]);
        assert_eq!(fs::read_to_string(lab.context().join("top")).unwrap(), "top", "{access}");
        assert!(!lab.context().join("some/deep/new").exists(), "{access}");
        // What is left out does not count for the cache.
        lab.cached();
        lab.file("secret", format!("changed{access}"));
        lab.build(&lab_text).unwrap();
        assert_eq!(lab.cached(), (1, 1), "{access}");
    }
    let text = lab.failure("FROM tools\nRUN --mount=type=bind,source=secret,target=/m true\n");
    assert!(text.contains("`secret` matches nothing") && text.contains("the ignore file leaves it out"), "{text}");
    let one = lab.build("FROM tools\nRUN --mount=type=bind,source=all/one,target=/m cat /m > /seen\n").unwrap();
    assert_eq!(one.files()["seen"], "all/one");
}

/// An image with a shell, called `tools`: its files are in no context then.
fn tools(lab: &Lab) {
    let other = with_shell();
    let mut request = other.request();
    other.file("Kubefile", BASE);
    request.tags = vec![super::support::name("tools")];
    let mut world = lab.world();
    world.store = &lab.store;
    sealos::build::build(&request, &world).unwrap();
}
