//! The values a template works on, shaped after what Go's `interface{}` can hold.
//!
//! Lists are shared and never change; maps are shared and change through `set`/`unset`/`merge`, as Go's maps do, so
//! every holder of a map sees the change. A map may come to hold itself: everything that walks a value counts its
//! depth (`MAX_DEPTH`), and dropping is iterative, so neither can exhaust the stack.
//! This file does not print values (`format.rs`) nor encode them (`functions/encoding.rs`, `functions/yaml.rs`).

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::error::CallError;

/// How deep a value may nest before printing, comparing, copying or encoding it is refused.
pub(crate) const MAX_DEPTH: usize = 128;

/// One value of the template language.
#[derive(Clone)]
pub enum Value {
    /// What a missing map key yields (Go's invalid `reflect.Value`); holds the key's name. It is false, empty and
    /// turns into `Null` as an argument; printing it is an error in strict mode.
    Undefined(Rc<str>),
    /// Go's `nil`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`: literals, `len`, `int`.
    Int(i64),
    /// `int64`: what Sprig's integer arithmetic returns.
    Int64(i64),
    /// `uint64`.
    Uint(u64),
    /// `float64`: every number read from JSON or YAML, as in Go.
    Float(f64),
    /// `string`; always UTF-8 (where Go would cut inside a character, U+FFFD stands).
    String(Rc<str>),
    /// A slice.
    List(List),
    /// A map with string keys.
    Map(Map),
    /// Anything with fields and methods of its own.
    Object(Rc<dyn Object>),
}

/// The static element type of a list or map, which Go's `typeOf`, `%T` and `deepEqual` can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// `interface {}`.
    Any,
    /// `string`.
    String,
    /// `int`.
    Int,
    /// `[]interface {}`.
    List,
}

impl Element {
    pub(crate) fn go_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::String => "string",
            Self::Int => "int",
            Self::List => "[]interface {}",
        }
    }
}

/// How numbers of JSON data become values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Every number is a `Float`, as Go's `encoding/json` and Helm do (so 1000000 prints as `1e+06`).
    Float,
    /// Whole numbers stay integers, as the fields of a Go struct would: for `--format` over typed documents.
    Typed,
}

/// How a value becomes JSON.
#[derive(Clone, Copy)]
struct How {
    numbers: Numbers,
    text: fn(String) -> String,
}

/// A value with fields and methods, such as Helm's `.Files` or `.Capabilities.APIVersions`.
pub trait Object {
    /// The Go type name that `typeOf` and error messages show.
    fn type_name(&self) -> &str;
    /// The Go kind that `kindOf` shows.
    fn kind(&self) -> &'static str {
        if self.type_name().starts_with('*') { "ptr" } else { "struct" }
    }
    /// The field of that name; `None` when there is no such field.
    fn field(&self, name: &str) -> Option<Value>;
    /// Calls the method of that name; `None` when there is no such method.
    fn call(&self, name: &str, args: &[Value]) -> Option<Result<Value, CallError>>;
    /// What printing shows.
    fn display(&self) -> String;
    /// The plain data that `range`, `index`, `len` and the encoders see; `None` for an opaque object.
    fn data(&self) -> Option<Value> {
        None
    }
    /// What the encoders write.
    fn encoded(&self) -> Option<Value> {
        self.data()
    }
    /// Runs the object as a function value (`{{ call .f 1 }}`); `None` when it is not one.
    fn invoke(&self, _args: &[Value]) -> Option<Result<Value, CallError>> {
        None
    }
    /// The concrete object, for functions that know its type.
    fn as_any(&self) -> &dyn Any;
}

struct ListData {
    element: Element,
    items: Vec<Value>,
}

/// An immutable, shared list.
#[derive(Clone)]
pub struct List(Rc<ListData>);

impl List {
    /// A list of the given static element type.
    pub fn of(element: Element, items: Vec<Value>) -> Self {
        Self(Rc::new(ListData { element, items }))
    }
    /// A `[]interface {}`.
    pub fn new(items: Vec<Value>) -> Self {
        Self::of(Element::Any, items)
    }
    /// The items in order.
    pub fn items(&self) -> &[Value] {
        &self.0.items
    }
    /// The static element type.
    pub fn element(&self) -> Element {
        self.0.element
    }
}

