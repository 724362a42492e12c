//! The function set: Go's built-ins, Sprig's and Helm's, each with the parameter types Go checks.
//!
//! A signature is one letter per parameter: `s` string, `i` int, `f` float64, `b` bool, `a` anything (nil allowed),
//! `v` anything, missing included, `m` map, `t` time; a trailing `*` makes the last one variadic.

mod compare;
mod dates;
mod dicts;
mod encoding;
mod impure;
mod json;
mod kinds;
mod lists;
mod math;
mod networks;
mod paths;
mod pattern;
mod regexes;
mod semver;
mod strings;
mod toml;
mod urls;
mod words;
mod yaml;
mod zones;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::bytes::{bytes_of, text_of};
use super::error::CallError;
use super::exec::Exec;
use super::value::{Element, List, Map, Value};

pub use dates::Time;
pub use regexes::go_regex;
pub use semver::{is_valid as version_is_valid, satisfies as version_satisfies};
pub use yaml::yaml_of;

pub(crate) type Answer = Result<Value, CallError>;

/// One function and how Go would type it.
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    signature: &'static str,
    pub(crate) run: fn(&mut Exec<'_>, &[Value]) -> Answer,
}

/// A row of a function table.
pub(crate) const fn row(
    name: &'static str,
    signature: &'static str,
    run: fn(&mut Exec<'_>, &[Value]) -> Answer,
) -> Builtin {
    Builtin { name, signature, run }
}

impl Builtin {
    fn fixed(&self) -> (&'static [u8], bool) {
        match self.signature.strip_suffix('*') {
            Some(letters) => (letters.as_bytes(), true),
            None => (self.signature.as_bytes(), false),
        }
    }

    pub(crate) fn check_count(&self, got: usize) -> Result<(), CallError> {
        let (letters, variadic) = self.fixed();
        let least = letters.len() - usize::from(variadic);
        if variadic && got < least {
            return Err(CallError::ArgumentCount { want: format!("at least {least}"), got });
        }
        if !variadic && got != least {
            return Err(CallError::ArgumentCount { want: least.to_string(), got });
        }
        Ok(())
    }

    /// The letter of the parameter that takes argument `index`.
    pub(crate) fn parameter(&self, index: usize) -> u8 {
        let (letters, _) = self.fixed();
        letters.get(index).or(letters.last()).copied().unwrap_or(b'a')
    }

    /// Whether the function prints its arguments, so that a missing one must not pass in strict mode.
    pub(crate) fn prints(&self) -> bool {
        matches!(self.name, "print" | "printf" | "println" | "html" | "js" | "urlquery")
    }

    /// Checks an argument against its parameter's type, as Go's `validateType` does.
    pub(crate) fn accept(&self, index: usize, value: Value) -> Answer {
        let expected = match (self.parameter(index), &value) {
            (b'v', _) | (b's', Value::String(_)) | (b'i', Value::Int(_)) | (b'f', Value::Float(_)) => return Ok(value),
            (b'b', Value::Bool(_)) => return Ok(value),
            (b'a', Value::Undefined(_)) => return Ok(Value::Null),
            (b'a', _) => return Ok(value),
            (b'm', Value::Map(map)) if map.element() == Element::Any => return Ok(value),
            (b'm', Value::Undefined(_) | Value::Null) => return Ok(Value::Map(Map::new())),
            (b'm', Value::Object(object)) => match object.data() {
                Some(data @ Value::Map(_)) => return Ok(data),
                _ => "map[string]interface {}",
            },
            (b't', Value::Object(object)) if object.as_any().is::<Time>() => return Ok(value),
            (b's', _) => "string",
            (b'i', _) => "int",
            (b'f', _) => "float64",
            (b'b', _) => "bool",
            (b't', _) => "time.Time",
            _ => "map[string]interface {}",
        };
        Err(CallError::WrongType { expected, got: value.type_name() })
    }
}

fn table() -> &'static BTreeMap<&'static str, &'static Builtin> {
    static TABLE: OnceLock<BTreeMap<&'static str, &'static Builtin>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let tables: [&'static [Builtin]; 18] = [
            compare::TABLE,
            dates::TABLE,
            dicts::TABLE,
            encoding::TABLE,
            impure::TABLE,
            json::TABLE,
            lists::TABLE,
            math::TABLE,
            networks::TABLE,
            paths::TABLE,
            regexes::TABLE,
            semver::TABLE,
            strings::TABLE,
            toml::TABLE,
            kinds::TABLE,
            urls::TABLE,
            words::TABLE,
            yaml::TABLE,
        ];
        let mut all: BTreeMap<_, _> = tables.into_iter().flatten().map(|b| (b.name, b)).collect();
        for (alias, name) in MUST {
            if let Some(builtin) = all.get(name).copied() {
                all.insert(alias, builtin);
            }
        }
        all
    })
}

