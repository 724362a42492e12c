//! Several stages, bases, and `COPY --from`.

use std::sync::Mutex;

use oci::{Descriptor, Platform};
use sealos::build::{KubefilePlace, NamedContext, Output, Platforms, PullPolicy, Resolver, SeamError, build};

use super::support::{Lab, explained, name, platform};

#[test]
fn files_of_stages_and_images_are_copied() {
    let lab = Lab::new();
    lab.file("a", "A").file("d/b", "B").link("d/l", "b").file("unused", "U");
    std::fs::hard_link(lab.context().join("d/b"), lab.context().join("d/h")).unwrap();
    lab.build_with("FROM scratch\nCOPY --chown=7:8 d /img\n", |it| it.tags = vec![name("tools:v1")]).unwrap();
    for (instructions, want) in [
        ("COPY --from=one /x/a /a", "a=A"),
        ("COPY --from=0 x/a /b/", "b/a=A"),
        ("COPY --from=ONE /x/ /y", "y/a=A y/d/b=B y/d/h== y/d/b y/d/l=-> b"),
        ("COPY --from=one /x/d/l /l", "l=B"),
        ("COPY --from=one /x/d/* /y/", "y/b=B y/h== y/b y/l== y/b"),
        ("COPY --from=tools:v1 /img/b /t", "t=B"),
        ("COPY --from=tools:v1 / /", "img/b=B img/h== img/b img/l=-> b"),
        ("COPY --from=tools:v1 --exclude=h img /i", "i/b=B i/l=-> b"),
    ] {
        let kubefile = format!("FROM scratch AS one\nCOPY a /x/\nCOPY d /x/d\nFROM scratch\n{instructions}\n");
        for run in ["first", "again"] {
            let built = lab.build(&kubefile).unwrap_or_else(|error| panic!("{instructions}: {}", explained(&error)));
            assert_eq!(built.plain().join(" "), want, "{instructions} {run}");
        }
    }
    let built =
        lab.build("FROM scratch\nCOPY --from=tools:v1 img/b /t\nCOPY --from=tools:v1 --chown=0 img/b /r\n").unwrap();
    assert_eq!((built.entry("t").uid, built.entry("t").gid, built.entry("r").uid), (7, 8, 0));
    let text = lab.failure("FROM scratch AS one\nCOPY a /x/\nFROM scratch\nCOPY --from=one /x/b /\n");
    assert!(text.contains("`/x/b` matches nothing in the stage `one`") && text.contains("`x/a`"), "{text}");
}

#[test]
fn only_stages_that_are_needed_are_built() {
    let lab = Lab::new();
    lab.file("a", "A");
    let kubefile = "FROM scratch AS base\nCOPY a /base\nFROM nowhere AS broken\nCOPY a /broken\n\
        FROM base AS middle\nCOPY a /middle\nFROM base\nCOPY --from=base /base /last\n";
    assert_eq!(lab.build(kubefile).unwrap().plain(), ["base=A", "last=A"]);
    for (target, want) in [("middle", vec!["base=A", "middle=A"]), ("0", vec!["base=A"])] {
        let built = lab.build_with(kubefile, |request| request.target = Some(target.to_owned()));
        assert_eq!(built.unwrap().plain(), want, "{target}");
    }
    assert!(lab.build_with(kubefile, |request| request.target = Some("broken".to_owned())).is_err());
}

#[test]
fn whiteouts_of_a_base_hide_files() {
    let lab = Lab::new();
    lab.file("a", "A").file("b", "B");
    lab.build_with("FROM scratch\nCOPY a b /d/\n", |it| it.tags = vec![name("two")]).unwrap();
    let built = lab.build_with("FROM two\nCOPY a /d/c\n", |it| it.from = None).unwrap();
    assert_eq!(built.layers.len(), 2);
    assert_eq!(built.plain(), ["d/a=A", "d/b=B", "d/c=A"]);
    // `--from` takes the place of the first FROM.
    let built = lab.build_with("FROM nowhere\nCOPY a /x\n", |it| it.from = Some("two".to_owned())).unwrap();
    assert_eq!(built.plain(), ["d/a=A", "d/b=B", "x=A"]);
}

