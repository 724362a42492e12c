//! What Go cannot say about us: modes, limits, errors with their places, objects, shared maps, Handlebars.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::{ProptestConfig, any, prop, proptest};

use super::{CallError, Engine, Limits, Map, Mode, Numbers, Object, Provider, Set, Template, Time, Value, handlebars};

fn env() -> Value {
    let pairs = [("registryDomain", "sealos.hub"), ("registryPort", "5000"), ("empty", "")];
    Value::from(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>())
}

fn render(mode: Mode, text: &str) -> Result<String, String> {
    let template = Template::parse("etc/test.tmpl", text).map_err(|e| e.to_string())?;
    Engine::new(mode).render(&template, &env()).map_err(|e| e.to_string())
}

#[test]
fn an_empty_template_renders_empty_whatever_was_rendered_before() {
    assert_eq!(render(Mode::Strict, "{{ .registryDomain }}").as_deref(), Ok("sealos.hub"));
    assert_eq!(render(Mode::Strict, "").as_deref(), Ok(""));
}

#[test]
fn strict_mode_lets_authors_ask_for_keys_that_may_be_missing() {
    for (text, expected) in [
        ("{{ if .foo }}a{{ else }}b{{ end }}", "b"),
        ("{{ .foo | default \"x\" }}", "x"),
        ("{{ default \"x\" .foo }}", "x"),
        ("{{ with .foo }}a{{ else }}b{{ end }}", "b"),
        ("{{ empty .foo }} {{ coalesce .foo .registryPort }}", "true 5000"),
        ("{{ hasKey . \"foo\" }} {{ hasKey . \"empty\" }}", "false true"),
        (
            "{{ if and .foo .registryPort }}a{{ end }}{{ if or .foo .registryPort }}b{{ end }}{{ if not .foo }}c{{ end }}",
            "bc",
        ),
        ("{{ if eq .foo \"x\" }}a{{ else }}b{{ end }}", "b"),
        ("{{ ternary \"t\" \"f\" (empty .foo) }}", "t"),
        ("{{ range .foo }}x{{ end }}", ""),
        ("{{ $x := .foo }}{{ if $x }}x{{ end }}", ""),
        ("{{ .empty }}", ""),
        ("{{ .foo | quote }}", ""),
    ] {
        assert_eq!(render(Mode::Strict, text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn strict_mode_refuses_to_print_or_pass_on_a_missing_key() {
    for text in [
        "{{ .foo }}",
        "{{ upper .foo }}",
        "{{ printf \"%s\" .foo }}",
        "{{ .foo.bar }}",
        "{{ $x := .foo }}{{ $x }}",
        "{{ index . \"foo\" }}",
        "{{ .foo | upper }}",
        "{{ include \"x\" .foo }}{{ define \"x\" }}{{ . }}{{ end }}",
    ] {
        let error = render(Mode::Strict, text).expect_err(text);
        assert!(error.contains("etc/test.tmpl:1:"), "{text}: {error}");
    }
}

#[test]
fn modes_differ_in_what_a_missing_key_prints() {
    assert_eq!(render(Mode::GoDefault, "[{{ .foo }}]").as_deref(), Ok("[<no value>]"));
    assert_eq!(render(Mode::Helm, "[{{ .foo }}]").as_deref(), Ok("[]"));
    assert!(render(Mode::Helm, "{{ .foo.bar }}").is_err_and(|e| e.contains("nil pointer evaluating")));
}

#[test]
fn errors_show_the_place_the_line_a_caret_and_the_help() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/template/errors");
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).expect("the goldens are in the tree") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|e| e != "tmpl") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
        let error =
            Template::parse(name, &text).and_then(|t| Engine::new(Mode::Strict).render(&t, &env())).expect_err(name);
        let shown = format!("{error}\nhelp: {}\n", error.help().unwrap_or_else(|| "none".to_owned()));
        let golden = path.with_extension("golden");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&golden, &shown).expect("writable");
        }
        assert_eq!(shown, std::fs::read_to_string(&golden).expect("a golden beside each template"), "{name}");
        count += 1;
    }
    assert!(count >= 6, "{count} error goldens");
}

struct Files;

