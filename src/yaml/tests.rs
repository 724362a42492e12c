//! What the comparison with Helm cannot say: bounds, places, whole numbers, streams.

use proptest::prelude::{any, prop, proptest};
use serde_json::json;

use super::{Numbers, all, first, text_of};

#[test]
fn whole_numbers_stay_whole_when_asked() {
    let text = "[1, 0755, 1.0, 18446744073709551615, 1e3]";
    let value = first(text, Numbers::Exact).expect("YAML");
    assert_eq!(value, json!([1, 493, 1.0, 18_446_744_073_709_551_615_u64, 1000.0]));
    assert_eq!(
        first(text, Numbers::Floats).expect("YAML"),
        json!([1.0, 493.0, 1.0, 18_446_744_073_709_551_615.0, 1000.0])
    );
}

#[test]
fn every_document_of_a_stream_is_read_with_its_line() {
    let documents = all("# c\na: 1\n---\n---\n- x\n---\n\n\nb: 2\n", Numbers::Exact).expect("YAML");
    let shown: Vec<_> = documents.iter().map(|d| (d.line, d.value.clone())).collect();
    assert_eq!(shown, [(2, json!({"a": 1})), (3, json!(null)), (5, json!(["x"])), (9, json!({"b": 2}))]);
    assert!(all("", Numbers::Exact).expect("YAML").is_empty());
}

#[test]
fn scalars_become_texts_as_go_prints_them() {
    for (yaml, text) in [
        ("1.10", "1.1"),
        ("1", "1"),
        ("1e6", "1e+06"),
        ("true", "true"),
        ("010", "8"),
        ("3.14159265358979", "3.1415927"),
        ("0.00001", "1e-05"),
        ("x", "x"),
    ] {
        assert_eq!(text_of(&first(yaml, Numbers::Exact).expect(yaml)).as_deref(), Some(text), "{yaml}");
    }
    assert_eq!(text_of(&json!(null)), None);
}

#[test]
fn errors_have_a_place() {
    let error = first("a: 1\nb: [1, 2\nc: 3\n", Numbers::Exact).expect_err("not closed");
    assert_eq!(error.line, 3, "{error}");
    let error = first("a: 1\nb: .inf\n", Numbers::Exact).expect_err("infinite");
    assert_eq!(error.to_string(), "line 2, column 4: JSON has no number for `.inf`");
}

#[test]
fn bombs_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let previous = format!("*a{}", i - 1);
        text.push_str(&format!("a{i}: &a{i} [{}]\n", [previous.as_str(); 10].join(", ")));
    }
    let error = first(&text, Numbers::Exact).expect_err("a billion values").to_string();
    assert!(error.contains("aliases repeat more than"), "{error}");
    assert!(first(&"[".repeat(100_000), Numbers::Exact).is_err());
    assert!(first(&"a:\n".repeat(10), Numbers::Exact).is_ok());
    assert!(first(&(0..5000).map(|i| format!("{:i$}a:\n", "")).collect::<String>(), Numbers::Exact).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        drop(all(&text, Numbers::Exact));
    }

    #[test]
    fn no_yaml_like_text_makes_the_reader_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "a", ":", " ", "\n", "- ", "[", "]", "{", "}", ",", "&x ", "*x", "<<: ", "|\n", ">\n", "'", "\"", "#", "!!int ", "---\n", "? ", "  ", "1", "~",
    ]), 0..60)) {
        drop(all(&pieces.concat(), Numbers::Floats));
    }
}
