//! Tests of the room as a whole. The comparison with BuildKit is in `tests/kubefile_oracle.rs`.

use std::path::{Path, PathBuf};

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::instruction::{CommandLine, Instruction, Script};
use super::{Escape, IgnoreFile, Kubefile, Problem, RunMount, Source, expand, glob, parse, parse_trigger};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kubefile").join(name)
}

fn read(text: &str) -> Kubefile {
    parse(text, "Kubefile").unwrap_or_else(|error| panic!("{error}"))
}

fn only(text: &str) -> super::Located<Instruction> {
    let mut kubefile = read(&format!("FROM scratch\n{text}"));
    assert_eq!(kubefile.stages[0].instructions.len(), 1, "{text}");
    kubefile.stages[0].instructions.remove(0)
}

/// Compares with `testdata/kubefile/<name>`; `BLESS=1` writes it anew.
fn golden(name: &str, actual: &str) {
    let path = testdata(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, actual).expect("the golden is written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{}; BLESS=1 rewrites it", path.display());
}

#[test]
fn each_error_shows_its_line_and_a_way_out() {
    let texts = [
        "FROM scratch\n\nCOYP . /",
        "FROM scratch\nCOPY --chwon=1:1 . /",
        "FROM scratch\nRUN a \\\n  --mount=x\nCOPY \\\n  --form=a \\\n  b c",
        "# escape=x\nFROM a",
        "# escape=`\n# escape=`\nFROM a",
        "",
        "ARG A\n",
        "RUN echo\nFROM a",
        "FROM a b",
        "FROM",
        "FROM a AS 1x",
        "FROM a AS x\nFROM b AS X",
        "FROM a\nENV A=\"x",
        "FROM a\nENV A=1 B",
        "FROM a\nENV =x",
        "FROM a\nENV A=${B",
        "FROM a\nUSER ${X!y}",
        "FROM a\nCOPY a",
        "FROM a\nCOPY <<EOF /x\nhello",
        "FROM a\nCOPY a <<EOF\nEOF",
        "FROM a\nCOPY --from=$X a b",
        "FROM a\nCOPY --link=x a b",
        "FROM a\nCOPY --chown a b",
        "FROM a\nCOPY --chown=1 --chown=2 a b",
        "FROM a\nCOPY --chown='1 a b",
        "FROM a\nRUN [1, 2]",
        "FROM a\nSHELL bash -c",
        "FROM a\nRUN --mount=type=cahce,target=/x true",
        "FROM a\nRUN --mount=type=cache,traget=/x true",
        "FROM a\nRUN --network=hots true",
        "FROM a\nHEALTHCHECK --interval=5 CMD true",
        "FROM a\nHEALTHCHECK --retries=x CMD true",
        "FROM a\nHEALTHCHECK curl localhost",
        "FROM a\nEXPOSE 80 htpp",
        "FROM a\nONBUILD ONBUILD RUN x",
        "FROM a\nONBUILD FROM x",
        "FROM a\nONBUILD COYP a b",
        "FROM a\nVOLUME [\"\"]",
        "FROM a\nWORKDIR",
    ];
    let mut all = String::new();
    for text in texts {
        let error = parse(text, "Kubefile").expect_err(text);
        all.push_str(&format!("{error}\n\n"));
    }
    golden("errors.txt", &all);
}

#[test]
fn errors_of_expansion_point_into_the_instruction() {
    let mut all = String::new();
    for text in ["ENV A=1 \\\n  B=${NOPE:?name_it}", "EXPOSE 80 $PORT", "RUN --mount=type=$PORT x", "USER ${X#\\a}"] {
        let error = only(text).expand(Escape::Backslash, &|name| (name == "PORT").then(|| "http".to_owned()));
        all.push_str(&format!("{}\n\n", error.expect_err(text)));
    }
    let kubefile = read("FROM $BASE AS one\nFROM b AS two");
    let lookup = |_: &str| None;
    all.push_str(&format!("{}\n\n", kubefile.stages[0].resolve(Escape::Backslash, &lookup).expect_err("blank")));
    all.push_str(&format!("{}\n\n", kubefile.target(Some("tow")).expect_err("no such stage")));
    golden("expansion-errors.txt", &all);
}

#[test]
fn each_warning_shows_its_line() {
    let text = "FROM a\nCMD ['x']\nCMD b\nRUN a \\\n\n b\nRUN [ -f x ] && y\nRUN ['a']\nENTRYPOINT\nMAINTAINER me\n\
                STOPSIGNAL --now 9\nVOLUME [a]\n";
    let warnings = read(text).warnings;
    let all: String = warnings.iter().map(|warning| format!("{warning}\n\n")).collect();
    golden("warnings.txt", &all);
}

