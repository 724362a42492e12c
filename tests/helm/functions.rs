//! Functions as charts call them: every written case of the template engine, and what only Helm has, through `tpl`.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use sealos::helm::{self, Chart, ChartFile, RenderOptions, Values, ValuesFile};
use serde_json::{Value as Json, json};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::oracle::ask;

const CHART: &str = "apiVersion: v2\nname: app\nversion: 1.0.0\n";
const TEMPLATE: &str = "{{ tpl .Values.template .Values.data }}";

/// Not Helm's, or of an order that is chance in Go, or with a parser's own words for a mistake.
const LEFT_OUT: &[&str] = &["json ", "mustToYaml", "env ", "expandenv", "keys ", "values ", "fromJson \\\"bad"];

/// What Helm adds to Sprig, or has in its own way.
const HELMS: &[&str] = &[
    "{{ fromYaml \"a: 1\\nb: [x]\" }}",
    "{{ (fromYaml \"a: {b: c}\").a.b }}",
    "{{ fromYaml \"- a\" }}",
    "{{ fromYaml \"a: [\" | hasKey \"Error\" | not }}",
    "{{ fromYaml \"\" }} {{ fromYaml \"null\" }} {{ fromYaml \"text\" }} {{ fromYaml \"1\" }} {{ fromYaml \"true\" }}",
    "{{ fromYaml \"a: yes\\nb: 0755\\nc: 1e3\\nd: 2001-01-01\\ne: ~\\nf: 12345678901234567890\" | toJson }}",
    "{{ fromYaml \"a: 1\\na: 2\\n\" }} {{ fromYaml \"---\\na: 1\\n---\\nb: 2\\n\" }}",
    "{{ fromYaml \"a: &x {k: v}\\nb: {<<: *x, l: m}\" | toJson }}",
    "{{ fromYamlArray \"- a\\n- b: 1\" }} {{ fromYamlArray \"a: 1\" }} {{ fromYamlArray \"\" }}",
    "{{ fromJson \"{\\\"a\\\":1}\" }} {{ fromJson \"[1]\" }} {{ fromJson \"null\" }} {{ (fromJson \"{\\\"a\\\":[1,2.5,true,null]}\").a }}",
    "{{ hasKey (fromJson \"nope\") \"Error\" }} {{ hasKey (fromYaml \"a: [\") \"Error\" }} {{ hasKey (fromToml \"=\") \"Error\" }}",
    "{{ fromJsonArray \"[1,\\\"a\\\"]\" }} {{ fromJsonArray \"{}\" }}",
    "{{ fromToml \"a = 1\\nb = 2.5\\nc = true\\nd = \\\"x\\\"\\ne = [1, 2]\\n[f]\\ng = 1979-05-27T07:32:00Z\\nh = 1979-05-27\\n[[i]]\\nj = 0x10\\n\" | toJson }}",
    "{{ (fromToml \"[a.b]\\nc = 1_000\\nd = '''x\\ny'''\").a.b.d | quote }} {{ typeOf (fromToml \"a = 5\").a }} {{ typeOf (fromToml \"a = 5.0\").a }}",
    "{{ fromToml \"t = 07:32:00\\nl = 1979-05-27T07:32:00\\nz = 1979-05-27T00:32:00-07:00\" | toJson }}",
    "{{ toToml (dict \"a\" 1 \"b\" (dict \"c\" \"x\" \"d\" (list 1 2)) \"e\" (list (dict \"f\" 1) (dict \"g\" 2)) \"h\" 1.5 \"i\" true) }}",
    "{{ toToml (dict \"a b\" \"x\\ny\" \"q\" \"\\\"\" \"n\" nil \"m\" (list) \"o\" (dict)) }}",
    "{{ toToml (dict \"l\" (list (list 1 2) (list 3)) \"big\" 1e21 \"f\" 1000000.0 \"neg\" -0.5) }}",
    "{{ toYamlPretty (dict \"a\" (list 1 \"b\" (dict \"c\" (list))) \"d\" (dict \"e\" nil)) }}",
    "{{ toYamlPretty \"x\" }} {{ toYamlPretty (list) }} {{ toYamlPretty nil }}",
    "{{ toYamlPretty .list }} {{ toYamlPretty .map }} {{ toYamlPretty .big }} {{ toYamlPretty .multi }}",
    "{{ toYaml .multi }} {{ toYaml .big }} {{ toYaml 1.0 }} {{ toYaml 1e21 }} {{ toYaml -0.5 }} {{ toYaml nil }} {{ toYaml true }} {{ toYaml \"\" }}",
    "{{ toJson \"<a&b>\" }} {{ toRawJson \"<a&b>\" }} {{ toPrettyJson (dict \"a\" (list 1)) }} {{ toJson 1e21 }} {{ toJson 1e-7 }} {{ toJson \"\\u2028\" }}",
    "{{ required \"x\" \"y\" }} {{ required \"x\" 0 }} {{ required \"x\" false }} {{ required \"x\" (list) | toJson }}",
    "{{ required \"gone\" nil }}",
    "{{ required \"gone\" \"\" }}",
    "{{ fail \"no\" }}",
    "{{ include \"nope\" . }}",
    "{{ env \"HOME\" }}",
    "{{ lookup \"v1\" \"Pod\" \"a\" \"b\" }}",
    "{{ lookup \"v1\" }}",
    "{{ tpl \"{{ .a }}\" (dict \"a\" 1) }} {{ tpl \"{{ . }}\" 5 }} {{ tpl \"{{ .x }}\" nil }}",
    "{{ tpl \"{{ fail \\\"x\\\" }}\" . }}",
    "{{ tpl \"{{\" . }}",
    "{{ define \"a\" }}[{{ .x }}]{{ end }}{{ include \"a\" nil }} {{ template \"a\" }} {{ template \"a\" nil }} {{ include \"a\" (dict \"x\" 1) }}",
    "{{ define \"a\" }}[{{ .x.y }}]{{ end }}{{ include \"a\" nil }}",
    "{{ define \"a\" }}[{{ .x.y }}]{{ end }}{{ include \"a\" (dict) }}",
    "{{ define \"a\" }}{{ .nope }}{{ end }}{{ include \"a\" . | quote }} {{ len (include \"a\" .) }} {{ include \"a\" . | sha256sum }} {{ if include \"a\" . }}T{{ end }}",
    "{{ (.missing).x }} {{ ((.missing).x).y }} {{ (.map).x }} {{ $m := .missing }}{{ $m.x }} {{ ($m).x }}",
    "{{ .missing.x }}",
    "{{ (index .map \"nope\").x }}",
    "{{ (dig \"a\" \"b\" nil .map).x }}",
    "{{ range .withnil }}{{ .x }}{{ end }}",
    "{{ range $i, $v := .withnil }}{{ $v.x }}{{ end }}",
    "{{ range $v := .withnil }}[{{ $v }}]{{ end }}",
    "{{ with $x := .missing }}a{{ else }}{{ .name }}{{ end }}",
    "{{ if and .missing .missing.x }}a{{ else }}b{{ end }} {{ if or .name .missing.x }}a{{ end }}",
    "{{ if and .name .missing.x }}a{{ end }}",
    "{{ dateInZone \"2006-01-02 15:04:05 MST -0700\" (toDate \"2006-01-02\" \"2024-07-01\") \"Europe/Berlin\" }}",
    "{{ dateInZone \"2006-01-02 15:04:05 MST -0700\" (toDate \"2006-01-02\" \"2024-01-01\") \"America/New_York\" }}",
    "{{ dateInZone \"15:04 MST\" (toDate \"2006-01-02\" \"2024-01-01\") \"Nowhere/Land\" }} {{ dateInZone \"15:04 MST\" (toDate \"2006-01-02\" \"2024-01-01\") \"\" }} {{ dateInZone \"15:04 MST\" 0 \"UTC\" }} {{ dateInZone \"15:04 MST\" 1700000000 \"Asia/Kolkata\" }}",
    "{{ dateInZone \"15:04 MST -07\" (int64 1700000000) \"Asia/Kathmandu\" }} {{ dateInZone \"15:04 MST\" 0 \"europe/berlin\" }} {{ dateInZone \"15:04 MST\" 0 \"EST\" }} {{ dateInZone \"15:04 MST Z07:00\" 0 \"Asia/Tokyo\" }}",
    "{{ htmlDateInZone (toDate \"2006-01-02 15:04\" \"2024-01-01 23:30\") \"Asia/Tokyo\" }} {{ htmlDate 0 }} {{ date \"2006-01-02T15:04:05Z07:00\" 86400 }} {{ unixEpoch (toDate \"2006-01-02\" \"2024-01-01\") }}",
    "{{ toDate \"2006-01-02 MST\" \"2024-01-01 CET\" | date \"2006-01-02 15:04 MST\" }} {{ toDate \"2006-01-02 MST\" \"2024-01-01 GMT+3\" | unixEpoch }} {{ toDate \"2006 MST\" \"2024 x\" | date \"2006\" }}",
    "{{ dateModify \"-1.5h\" (toDate \"2006-01-02\" \"2024-01-01\") | date \"2006-01-02 15:04\" }} {{ mustDateModify \"nope\" (toDate \"2006\" \"2024\") }}",
    "{{ durationRound \"2h10m5s\" }} {{ duration \"95\" }} {{ durationRound 0 }}",
    "{{ sha1sum \"abc\" }} {{ sha1sum \"\" }} {{ sha256sum \"é\" }} {{ adler32sum \"abc\" }} {{ b64dec \"aGk\" }} {{ b64dec \"/////w==\" | b64enc }} {{ b64dec \"/////w==\" | sha1sum }}",
    "{{ b64dec \"gIE=\" | quote }} {{ b64dec \"gIE=\" | len }} {{ printf \"%x %q\" (b64dec \"gIE=\") (b64dec \"gIE=\") }} {{ b64dec \"gIE=\" | toJson }} {{ b64dec \"gIE=\" | toYaml }}",
    "{{ 0x1p4 }} {{ 0x1.8p1 }} {{ mulf 2 0x1p10 }} {{ 0x10 }} {{ 1_000 }} {{ 0b11 }} {{ 0o17 }}",
    "{{ semverCompare \">=1.2.3\" \"1.2.3-rc.1\" }} {{ semverCompare \">=1.2.3-0\" \"1.2.3-rc.1\" }} {{ semverCompare \"^1.2 || ~2.3\" \"2.3.9\" }} {{ semverCompare \"1.x\" \"1.9\" }} {{ semverCompare \"*\" \"1.0.0-a\" }} {{ semverCompare \"!=1.0.0\" \"1.0.1\" }}",
    "{{ semverCompare \">=1.19-0 <1.30-0\" \"v1.29.3+k3s1\" }} {{ semverCompare \"<1.22-0\" \"1.21.5-gke.1\" }} {{ semverCompare \"1.2 - 1.4\" \"1.4.9\" }} {{ semverCompare \"~1\" \"1.9.9\" }} {{ semverCompare \"=1.2\" \"1.2.5\" }} {{ semverCompare \">1\" \"1.5.0\" }} {{ semverCompare \"<=1\" \"1.5.0\" }}",
    "{{ semverCompare \"nope\" \"1.0.0\" }}",
    "{{ semverCompare \">=1\" \"nope\" }}",
    "{{ (semver \"1.2.3-a+b\").Major }} {{ (semver \"v1.2\").Original }} {{ (semver \"1.2.3\").Compare (semver \"1.2.4\") }} {{ semver \"1.2.3-a+b\" }}",
    "{{ regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W\" }} {{ regexReplaceAll \"(a)(b)\" \"ab\" \"$2$1\" }} {{ regexReplaceAll \"a\" \"aba\" \"$x\" }} {{ regexReplaceAll \"(?P<n>a)\" \"ab\" \"${n}!\" }} {{ regexMatch \"^[a-z]+$\" \"abc\" }} {{ regexFindAll \"[2,4,6,8]\" \"123456789\" -1 }}",
    "{{ regexReplaceAllLiteral \"a(x*)b\" \"-ab-axxb-\" \"${1}\" }} {{ regexSplit \"z+\" \"pizza\" -1 }} {{ regexFind \"[a-zA-Z][1-9]\" \"abcd1234\" }} {{ regexQuoteMeta \"1.2.3\" }} {{ regexReplaceAll \"\\\\s+\" \"a  b\" \"$1x\" }} {{ regexReplaceAll \"a\" \"a\" \"$1_x\" }}",
    "{{ merge (dict \"a\" (dict \"b\" 1)) (dict \"a\" (dict \"b\" 2 \"c\" 3) \"d\" 4) }} {{ mergeOverwrite (dict \"a\" (dict \"b\" 1)) (dict \"a\" (dict \"b\" 2 \"c\" nil)) }} {{ mustMerge (dict) (dict \"x\" (list 1)) }} {{ deepCopy (dict \"a\" (list 1)) }}",
    "{{ $d := dict \"a\" 1 }}{{ $_ := set $d \"b\" 2 }}{{ $_ := unset $d \"a\" }}{{ $d }} {{ hasKey $d \"b\" }} {{ pluck \"b\" $d (dict \"b\" 3) }} {{ pick (dict \"a\" 1 \"b\" 2) \"a\" }} {{ omit (dict \"a\" 1 \"b\" 2) \"a\" }} {{ dig \"a\" \"b\" \"d\" (dict \"a\" (dict \"b\" 1)) }}",
    "{{ ternary 1 2 true }} {{ coalesce nil \"\" 0 \"x\" }} {{ default \"d\" 0 }} {{ empty (list) }} {{ all 1 \"\" }} {{ any 0 \"\" 1 }} {{ all }} {{ any }}",
    "{{ hello }} {{ hello | upper }}",
    "{{ untilStep 1 10 3 }} {{ until 3 }} {{ seq 1 2 7 }} {{ seq 3 }} {{ chunk 2 (list 1 2 3) }} {{ slice (list 1 2 3) 1 }} {{ splitList \".\" \"a.b\" }} {{ (split \".\" \"a.b\")._1 }} {{ (splitn \".\" 2 \"a.b.c\")._1 }}",
    "{{ urlParse \"https://u:p@h:1/p?q=1#f\" }} {{ urlJoin (dict \"scheme\" \"http\" \"host\" \"h\" \"path\" \"/p\" \"query\" \"q=1\") }} {{ urlquery \"a b&c\" }} {{ cat \"a\" nil 1 }} {{ nospace \" a b \" }} {{ initials \"First Try\" }} {{ swapcase \"aB\" }} {{ kebabcase \"FirstName\" }} {{ snakecase \"FirstName\" }} {{ camelcase \"http_server\" }}",
    "{{ abbrev 5 \"hello world\" }} {{ abbrevboth 5 10 \"1234 5678 9123\" }} {{ wrap 5 \"a b c d e f\" }} {{ wrapWith 5 \"\\t\" \"Hello World\" }} {{ plural \"one\" \"many\" 2 }} {{ trunc -3 \"hello\" }} {{ substr 1 3 \"hello\" }} {{ title \"a b\" }} {{ untitle \"A B\" }} {{ repeat 2 \"ab\" }} {{ contains \"a\" \"cat\" }} {{ quote 1 nil \"x\" }} {{ squote 1 }} {{ join \"-\" (list 1 nil \"x\") }} {{ sortAlpha (list \"b\" \"a\") }}",
    "{{ typeOf 1 }} {{ typeOf \"\" }} {{ typeOf (list) }} {{ typeOf (dict) }} {{ typeIs \"string\" \"\" }} {{ typeIsLike \"int\" 1 }} {{ kindOf nil }} {{ kindIs \"map\" (dict) }} {{ typeOf 1.5 }} {{ typeOf nil }} {{ deepEqual (list 1) (list 1) }} {{ deepEqual 1 1.0 }}",
    "{{ int \"12\" }} {{ int64 1.9 }} {{ float64 \"1.5\" }} {{ toDecimal \"0777\" }} {{ atoi \"x\" }} {{ add 1 \"2\" 3.7 }} {{ div 7 2 }} {{ mod 7 2 }} {{ max 1 3 2 }} {{ min 3 1 }} {{ round 123.5555 3 }} {{ ceil 1.1 }} {{ floor 1.9 }} {{ add1 1 }} {{ sub 3 1 }} {{ mul 2 3 }} {{ addf 0.1 0.2 }} {{ divf 1 3 }} {{ maxf 1 2.5 }} {{ int \"0x1F\" }} {{ int \"08\" }} {{ int \"1e3\" }}",
    "{{ base \"a/b.c\" }} {{ dir \"a/b.c\" }} {{ ext \"a/b.c\" }} {{ clean \"a/../b\" }} {{ isAbs \"/a\" }} {{ osBase \"/x/y\" }}",
    "{{ index .list 0 }} {{ index .map \"x\" }} {{ index .servers 1 \"host\" }} {{ slice \"hello\" 1 3 }} {{ len \"é\" }} {{ print 1 2 \"a\" \"b\" 3 }} {{ println \"x\" 1 }} {{ html \"<a>\" }} {{ js \"'\" }}",
    "{{ range $i, $c := \"abc\" }}{{ end }}",
    "{{ range 3 }}{{ . }}{{ end }} {{ range $i := until 3 }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $i }}{{ end }} {{ range .list }}{{ break }}{{ end }}",
    "{{- /* c */ -}} x {{- \"y\" -}} z",
    "{{ \"a\\tb\" }} {{ `a\\tb` }} {{ 'a' }} {{ '\\n' }} {{ \"\\u00e9\" }}",
    "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}",
    "{{ with .name }}{{ . }}{{ else with .list }}{{ . }}{{ else }}none{{ end }}",
    "{{ eq 1 1.0 }}",
    "{{ eq .count 3 }}",
    "{{ eq .count 3.0 }} {{ lt 1 2 }} {{ eq \"a\" \"b\" \"a\" }} {{ ne nil 1 }} {{ eq .missing nil }} {{ eq .missing \"x\" }}",
    "{{ gt .count 1 }}",
    "{{ gt (int .count) 1 }}",
    "{{ eq (list) (list) }}",
];

