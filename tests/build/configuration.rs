//! Instructions that change the configuration.

use serde_json::{Value, json};

use sealos::build::{Format, Platforms};

use super::support::{Lab, name};

fn config(lab: &Lab, kubefile: &str) -> Value {
    serde_json::to_value(lab.build(kubefile).unwrap().config()).unwrap()
}

#[test]
fn every_instruction_is_in_the_configuration() {
    const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (instructions, want) in [
        ("ENV A=1 B=\"two words\"\nENV C $A$B", json!({"Env": [PATH, "A=1", "B=two words", "C=1two words"]})),
        ("LABEL a=b c=\\$d", json!({"Env": [PATH], "Labels": {"a": "b", "c": "$d"}})),
        (
            "EXPOSE 80 53/udp 90-91",
            json!({"Env": [PATH], "ExposedPorts": {"53/udp": {}, "80/tcp": {}, "90/tcp": {}, "91/tcp": {}}}),
        ),
        ("VOLUME /a /c\nVOLUME [\"/b\"]", json!({"Env": [PATH], "Volumes": {"/a": {}, "/c": {}, "/b": {}}})),
        ("USER web:staff", json!({"Env": [PATH], "User": "web:staff"})),
        ("WORKDIR /a\nWORKDIR b/../c", json!({"Env": [PATH], "WorkingDir": "/a/c"})),
        ("STOPSIGNAL SIGINT", json!({"Env": [PATH], "StopSignal": "SIGINT"})),
        ("CMD echo $A", json!({"Env": [PATH], "Cmd": ["/bin/sh", "-c", "echo $A"]})),
        (
            "SHELL [\"/bin/bash\", \"-ec\"]\nCMD x",
            json!({"Env": [PATH], "Shell": ["/bin/bash", "-ec"], "Cmd": ["/bin/bash", "-ec", "x"]}),
        ),
        ("ENTRYPOINT [\"a\"]\nCMD [\"b\"]", json!({"Env": [PATH], "Entrypoint": ["a"], "Cmd": ["b"]})),
        ("CMD [\"b\"]\nENTRYPOINT [\"a\"]", json!({"Env": [PATH], "Entrypoint": ["a"], "Cmd": ["b"]})),
        (
            "HEALTHCHECK --interval=1s CMD true",
            json!({"Env": [PATH], "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 1_000_000_000_i64}}),
        ),
        ("HEALTHCHECK NONE", json!({"Env": [PATH], "Healthcheck": {"Test": ["NONE"]}})),
        ("ONBUILD COPY a /a", json!({"Env": [PATH], "OnBuild": ["COPY a /a"]})),
        ("ARG A=1\nENV B=$A", json!({"Env": [PATH, "B=1"]})),
    ] {
        assert_eq!(config(&Lab::new(), &format!("FROM scratch\n{instructions}\n"))["config"], want, "{instructions}");
    }
    assert_eq!(config(&Lab::new(), "FROM scratch\nMAINTAINER me\n")["author"], "me");
}

#[test]
fn a_base_is_inherited_and_its_triggers_run() {
    let lab = Lab::new();
    lab.file("a", "A");
    let base = "FROM scratch\nENV X=1\nCMD [\"old\"]\nLABEL l=1\nONBUILD COPY a /from-trigger\nONBUILD ENV T=$X\n";
    lab.build_with(base, |request| request.tags = vec![name("base:v1")]).unwrap();
    for (instructions, cmd) in [("ENTRYPOINT [\"e\"]", Value::Null), ("ENV Y=2", json!(["old"]))] {
        let built = lab.build(&format!("FROM base:v1\n{instructions}\n")).unwrap();
        let config = serde_json::to_value(built.config()).unwrap();
        assert_eq!(config["config"]["Cmd"], cmd, "{instructions}");
        assert_eq!(config["config"]["Labels"]["l"], "1", "{instructions}");
        assert_eq!(config["config"]["OnBuild"], Value::Null, "{instructions}");
        assert_eq!(built.config().env("T"), Some("1"), "{instructions}");
        assert_eq!(built.plain(), ["from-trigger=A"], "{instructions}");
    }
}

#[test]
fn arguments_come_from_the_command_line_the_environment_and_defaults() {
    let lab = Lab::new();
    let kubefile = "ARG BASE=scratch\nARG G=global\nFROM ${BASE}\nARG G\nARG A=default\nARG B=$A-b\nARG TARGETARCH\n\
        ENV OUT=$G,$A,$B,$TARGETARCH,$TARGETOS,$FROM_ENV\nARG FROM_ENV\nENV LATE=$FROM_ENV\n";
    std::fs::write(lab.place.path().join("args"), "# args\nA=from-file\n").unwrap();
    for (args, files, want) in [
        (vec![], vec![], "global,default,default-b,arm64,,"),
        (vec![], vec!["args"], "global,from-file,from-file-b,arm64,,"),
        (vec![("A", Some("1")), ("G", Some("2"))], vec!["args"], "2,1,1-b,arm64,,"),
        (vec![("UNSET", None)], vec![], "global,default,default-b,arm64,,"),
    ] {
        let built = lab.build_with(kubefile, |request| {
            request.platforms = Platforms::Listed(vec!["linux/arm64".parse().unwrap()]);
            request.build_args = args.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect();
            request.build_arg_files = files.iter().map(Into::into).collect();
        });
        assert_eq!(built.unwrap().config().env("OUT"), Some(want), "{args:?} {files:?}");
    }
}

#[test]
fn the_command_line_adds_labels_environment_and_annotations() {
    let lab = Lab::new();
    let built = lab
        .build_with("FROM scratch\nENV A=1 B=2\nLABEL l=1\n", |request| {
            request.labels = vec![("l".into(), "2".into()), ("m".into(), String::new())];
            request.env = vec![("A".into(), Some("9".into())), ("NOT_SET".into(), None)];
            request.unset_env = vec!["B".into(), "PATH".into()];
            request.annotations = vec![("org.example".into(), "x".into())];
        })
        .unwrap();
    assert_eq!(built.config().config.env, ["A=9"]);
    assert_eq!(built.config().config.labels["l"], "2");
    assert_eq!(built.image.manifest.value().annotations["org.example"], "x");
    assert!(!built.config().config.labels.keys().any(|label| label.contains("version")));
}

#[test]
fn annotations_that_the_format_cannot_hold_are_not_left_out_silently() {
    let lab = Lab::new();
    for (format, want) in [(Format::Oci, 0), (Format::Docker, 1)] {
        let built = lab.build_with("FROM scratch\nLABEL l=1\n", |request| {
            request.format = format;
            request.annotations = vec![("org.example".into(), "x".into())];
        });
        assert_eq!(built.unwrap().image.manifest.value().annotations.len(), 1 - want, "{format:?}");
        let said = lab.warnings().iter().filter(|text| text.contains("Docker's format has no annotations")).count();
        assert_eq!(said, want, "{format:?}");
    }
}

#[test]
fn history_tells_every_step_and_which_made_layers() {
    let lab = Lab::new();
    lab.file("a", "1");
    let built =
        lab.build("FROM scratch\nCOPY --chown=1:2 a /x/\nENV A=b\nWORKDIR /x\nWORKDIR /y\nCMD [\"c\"]\n").unwrap();
    let steps: Vec<_> =
        built.config().history.iter().map(|step| (step.created_by.as_deref().unwrap(), step.empty_layer)).collect();
    let want = [
        ("COPY --chown=1:2 a /x/ # sealos", false),
        ("ENV A=b", true),
        ("WORKDIR /x", true),
        ("WORKDIR /y", false),
        ("CMD [\"c\"]", true),
    ];
    assert_eq!(steps, want);
    assert_eq!(built.layers.len(), 2);
}
