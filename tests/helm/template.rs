//! Our template engine beside Go's text/template with Sprig: the same cases through both, outputs byte for byte,
//! errors as errors. Needs `go`; without it the test fails, because then nothing was compared.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sealos::template::{Engine, Mode, Template, Value};

use crate::{oracle, process};

struct Case {
    template: String,
    data: serde_json::Value,
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| oracle::build("gotemplate", ".", "gotemplate"))
}

fn written_cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/template/cases.jsonl");
    let text = std::fs::read_to_string(&path).expect("the corpus is in the tree");
    let shared: serde_json::Value =
        serde_json::from_str(include_str!("../../testdata/template/data.json")).expect("data.json is JSON");
    text.lines()
        .filter(|l| !l.trim().is_empty())
        .map(|line| match serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")) {
            serde_json::Value::String(template) => Case { template, data: shared.clone() },
            other => Case {
                template: other["template"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned(),
                data: other["data"].clone(),
            },
        })
        .collect()
}

/// Every value with every verb, function or comparison of a list: what no one would write by hand.
fn generated_cases() -> Vec<Case> {
    let values = [
        "nil",
        "true",
        "0",
        "-7",
        "42",
        "3.5",
        "-0.25",
        "1e21",
        "1000000.0",
        "\"\"",
        "\"héllo w\"",
        "\"8080\"",
        "(list 1 \"a\" nil)",
        "(list)",
        "(dict \"b\" 1 \"a\" (list 2.5))",
        "(dict)",
        ".missing",
        "'x'",
        "(int64 5)",
        "(splitList \",\" \"x,y\")",
    ];
    let verbs = [
        "%v", "%+v", "%#v", "%s", "%q", "%d", "%5d|", "%-5v|", "%05d", "%x", "%X", "%o", "%b", "%c", "%U", "%e", "%f",
        "%.2f", "%g", "%t", "%T", "%8.3f|", "%+d", "%z", "%.2s", "%10s|", "%#x", "% d", "%G", "%E",
    ];
    let unary = [
        "not",
        "len",
        "print",
        "html",
        "js",
        "urlquery",
        "toString",
        "toJson",
        "toPrettyJson",
        "toRawJson",
        "toYaml",
        "quote",
        "squote",
        "kindOf",
        "typeOf",
        "empty",
        "int",
        "int64",
        "float64",
        "upper",
        "trim",
        "floor",
        "ceil",
        "add1",
        "first",
        "last",
        "rest",
        "initial",
        "reverse",
        "uniq",
        "compact",
        "sortAlpha",
        "toStrings",
        "keys",
        "values",
        "b64enc",
        "sha256sum",
        "list",
        "coalesce",
        "cat",
        "default \"d\"",
        "toDecimal",
        "atoi",
        "dict",
        "duration",
        "durationRound",
        "add1f",
        "deepCopy",
        "snakecase",
        "camelcase",
        "kebabcase",
        "title",
        "until",
    ];
    let binary = [
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "and",
        "or",
        "deepEqual",
        "has",
        "index",
        "add",
        "sub",
        "mul",
        "max",
        "min",
        "append",
        "concat",
        "print",
        "println",
        "join",
        "without",
        "ternary \"t\"",
        "addf",
        "subf",
        "mulf",
        "maxf",
    ];
    let mut templates = Vec::new();
    for value in values {
        templates.extend(verbs.iter().map(|v| format!("{{{{ printf {v:?} {value} }}}}")));
        templates.extend(unary.iter().map(|f| format!("{{{{ {f} {value} }}}}")));
        templates.push(format!("{{{{ {value} }}}}"));
        templates.push(format!(
            "{{{{ range $i, $v := {value} }}}}[{{{{ $i }}}}={{{{ $v }}}}]{{{{ else }}}}none{{{{ end }}}}"
        ));
        templates.push(format!(
            "{{{{ if {value} }}}}T{{{{ else }}}}F{{{{ end }}}}{{{{ with {value} }}}}{{{{ . }}}}{{{{ end }}}}"
        ));
        for other in values {
            templates.extend(binary.iter().map(|f| format!("{{{{ {f} {value} {other} }}}}")));
        }
    }
    templates.into_iter().map(|template| Case { template, data: serde_json::json!({}) }).collect()
}

fn ask(cases: &[Case]) -> Vec<serde_json::Value> {
    let lines: String = cases.iter().fold(String::new(), |mut all, c| {
        let case = serde_json::json!({"template": c.template, "data": c.data});
        writeln!(all, "{case}").expect("a string takes everything");
        all
    });
    let output = process::run(&mut Command::new(program()), lines.into_bytes(), process::RENDERING);
    assert!(output.status.success(), "the oracle: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect()
}

fn compare(cases: &[Case]) {
    let answers = ask(cases);
    assert_eq!(answers.len(), cases.len(), "one answer per case");
    let engine = Engine::new(Mode::GoDefault);
    let mut wrong = String::new();
    let mut count = 0;
    for (case, go) in cases.iter().zip(&answers) {
        let ours = Template::parse("case", &case.template).and_then(|t| engine.render(&t, &Value::from(&case.data)));
        let same = match (&ours, go["output"].as_str()) {
            (Ok(ours), Some(go)) => ours == go,
            (Err(_), None) => true,
            _ => false,
        };
        if !same {
            count += 1;
            let ours = ours.unwrap_or_else(|e| format!("error {}", e.kind));
            writeln!(wrong, "{}\n  go:   {go}\n  ours: {ours:?}", case.template).expect("a string takes everything");
        }
    }
    assert!(count == 0, "{count} of {} cases differ from Go:\n{wrong}", cases.len());
}

#[test]
fn every_written_case_renders_as_go_renders_it() {
    let cases = written_cases();
    assert!(cases.len() >= 300, "the corpus has {} cases", cases.len());
    compare(&cases);
}

#[test]
fn every_generated_case_renders_as_go_renders_it() {
    compare(&generated_cases());
}