struct MapData {
    element: Element,
    entries: RefCell<BTreeMap<Rc<str>, Value>>,
}

/// A shared map with string keys; clones see each other's changes. Iteration is always in key order.
#[derive(Clone)]
pub struct Map(Rc<MapData>);

impl Map {
    /// An empty `map[string]interface {}`.
    pub fn new() -> Self {
        Self::of(Element::Any, BTreeMap::new())
    }
    /// A map of the given static element type.
    pub fn of(element: Element, entries: BTreeMap<Rc<str>, Value>) -> Self {
        Self(Rc::new(MapData { element, entries: RefCell::new(entries) }))
    }
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.0.entries.borrow().get(key).cloned()
    }
    /// Sets a key for every holder of this map.
    pub fn insert(&self, key: impl Into<Rc<str>>, value: Value) {
        let old = self.0.entries.borrow_mut().insert(key.into(), value);
        drop(old);
    }
    /// Removes a key for every holder of this map.
    pub fn remove(&self, key: &str) {
        let old = self.0.entries.borrow_mut().remove(key);
        drop(old);
    }
    /// Whether the key is present (its value may be `Null`).
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.entries.borrow().contains_key(key)
    }
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.entries.borrow().len()
    }
    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// A snapshot of the entries in key order.
    pub fn entries(&self) -> Vec<(Rc<str>, Value)> {
        self.0.entries.borrow().iter().map(|(k, v)| (Rc::clone(k), v.clone())).collect()
    }
    /// The static element type.
    pub fn element(&self) -> Element {
        self.0.element
    }
    /// Whether both are the same map, not only equal ones.
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Map {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<(Rc<str>, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Rc<str>, Value)>>(iter: I) -> Self {
        Self::of(Element::Any, iter.into_iter().collect())
    }
}

/// Takes a dying tree apart in a loop: a chain of a million maps must not recurse a million frames.
fn dismantle(mut pending: Vec<Value>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::List(List(mut data)) => {
                if let Some(data) = Rc::get_mut(&mut data) {
                    pending.append(&mut data.items);
                }
            }
            Value::Map(Map(mut data)) => {
                if let Some(data) = Rc::get_mut(&mut data) {
                    pending.extend(std::mem::take(data.entries.get_mut()).into_values());
                }
            }
            _ => {}
        }
    }
}

impl Drop for ListData {
    fn drop(&mut self) {
        dismantle(std::mem::take(&mut self.items));
    }
}

impl Drop for MapData {
    fn drop(&mut self) {
        dismantle(std::mem::take(self.entries.get_mut()).into_values().collect());
    }
}

