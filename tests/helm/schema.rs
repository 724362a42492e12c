//! Schemas beside the library that Helm holds values against them with.

use sealos::helm::{self, Chart, ChartFile, RenderOptions};
use serde_json::{Value as Json, json};

use crate::oracle::ask;

const DRAFTS: [&str; 6] = [
    "",
    "http://json-schema.org/draft-04/schema#",
    "http://json-schema.org/draft-06/schema#",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
];

/// Schemas of one property, and values for it.
fn table() -> Vec<(Json, Vec<Json>)> {
    let texts = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect::<Vec<_>>();
    let mixed = || {
        vec![
            json!(null),
            json!(true),
            json!(0),
            json!(1),
            json!(1.5),
            json!(-3),
            json!(10),
            json!(""),
            json!("a"),
            json!("abc"),
            json!("é"),
            json!([]),
            json!([1]),
            json!([1, "a"]),
            json!([1, 1]),
            json!([1, 2, 3]),
            json!({}),
            json!({"a": 1}),
            json!({"a": 1, "b": "x"}),
            json!({"b": null}),
        ]
    };
    let schemas = vec![
        json!({"type": "string"}),
        json!({"type": "integer"}),
        json!({"type": "number"}),
        json!({"type": ["string", "null"]}),
        json!({"type": "boolean"}),
        json!({"type": "object"}),
        json!({"type": "array"}),
        json!({"enum": [1, "a", null, [1], {"a": 1}]}),
        json!({"const": 1}),
        json!({"const": {"a": 1}}),
        json!({"minimum": 1, "maximum": 5}),
        json!({"exclusiveMinimum": 1}),
        json!({"minimum": 1, "exclusiveMinimum": true}),
        json!({"maximum": 1, "exclusiveMaximum": true}),
        json!({"exclusiveMaximum": 1.5}),
        json!({"multipleOf": 0.5}),
        json!({"multipleOf": 3}),
        json!({"minLength": 1, "maxLength": 2}),
        json!({"pattern": "^a"}),
        json!({"pattern": "b"}),
        json!({"minItems": 1, "maxItems": 2}),
        json!({"uniqueItems": true}),
        json!({"items": {"type": "integer"}}),
        json!({"items": [{"type": "integer"}, {"type": "string"}], "additionalItems": false}),
        json!({"items": [{"type": "integer"}], "additionalItems": {"type": "integer"}}),
        json!({"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}),
        json!({"prefixItems": [{"type": "integer"}], "items": false}),
        json!({"contains": {"const": 1}}),
        json!({"contains": {"const": 1}, "minContains": 2}),
        json!({"contains": {"const": 1}, "maxContains": 1}),
        json!({"contains": {"const": 9}, "minContains": 0}),
        json!({"properties": {"a": {"type": "integer"}}, "required": ["a"]}),
        json!({"properties": {"a": true}, "additionalProperties": false}),
        json!({"additionalProperties": {"type": "integer"}}),
        json!({"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": false}),
        json!({"propertyNames": {"maxLength": 1}}),
        json!({"propertyNames": {"pattern": "^a"}}),
        json!({"minProperties": 1, "maxProperties": 1}),
        json!({"dependencies": {"a": ["b"]}}),
        json!({"dependencies": {"a": {"required": ["b"]}}}),
        json!({"dependentRequired": {"a": ["b"]}}),
        json!({"dependentSchemas": {"a": {"required": ["b"]}}}),
        json!({"allOf": [{"type": "string"}, {"minLength": 2}]}),
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"oneOf": [{"type": "integer"}, {"minimum": 1}]}),
        json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
        json!({"not": {"type": "string"}}),
        json!({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"type": ["integer", "null"]}}),
        json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}}),
        json!({"$ref": "#/definitions/word"}),
        json!({"$ref": "#/definitions/tree"}),
        json!({"$ref": "#/definitions/word", "maxLength": 1}),
        json!({"$ref": "#/definitions/per%25cent"}),
        json!({"$ref": "#/definitions/a~1b"}),
        json!({"unevaluatedProperties": false, "properties": {"a": true}}),
        json!({"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}),
        json!({"anyOf": [{"properties": {"a": true}, "required": ["a"]}, {"properties": {"b": true}, "required": ["b"]}], "unevaluatedProperties": false}),
        json!({"unevaluatedItems": false, "prefixItems": [true]}),
        json!({"$ref": "#word"}),
        json!({"$ref": "other.json"}),
        json!({"$ref": "other.json#/definitions/inner"}),
        json!(true),
        json!(false),
        json!({}),
        json!({"title": "x", "description": "y", "default": 1, "examples": [1]}),
        json!({"unknown": {"type": "nothing"}}),
        json!({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}),
        json!({"type": "object", "additionalProperties": {"$ref": "#/definitions/tree"}}),
        json!({"if": {"properties": {"a": {"const": 1}}}, "then": {"maxProperties": 1}, "else": false}),
    ];
    let mut table: Vec<(Json, Vec<Json>)> = schemas.into_iter().map(|schema| (schema, mixed())).collect();
    for (format, values) in [
        ("ipv4", texts(&["1.2.3.4", "1.2.3", "256.1.1.1", "01.2.3.4", "a", ""])),
        ("ipv6", texts(&["::1", "fe80::1%eth0", "1.2.3.4", "::ffff:1.2.3.4", "g::1", "1:2:3:4:5:6:7:8", ""])),
        ("hostname", texts(&["a.b", "a-b.c.", "-a", "a-", "a_b", "", "a..b", "ü.de"])),
        (
            "email",
            texts(&["a@b.c", "a@b", "@b", "a", "a.@b", "a..b@c", "\"a b\"@c", "a@[1.2.3.4]", "a@[IPv6:::1]", "a@-b"]),
        ),
        (
            "uri",
            texts(&[
                "http://a/b",
                "a",
                "/a",
                "mailto:x",
                "http://[::1]:80/",
                "http://a b/",
                "http://a/%zz",
                "http://a:x/",
                "://",
                "urn:a:b",
            ]),
        ),
        ("uri-reference", texts(&["a", "/a?b#c", "\\a", "http://x", "%zz", ""])),
        ("uuid", texts(&["123e4567-e89b-12d3-a456-426614174000", "123e4567", "123E4567-E89B-12D3-A456-42661417400g"])),
        ("date", texts(&["2024-02-29", "2023-02-29", "2024-1-1", "2024-13-01", "24-01-01", "x"])),
        (
            "time",
            texts(&[
                "10:00:00Z",
                "10:00:00",
                "25:00:00Z",
                "10:00:00+01:00",
                "10:00:00.123z",
                "23:59:60Z",
                "10:00:60Z",
                "00:59:60+01:00",
                "10:00:00+25:00",
            ]),
        ),
        (
            "date-time",
            texts(&[
                "2024-01-01T10:00:00Z",
                "2024-01-01 10:00:00Z",
                "2024-01-01t10:00:00.5+01:00",
                "2024-01-01",
                "2024-01-32T10:00:00Z",
            ]),
        ),
        ("duration", texts(&["P1D", "PT1H", "P", "P1W", "PT", "P1Y2M3DT4H5M6S", "P1H", "1D", "P1M1Y"])),
        ("json-pointer", texts(&["", "/a", "a", "/a~0b", "/a~2", "/a~"])),
        ("relative-json-pointer", texts(&["0", "1/a", "01", "#", "0#", "-1"])),
        ("regex", texts(&["a", "(", "[a-z]", "a**"])),
        ("semver", texts(&["1.2.3", "1.2", "1.2.3-a.1+b", "01.2.3", "1.2.3-01", "1.2.3+"])),
        ("nonsense", texts(&["x"])),
        ("period", texts(&["2024-01-01T10:00:00Z/P1D", "P1D/2024-01-01T10:00:00Z", "P1D/P1D", "x"])),
    ] {
        table.push((json!({"format": format}), values));
    }
    table
}

