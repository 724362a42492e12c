//! Compares the kubefile room with BuildKit's own parser and lexer and with moby's pattern matcher.
//!
//! The peer is a Go program (`tests/oracles/dockerfile`), built here. Without Go this test fails: a comparison that
//! did not happen proves nothing. Generated cases come from a fixed seed, so a failure can be repeated.

#![allow(clippy::expect_used, reason = "helpers outside of test functions may fail a test too")]

#[path = "sandbox/bounded.rs"]
mod bounded;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sealos::kubefile::instruction::{Network, Security};
use sealos::kubefile::{
    ArgDeclaration, CommandLine, Healthcheck, IgnoreFile, Instruction, Mount, Pair, Problem, RunMount, Sharing, Source,
    expand, glob, parse,
};
use sealos::kubefile::{Escape, KubefileError};
use serde_json::{Value, json};

const ENVIRONMENT: &[(&str, &str)] = &[
    ("X", "1"),
    ("FOO", "bar"),
    ("VERSION", "3.20.1"),
    ("EMPTY", ""),
    ("PORT", "80"),
    ("DIR", "/srv/a b"),
    ("FILE", "archive.tar.gz"),
];

fn lookup(name: &str) -> Option<String> {
    ENVIRONMENT.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn environment() -> Value {
    ENVIRONMENT.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

fn oracle() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dockerfile-oracle");
        let usual = Path::new("/usr/local/go/bin/go");
        let go = std::env::var_os("GO")
            .map(PathBuf::from)
            .unwrap_or_else(|| if usual.exists() { usual.to_owned() } else { PathBuf::from("go") });
        let building = Command::new(&go)
            .args(["build", "-buildvcs=false", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/dockerfile"))
            .spawn()
            .unwrap_or_else(|error| panic!("{} is needed to build the oracle: {error}", go.display()));
        let built = bounded::within(bounded::BUILDING, building);
        assert!(built.status.success(), "the oracle does not build");
        program
    })
}

fn ask(cases: &[Value]) -> Vec<Value> {
    let mut child =
        Command::new(oracle()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle starts");
    let input: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).expect("the oracle reads"));
    let output = bounded::waited(child);
    writer.join().expect("the writer ends");
    assert!(output.status.success(), "the oracle failed");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), cases.len(), "an answer for each case");
    answers
}

/// A small generator with a fixed seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
    fn join(&mut self, from: &[&str], most: usize) -> String {
        (0..=self.below(most)).map(|_| self.pick(from)).collect()
    }
}

fn command(line: &CommandLine) -> (bool, Vec<String>) {
    match line {
        CommandLine::Exec(arguments) => (true, arguments.clone()),
        CommandLine::Shell(text) if text.is_empty() => (false, Vec::new()),
        CommandLine::Shell(text) => (false, vec![text.clone()]),
    }
}