#[derive(Default)]
struct Registry {
    asked: Mutex<Vec<(String, PullPolicy)>>,
    has: Option<Descriptor>,
}

impl Resolver for Registry {
    fn resolve_and_pull(
        &self,
        name: &str,
        _platform: &Platform,
        policy: PullPolicy,
    ) -> Result<Option<Descriptor>, SeamError> {
        self.asked.lock().unwrap().push((name.to_owned(), policy));
        Ok(self.has.clone())
    }

    fn platforms(&self, name: &str) -> Result<Vec<Platform>, SeamError> {
        let arches: &[&str] = if name == "more" { &["arm64", "s390x", "amd64"] } else { &["amd64", "arm64"] };
        Ok(arches.iter().map(|arch| platform(&format!("linux/{arch}"))).collect())
    }
}

#[test]
fn images_are_pulled_when_the_policy_says_so() {
    for (policy, image, asked) in [
        (PullPolicy::Missing, "here", 0),
        (PullPolicy::Missing, "there", 1),
        (PullPolicy::Always, "here", 1),
        (PullPolicy::Newer, "here", 1),
        (PullPolicy::Never, "here", 0),
    ] {
        let lab = Lab::new();
        let built = lab.build_with("FROM scratch\nENV A=1\n", |it| it.tags = vec![name("here")]).unwrap();
        lab.file("Kubefile", format!("FROM {image}\n"));
        let registry = Registry { has: Some(built.outcome.root.clone()), ..Registry::default() };
        let mut world = lab.world();
        world.resolver = &registry;
        let mut request = lab.request();
        request.pull = policy;
        let outcome = build(&request, &world).unwrap();
        assert_eq!(lab.look(outcome).config().env("A"), Some("1"), "{policy:?} {image}");
        assert_eq!(registry.asked.lock().unwrap().len(), asked, "{policy:?} {image}");
    }
    let lab = Lab::new();
    let error = lab.build_with("FROM there\n", |it| it.pull = PullPolicy::Never).err().unwrap();
    assert!(explained(&error).contains("`--pull never`"), "{error}");
}

#[test]
fn all_platforms_are_those_that_all_bases_are_there_for() {
    let lab = Lab::new();
    let kubefile = "FROM scratch\nARG TARGETARCH\nENV ARCH=$TARGETARCH\n";
    let platforms: Vec<Platform> = ["arm64", "amd64"].iter().map(|arch| platform(&format!("linux/{arch}"))).collect();
    lab.build_with(kubefile, |it| {
        it.tags = vec![name("both")];
        it.platforms = Platforms::Listed(platforms.clone());
    })
    .unwrap();
    let built_for = |kubefile: &str| -> Result<Vec<String>, String> {
        lab.file("Kubefile", kubefile);
        let registry = Registry { has: Some(lab.store.find("both").unwrap().root), ..Registry::default() };
        let mut world = lab.world();
        world.resolver = &registry;
        let mut request = lab.request();
        request.platforms = Platforms::OfBases;
        let outcome = build(&request, &world).map_err(|error| explained(&error))?;
        Ok(outcome.images.iter().map(|image| image.platform.to_string()).collect())
    };
    for (kubefile, want) in [
        ("FROM both\n", vec!["linux/arm64", "linux/amd64"]),
        ("FROM more AS one\nFROM both\nCOPY --from=one /x* /\n", vec![]),
        ("FROM more AS one\nFROM one AS two\nFROM scratch\nCOPY --from=two . /\n", vec![]),
        ("FROM more AS unused\nFROM both\n", vec!["linux/arm64", "linux/amd64"]),
        ("FROM --platform=linux/amd64 both AS tool\nFROM both\n", vec!["linux/arm64", "linux/amd64"]),
    ] {
        let got = built_for(kubefile);
        match want.is_empty() {
            // Their files are not there; what they were built for is what counts.
            true => assert!(got.is_err_and(|text| !text.contains("it is not known what to build for")), "{kubefile}"),
            false => assert_eq!(got.unwrap(), want, "{kubefile}"),
        }
    }
    let text = built_for("FROM scratch\n").unwrap_err();
    assert!(text.contains("no stage has a base image") && text.contains("help: name the platforms"), "{text}");
    lab.build_with(kubefile, |it| {
        it.tags = vec![name("one")];
        it.platforms = Platforms::Listed(vec![platform("linux/s390x")]);
    })
    .unwrap();
    let text = built_for("FROM one AS a\nFROM both\nCOPY --from=a / /\n").unwrap_err();
    assert!(text.contains("have none in common"), "{text}");
}

