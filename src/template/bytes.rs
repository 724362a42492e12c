//! Bytes that are not text, inside texts: Go's strings hold any bytes, ours hold UTF-8.
//!
//! A byte that is no part of a character is carried as one of the last characters of the last private plane
//! (U+10FF80 to U+10FFFF), so that `.Files.Get "logo.png" | b64enc` encodes the file and not a mangled one. What leaves
//! the engine as a string has U+FFFD there, as Go's encoders write it.

use std::any::Any;
use std::borrow::Cow;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::CallError;
use super::value::{Object, Value};

/// Where byte 0 would be carried; only those from 0x80 are.
const BASE: u32 = 0x10_ff00;

/// The text of bytes: characters where they are UTF-8.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(BASE + u32::from(*byte))));
    }
    out
}

/// The byte that a character carries.
pub(crate) fn carried(c: char) -> Option<u8> {
    (u32::from(c)).checked_sub(BASE).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 0x80)
}

/// Whether a text may carry bytes: characters of the last planes begin with this byte in UTF-8.
fn may_carry(text: &str) -> bool {
    text.as_bytes().contains(&0xf4)
}

/// The bytes of a text.
pub(crate) fn bytes_of(text: &str) -> Cow<'_, [u8]> {
    if !may_carry(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match carried(c) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(out)
}

/// A text as it leaves the engine: U+FFFD for each byte that is none.
pub(crate) fn shown(text: String) -> String {
    if !may_carry(&text) {
        return text;
    }
    text.chars().map(|c| if carried(c).is_some() { '\u{fffd}' } else { c }).collect()
}

/// Go's `[]byte`, such as what `.Files.GetBytes` answers: `toString` makes it a text, printing shows numbers.
#[derive(Clone, Debug)]
pub struct Bytes(pub Rc<[u8]>);

impl Bytes {
    /// The bytes of a value that holds some.
    pub(crate) fn of(value: &Value) -> Option<&Self> {
        match value {
            Value::Object(object) => object.as_any().downcast_ref(),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> String {
        text_of(&self.0)
    }

    /// The bytes as a text of the template language.
    pub fn as_text(&self) -> Value {
        Value::from(self.text())
    }
}

impl Object for Bytes {
    fn type_name(&self) -> &str {
        "[]uint8"
    }

    fn kind(&self) -> &'static str {
        "slice"
    }

    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    fn call(&self, _name: &str, _args: &[Value]) -> Option<Result<Value, CallError>> {
        None
    }

    fn display(&self) -> String {
        let numbers: Vec<String> = self.0.iter().map(u8::to_string).collect();
        format!("[{}]", numbers.join(" "))
    }

    fn data(&self) -> Option<Value> {
        Some(Value::list(self.0.iter().map(|byte| Value::Int(i64::from(*byte))).collect()))
    }

    fn encoded(&self) -> Option<Value> {
        Some(Value::from(STANDARD.encode(&self.0)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
