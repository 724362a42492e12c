//! COPY and ADD.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sealos::build::{Fetch, Fetched, NamedContext, SeamError, build};

use super::support::{Lab, explained};

use crate::bounded::Bounded;

fn sample() -> Lab {
    let lab = Lab::new();
    lab.file("a.txt", "a").file("b.txt", "b").file("c.md", "c").file("dir/x", "x").file("dir/sub/y", "y");
    lab.link("dir/link", "x");
    lab
}

#[test]
fn sources_go_where_docker_puts_them() {
    for (instruction, want) in [
        ("COPY a.txt /", "a.txt=a"),
        ("COPY a.txt /b", "b=a"),
        ("COPY a.txt /b/", "b/a.txt=a"),
        ("COPY a.txt b.txt /d/", "d/a.txt=a d/b.txt=b"),
        ("COPY *.txt /d/", "d/a.txt=a d/b.txt=b"),
        ("COPY [a-b].txt /d/", "d/a.txt=a d/b.txt=b"),
        ("COPY *.md /d", "d=c"),
        ("COPY dir /d", "d/link=-> x d/sub/y=y d/x=x"),
        ("COPY dir/ /d/", "d/link=-> x d/sub/y=y d/x=x"),
        ("COPY dir/link /d", "d=x"),
        ("COPY dir/* /d/", "d/link=x d/x=x d/y=y"),
        ("COPY dir a.txt /d/", "d/a.txt=a d/link=-> x d/sub/y=y d/x=x"),
        ("COPY --parents dir/sub/y /d/", "d/dir/sub/y=y"),
        ("COPY --parents dir/./sub /d/", "d/sub/y=y"),
        ("COPY --parents dir/./**/y /d/", "d/sub/y=y"),
        ("COPY --exclude=sub --exclude=link dir /d", "d/x=x"),
        ("COPY --exclude=*.md *.* /d/", "d/a.txt=a d/b.txt=b"),
        ("WORKDIR /w\nCOPY a.txt .", "w/a.txt=a"),
        ("WORKDIR /w\nWORKDIR v\nCOPY a.txt ./q", "w/v/q=a"),
        ("COPY <<EOF /f\none $HOME\nEOF", "f=one \n"),
        ("COPY <<\"EOF\" /f\none $HOME\nEOF", "f=one $HOME\n"),
        ("COPY <<one <<two /d/\n1\none\n2\ntwo", "d/one=1\n d/two=2\n"),
        ("ADD a.txt /x/", "x/a.txt=a"),
    ] {
        let built = sample().build(&format!("FROM scratch\n{instruction}\n"));
        let built = built.unwrap_or_else(|error| panic!("{instruction}: {}", explained(&error)));
        assert_eq!(built.plain().join(" "), want, "{instruction}");
    }
}

#[test]
fn directories_of_the_image_decide_where_a_file_goes() {
    let lab = sample();
    lab.link("lib", "usr/lib").file("usr/lib/libc", "c").file("new/lib/more", "m");
    let built =
        lab.build("FROM scratch\nCOPY --parents ./usr /\nCOPY dir/x /usr\nCOPY new/ /\nCOPY a.txt /lib64\n").unwrap();
    assert_eq!(built.plain(), ["lib/more=m", "lib64=a", "usr/lib/libc=c", "usr/x=x"]);
    // A link in the image is followed, for the destination and for directories below it.
    lab.file("tree/usr/lib/old", "o").link("tree/lib", "usr/lib");
    let built = lab.build("FROM scratch\nCOPY tree /\nCOPY new /\nCOPY a.txt /lib/\nCOPY b.txt /lib/deep/\n").unwrap();
    let want = ["lib=-> usr/lib", "usr/lib/a.txt=a", "usr/lib/deep/b.txt=b", "usr/lib/more=m", "usr/lib/old=o"];
    assert_eq!(built.plain(), want);
}