fn files(sources: &[Source], destination: &str) -> Value {
    let paths: Vec<_> = sources.iter().filter_map(|s| if let Source::Path(p) = s { Some(p) } else { None }).collect();
    let inline = sources.iter().filter_map(|source| match source {
        Source::Inline { name, content, .. } => Some(json!([name, content])),
        Source::Path(_) => None,
    });
    json!({"paths": paths, "inline": inline.collect::<Vec<_>>(), "destination": destination})
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

fn mount(mount: &Mount) -> Value {
    let sharing = mount.sharing.map_or("", |sharing| match sharing {
        Sharing::Shared => "shared",
        Sharing::Private => "private",
        Sharing::Locked => "locked",
    });
    json!({"type": mount.kind.word(), "from": text(&mount.from), "source": text(&mount.source),
        "target": text(&mount.target), "ro": mount.read_only, "size": mount.size.unwrap_or(0), "id": text(&mount.id),
        "sharing": sharing, "required": mount.required, "env": mount.env, "mode": mount.mode, "uid": mount.uid,
        "gid": mount.gid})
}

fn pairs(pairs: &[Pair]) -> Vec<Value> {
    pairs.iter().map(|pair| json!([pair.name, pair.value, pair.legacy])).collect()
}

fn arguments(all: &[ArgDeclaration]) -> Value {
    let list: Vec<_> = all.iter().map(|arg| json!([arg.name, arg.default])).collect();
    json!({"op": "ARG", "args": list})
}

fn dump(instruction: &Instruction) -> Value {
    let mut object = match instruction {
        Instruction::Add(add) => {
            let mut object = files(&add.sources, &add.destination);
            let more = json!({"chown": text(&add.chown), "chmod": text(&add.chmod), "link": add.link,
                "exclude": add.exclude, "checksum": text(&add.checksum), "keep_git_dir": add.keep_git_dir,
                "unpack": add.unpack});
            merge(&mut object, more);
            object
        }
        Instruction::Copy(copy) => {
            let mut object = files(&copy.sources, &copy.destination);
            let more = json!({"chown": text(&copy.chown), "chmod": text(&copy.chmod), "link": copy.link,
                "exclude": copy.exclude, "from": text(&copy.from), "parents": copy.parents});
            merge(&mut object, more);
            object
        }
        Instruction::Arg(all) => arguments(all),
        Instruction::Env(all) | Instruction::Label(all) => json!({"pairs": pairs(all)}),
        Instruction::Cmd(line) | Instruction::Entrypoint(line) => {
            let (json, command) = command(line);
            json!({"json": json, "command": command})
        }
        Instruction::Run(run) => {
            let (json, command) = command(&run.command);
            let heredocs: Vec<_> = run.heredocs.iter().map(|h| json!([h.name, h.content, h.strip_tabs])).collect();
            let mounts = run.mounts.iter().map(|one| match one {
                RunMount::Ready(ready) => mount(ready),
                RunMount::Written(text) => json!(text),
            });
            let network = match run.network {
                Network::Default => "default",
                Network::None => "none",
                Network::Host => "host",
            };
            let security = match run.security {
                Security::Sandbox => "sandbox",
                Security::Insecure => "insecure",
            };
            let devices: Vec<_> = run.devices.iter().map(|device| json!([device.name, device.required])).collect();
            json!({"json": json, "command": command, "heredocs": heredocs, "mounts": mounts.collect::<Vec<_>>(),
                "network": network, "security": security, "devices": devices})
        }
        Instruction::Healthcheck(Healthcheck::None) => json!({"test": ["NONE"], "retries": 0, "times": [0, 0, 0, 0]}),
        Instruction::Healthcheck(Healthcheck::Probe(probe)) => {
            let (exec, line) = command(&probe.command);
            let kind = if exec { "CMD" } else { "CMD-SHELL" };
            let test: Vec<_> = std::iter::once(kind.to_owned()).chain(line).collect();
            let times = [probe.interval, probe.timeout, probe.start_period, probe.start_interval];
            json!({"test": test, "retries": probe.retries, "times": times.map(|time| time.as_nanos() as u64)})
        }
        Instruction::Expose(ports) => {
            let mut ports = ports.clone();
            ports.sort();
            json!({"values": ports})
        }
        Instruction::Shell(list) | Instruction::Volume(list) => json!({"values": list}),
        Instruction::Onbuild(onbuild) => json!({"values": [onbuild.text]}),
        Instruction::Maintainer(one)
        | Instruction::StopSignal(one)
        | Instruction::User(one)
        | Instruction::Workdir(one) => json!({"values": [one]}),
    };
    merge(&mut object, json!({"op": instruction.keyword().word()}));
    object
}

fn merge(object: &mut Value, more: Value) {
    let (Value::Object(object), Value::Object(more)) = (object, more) else { panic!("two objects") };
    object.extend(more);
}

/// What this room makes of a file, in the oracle's words.
fn ours(source: &str) -> Result<Value, KubefileError> {
    let kubefile = parse(source, "Kubefile")?;
    let mut stages = Vec::new();
    for stage in &kubefile.stages {
        let base = stage.resolve(kubefile.escape, &lookup)?;
        let mut instructions = Vec::new();
        for located in &stage.instructions {
            let span = &located.origin.span;
            let mut one = json!({"written": dump(&located.value), "text": located.origin.text,
                "lines": [span.first_line, span.last_line]});
            let expanded = located.expand(kubefile.escape, &lookup)?;
            match &located.value {
                Instruction::Arg(_) | Instruction::Expose(_) => {}
                Instruction::Onbuild(onbuild) if kubefile.escape == Escape::Backslash => {
                    let trigger = sealos::kubefile::parse_trigger(&onbuild.text, "trigger")?;
                    assert_eq!(trigger.value, *onbuild.trigger, "{source}");
                    merge(&mut one, json!({"trigger": dump(&onbuild.trigger)}));
                }
                Instruction::Onbuild(_) => {}
                _ => merge(&mut one, json!({"expanded": dump(&expanded)})),
            }
            instructions.push(one);
        }
        let span = &stage.origin.span;
        stages.push(json!({"base": stage.base, "name": text(&stage.name), "platform": text(&stage.platform),
            "text": stage.origin.text, "resolved": base.base, "resolved_platform": text(&base.platform),
            "instructions": instructions, "lines": [span.first_line, span.last_line]}));
    }
    let mut global = Vec::new();
    for declarations in &kubefile.global_args {
        declarations.expand_check(kubefile.escape)?;
        global.push(arguments(&declarations.value));
    }
    let empty =
        kubefile.warnings.iter().filter(|warning| warning.caution == sealos::kubefile::Caution::EmptyContinuation);
    Ok(json!({"escape": kubefile.escape.char().to_string(), "global": global, "stages": stages,
        "empty_lines": empty.count()}))
}

trait ExpandCheck {
    fn expand_check(&self, escape: Escape) -> Result<(), KubefileError>;
}
impl ExpandCheck for sealos::kubefile::Located<Vec<ArgDeclaration>> {
    fn expand_check(&self, escape: Escape) -> Result<(), KubefileError> {
        let located =
            sealos::kubefile::Located { value: Instruction::Arg(self.value.clone()), origin: self.origin.clone() };
        located.expand(escape, &lookup).map(|_| ())
    }
}

/// BuildKit reads mounts only when it expands, so what it says of written ones is a placeholder.
fn without_written_mounts(mut answer: Value) -> Value {
    for stage in answer["stages"].as_array_mut().into_iter().flatten() {
        for one in stage["instructions"].as_array_mut().into_iter().flatten() {
            for part in ["written", "trigger"] {
                if let Some(object) = one.get_mut(part).and_then(Value::as_object_mut) {
                    object.remove("mounts");
                }
            }
        }
    }
    answer
}

/// Errors this room reports on purpose where BuildKit does not.
fn is_departure(error: &KubefileError) -> bool {
    matches!(error.problem(), Problem::DuplicateStage { .. } | Problem::UnclosedQuote { .. } | Problem::Port { .. })
}

fn compare_files(sources: &[String]) -> usize {
    let env = environment();
    let cases: Vec<_> = sources.iter().map(|text| json!({"kind": "file", "text": text, "env": env})).collect();
    let mut accepted = 0;
    for (source, theirs) in sources.iter().zip(ask(&cases)) {
        match (ours(source), theirs.get("error")) {
            (Err(_), Some(_)) => {}
            (Err(error), None) if is_departure(&error) => {}
            // A trigger is reread with a backslash, so the oracle leaves it alone where a file says otherwise.
            (Err(_), None) if source.contains('`') && source.to_uppercase().contains("ONBUILD") => {}
            (Err(error), None) => panic!("BuildKit accepts this:\n{source}\n--- but\n{error}\n{theirs}"),
            (Ok(_), Some(error)) => panic!("BuildKit refuses this:\n{source}\n--- because\n{error}"),
            (Ok(ours), None) => {
                accepted += 1;
                let (ours, theirs) = (without_written_mounts(ours), without_written_mounts(theirs));
                assert!(ours == theirs, "{source}\n--- ours\n{ours:#}\n--- BuildKit\n{theirs:#}");
            }
        }
    }
    accepted
}

#[test]
fn every_file_of_the_corpus_is_read_as_buildkit_reads_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kubefile/corpus");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("the corpus").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    let sources: Vec<_> = paths.iter().map(|path| std::fs::read_to_string(path).expect("a file")).collect();
    assert!(sources.len() >= 10, "the corpus is there");
    for (path, source) in paths.iter().zip(&sources) {
        assert_eq!(ours(source).err().map(|error| error.to_string()), None, "{}", path.display());
    }
    assert_eq!(compare_files(&sources), sources.len(), "every file of the corpus is accepted");
}