impl Value {
    /// A string value.
    pub fn string(text: impl Into<Rc<str>>) -> Self {
        Self::String(text.into())
    }
    /// A `[]interface {}`.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(List::new(items))
    }
    /// A `[]string`.
    pub fn strings<S: Into<Rc<str>>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::List(List::of(Element::String, items.into_iter().map(Self::string).collect()))
    }

    /// Converts JSON data.
    pub fn from_json(json: &serde_json::Value, numbers: Numbers) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(*b),
            serde_json::Value::Number(n) => from_number(n, numbers),
            serde_json::Value::String(s) => Self::string(s.as_str()),
            serde_json::Value::Array(items) => Self::list(items.iter().map(|i| Self::from_json(i, numbers)).collect()),
            serde_json::Value::Object(map) => {
                Self::Map(map.iter().map(|(k, v)| (Rc::from(k.as_str()), Self::from_json(v, numbers))).collect())
            }
        }
    }

    /// Converts to JSON data; an object shows its data, or its printed form when it has none.
    ///
    /// # Errors
    /// When the value nests too deep (a map may hold itself) or holds a number that JSON cannot (NaN, infinity).
    pub fn to_json(&self) -> Result<serde_json::Value, CallError> {
        self.within(MAX_DEPTH, How { numbers: Numbers::Typed, text: super::bytes::shown })
    }

    /// As `to_json`, but a float that is whole stays a float.
    pub(crate) fn to_json_floats(&self) -> Result<serde_json::Value, CallError> {
        self.within(MAX_DEPTH, How { numbers: Numbers::Float, text: super::bytes::shown })
    }

    /// As `to_json`, but bytes that are not text are still in the texts.
    pub(crate) fn to_json_bytes(&self) -> Result<serde_json::Value, CallError> {
        self.within(MAX_DEPTH, How { numbers: Numbers::Typed, text: |text| text })
    }

    fn within(&self, depth: usize, how: How) -> Result<serde_json::Value, CallError> {
        let Some(below) = depth.checked_sub(1) else { return Err(CallError::TooDeep) };
        Ok(match self {
            Self::Undefined(_) | Self::Null => serde_json::Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(i) | Self::Int64(i) => (*i).into(),
            Self::Uint(u) => (*u).into(),
            Self::Float(f) if how.numbers == Numbers::Float && f.is_finite() => serde_json::Value::from(*f),
            Self::Float(f) => number(*f)?,
            Self::String(s) => (how.text)(s.to_string()).into(),
            Self::List(list) => {
                serde_json::Value::Array(list.items().iter().map(|i| i.within(below, how)).collect::<Result<_, _>>()?)
            }
            Self::Map(map) => {
                let mut out = serde_json::Map::new();
                for (key, value) in map.entries() {
                    out.insert((how.text)(key.to_string()), value.within(below, how)?);
                }
                serde_json::Value::Object(out)
            }
            Self::Object(object) => match object.encoded() {
                Some(data) => data.within(below, how)?,
                None => object.display().into(),
            },
        })
    }

    /// Go's truth: not the zero value, not empty.
    pub fn truth(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::Null => false,
            Self::Bool(b) => *b,
            Self::Int(i) | Self::Int64(i) => *i != 0,
            Self::Uint(u) => *u != 0,
            Self::Float(f) => *f != 0.0,
            Self::String(s) => !s.is_empty(),
            Self::List(l) => !l.items().is_empty(),
            Self::Map(m) => !m.is_empty(),
            Self::Object(o) => o.data().is_none_or(|d| d.truth()),
        }
    }

    /// The integer held, if this is one of the integer kinds.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(i) | Self::Int64(i) => Some(*i),
            Self::Uint(u) => i64::try_from(*u).ok(),
            _ => None,
        }
    }

    /// The string held.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// Whether this is `Null` or `Undefined`.
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Null | Self::Undefined(_))
    }

    /// The Go type's name, as `%T` prints it.
    pub fn type_name(&self) -> String {
        match self {
            Self::Undefined(_) | Self::Null => "<nil>".to_owned(),
            Self::Bool(_) => "bool".to_owned(),
            Self::Int(_) => "int".to_owned(),
            Self::Int64(_) => "int64".to_owned(),
            Self::Uint(_) => "uint64".to_owned(),
            Self::Float(_) => "float64".to_owned(),
            Self::String(_) => "string".to_owned(),
            Self::List(l) => format!("[]{}", l.element().go_name()),
            Self::Map(m) => format!("map[string]{}", m.element().go_name()),
            Self::Object(o) => o.type_name().to_owned(),
        }
    }

    /// The Go kind's name, as Sprig's `kindOf` prints it.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) | Self::Null => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint(_) => "uint64",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Object(o) => o.kind(),
        }
    }
}

fn from_number(n: &serde_json::Number, numbers: Numbers) -> Value {
    if numbers == Numbers::Typed {
        if let Some(i) = n.as_i64() {
            return Value::Int(i);
        }
        if let Some(u) = n.as_u64() {
            return Value::Uint(u);
        }
    }
    Value::Float(n.as_f64().unwrap_or(f64::NAN))
}

/// A float as JSON's number: a whole one has no fraction, as Go's `encoding/json` writes it.
fn number(f: f64) -> Result<serde_json::Value, CallError> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if f.fract() == 0.0 && f.abs() <= EXACT && !(f == 0.0 && f.is_sign_negative()) {
        return Ok((f as i64).into());
    }
    serde_json::Number::from_f64(f)
        .map(serde_json::Value::Number)
        .ok_or_else(|| CallError::argument(format!("JSON has no number for {f}")))
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        Self::from_json(json, Numbers::Float)
    }
}

impl From<&BTreeMap<String, String>> for Value {
    fn from(map: &BTreeMap<String, String>) -> Self {
        Self::Map(map.iter().map(|(k, v)| (Rc::from(k.as_str()), Self::string(v.as_str()))).collect())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::string(text)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}
