//! The values of a Clusterfile's templates: files over each other, then `--set`, as Helm has them.

use serde_json::{Map, Value as Json};

use crate::cluster::Environment;
use crate::clusterfile::ClusterfileError;
use crate::template::{Numbers, Value};

/// No list made by `--set` is longer.
const LONGEST: usize = 65_536;

/// Values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(Map<String, Json>);

impl Values {
    /// Puts a file's values over these: maps are merged, all else replaced; null takes a value away.
    ///
    /// # Errors
    /// When the text is no YAML map.
    pub fn add_file(&mut self, name: &str, text: &str) -> Result<(), ClusterfileError> {
        if text.trim().is_empty() {
            return Ok(());
        }
        match super::node::Node::parse(text, 1)?.to_json() {
            Json::Null => Ok(()),
            Json::Object(map) => {
                merge(&mut self.0, map);
                Ok(())
            }
            _ => Err(ClusterfileError::Values { name: name.to_owned() }),
        }
    }

    /// Puts what `--set` says over these: `a.b=1,c[0].d=x,e={1,2}`; `\` takes the meaning from what follows it.
    ///
    /// # Errors
    /// When it is something else.
    pub fn set(&mut self, text: &str) -> Result<(), ClusterfileError> {
        let wrong = |reason: &str| ClusterfileError::Set { text: text.to_owned(), reason: reason.to_owned() };
        let mut parser = Parser { chars: text.chars().peekable() };
        while parser.chars.peek().is_some() {
            let path = parser.path().map_err(wrong)?;
            let value = parser.value().map_err(wrong)?;
            let mut root = Json::Object(std::mem::take(&mut self.0));
            let placed = place(&mut root, &path, value);
            if let Json::Object(map) = root {
                self.0 = map;
            }
            placed.map_err(wrong)?;
        }
        Ok(())
    }

    /// What templates see.
    pub(super) fn data(&self) -> Value {
        let values = Value::from_json(&Json::Object(self.0.clone()), Numbers::Typed);
        Value::Map([("Values".into(), values)].into_iter().collect())
    }
}

fn merge(into: &mut Map<String, Json>, from: Map<String, Json>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (_, Json::Null) => drop(into.remove(&key)),
            (Some(Json::Object(old)), Json::Object(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

enum Step {
    Key(String),
    Index(usize),
}

struct Parser<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Parser<'_> {
    /// Characters up to one of `ends`, which stays.
    fn word(&mut self, ends: &[char]) -> String {
        let mut word = String::new();
        while let Some(c) = self.chars.next_if(|c| !ends.contains(c)) {
            match c {
                '\\' => word.extend(self.chars.next()),
                c => word.push(c),
            }
        }
        word
    }

    fn path(&mut self) -> Result<Vec<Step>, &'static str> {
        let mut path = Vec::new();
        loop {
            let key = self.word(&['.', '[', '=', ',']);
            if !key.is_empty() {
                path.push(Step::Key(key));
            }
            match self.chars.next() {
                Some('.') => {}
                Some('[') => {
                    let index = self.word(&[']']);
                    self.chars.next();
                    let index = index.parse().ok().filter(|index| *index < LONGEST);
                    path.push(Step::Index(index.ok_or("an index has to be a number")?));
                }
                Some('=') if !matches!(path.first(), Some(Step::Key(_))) => return Err("a name is missing"),
                Some('=') => return Ok(path),
                _ => return Err("a `=` is missing"),
            }
        }
    }

    fn value(&mut self) -> Result<Json, &'static str> {
        if self.chars.next_if_eq(&'{').is_none() {
            let value = scalar(self.word(&[',']));
            self.chars.next();
            return Ok(value);
        }
        let mut items = Vec::new();
        loop {
            let item = self.word(&[',', '}']);
            match self.chars.next() {
                Some(end) => {
                    if !(item.is_empty() && items.is_empty() && end == '}') {
                        items.push(scalar(item));
                    }
                    if end == '}' {
                        break;
                    }
                }
                None => return Err("a `}` is missing"),
            }
        }
        match self.chars.next() {
            None | Some(',') => Ok(Json::Array(items)),
            Some(_) => Err("there is something behind a `}`"),
        }
    }
}