fn question(template: &str, data: &Json) -> (Json, RenderOptions) {
    // Line breaks that only YAML 1.1 knows would be read as such.
    let values = json!({"template": template, "data": data}).to_string();
    let values = values.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let files = json!({"Chart.yaml": STANDARD.encode(CHART), "templates/x.yaml": STANDARD.encode(TEMPLATE)});
    let question = json!({"ask": "render", "files": files, "values_files": [values], "kube": "v1.34.0"});
    let file = ValuesFile { name: "values".to_owned(), text: values };
    let options = RenderOptions {
        kube_version: "v1.34.0".to_owned(),
        values: Values { files: vec![file], ..Values::default() },
        ..RenderOptions::default()
    };
    (question, options)
}

fn chart() -> Chart {
    let files = [("Chart.yaml", CHART), ("templates/x.yaml", TEMPLATE)];
    Chart::load(files.map(|(path, text)| ChartFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() })).unwrap()
}

fn compare(cases: &[(String, Json)]) {
    let chart = chart();
    let (questions, options): (Vec<Json>, Vec<RenderOptions>) =
        cases.iter().map(|(template, data)| question(template, data)).unzip();
    let mut wrong = Vec::new();
    let mut rendered = 0;
    for (((template, _), options), theirs) in cases.iter().zip(&options).zip(ask(&questions)) {
        let ours = helm::render(&chart, options).map(|mut all| all.remove(0).text);
        let same = match (&ours, theirs.error) {
            (Ok(ours), None) => theirs.rendered.get("app/templates/x.yaml") == Some(ours),
            (Err(_), Some(_)) => true,
            _ => false,
        };
        rendered += usize::from(ours.is_ok());
        if !same {
            let ours = ours.map_err(|error| error.to_string());
            wrong.push(differing(template, theirs.rendered.values().next(), &ours));
        }
    }
    assert!(rendered * 3 > cases.len(), "only {rendered} of {} cases rendered at all", cases.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The lines between marks that differ.
fn differing(template: &str, theirs: Option<&String>, ours: &Result<String, String>) -> String {
    match (theirs, ours) {
        (Some(theirs), Ok(ours)) if template.contains("====") => {
            let parts = template.split("\n====\n").zip(theirs.split("\n====\n")).zip(ours.split("\n====\n"));
            let wrong = parts.filter(|((_, theirs), ours)| theirs != ours);
            wrong.map(|((t, theirs), ours)| format!("{t}\n  helm: {theirs:?}\n  ours: {ours:?}\n")).collect()
        }
        _ => format!("{template}\n  helm: {theirs:?}\n  ours: {ours:?}"),
    }
}

fn data() -> Json {
    let mut data: Json = serde_json::from_str(include_str!("../../testdata/template/data.json")).unwrap();
    data["withnil"] = json!([null, 1]);
    data
}

#[test]
fn every_written_case_of_the_engine_means_the_same_in_a_chart() {
    let text = include_str!("../../testdata/template/cases.jsonl");
    let mut cases = Vec::new();
    for line in text.lines().filter(|line| !LEFT_OUT.iter().any(|name| line.contains(name))) {
        match serde_json::from_str(line).unwrap() {
            Json::String(template) => cases.push((template, data())),
            case => cases.push((case["template"].as_str().unwrap().to_owned(), case["data"].clone())),
        }
    }
    assert!(cases.len() > 600, "{} cases", cases.len());
    compare(&cases);
}

#[test]
fn what_only_helm_has_means_the_same() {
    let cases: Vec<(String, Json)> = HELMS.iter().map(|template| ((*template).to_owned(), data())).collect();
    compare(&cases);
}

/// Values of every shape, with texts that encoders find hard. U+0085 is not among them: Go's own way from JSON to YAML
/// loses it.
fn documents() -> impl proptest::strategy::Strategy<Value = Json> {
    use proptest::prelude::{Just, any, prop, prop_oneof};
    let words = prop::sample::select(vec![
        "",
        " ",
        "a",
        "yes",
        "no",
        "on",
        "null",
        "~",
        "true",
        "1",
        "1.5",
        "1e3",
        "0x1f",
        "0755",
        "1_000",
        "12:30",
        "2001-01-01",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a`",
        "'",
        "\"",
        "a'b",
        "a\"b",
        "{",
        "}",
        "[",
        "]",
        ",",
        "a,b",
        "?",
        "? a",
        ":",
        ":a",
        "a:",
        "-",
        "--",
        "---",
        "...",
        "=",
        "<<",
        ".",
        ".5",
        "+1",
        "\t",
        "a\tb",
        "\n",
        "a\n",
        "a\nb",
        "a\nb\n",
        "a\n\n",
        "\na",
        " a",
        "a ",
        "a\n b",
        " a\nb",
        "a \nb",
        "é",
        "日本",
        "\u{feff}",
        "\u{2028}",
        "\u{7f}",
        "\u{0}",
        "😀",
        "a\\b",
        "a\u{a0}b",
        "x".repeat(90).leak(),
        "the quick brown fox jumps over the lazy dog and then goes home to sleep for a very long time indeed",
        "the quick brown fox jumps over the lazy dog: and then goes home to sleep for a very long time indeed #x",
        "y",
        "N",
        "On",
        ".inf",
        ".nan",
        "0b1",
        "0o7",
        "1e",
        "+",
        "0",
        "-0",
        "00",
        "1.",
        "1.0",
        "1,5",
        "a  b",
        "a\r\nb",
        "<a&b>",
    ]);
    let text = prop_oneof![4 => words.prop_map(str::to_owned), 1 => "[a-z :#'\"\n-]{0,30}"];
    let leaf = prop_oneof![
        4 => text.clone().prop_map(Json::from),
        1 => any::<i32>().prop_map(Json::from),
        1 => prop::sample::select(vec![0.5, -1.25, 1e21, 1e-7, 1_000_000.0, 123_456_789.0, 3.0]).prop_map(Json::from),
        1 => any::<bool>().prop_map(Json::from),
        1 => Just(Json::Null),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((text.clone(), inner), 0..4)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

#[test]
fn any_value_is_encoded_as_helm_encodes_it() {
    let mut runner = TestRunner::deterministic();
    let documents = documents();
    let template = "{{ toYaml .v }}\n====\n{{ toYamlPretty .v }}\n====\n{{ toJson .v }}\n====\n{{ toPrettyJson .v }}\n====\n{{ .v }}\n====\n\
                    {{ toYaml (dict \"k\" .v) }}\n====\n{{ .v | quote }}\n====\n{{ toYaml (list .v .v) | nindent 2 }}\n====\n{{ printf \"%v %s %q\" .v .v .v }}";
    let cases: Vec<(String, Json)> = (0..400)
        .map(|_| (template.to_owned(), json!({"v": documents.new_tree(&mut runner).unwrap().current()})))
        .collect();
    compare(&cases);
}