#[test]
fn owners_and_modes_are_what_the_flags_say() {
    let lab = sample();
    lab.file("etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n").file("etc/group", "staff:x:50:\n");
    fs::set_permissions(lab.context().join("a.txt"), fs::Permissions::from_mode(0o4750)).unwrap();
    for (flags, want) in [
        ("", (0, 0, 0o4750)),
        ("--chown=5", (5, 5, 0o4750)),
        ("--chown=5:6", (5, 6, 0o4750)),
        ("--chown=web", (33, 34, 0o4750)),
        ("--chown=web:staff", (33, 50, 0o4750)),
        ("--chmod=644", (0, 0, 0o644)),
        ("--chmod=u=rw,go=r", (0, 0, 0o644)),
        ("--chmod=0755 --chown=web", (33, 34, 0o755)),
    ] {
        let built = lab.build(&format!("FROM scratch\nCOPY etc /etc/\nCOPY {flags} a.txt /n/f\n")).unwrap();
        let entry = built.entry("n/f");
        assert_eq!((entry.uid, entry.gid, entry.mode), want, "{flags}");
        let parent = built.entry("n");
        assert_eq!((parent.uid, parent.gid, parent.mode), (want.0, want.1, 0o755), "{flags}");
    }
}

#[test]
fn what_files_are_survives() {
    let lab = Lab::new();
    let long = format!("{}/{}", "d".repeat(120), "n".repeat(200));
    lab.file("one", "same").file(&long, "l").file("sparse", "");
    fs::hard_link(lab.context().join("one"), lab.context().join("two")).unwrap();
    fs::File::options().write(true).open(lab.context().join("sparse")).unwrap().set_len(1 << 20).unwrap();
    assert!(Command::new("mkfifo").arg(lab.context().join("pipe")).bounded().unwrap().status.success());
    let attribute =
        rustix::fs::setxattr(lab.context().join("one"), "user.note", b"hi", rustix::fs::XattrFlags::empty());
    attribute.expect("temporary files can have attributes: set TMPDIR to where they can");
    let files = lab.build("FROM scratch\nCOPY . /\n").unwrap();
    assert_eq!(files.files()["two"], "= one");
    assert_eq!(files.files()["pipe"], "Fifo");
    assert_eq!(files.files()[&long], "l");
    assert_eq!(files.files()["sparse"].len(), 1 << 20);
    assert_eq!(files.entry("one").xattrs[&b"user.note"[..]], b"hi");
}

#[test]
fn the_ignore_file_leaves_files_out() {
    for (ignore, want) in [
        ("*.txt\n", "c.md dir/link dir/sub/y dir/x"),
        ("dir\n!dir/sub\n", "a.txt b.txt c.md dir/sub/y"),
        ("**\n!a.txt\n", "a.txt"),
        ("# nothing\n", "a.txt b.txt c.md dir/link dir/sub/y dir/x"),
    ] {
        for name in [".containerignore", ".dockerignore", "Kubefile.dockerignore"] {
            let lab = sample();
            lab.file(name, format!("{ignore}\nKubefile*\n.*ignore\n"));
            let built = lab.build("FROM scratch\nCOPY . /\n").unwrap();
            let names: Vec<_> = built.plain().iter().map(|it| it.split('=').next().unwrap().to_owned()).collect();
            assert_eq!(names.join(" "), want, "{name}: {ignore}");
        }
    }
    let lab = sample();
    lab.file("other", "*\n!c.md").file(".dockerignore", "*");
    let built = lab.build_with("FROM scratch\nCOPY . /\n", |it| it.ignore_file = Some("context/other".into())).unwrap();
    assert_eq!(built.plain(), ["c.md=c"]);
}

fn tar(lab: &Lab, name: &str, flags: &[&str]) {
    let place = lab.place.path().join("pack");
    fs::create_dir_all(place.join("in/deep")).unwrap();
    fs::write(place.join("in/deep/f"), "content").unwrap();
    let linked = place.join("in/g");
    if !linked.exists() {
        fs::hard_link(place.join("in/deep/f"), linked).unwrap();
    }
    let target = lab.context().join(name);
    let packed = Command::new("tar").args(flags).arg("-cf").arg(target).arg("-C").arg(&place).arg("in").bounded();
    assert!(packed.unwrap().status.success());
}