#[test]
fn a_script_is_what_the_shell_needs() {
    for (text, script) in [
        ("RUN a  b", Script::Shell("a  b".to_owned())),
        ("RUN [\"a\"]", Script::Exec(vec!["a".to_owned()])),
        ("RUN <<EOF\na\n$b\nEOF", Script::Shell("a\n$b\n".to_owned())),
        ("RUN <<-EOF\n\t\ta\n\tEOF", Script::Shell("a\n".to_owned())),
        ("RUN <<EOF\n#!/bin/x\na\nEOF", Script::File { name: "EOF".to_owned(), content: "#!/bin/x\na\n".to_owned() }),
        ("RUN cat <<A 3<<B\n1\nA\n2\nB", Script::Shell("cat <<A 3<<B\n1\nA\n2\nB".to_owned())),
    ] {
        let Instruction::Run(run) = only(text).value else { panic!("{text}") };
        assert_eq!(run.script(), script, "{text}");
    }
}

#[test]
fn one_env_is_expanded_against_the_environment_before_it() {
    let located = only("ENV A=new B=$A C='$A' D=\\$A");
    let expanded = located.expand(Escape::Backslash, &|name| (name == "A").then(|| "old".to_owned()));
    let Ok(Instruction::Env(pairs)) = expanded else { panic!("an ENV") };
    let values: Vec<_> = pairs.iter().map(|pair| pair.value.as_str()).collect();
    assert_eq!(values, ["new", "old", "$A", "$A"]);
}

#[test]
fn a_later_argument_sees_the_default_of_an_earlier_one() {
    let expanded = only("ARG A=1 B=$A$X C").expand(Escape::Backslash, &|name| (name == "X").then(|| "x".to_owned()));
    let Ok(Instruction::Arg(all)) = expanded else { panic!("an ARG") };
    let defaults: Vec<_> = all.iter().map(|arg| arg.default.as_deref()).collect();
    assert_eq!(defaults, [Some("1"), Some("1x"), None]);
}

#[test]
fn commands_are_never_expanded_and_copied_heredocs_are_unless_quoted() {
    let lookup = |_: &str| Some("value".to_owned());
    for text in ["RUN echo $X", "CMD echo $X", "ENTRYPOINT [\"$X\"]", "HEALTHCHECK CMD $X", "ONBUILD USER $X"] {
        let located = only(text);
        assert_eq!(located.expand(Escape::Backslash, &lookup).as_ref(), Ok(&located.value), "{text}");
    }
    let expanded = only("COPY <<a <<'b' /\n$X '$X' \\$X\na\n$X\nb").expand(Escape::Backslash, &lookup);
    let Ok(Instruction::Copy(copy)) = expanded else { panic!("a COPY") };
    let contents = copy.sources.iter().map(|source| match source {
        Source::Inline { content, expand, .. } => (content.as_str(), *expand),
        Source::Path(path) => panic!("{path}"),
    });
    assert_eq!(contents.collect::<Vec<_>>(), [("value 'value' $X\n", false), ("$X\n", false)]);
}

#[test]
fn a_mount_with_a_variable_is_typed_when_expanded() {
    let located = only("RUN --mount=type=cache,id=$X,target=/a --mount=type=tmpfs,target=/t x");
    let Instruction::Run(run) = &located.value else { panic!("a RUN") };
    assert!(matches!(&run.mounts[..], [RunMount::Written(_), RunMount::Ready(_)]), "{:?}", run.mounts);
    let Ok(Instruction::Run(run)) = located.expand(Escape::Backslash, &|_| Some("v".to_owned())) else { panic!() };
    let RunMount::Ready(mount) = &run.mounts[0] else { panic!("expanded") };
    assert_eq!((mount.id.as_deref(), mount.read_only), (Some("v"), false));
}

#[test]
fn stages_are_found_by_name_in_any_case_or_by_index() {
    let kubefile = read("FROM a AS Build\nFROM build\nFROM c AS last");
    for (name, index) in [("build", Some(0)), ("BUILD", Some(0)), ("1", Some(1)), ("last", Some(2)), ("3", None)] {
        assert_eq!(kubefile.stage(name), index, "{name}");
    }
    assert_eq!(kubefile.stage_before("last", 2), None, "a later stage cannot be copied from");
    assert_eq!(kubefile.base_stage("0", 1), None, "FROM 0 is an image");
    assert_eq!(kubefile.target(None), Ok(2));
    assert_eq!(kubefile.target(Some("Build")), Ok(0));
}