#[test]
fn stages_of_several_kubefiles_stand_behind_each_other() {
    let lab = Lab::new();
    lab.file("a", "A").file("one", "ARG V=1\nFROM scratch AS first\nCOPY a /first\n");
    lab.file("two", "ARG W=2\nFROM first\nARG V\nARG W\nENV VW=$V$W\nCOPY --from=0 /first /second\n");
    let places = |names: &[&str]| names.iter().map(|name| KubefilePlace::parse(name)).collect::<Vec<_>>();
    let build = |names: &[&str]| {
        let mut places = places(names);
        lab.build_with("FROM scratch\n", |it| {
            it.kubefile = places.remove(0);
            it.more_kubefiles = places;
        })
    };
    let built = build(&["one", "two"]).unwrap();
    assert_eq!(built.plain(), ["first=A", "second=A"]);
    assert_eq!(built.config().env("VW"), Some("12"));
    lab.file("again", "FROM scratch AS first\n").file("broken", "FROM scratch\nCOYP a /\n");
    lab.file("other", "# escape=`\nFROM scratch\n");
    for (names, parts) in [
        (["one", "again"], ["again:1", "the stage name `first` is already taken"]),
        (["one", "broken"], ["broken:2", "COYP"]),
        (["one", "other"], ["other:2", "another escape character"]),
        (["-", "-"], ["stdin", ""]),
    ] {
        let text = build(&names).err().map(|error| explained(&error)).unwrap_or_default();
        assert!(parts.iter().all(|part| text.contains(part)), "{names:?}: {text}");
    }
}

#[test]
fn a_base_of_another_platform_is_refused_with_what_there_is() {
    let lab = Lab::new();
    lab.build_with("FROM scratch\nENV A=1\n", |it| {
        it.tags = vec![name("arm")];
        it.platforms = Platforms::Listed(vec![platform("linux/arm64")]);
    })
    .unwrap();
    let error = lab
        .build_with("FROM arm\n", |it| it.platforms = Platforms::Listed(vec![platform("linux/s390x")]))
        .err()
        .unwrap();
    let text = explained(&error);
    assert!(text.contains("`arm` is for linux/arm64, not for linux/s390x"), "{text}");
    assert!(lab.build_with("FROM --platform=linux/arm64 arm\n", |_| {}).is_ok());
}

#[test]
fn bases_can_lie_in_archives_and_have_other_names() {
    let lab = Lab::new();
    lab.file("a", "A");
    lab.build_with("FROM scratch\nCOPY a /a\n", |it| {
        it.tags = vec![name("made:v1")];
        it.outputs = vec![Output::OciArchive("made.tar".into())];
    })
    .unwrap();
    for (place, is_there) in [
        ("oci-layout://made.tar", true),
        ("oci-layout://made.tar:v1", true),
        ("oci-layout://made.tar:v2", false),
        ("docker-image://made:v1", true),
        ("docker-image://nothing", false),
    ] {
        for kubefile in ["FROM other\n", "FROM scratch\nCOPY --from=other a /a\n"] {
            let built = lab.build_with(kubefile, |it| {
                it.build_contexts.insert("other".into(), NamedContext::parse(place));
            });
            assert_eq!(built.is_ok_and(|it| it.plain() == ["a=A"]), is_there, "{place} {kubefile}");
        }
    }
}