fn schema(draft: &str, of: &Json) -> Json {
    let mut schema = json!({
        "type": "object",
        "properties": {"v": of},
        "definitions": {
            "word": {"$id": "#word", "$anchor": "word", "type": "string", "minLength": 1},
            "tree": {"anyOf": [{"type": ["integer", "string", "null"]}, {"type": "array", "items": {"$ref": "#/definitions/tree"}}]},
            "per%cent": {"type": "integer"},
            "a/b": {"type": "string"},
            "other": {"$id": "other.json", "type": "integer", "definitions": {"inner": {"type": "string"}}},
        },
    });
    let anchored = &mut schema["definitions"]["word"];
    match draft {
        // Each draft has its own way to name a place.
        d if d.contains("draft-04") => {
            anchored["id"] = json!("#word");
            anchored.as_object_mut().unwrap().remove("$id");
            let other = &mut schema["definitions"]["other"];
            other["id"] = other["$id"].clone();
            other.as_object_mut().unwrap().remove("$id");
        }
        d if d.contains("draft-0") => {}
        _ => drop(anchored.as_object_mut().unwrap().remove("$id")),
    }
    if !draft.is_empty() {
        schema["$schema"] = json!(draft);
    }
    schema
}

/// What we say: whether the values fit; `None` when the schema is refused.
fn ours(schema: &Json, values: &Json) -> Option<bool> {
    let file = |path: &str, text: String| ChartFile { path: path.to_owned(), bytes: text.into_bytes() };
    let chart = Chart::load([
        file("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n".to_owned()),
        file("values.schema.json", schema.to_string()),
        file("values.yaml", values.to_string()),
    ]);
    match helm::render(&chart.unwrap(), &RenderOptions::default()) {
        Ok(_) => Some(true),
        Err(helm::ChartError::Schema { failures }) => {
            assert!(failures.iter().all(|failure| failure.starts_with("`app` at '")), "{failures:?}");
            Some(false)
        }
        Err(helm::ChartError::NoSchema { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn schemas_accept_and_refuse_what_helm_accepts_and_refuses() {
    let mut cases = Vec::new();
    for draft in DRAFTS {
        for (of, values) in table() {
            let schema = schema(draft, &of);
            cases.extend(values.into_iter().map(|value| (schema.clone(), json!({"v": value}))));
        }
    }
    // The whole way, nulls in values go before a schema sees them: the library is asked about what is left.
    let questions: Vec<Json> = cases
        .iter()
        .map(|(schema, values)| json!({"ask": "schema", "text": schema.to_string(), "values": values}))
        .collect();
    let mut wrong = Vec::new();
    for ((schema, values), theirs) in cases.iter().zip(ask(&questions)) {
        let expected = match theirs.error {
            None => Some(true),
            Some(error) if error.starts_with("- at '") => Some(false),
            Some(_) => None,
        };
        let own = ours(schema, values);
        if own != expected {
            wrong.push(format!("{} {values}\n  helm: {expected:?}\n  ours: {own:?}", schema["properties"]["v"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn a_schema_that_would_have_to_be_fetched_refuses_nothing() {
    let schema = json!({"properties": {"v": {"$ref": "https://example.org/schema.json#/definitions/x"}}});
    assert_eq!(ours(&schema, &json!({"v": 1})), Some(true));
}

#[test]
fn a_refusal_names_the_chart_the_place_and_the_reason() {
    let files = [
        ("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
        (
            "values.schema.json",
            r#"{"properties": {"image": {"properties": {"tag": {"type": "string"}}, "required": ["repository"]}}}"#,
        ),
        ("values.yaml", "image: {tag: 1.5}\n"),
    ];
    let chart =
        Chart::load(files.map(|(path, text)| ChartFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }));
    let error = helm::render(&chart.unwrap(), &RenderOptions::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the values do not fit the schema of `app` at '/image': missing property 'repository'; `app` at '/image/tag': got number, want string"
    );
}
