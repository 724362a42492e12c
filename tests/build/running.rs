//! RUN. Needs root (or a user namespace) and a busybox; without them these tests say so and pass.

use std::fs;
use std::path::Path;

use sealos::build::{BuildEvent, SecretPlace};

use super::support::{Lab, explained};

/// A lab with a shell, if there can be one here.
fn with_shell() -> Option<Lab> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists())?;
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let lab = Lab::new();
    lab.file("bin/busybox", fs::read(busybox).unwrap());
    fs::set_permissions(lab.context().join("bin/busybox"), fs::metadata(busybox).unwrap().permissions()).unwrap();
    for tool in ["sh", "cat", "mkdir", "rm", "test", "env", "id", "echo", "ln", "chmod", "sleep"] {
        lab.link(&format!("bin/{tool}"), "busybox");
    }
    Some(lab)
}

const BASE: &str = "FROM scratch\nCOPY bin /bin\n";

#[test]
fn commands_change_files() {
    let Some(lab) = with_shell() else { return eprintln!("no busybox or no root: RUN is not tested") };
    lab.file("in", "I");
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
        ("RUN --mount=type=secret,id=s cat /run/secrets/s > /a", "a=secret"),
        ("RUN --mount=type=secret,id=s,env=S echo $S > /a", "a=secret\n"),
    ] {
        let kubefile = format!("{BASE}{instructions}\n");
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
    let Some(lab) = with_shell() else { return eprintln!("no busybox or no root: RUN is not tested") };
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
