//! `--set` and its relatives beside Helm's own parser.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use sealos::helm::{Values, ValuesFile};
use serde_json::{Value as Json, json};

use crate::oracle::ask;
use crate::yaml::floats;

const KINDS: [&str; 5] = ["set", "set-string", "set-json", "set-file", "set-literal"];

const TEXTS: &[&str] = &[
    "",
    "a",
    "a=",
    "a=1",
    "a=b",
    "a=1,b=2",
    "a=1,",
    ",",
    ",a=1",
    "a,b=1",
    "=",
    "=1",
    "a==1",
    "a=b=c",
    "a.b=1",
    "a.b.c=1",
    "a.=1",
    ".a=1",
    "a..b=1",
    "a.b",
    "a.b.",
    "a.b=",
    "a.b=,c=1",
    "a=null",
    "a=NULL",
    "a=true",
    "a=TRUE",
    "a=False",
    "a=0",
    "a=00",
    "a=01",
    "a=-1",
    "a=+1",
    "a=1.5",
    "a=1e3",
    "a=0x10",
    "a=9223372036854775807",
    "a=9223372036854775808",
    "a= 1",
    "a=1 ",
    " a=1",
    "a =1",
    "a\\.b=1",
    "a\\=b=1",
    "a\\,b=1",
    "a=x\\,y",
    "a=x\\",
    "a\\",
    "a=\\\\",
    "a=\\n",
    "a=\"x\"",
    "a='x,y'",
    "a={}",
    "a={x}",
    "a={x,y}",
    "a={x,y},b=1",
    "a={1,2,true,null}",
    "a={x",
    "a={x,",
    "a={x}y",
    "a={x}y=1",
    "a={,}",
    "a={ x, y }",
    "a={x\\,y}",
    "a={x\\}y}",
    "a=[1]",
    "a=[1,2]",
    "a[0]=1",
    "a[1]=1",
    "a[0]=1,a[2]=3",
    "a[0].b=1",
    "a[0].b=1,a[0].c=2",
    "a[1].b=1",
    "a[0]b=1",
    "a[0]",
    "a[0]=",
    "a[]=1",
    "a[x]=1",
    "a[-1]=1",
    "a[+1]=1",
    "a[65536]=1",
    "a[65537]=1",
    "a[99999999999999999999]=1",
    "a[0",
    "a[0][1]=x",
    "a[0][0].b=1",
    "a[0][0][0]=1",
    "a[0]={x,y}",
    "a[0].b[0].c=1",
    "a[0].",
    "a[0].b",
    "a[0].b=",
    "[0]=1",
    "a.b[0]=1",
    "a.b[0].c=1,a.b[0].d=2",
    "a=1,a=2",
    "a=1,a.b=2",
    "a.b=1,a=2",
    "a[0]=1,a.b=2",
    "a={x},a[1]=y",
    "existing=1",
    "existing.k=1",
    "existing.map.x=1",
    "existing.list[0]=x",
    "existing.list[5]=x",
    "existing.list=null",
    "existing.map=null",
    "existing.null.x=1",
    "existing.null[0]=1",
    "existing.text.x=1",
    "existing.text[0]=1",
    "existing.list.x=1",
    "existing.map[0]=1",
    "existing.list[0].x=1",
    "existing.maps[0].b=2",
    "existing.maps[0].b=",
    "existing.maps[1]",
    "existing.deep[0][1]=z",
    "existing.deep[1][0]=z",
    "é=ü",
    "a=é",
    "日.本=1",
    "a=\u{a0}",
    "a=x y z",
    "a:b=1",
    "a/b=1",
    "a-b_c=1",
    "a=http://x/y?z=1",
    "a={}{}",
    "a=}",
    "a]=1",
    "a=b[0]",
    "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d=1",
    "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e=1",
    "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f=1",
    "a={\"x\":1}",
    "a={\"x\":1},b=2",
    "a=[1,{\"y\":null}],b=\"z\"",
    "a={\"x\":1} , b=2",
    "a=1 b=2",
    "a=tru",
    "a=\"x",
    "a=[1",
    "a= ",
    "a=,b=1",
    "a[0]={\"x\":1}",
    "a[0]={\"x\":1},a[1]=2",
    "a=1.50",
    "a=1e2",
    "a=-0",
    "a=[1,2],a[1]=3",
    "a.b={\"c\":{\"d\":1}},a.b.c.e=2",
    "a=path/to/file",
    "a=one,b=two",
    "a={one,two}",
    "a=x,b.c[0]=y",
];

fn base() -> Json {
    json!({"existing": {"list": ["a", "b"], "map": {"k": "v"}, "text": "t", "null": null, "maps": [{"b": 1.5}, 2.5], "deep": [["x"]]}})
}

fn ours(kind: &str, text: &str) -> Result<Json, String> {
    let file = ValuesFile { name: "base".to_owned(), text: base().to_string() };
    let mut values = Values { files: vec![file], ..Values::default() };
    match kind {
        "set" => values.set.push(text.to_owned()),
        "set-string" => values.set_string.push(text.to_owned()),
        "set-json" => values.set_json.push(text.to_owned()),
        "set-file" => values.set_file.push(text.to_owned()),
        _ => values.set_literal.push(text.to_owned()),
    }
    for name in values.wanted_files().map_err(|error| error.to_string())? {
        values.set_files.push(ValuesFile { text: format!("text of {name}"), name });
    }
    values.merged().map(Json::Object).map_err(|error| error.to_string())
}

fn compare(cases: &[(&str, String)]) {
    let questions: Vec<Json> =
        cases.iter().map(|(kind, text)| json!({"ask": "set", "kind": kind, "text": text, "values": base()})).collect();
    let mut wrong = Vec::new();
    for ((kind, text), theirs) in cases.iter().zip(ask(&questions)) {
        let ours = ours(kind, text);
        let same = match (&ours, &theirs.error) {
            (Ok(ours), None) => floats(ours) == floats(&theirs.value),
            (Err(_), Some(_)) => true,
            _ => false,
        };
        if !same {
            wrong.push(format!("--{kind} {text:?}\n  helm: {theirs:?}\n  ours: {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn set_texts_mean_what_they_mean_to_helm() {
    let cases: Vec<(&str, String)> =
        KINDS.iter().flat_map(|kind| TEXTS.iter().map(|text| (*kind, (*text).to_owned()))).collect();
    compare(&cases);
}

#[test]
fn texts_made_of_its_marks_mean_what_they_mean_to_helm() {
    use proptest::prelude::prop;
    let piece = prop::sample::select(vec![
        "a", "b", "existing", "list", "map", ".", "=", ",", "[", "]", "[0]", "[1]", "{", "}", "\\", "1", "x", " ",
        "null", "\"", "true", "0",
    ]);
    let texts = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    let mut runner = TestRunner::deterministic();
    let mut cases = Vec::new();
    for kind in KINDS {
        cases.extend((0..1500).map(|_| (kind, texts.new_tree(&mut runner).unwrap().current())));
    }
    compare(&cases);
}