#[test]
fn a_trigger_is_one_instruction_that_may_wait() {
    assert!(parse_trigger("COPY <<a /\nx\na", "image").is_ok());
    for text in ["FROM a", "ONBUILD RUN x", "MAINTAINER x", "RUN a\nRUN b", ""] {
        assert!(parse_trigger(text, "image").is_err(), "{text}");
    }
}

#[test]
fn words_are_not_lost_before_a_nested_one() {
    let lookup = |_: &str| None;
    assert_eq!(expand::words("80${X:-80} 1", Escape::Backslash, &lookup), Ok(vec!["8080".into(), "1".into()]));
    assert_eq!(expand::word("${X-a}/$(Y)", Escape::Backslash, &lookup).as_deref(), Ok("a/$(Y)"));
    assert_eq!(
        expand::undefined("$A ${B:-$C}$A", Escape::Backslash, &lookup),
        Ok(vec!["A".into(), "C".into(), "B".into()])
    );
}

#[test]
fn expansions_are_bounded() {
    let deep = format!("{}{}", "${X:-".repeat(5000), "}".repeat(5000));
    assert_eq!(expand::word(&deep, Escape::Backslash, &|_| None), Err(super::ExpandError::TooDeep));
    let long = "$X".repeat(5000);
    let value = "x".repeat(1000);
    assert_eq!(expand::word(&long, Escape::Backslash, &|_| Some(value.clone())), Err(super::ExpandError::TooLong));
    let error = parse(&format!("FROM a\nENV A={deep}"), "K").expect_err("too deep");
    assert_eq!(*error.problem(), Problem::Expansion(super::ExpandError::TooDeep));
}

#[test]
fn the_text_of_an_instruction_is_one_line() {
    let kubefile = read("FROM a\nRUN one \\\n  # note\n  two <<EOF\nbody\nEOF\n");
    let origin = &kubefile.stages[0].instructions[0].origin;
    assert_eq!(origin.text, "RUN one   two <<EOF");
    assert_eq!((origin.span.first_line, origin.span.last_line, origin.span.column), (2, 6, 1));
    assert_eq!(&*origin.source, "RUN one \\\n  # note\n  two <<EOF\nbody\nEOF\n");
    assert_eq!(
        kubefile.stages[0].instructions[0].value.keyword().word(),
        "RUN",
        "heredocs stay out of the text but in the instruction"
    );
}

#[test]
fn an_empty_entrypoint_is_not_a_shell_command() {
    assert_eq!(only("ENTRYPOINT []").value, Instruction::Entrypoint(CommandLine::Exec(Vec::new())));
}

#[test]
fn an_excluded_directory_is_walked_only_for_exceptions_below_it() {
    for (text, directory, walk) in [
        ("a", "a", false),
        ("*\n!a/b/c", "a", true),
        ("*\n!a/b/c", "a/b", true),
        ("*\n!a/b/c", "x", false),
        ("*\n!**/keep", "x/y", true),
        ("*\n!a/*/c", "a/b", true),
        ("*\n!a/*/c", "b", false),
        ("*\n!a*", "x", false),
        ("*\n!a/**", "a/b", true),
        ("*\n!a", "a/b", true),
    ] {
        let ignore = IgnoreFile::parse(text, ".containerignore").expect(text);
        assert_eq!(ignore.may_reinclude_under(directory), walk, "{text:?} {directory}");
    }
    let error = IgnoreFile::parse("ok\n  a[\n", ".containerignore").expect_err("a bad pattern");
    golden("ignore-error.txt", &format!("{error}\n"));
}

/// The definition of a pattern, one rule after the other, without any cleverness.
fn naive(pattern: &[char], path: &[char]) -> bool {
    match pattern {
        [] => path.is_empty(),
        ['*', '*', '/', rest @ ..] if !rest.is_empty() => {
            naive(rest, path) || (0..path.len()).any(|at| path[at] == '/' && naive(rest, &path[at + 1..]))
        }
        ['*', '*', ..] => true,
        ['*', rest @ ..] => {
            let end = path.iter().position(|c| *c == '/').unwrap_or(path.len());
            (0..=end).any(|at| naive(rest, &path[at..]))
        }
        ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && naive(rest, &path[1..]),
        [c, rest @ ..] => path.first() == Some(c) && naive(rest, &path[1..]),
    }
}