#[test]
fn local_archives_are_unpacked_by_add_only() {
    let lab = Lab::new();
    for (name, flags) in
        [("a.tar", &[][..]), ("a.tgz", &["-z"]), ("a.tar.zst", &["--zstd"]), ("a.tbz2", &["-j"]), ("a.tar.xz", &["-J"])]
    {
        tar(&lab, name, flags);
        let built = lab.build(&format!("FROM scratch\nADD {name} /to\n")).unwrap();
        assert_eq!(built.plain(), ["to/in/deep/f=content", "to/in/g== to/in/deep/f"], "{name}");
        assert_eq!(built.entry("to/in/deep/f").mtime, 0, "{name}");
        let built = lab.build(&format!("FROM scratch\nADD --unpack=false {name} /to/\n")).unwrap();
        assert_eq!(built.plain().len(), 1, "{name}");
        let built = lab.build(&format!("FROM scratch\nCOPY {name} /to/\n")).unwrap();
        assert!(built.files().contains_key(&format!("to/{name}")), "{name}");
    }
    lab.file("bad.tar.xz", b"\xfd7zXZ\0 and so on").file("no.gz", b"\x1f\x8bnot gzip at all");
    for name in ["bad.tar.xz", "no.gz"] {
        let built = lab.build(&format!("FROM scratch\nADD {name} /\n")).unwrap();
        assert!(built.files().contains_key(name), "{name} only looks compressed, and is copied");
    }
}

#[test]
fn a_truncated_archive_is_an_error_that_names_it() {
    let lab = Lab::new();
    tar(&lab, "whole.tar", &[]);
    let bytes = fs::read(lab.context().join("whole.tar")).unwrap();
    lab.file("cut.tar", &bytes[..1700]);
    let text = lab.failure("FROM scratch\nADD cut.tar /\n");
    assert!(text.contains("cut.tar") && text.contains("truncated"), "{text}");
}

struct Web;

impl Fetch for Web {
    fn fetch(&self, url: &str) -> Result<Fetched, SeamError> {
        match url.ends_with("missing") {
            true => Err(SeamError::new("404")),
            false => Ok(Fetched { body: Box::new(&b"from the web"[..]), size: None }),
        }
    }
}

#[test]
fn urls_are_fetched_and_compared_with_their_checksum() {
    let right = oci::Digest::of(b"from the web");
    let wrong = oci::Digest::of(b"something else");
    for (instruction, want) in [
        ("ADD https://x.example/a/file?q=1 /d/".to_owned(), Ok("d/file=from the web")),
        ("ADD https://x.example/a/file /d".to_owned(), Ok("d=from the web")),
        (format!("ADD --checksum={right} https://x.example/file /d/"), Ok("d/file=from the web")),
        (format!("ADD --checksum={wrong} https://x.example/file /d/"), Err("has the checksum")),
        ("ADD https://x.example/missing /d/".to_owned(), Err("cannot fetch")),
        ("ADD https://x.example/ /d/".to_owned(), Err("says no file name")),
    ] {
        let lab = Lab::new();
        lab.file("Kubefile", format!("FROM scratch\n{instruction}\n"));
        let mut world = lab.world();
        world.fetch = &Web;
        match (build(&lab.request(), &world), want) {
            (Ok(outcome), Ok(want)) => {
                let built = lab.look(outcome);
                assert_eq!(built.plain().join(" "), want, "{instruction}");
                assert_eq!(built.entry(want.split('=').next().unwrap()).mode, 0o600, "{instruction}");
            }
            (Err(error), Err(want)) => assert!(explained(&error).contains(want), "{instruction}: {error}"),
            (got, _) => panic!("{instruction}: {got:?}"),
        }
    }
}

#[test]
fn further_contexts_have_names() {
    let lab = Lab::new();
    fs::create_dir(lab.place.path().join("other")).unwrap();
    fs::File::create(lab.place.path().join("other/f")).unwrap().write_all(b"f").unwrap();
    let built = lab.build_with("FROM scratch\nCOPY --from=more f /g\n", |request| {
        request.build_contexts.insert("more".into(), NamedContext::Directory("other".into()));
    });
    assert_eq!(built.unwrap().plain(), ["g=f"]);
}
