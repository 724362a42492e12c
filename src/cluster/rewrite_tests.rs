//! What [`super::rewrite`] promises, proven with a real shell.
use std::process::Command;

use proptest::prelude::*;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    let mut environment = Environment::default();
    for (name, value) in pairs {
        environment.set(name, value);
    }
    environment
}

/// Runs a script as `execute` does: the values in the environment.
fn run(script: &ShellScript, environment: &Environment, shell: &str) -> String {
    let aliases = script.aliases.iter().map(|(alias, name)| (alias.as_str(), environment.get(name).unwrap()));
    let mut command = Command::new(shell);
    command.env_clear().env("PATH", "/usr/bin:/bin").envs(environment.iter()).envs(aliases);
    let output = command.args(["-c", &script.text]).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn references_become_the_shells_own() {
    let known = environment(&[("A", ""), ("B_1", ""), ("a.b", ""), ("UID", ""), ("SEALOS_VALUE_1", "")]);
    for (text, want) in [
        ("", ""),
        ("echo $(A) ${A} $A.", "echo ${A} ${A} ${A}."),
        ("echo \"$(A)x\" $B_1", "echo \"${A}x\" ${B_1}"),
        ("echo '$(A)'", "echo ''\"${A}\"''"),
        ("echo $HOME ${HOME} $(date) $AB", "echo $HOME ${HOME} $(date) $AB"),
        ("echo ${A:-x} '${A:-x}'", "echo ${A:-x} '${A:-x}'"),
        ("for i in 1; do echo $$i; done", "for i in 1; do echo $i; done"),
        ("awk '{print $$1}' $1", "awk '{print $1}' $1"),
        ("echo $$(date) $$$$", "echo $(date) $$"),
        ("echo $$$A \"$$${A}\" '$$$A'", "echo \\$${A} \"\\$${A}\" '$'\"${A}\"''"),
        ("echo \\$A \"\\$(A)\" \\\\$A", "echo \\$A \"\\$(A)\" \\\\${A}"),
        ("echo \"$(ls '$A')\"", "echo \"$(ls ''\"${A}\"'')\""),
        ("echo $((1 + $(A) << 2)) '$A'", "echo $((1 + ${A} << 2)) ''\"${A}\"''"),
        ("echo `ls '$A'` \"`ls '$A'`\"", "echo `ls ''\"${A}\"''` \"`ls ''\"${A}\"''`\""),
        ("echo a#'$A' # it's $A\necho $A", "echo a#''\"${A}\"'' # it's $A\necho ${A}"),
        ("echo \\ #'$A'", "echo \\ #''\"${A}\"''"),
        ("echo ${HOME:-'$A'} \"${HOME:-'$A'}\"", "echo ${HOME:-''\"${A}\"''} \"${HOME:-'${A}'}\""),
        ("cat <<E; echo '$A'\nit's $A\nE\necho '$A'", "cat <<E; echo ''\"${A}\"''\nit's ${A}\nE\necho ''\"${A}\"''"),
        ("cat <<'E'\n`it's` \\ $x $A $$\nE\n$A", "cat <<E\n\\`it's\\` \\\\ \\$x ${A} \\$\nE\n${A}"),
        ("cat <<'E'\n`it's` $x\nE\n", "cat <<'E'\n`it's` $x\nE\n"),
        ("cat <<-\"E\" <<F\n\t$A\n\tE\n'$A'\nF\n'$A'", "cat <<-E <<F\n\t${A}\n\tE\n'${A}'\nF\n''\"${A}\"''"),
        ("cat <<'E E'\n$A\nE E\n$A", "cat <<'E E'\n$A\nE E\n${A}"),
        ("cat <<<'$A'", "cat <<<''\"${A}\"''"),
        ("echo $(a.b) $UID ${a.b}", "echo ${SEALOS_VALUE_2} ${SEALOS_VALUE_3} ${SEALOS_VALUE_2}"),
        ("echo é$(A)é '$(A", "echo é${A}é '$(A"),
        ("x) $(A) '", "x) ${A} '"),
    ] {
        assert_eq!(rewrite(text, &known).text, want, "{text}");
    }
}

#[test]
fn values_arrive_as_they_are_and_nothing_in_them_runs() {
    let directory = tempfile::tempdir().unwrap();
    let canary = directory.path().join("canary");
    let touch = format!("touch {}", canary.display());
    let mut hostile: Vec<String> =
        ["; X", "`X`", "$(X)", "'; X; '", "\"; X; \"", "\n X\n", "' X", "${y:-`X`}", "E\n X\n"]
            .iter()
            .map(|value| value.replace('X', &touch))
            .collect();
    hostile.extend(["*", "$HOME $A $$", "\\", "a'b\"c", "é ü", "--x", "a  b"].map(str::to_owned));
    for value in &hostile {
        let environment = environment(&[("A", value), ("a.b", value), ("UID", value)]);
        for (text, want) in [
            ("printf %s \"$(A)\"", value.clone()),
            ("printf %s '$(A)'", value.clone()),
            ("printf %s 'x$A'y\"${A}\"", format!("x{value}y{value}")),
            ("printf %s \"$(a.b)\" '$UID'", format!("{value}{value}")),
            ("printf %s \"$$$A\"", format!("${value}")),
            ("cat <<E\n$(A)\nE", format!("{value}\n")),
            ("cat <<'E'\n$(A) $x\nE", format!("{value} $x\n")),
            ("printf %s \"$(printf %s '$(A)')\"", value.trim_end_matches('\n').to_owned()),
        ] {
            for shell in ["/bin/sh", "bash"] {
                assert_eq!(
                    run(&rewrite(text, &environment), &environment, shell),
                    want,
                    "{shell}: {text} with {value:?}"
                );
            }
        }
        run(&rewrite("set -- $(A) ${A}$A; : $(a.b) $((1$A))", &environment), &environment, "/bin/sh");
        assert!(!canary.exists(), "{value:?} was executed");
    }
}

#[test]
fn a_value_outside_quotes_is_split_into_words() {
    let environment = environment(&[("OPTIONS", "--set a=b  --wait")]);
    let script = rewrite("printf '<%s>' $(OPTIONS)", &environment);
    assert_eq!(run(&script, &environment, "/bin/sh"), "<--set><a=b><--wait>");
}

/// What the Go sealos does: the value goes into the text.
fn spliced(text: &str, environment: &Environment) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let references = |(name, value): (&str, &str)| {
            [format!("$({name})"), format!("${{{name}}}"), format!("${name}")]
                .into_iter()
                .find(|reference| rest.starts_with(reference.as_str()))
                .map(|reference| (reference.len(), value.to_owned()))
        };
        let (length, value) = if rest.starts_with("$$") {
            (2, "$".to_owned())
        } else {
            environment.iter().find_map(references).unwrap_or((c.len_utf8(), c.to_string()))
        };
        out.push_str(&value);
        rest = &rest[length..];
    }
    out
}