impl Object for Files {
    fn type_name(&self) -> &str {
        "engine.files"
    }
    fn field(&self, name: &str) -> Option<Value> {
        (name == "Count").then_some(Value::Int(1))
    }
    fn call(&self, name: &str, args: &[Value]) -> Option<Result<Value, CallError>> {
        match (name, args) {
            ("Get", [Value::String(path)]) => Some(Ok(Value::from(format!("text of {path}")))),
            ("Get", _) => Some(Err(CallError::ArgumentCount { want: "1".to_owned(), got: args.len() })),
            _ => None,
        }
    }
    fn display(&self) -> String {
        "files".to_owned()
    }
    fn invoke(&self, args: &[Value]) -> Option<Result<Value, CallError>> {
        Some(Ok(Value::Int(args.len() as i64)))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[test]
fn objects_have_fields_and_methods_with_arguments() {
    let data = Map::new();
    data.insert("Files", Value::Object(Rc::new(Files)));
    let engine = Engine::new(Mode::Helm);
    for (text, expected) in [
        ("{{ .Files.Get \"x\" }}", Some("text of x")),
        ("{{ \"y\" | .Files.Get | upper }}", Some("TEXT OF Y")),
        ("{{ $f := .Files }}{{ $f.Get \"z\" }}", Some("text of z")),
        ("{{ (.Files).Count }} {{ .Files }} {{ call .Files 1 2 }}", Some("1 files 2")),
        ("{{ .Files.Nope \"x\" }}", None),
        ("{{ .Files.Get }}", None),
        ("{{ .Files.Nope }}", None),
    ] {
        let template = Template::parse("t", text).expect(text);
        let result = engine.render(&template, &Value::Map(data.clone())).ok();
        assert_eq!(result.as_deref(), expected, "{text}");
    }
}

struct Clock;

impl Provider for Clock {
    fn call(&self, function: &str, args: &[Value]) -> Option<Result<Value, CallError>> {
        match (function, args) {
            ("now", []) => Some(Ok(Time { seconds: 0, nanos: 0, offset: 0 }.into())),
            ("env", [Value::String(name)]) => Some(Ok(Value::from(format!("${name}")))),
            _ => None,
        }
    }
}

#[test]
fn impure_functions_come_from_the_provider_or_say_why_not() {
    let bare = render(Mode::Strict, "{{ now }}").expect_err("no clock");
    assert!(bare.contains("needs a clock"), "{bare}");
    let mut engine = Engine::new(Mode::Strict);
    engine.provider(Arc::new(Clock));
    let template = Template::parse("t", "{{ now | date \"2006\" }} {{ env \"HOME\" }} {{ now }}").expect("parses");
    let text = engine.render(&template, &env()).expect("the provider has them");
    assert_eq!(text, "1970 $HOME 1970-01-01 00:00:00 +0000 UTC");
    let random = Template::parse("t", "{{ randAlphaNum 5 }}").expect("parses");
    assert!(engine.render(&random, &env()).is_err(), "this provider has no randomness");
    assert_eq!(render(Mode::Helm, "{{ lookup \"v1\" \"Pod\" \"\" \"\" }}").as_deref(), Ok("map[]"));
}

#[test]
fn closures_become_functions() {
    let mut engine = Engine::new(Mode::Strict);
    let greeting = "hi".to_owned();
    engine.function("greet", move |args| Ok(Value::from(format!("{greeting} {}", args.len()))));
    let template = Template::parse("t", "{{ greet 1 2 }} {{ 3 | greet }}").expect("parses");
    assert_eq!(engine.render(&template, &env()).expect("renders"), "hi 2 hi 1");
}

#[test]
fn templates_of_a_set_call_each_other_and_blank_ones_do_not_replace() {
    let mut set = Set::default();
    set.add(Template::parse("a", "{{ define \"x\" }}from a{{ end }}").expect("parses"));
    set.add(Template::parse("b", "{{ define \"x\" }} {{ end }}{{ include \"x\" . }}").expect("parses"));
    let text = Engine::new(Mode::Helm).render_set(&set, "b", &Value::Null).expect("renders");
    assert_eq!(text, "from a");
    assert_eq!(set.names().collect::<Vec<_>>(), ["a", "b", "x"]);
}

#[test]
fn limits_end_what_would_not_end() {
    for (text, expected) in [
        ("{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" . }}", "deeper"),
        ("{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}", "deeper"),
        (
            "{{ define \"t\" }}{{ tpl .t . }}{{ end }}{{ $d := dict \"t\" \"{{ tpl .t . }}\" }}{{ tpl \"{{ tpl .t . }}\" $d }}",
            "deeper",
        ),
        ("{{ range 1000000000 }}{{ end }}", "steps"),
        ("{{ range 100000 }}0123456789{{ end }}", "bytes"),
        ("{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ mustToJson $d }}", "nests deeper"),
        ("{{ repeat 1000000000 \"xxxxxxxxxx\" }}", "longer"),
        ("{{ until 1000000000 }}", "more than"),
    ] {
        let mut engine = Engine::new(Mode::GoDefault);
        engine.limits = Limits { steps: 300_000, output: 500_000, ..Limits::default() };
        let template = Template::parse("t", text).expect(text);
        let error = engine.render(&template, &env()).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let deep = "{{ if 1 }}".repeat(5000);
    assert!(Template::parse("t", &deep).is_err(), "nested actions are bounded");
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(Template::parse("t", &parens).is_err(), "nested parentheses are bounded");
}

#[test]
fn a_map_that_holds_itself_and_a_very_long_chain_are_harmless() {
    for text in [
        "{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ $d }}{{ toYaml $d }}",
        "{{ $d := dict }}{{ range 50000 }}{{ $d = dict \"n\" $d }}{{ end }}",
        "{{ $l := list }}{{ range 50000 }}{{ $l = list $l }}{{ end }}{{ $l }}",
        "{{ $a := dict }}{{ $b := dict \"a\" $a }}{{ $_ := set $a \"b\" $b }}{{ $m := merge $a $b }}",
    ] {
        assert!(render(Mode::GoDefault, text).is_ok(), "{text}");
    }
}

#[test]
fn typed_numbers_stay_whole() {
    let json = serde_json::json!({"Size": 12_345_678, "Big": 18_446_744_073_709_551_615u64});
    let template = Template::parse("t", "{{ .Size }} {{ .Big }} {{ json . }}").expect("parses");
    let typed =
        Engine::new(Mode::GoDefault).render(&template, &Value::from_json(&json, Numbers::Typed)).expect("renders");
    assert_eq!(typed, "12345678 18446744073709551615 {\"Big\":18446744073709551615,\"Size\":12345678}");
}

#[test]
fn output_streams_into_a_writer_whose_error_is_reported() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk full"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let template = Template::parse("t", "text").expect("parses");
    let error = Engine::default().render_to(&template, &env(), &mut Full).expect_err("the writer fails");
    assert!(error.to_string().contains("disk full"), "{error}");
}

#[test]
fn handlebars_is_strict_and_names_file_and_line() {
    let text = handlebars::render("x.hbs", "{{registryDomain}}:{{registryPort}} <{{{registryDomain}}}>", &env());
    assert_eq!(text.expect("renders"), "sealos.hub:5000 <sealos.hub>");
    let missing = handlebars::render("x.hbs", "ok\n{{nope}}\n", &env()).expect_err("strict").to_string();
    assert!(missing.starts_with("x.hbs:2:"), "{missing}");
    let syntax = handlebars::render("x.hbs", "ok\n{{#if}}\n", &env()).expect_err("unclosed").to_string();
    assert!(syntax.starts_with("x.hbs:"), "{syntax}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text_parses_or_is_refused_without_panic(text in any::<String>()) {
        drop(Template::parse("t", &text));
    }

    #[test]
    fn template_like_text_renders_or_is_refused_without_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{{", "}}", "{{-", " -}}", " ", "\n", ".", ".a", "$", "$x", ":=", "=", "|", "(", ")", ",", "\"s\"", "`r`", "'c'",
            "1", "-7", "1.5", "0x1f", "nil", "true", "if", "else", "end", "range", "with", "define", "template", "block",
            "break", "continue", "printf", "index", "dict", "set", "list", "slice", "substr", "trunc", "é", "/*", "*/",
            "include", "tpl", "toYaml", "merge", "semverCompare", "date", "wrap", "abbrev", "regexSplit", "dig", "\"%5.3x\"",
        ]), 0..40)
    ) {
        if let Ok(template) = Template::parse("t", &pieces.join(" ")) {
            let engine = Engine { limits: Limits { steps: 10_000, output: 100_000, ..Limits::default() }, ..Engine::default() };
            drop(engine.render(&template, &env()));
        }
    }

    #[test]
    fn functions_never_panic_on_any_arguments(
        name in prop::sample::select(super::functions::names().collect::<Vec<_>>()),
        args in prop::collection::vec(prop::sample::select(vec![
            "nil", "true", "0", "-1", "3", "9223372036854775807", "-9223372036854775808", "1.5", "-1e300", "\"\"", "\"é\"",
            "\"a-b 1.2.3\"", "\"2006-01-02\"", "\"-9223372036854775808\"", "(list 1 \"é\" nil)", "(list)", "(dict \"k\" (list))", "(dict)", ".", ".nope",
            "(toDate \"2006\" \"2020\")", "(semver \"1.2.3\")", "(int64 -9223372036854775808)",
        ]), 0..5)
    ) {
        if name != "repeat" {
            let text = format!("{{{{ {name} {} }}}}", args.join(" "));
            if let Ok(template) = Template::parse("t", &text) {
                drop(Engine::new(Mode::GoDefault).render(&template, &env()));
            }
        }
    }

    #[test]
    fn printf_never_panics(format in "[%a-zA-Z0-9.*#+ \\[\\]é-]{0,12}", number in any::<i64>(), float in any::<f64>(), text in any::<String>()) {
        let args = [Value::Int(number), Value::Float(float), Value::from(text), Value::Null, Value::list(vec![Value::Int(1)])];
        drop(super::format::sprintf(&format, &args));
    }
}