/// Names for what fails instead of panicking in Sprig: here the plain name does too.
const MUST: [(&str, &str); 24] = [
    ("mustFirst", "first"),
    ("mustLast", "last"),
    ("mustRest", "rest"),
    ("mustInitial", "initial"),
    ("mustAppend", "append"),
    ("mustPush", "push"),
    ("mustPrepend", "prepend"),
    ("mustReverse", "reverse"),
    ("mustCompact", "compact"),
    ("mustUniq", "uniq"),
    ("mustWithout", "without"),
    ("mustHas", "has"),
    ("mustSlice", "slice"),
    ("mustChunk", "chunk"),
    ("mustDeepCopy", "deepCopy"),
    ("mustMerge", "merge"),
    ("mustMergeOverwrite", "mergeOverwrite"),
    ("mustRegexFind", "regexFind"),
    ("mustRegexFindAll", "regexFindAll"),
    ("mustRegexReplaceAll", "regexReplaceAll"),
    ("mustRegexReplaceAllLiteral", "regexReplaceAllLiteral"),
    ("mustRegexSplit", "regexSplit"),
    ("must_date_modify", "mustDateModify"),
    ("date_modify", "dateModify"),
];

/// The function of that name.
pub(crate) fn find(name: &str) -> Option<&'static Builtin> {
    table().get(name).copied()
}

pub(crate) fn exists(name: &str) -> bool {
    table().contains_key(name)
}

pub(crate) fn names<'a>() -> impl Iterator<Item = &'a str> {
    table().keys().copied()
}

/// The string argument at `index`; the signature has made sure of it.
fn text(args: &[Value], index: usize) -> &str {
    args.get(index).and_then(Value::as_str).unwrap_or("")
}

fn int(args: &[Value], index: usize) -> i64 {
    args.get(index).and_then(Value::as_int).unwrap_or(0)
}

fn map(args: &[Value], index: usize) -> Map {
    match args.get(index) {
        Some(Value::Map(map)) => map.clone(),
        _ => Map::new(),
    }
}

fn any(args: &[Value], index: usize) -> Value {
    args.get(index).cloned().unwrap_or(Value::Null)
}

/// The list argument at `index`, or Sprig's complaint that it is something else.
fn list(args: &[Value], index: usize, action: &str) -> Result<List, CallError> {
    match args.get(index) {
        Some(Value::List(list)) => Ok(list.clone()),
        Some(Value::Object(object)) => match object.data() {
            Some(Value::List(list)) => Ok(list),
            _ => Err(CallError::argument(format!("Cannot {action} on type {}", any(args, index).kind_name()))),
        },
        other => {
            let kind = other.map_or("invalid", Value::kind_name);
            Err(CallError::argument(format!("Cannot {action} on type {kind}")))
        }
    }
}

fn from_bytes(bytes: &[u8]) -> Value {
    Value::from(text_of(bytes))
}

/// The bytes of the string argument at `index`.
fn bytes(args: &[Value], index: usize) -> Cow<'_, [u8]> {
    bytes_of(text(args, index))
}