fn reference() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "$(A)",
        "${A}",
        "$A,",
        "$(BB)",
        "${BB}",
        "$$,",
        "$${x}",
        "x",
        " ",
        "=",
        "it",
        "$(echo $(A))",
    ])
    .prop_map(str::to_owned)
}

fn word() -> impl Strategy<Value = String> {
    let inner = || prop::collection::vec(reference(), 0..4).prop_map(|parts| parts.concat());
    prop_oneof![
        inner().prop_map(|text| text.replace(' ', "")),
        inner().prop_map(|text| format!("\"{text}\"")),
        inner().prop_map(|text| format!("'{text}'")),
        inner().prop_map(|text| format!("\"$(printf %s '{text}' \"{text}\")\"")),
        inner().prop_map(|text| format!("`printf %s '{text}' {text}`")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn with_harmless_values_the_result_is_that_of_putting_them_in(
        words in prop::collection::vec(word(), 1..5), a in "[a-z0-9./:-]{1,8}", b in "[a-zA-Z0-9,+@-]{1,8}",
    ) {
        let environment = environment(&[("A", &a), ("BB", &b)]);
        let text = format!("printf '<%s>' x {}", words.join(" "));
        let old = ShellScript { text: spliced(&text, &environment), aliases: BTreeMap::new() };
        let new = rewrite(&text, &environment);
        prop_assert_eq!(run(&old, &environment, "/bin/sh"), run(&new, &environment, "/bin/sh"), "{} -> {}", text, new.text);
    }

    #[test]
    fn any_text_is_rewritten_without_values_and_nothing_changes_without_references(text in "[\\PC\n]{0,60}|[$(){}'\"`\\\\<#A\n -]{0,40}") {
        let secret = environment(&[("A", "\u{1}"), ("B", "\u{1}")]);
        let script = rewrite(&text, &secret);
        prop_assert!(!script.text.contains('\u{1}'), "a value is in the text");
        let same = rewrite(&text.replace("$$", ""), &Environment::default());
        prop_assert_eq!(same.text, text.replace("$$", ""));
    }
}