const LINES: &[&str] = &[
    "FROM scratch",
    "FROM a AS b",
    "FROM a as B2",
    "FROM --platform=$X a",
    "FROM a b",
    "from $FOO",
    "FROM ${EMPTY}",
    "RUN echo hi",
    "RUN [\"a\", \"b\"]",
    "RUN ['a']",
    "RUN [1]",
    "RUN",
    "CMD []",
    "ENTRYPOINT [ \"x\" ] ",
    "CMD a  b",
    "RUN --mount=type=cache,target=/c,sharing=locked x",
    "RUN --mount=type=bind,from=$X x",
    "RUN --mount=target=$FOO,rw x",
    "RUN --mount=type=tmpfs,size=1.5g,target=/t x",
    "RUN --mount=type=secret,id=s,required x",
    "RUN --mount=type=bindd x",
    "RUN --mount=\"type=secret,\"\"id=a\"\"\" x",
    "RUN --mount=mode=0755 x",
    "RUN --mount=type=ssh,mode=0600,uid=1 x",
    "RUN --network=none --security=insecure x",
    "RUN --network=lan x",
    "RUN --device=vendor/x=1,required y",
    "ENV A=1 B=\"two words\" C='$X' D=$X\\ y",
    "ENV A  one  two ",
    "ENV A",
    "ENV A=1 B",
    "ENV =1",
    "ENV A=\"open",
    "LABEL a.b=\"c d\" e=f\\\n g=h",
    "LABEL a b",
    "LABEL \"a b\"=c",
    "ARG A B=2 C=$X",
    "ARG",
    "ARG =1",
    "ARG A='x y'",
    "COPY a b c/",
    "COPY [\"a b\", \"c\"]",
    "COPY a",
    "COPY --chown=1:$X --chmod=755 --link --parents --exclude=*.o . /x",
    "COPY --from=0 a b",
    "COPY --from=$X a b",
    "COPY --link=false --link a b",
    "COPY --chwon=1 a b",
    "COPY --link=x a b",
    "COPY --from= a b",
    "COPY -- --a b",
    "COPY --chown=\"a b\" c d",
    "COPY --chown c d",
    "COPY <<a <<b /d/\n$X\na\n\\$X${FOO}\nb",
    "COPY <<'a' /d\n$X\na",
    "COPY <<-\"a\" /d\n\t\tx\n\ta",
    "COPY <<a /d\n$X",
    "COPY a <<b\nb",
    "COPY << a /x\n1\na",
    "RUN <<EOF\necho $X\nEOF",
    "RUN <<-EOF\n\t#!/bin/sh\n\tEOF",
    "RUN cat <<EOF > x\nhi\nEOF",
    "RUN 0<<EOF\nx\r\nEOF\r",
    "RUN cat <<A <<'B' && x \"<<C\"\n1\nA\n2\nB",
    "RUN a <<<b",
    "RUN x <<\"A B\"\n1\nA B",
    "RUN it's <<EOF",
    "ADD --checksum=sha256:$X --keep-git-dir --unpack=false http://x/y /z",
    "ADD --from=a b c",
    "ADD a b",
    "WORKDIR /a/$FOO",
    "WORKDIR",
    "WORKDIR a b",
    "EXPOSE 80 443/tcp",
    "EXPOSE $PORT",
    "EXPOSE",
    "USER a:$X",
    "USER --x a",
    "VOLUME /a $DIR",
    "VOLUME [\"/a\", \" /b \"]",
    "VOLUME []",
    "VOLUME [\"\"]",
    "STOPSIGNAL SIG$FOO",
    "STOPSIGNAL --x 9",
    "SHELL [\"a\", \"-c\"]",
    "SHELL a b",
    "SHELL []",
    "MAINTAINER me <a@b>",
    "MAINTAINER",
    "HEALTHCHECK NONE",
    "HEALTHCHECK NONE x",
    "HEALTHCHECK --interval=1m30s --timeout=.5s --retries=3 CMD a b",
    "HEALTHCHECK --start-period=0 --start-interval=5ms cmd [\"a\"]",
    "HEALTHCHECK CMD",
    "HEALTHCHECK x",
    "HEALTHCHECK",
    "HEALTHCHECK --interval=1us CMD a",
    "HEALTHCHECK --retries=-1 CMD a",
    "HEALTHCHECK --interval=5 CMD a",
    "ONBUILD RUN a <<EOF\nb\nEOF",
    "ONBUILD COPY --from=0 a b",
    "ONBUILD ONBUILD RUN a",
    "ONBUILD FROM a",
    "ONBUILD",
    "onbuild  ENV A=1\\\n B=2",
    "ONBUILD ADD <<-a /x\n\ty\n\ta",
    "FOO bar",
    "# comment",
    "",
    "  ",
    "\\",
    "#escape=`",
    "RUN a \\\n\n  b",
    "RUN a \\\n # note\n b \\ \n c",
    "RUN a \\\\\n",
    "RUN a \\\t\n\tb",
    "\tRUN\tx\ty",
    "RUN a\r",
    "RUN `\n b",
];