fn naive_ignored(lines: &[String], path: &str) -> bool {
    let chars: Vec<char> = path.chars().collect();
    let ends = (0..=chars.len()).filter(|end| *end == chars.len() || chars[*end] == '/');
    let prefixes: Vec<&[char]> = ends.map(|end| &chars[..end]).collect();
    lines.iter().fold(false, |ignored, line| {
        let (exception, pattern) = line.strip_prefix('!').map_or((false, line.as_str()), |rest| (true, rest));
        let pattern: Vec<char> = pattern.chars().collect();
        if prefixes.iter().any(|prefix| naive(&pattern, prefix)) { !exception } else { ignored }
    })
}

proptest! {
    #[test]
    fn any_text_parses_or_fails_with_a_place_inside_it(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_text_of_kubefile_words_parses_or_fails_with_a_place_inside_it(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "FROM a", "RUN ", "COPY ", "ENV ", "ONBUILD ", "HEALTHCHECK ", "LABEL ", "ARG ", "EXPOSE ", "\n", "\n", "\\\n",
                "<<E", "E\n", "\"", "'", "$", "${", "}", "a", "=", " ", "--mount=", "--from=", "[", "]", "#", "é", "\r\n", "\t",
                "# escape=`\n", "`\n", ":-", "/", "%", ",", "type=cache", "CMD ",
            ]),
            0..40,
        ),
    ) {
        check(&format!("FROM x\n{}", words.concat()))?;
    }

    #[test]
    fn any_text_expands_or_fails(text in "[$a-z{}:?+/#%'\"\\\\*é \\-]{0,40}") {
        let lookup = |name: &str| (name.len() == 1).then(|| "a/b*\\".to_owned());
        for escape in [Escape::Backslash, Escape::Backtick] {
            let word = expand::word(&text, escape, &lookup);
            prop_assert_eq!(word.is_ok(), expand::words(&text, escape, &lookup).is_ok());
        }
    }

    #[test]
    fn ignore_files_agree_with_the_definition(
        lines in prop::collection::vec("!?[ab?*]{1,3}(/([ab*]|\\*\\*|ab)){0,3}", 0..5),
        path in "[ab]{1,3}(/[ab]{1,2}){0,3}",
    ) {
        // Text next to `**` is compared as moby does; the comparison with moby itself is elsewhere.
        let plain: Vec<String> = lines.into_iter().filter(|line| {
            let elements: Vec<&str> = line.trim_start_matches('!').split('/').collect();
            elements.iter().all(|element| !element.contains("**") || *element == "**")
                && !elements.windows(2).any(|pair| pair == ["**", "**"])
        }).collect();
        let ignore = IgnoreFile::parse(&plain.join("\n"), ".containerignore");
        let ignore = ignore.map_err(|error| proptest::test_runner::TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(ignore.ignored(&path), naive_ignored(&plain, &path), "{:?} {}", plain, path);
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        for parent in parents {
            if ignore.ignored(parent) && !ignore.ignored(&path) {
                prop_assert!(ignore.may_reinclude_under(parent), "{plain:?} {parent} {path}");
            }
        }
    }

    #[test]
    fn globs_agree_with_the_definition(pattern in "[ab?*/]{0,8}", path in "[ab/]{0,8}") {
        if !pattern.contains("**") {
            let (chars, target): (Vec<char>, Vec<char>) = (pattern.chars().collect(), path.chars().collect());
            let parsed = glob::Pattern::parse(&pattern).map_err(|e| proptest::test_runner::TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(parsed.matches(&path), naive(&chars, &target), "{} {}", pattern, path);
        }
    }
}

fn check(text: &str) -> Result<(), proptest::test_runner::TestCaseError> {
    let lines = text.split_inclusive('\n').count().max(1);
    match parse(text, "Kubefile") {
        Ok(kubefile) => {
            for stage in &kubefile.stages {
                for located in &stage.instructions {
                    let span = &located.origin.span;
                    prop_assert!(1 <= span.first_line && span.first_line <= span.last_line && span.last_line <= lines);
                    let expanded = located.expand(kubefile.escape, &|_| Some("v".to_owned()));
                    if let Err(error) = expanded {
                        prop_assert!(error.place().line <= span.last_line);
                    }
                }
            }
            for warning in &kubefile.warnings {
                prop_assert!(warning.place.line <= lines);
            }
        }
        Err(error) => {
            let place = error.place();
            prop_assert!(1 <= place.line && place.line <= lines, "{error}");
            prop_assert!(place.column <= place.source.chars().count() + 1, "{error}");
        }
    }
    Ok(())
}