/// What Helm makes of a word: null, truth values and whole numbers are such, all else is text.
fn scalar(word: String) -> Json {
    match word.as_str() {
        "null" => Json::Null,
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        "0" => Json::from(0),
        digits if !digits.starts_with('0') => match digits.parse::<i64>() {
            Ok(number) => Json::from(number),
            Err(_) => Json::String(word),
        },
        _ => Json::String(word),
    }
}

fn place(at: &mut Json, path: &[Step], value: Json) -> Result<(), &'static str> {
    match path.split_first() {
        None => *at = value,
        Some((Step::Key(key), rest)) => {
            if at.is_null() {
                *at = Json::Object(Map::new());
            }
            let map = at.as_object_mut().ok_or("a name inside of what is no map")?;
            if rest.is_empty() && value.is_null() {
                map.remove(key);
            } else {
                place(map.entry(key.as_str()).or_insert(Json::Null), rest, value)?;
            }
        }
        Some((Step::Index(index), rest)) => {
            if at.is_null() {
                *at = Json::Array(Vec::new());
            }
            let list = at.as_array_mut().ok_or("an index inside of what is no list")?;
            if list.len() <= *index {
                list.resize(*index + 1, Json::Null);
            }
            place(&mut list[*index], rest, value)?;
        }
    }
    Ok(())
}

/// `$NAME` and `${NAME}` replaced by their values, as Go's `os.ExpandEnv`.
pub(super) fn expand(text: &str, environment: &Environment) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, behind) = match after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            Some(parts) => parts,
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if name.is_empty() {
            out.push('$');
        }
        out.push_str(environment.get(name).unwrap_or_default());
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn set_reads_what_helm_reads() {
        for (text, want) in [
            ("a=1", json!({"a": 1})),
            ("a=1,b=x", json!({"a": 1, "b": "x"})),
            ("a.b.c=true", json!({"a": {"b": {"c": true}}})),
            ("a=01,b=1.5,c=-3,d=0", json!({"a": "01", "b": "1.5", "c": -3, "d": 0})),
            ("a={1,x,},b={}", json!({"a": [1, "x", ""], "b": []})),
            ("a[1].b=x", json!({"a": [null, {"b": "x"}]})),
            (r"a\.b=c\,d", json!({"a.b": "c,d"})),
            ("a=", json!({"a": ""})),
            ("a=b=c", json!({"a": "b=c"})),
            ("keep=null", json!({})),
        ] {
            let mut values = Values::default();
            if text.starts_with("keep") {
                values.set("keep=1").unwrap();
            }
            values.set(text).unwrap();
            assert_eq!(Json::Object(values.0), want, "{text}");
        }
        for text in ["a", "=1", "a[x]=1", "a={1", "a={1}x", "a=1,a.b=2", "a[99999999]=1"] {
            assert!(Values::default().set(text).is_err(), "{text}");
        }
    }

    #[test]
    fn files_lie_over_each_other() {
        let mut values = Values::default();
        values.add_file("a", "a: {b: 1, c: 2}\nd: [1, 2]\n").unwrap();
        values.add_file("b", "a: {c: 3, b: null}\nd: [3]\n").unwrap();
        values.add_file("empty", "\n").unwrap();
        assert_eq!(Json::Object(values.0.clone()), json!({"a": {"c": 3}, "d": [3]}));
        assert!(values.add_file("c", "[1]").is_err());
    }

    #[test]
    fn variables_are_expanded() {
        let environment = Environment::of_image(&["A=1".to_owned(), "B_2=x".to_owned()]);
        for (text, want) in [("$A-${B_2}$C.", "1-x."), ("a$", "a$"), ("$$A", "$1"), ("${A", "${A")] {
            assert_eq!(expand(text, &environment), want, "{text}");
        }
    }
}