#[test]
fn generated_files_are_read_as_buildkit_reads_them() {
    let mut dice = Dice(1);
    let mut sources: Vec<String> = LINES.iter().map(|line| format!("FROM x\n{line}\n")).collect();
    sources.extend(LINES.iter().map(|line| format!("{line}\nFROM x")));
    for escape in ["", "# escape=`\n", "#ESCAPE = \\\n", "# syntax=a/b:1\n#check=skip=all\n# escape=`\n", "\u{feff}"] {
        for _ in 0..600 {
            let lines: Vec<_> = (0..dice.below(5)).map(|_| dice.pick(LINES)).collect();
            sources.push(format!("{escape}FROM x\n{}", lines.join("\n")));
        }
        for _ in 0..600 {
            let keyword =
                dice.pick(&["RUN ", "ENV ", "COPY ", "LABEL ", "ARG ", "VOLUME ", "HEALTHCHECK ", "ONBUILD ", "USER "]);
            let line = dice.join(
                &[
                    "a", " ", "=", "\"", "'", "\\", "`", "$X", "${FOO", "}", "<<", "EOF", "-", "--", "\n", "[", "]",
                    ",", "#", "\t", "--mount=", "--from=", "CMD", "COPY ", ":-", "é",
                ],
                14,
            );
            // BuildKit reads flags byte by byte and garbles what is not ASCII.
            if !(line.contains('é') && line.contains("--")) {
                sources.push(format!("{escape}FROM x\n{keyword}{line}\nEOF\n"));
            }
        }
    }
    let accepted = compare_files(&sources);
    assert!(accepted * 6 > sources.len(), "enough are legal: {accepted} of {}", sources.len());
}

#[test]
fn words_are_expanded_as_buildkit_expands_them() {
    let pieces = [
        "$X",
        "${X}",
        "$FOO",
        "${FOO:-d}",
        "${NO-d}",
        "${NO:-$X}",
        "${EMPTY:-e}",
        "${EMPTY-e}",
        "${FOO:+p}",
        "${NO+p}",
        "${FOO:?e}",
        "${NO:?e}",
        "${EMPTY?e}",
        "${EMPTY:?}",
        "${VERSION#*.}",
        "${VERSION##*.}",
        "${VERSION%.*}",
        "${VERSION%%.*}",
        "${FILE/a/o}",
        "${FILE//a/o}",
        "${FILE//[.]/_}",
        "${FILE/\\./\\/}",
        "${DIR%?}",
        "${FILE#'a'}",
        "${FILE%\"gz\"}",
        "${FILE//\\*/x}",
        "${FILE#\\q}",
        "$(pwd)",
        "\\$X",
        "'$X'",
        "\"$X\"",
        "\"\\$X\"",
        "\"a b\"",
        "a",
        " ",
        "\\",
        "`",
        "'",
        "\"",
        "$",
        "{",
        "}",
        "${",
        ":",
        "/",
        "$$",
        "$1",
        "$10x",
        "${X",
        "${}",
        "${X:=a}",
        "<",
        "<<",
        "é",
        "\t",
        "${NO:-\"a}b\"}",
        "${NO:-'q'}",
        "${NO:-${X:-y}}",
        "$X_y",
        "$DIR",
        "#",
        "%",
        "*",
        "?",
    ];
    let mut dice = Dice(2);
    let mut texts: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    texts.extend((0..12_000).map(|_| dice.join(&pieces, 5)));
    let env = environment();
    let mut cases = Vec::new();
    for escape in ["\\", "`"] {
        cases.extend(texts.iter().map(|text| json!({"kind": "word", "text": text, "escape": escape, "env": env})));
    }
    for (case, theirs) in cases.iter().zip(ask(&cases)) {
        let text = case["text"].as_str().expect("text");
        let escape = if case["escape"] == "`" { Escape::Backtick } else { Escape::Backslash };
        let word = expand::word(text, escape, &lookup);
        assert_eq!(word.as_deref().ok(), theirs["word"].as_str(), "{text:?} {escape:?} {word:?} {theirs}");
        if word.is_err() {
            continue;
        }
        let body = expand::heredoc(text, &lookup).unwrap_or_else(|_| "error".to_owned());
        assert_eq!(theirs["body"], json!(body), "{text:?}");
        // BuildKit forgets the word before a nested one; see `expand`.
        let nested = ["-", "+", "?", "#", "%", "/"].iter().any(|mark| text.contains(mark)) && text.contains("${");
        if !nested {
            let words = expand::words(text, escape, &lookup).expect("words, as there is a word");
            assert_eq!(theirs["words"], json!(words), "{text:?} {escape:?}");
        }
    }
}

const PATHS: &[&str] = &[
    "a",
    "b",
    "a/b",
    "a/b/c",
    "b/a",
    "a.log",
    "x/a.log",
    "x/y/a.log",
    "ab",
    "abc/d",
    "a*b",
    "-",
    "]",
    "x/a/b",
    "foo",
    "bar/foo",
    "barfoo",
    "x/foo/y",
    "é",
    ".",
    "a/./b",
    "a b",
    "!a",
    "x/!a/b",
];

#[test]
fn ignore_files_decide_as_mobys_pattern_matcher() {
    let pieces = [
        "a", "b", "*", "?", "/", "**", "**/", "/**", "[ab]", "[^a]", "[a-c]", "\\*", "\\[", "foo", ".log", ".", "..",
        "!", "é", "(", "+", "$", ")", "]", " ",
    ];
    let mut dice = Dice(3);
    let fixed = [
        "*\n!a\n",
        "a\n!a/b\na/b/c\n",
        "**/a\n",
        "**foo\n",
        "foo**\n",
        "a/**\n!a/b\n",
        "/a/\n",
        " a \n#b\n\tb\n",
        "# a\n#\n",
        "!\n",
        "! a\n",
        "**\n!**/*.log\n",
        "\u{feff}a\r\nb\r\n",
        "a//b/./c/..\n",
        "***\n",
        "**/**\n",
        "*/*\n",
        "..\n",
        "/\n",
        "x/**/b\n",
        "a\\\n",
        "a\\*b\n",
        "[b-a]\n",
        "a[\n",
        "[^]\n",
    ];
    let mut texts: Vec<String> = fixed.iter().map(|text| (*text).to_owned()).collect();
    for _ in 0..6_000 {
        let lines: Vec<_> = (0..=dice.below(4)).map(|_| dice.join(&pieces, 5)).collect();
        texts.push(lines.join("\n"));
    }
    let cases: Vec<_> = texts.iter().map(|text| json!({"kind": "ignore", "text": text, "paths": PATHS})).collect();
    let mut accepted = 0;
    for (text, theirs) in texts.iter().zip(ask(&cases)) {
        match IgnoreFile::parse(text, ".containerignore") {
            Err(error) => assert!(theirs.get("error").is_some(), "moby accepts {text:?}: {error}"),
            Ok(ignore) => {
                accepted += 1;
                let decisions: Vec<_> = PATHS.iter().map(|path| ignore.ignored(path)).collect();
                assert_eq!(theirs["ignored"], json!(decisions), "{text:?} on {PATHS:?}: {theirs}");
            }
        }
    }
    assert!(accepted * 3 > texts.len(), "enough are legal: {accepted} of {}", texts.len());
}

#[test]
fn globs_match_as_go_matches_them() {
    let pieces = [
        "a", "b", "*", "?", "/", "[ab]", "[^a]", "[a-c]", "[c-a]", "[\\]-]", "[", "\\*", "foo", ".log", "\\", "]", "-",
        "é",
    ];
    let mut dice = Dice(4);
    let texts: Vec<String> = (0..8_000).map(|_| dice.join(&pieces, 5)).collect();
    let cases: Vec<_> = texts.iter().map(|text| json!({"kind": "glob", "text": text, "paths": PATHS})).collect();
    for (text, theirs) in texts.iter().zip(ask(&cases)) {
        match glob::Pattern::parse(text) {
            // Go does not look at the rest of a pattern once a path does not match.
            Err(error) => assert!(!theirs["matched"].to_string().contains("true"), "Go matches {text:?}: {error}"),
            Ok(pattern) => {
                let decisions: Vec<_> = PATHS.iter().map(|path| pattern.matches(path)).collect();
                assert_eq!(theirs["matched"], json!(decisions), "{text:?} on {PATHS:?}");
            }
        }
    }
}
