//! Semantic versions and constraints with Masterminds' grammar, as Sprig's `semver` and `semverCompare` use it.
//!
//! A constraint without a pre-release never accepts a pre-release version (`>=1.20` refuses `1.21.0-rc.1`,
//! `>=1.20-0` accepts it). Missing or `x` parts make a range; `||` is or, comma and space are and, ` - ` is a range.

use std::any::Any;
use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::OnceLock;

use regex::Regex;

use super::super::error::CallError;
use super::super::value::{Object, Value};
use super::{Answer, Builtin, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("semver", "s", |_, a| Ok(Value::Object(Rc::new(Version::parse(text(a, 0))?)))),
    row("semverCompare", "ss", |_, a| satisfies(text(a, 1), text(a, 0)).map(Value::Bool)),
];

/// One version.
#[derive(Clone, Debug)]
struct Version {
    original: String,
    numbers: [u64; 3],
    pre: String,
    metadata: String,
}

impl Version {
    fn parse(source: &str) -> Result<Self, CallError> {
        let bad = || CallError::argument(format!("Invalid Semantic Version: {source:?}"));
        let body = source.strip_prefix('v').unwrap_or(source);
        let (body, metadata) = body.split_once('+').map_or((body, None), |(b, m)| (b, Some(m)));
        let (body, pre) = body.split_once('-').map_or((body, None), |(b, p)| (b, Some(p)));
        let mut numbers = [0; 3];
        let parts: Vec<&str> = body.split('.').collect();
        if parts.len() > 3 {
            return Err(bad());
        }
        for (slot, part) in numbers.iter_mut().zip(&parts) {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad());
            }
            *slot = part.parse().map_err(|e| CallError::argument(format!("Error parsing version segment: {e}")))?;
        }
        let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let leading_zero = |w: &str| w.len() > 1 && w.starts_with('0') && w.bytes().all(|b| b.is_ascii_digit());
        if pre.is_some_and(|p| p.split('.').any(|w| !word(w) || leading_zero(w)))
            || metadata.is_some_and(|m| m.split('.').any(|w| !word(w)))
        {
            return Err(bad());
        }
        Ok(Self {
            original: source.to_owned(),
            numbers,
            pre: pre.unwrap_or("").to_owned(),
            metadata: metadata.unwrap_or("").to_owned(),
        })
    }

    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| order_pre(&self.pre, &other.pre))
    }
}

fn order_pre(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        _ => {}
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => x.cmp(y),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

impl Object for Version {
    fn type_name(&self) -> &str {
        "*semver.Version"
    }

    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    fn call(&self, name: &str, args: &[Value]) -> Option<Answer> {
        let count = usize::from(matches!(name, "Compare" | "Equal" | "LessThan" | "GreaterThan"));
        let result = match (name, args) {
            ("Major", []) => Value::Uint(self.numbers[0]),
            ("Minor", []) => Value::Uint(self.numbers[1]),
            ("Patch", []) => Value::Uint(self.numbers[2]),
            ("Prerelease", []) => Value::string(self.pre.as_str()),
            ("Metadata", []) => Value::string(self.metadata.as_str()),
            ("Original", []) => Value::string(self.original.as_str()),
            ("String", []) => Value::from(self.display()),
            ("Compare" | "Equal" | "LessThan" | "GreaterThan", [Value::Object(other)]) => {
                let order = self.order(other.as_any().downcast_ref::<Self>()?);
                match name {
                    "Compare" => Value::Int(order as i64),
                    "Equal" => Value::Bool(order == Ordering::Equal),
                    "LessThan" => Value::Bool(order == Ordering::Less),
                    _ => Value::Bool(order == Ordering::Greater),
                }
            }
            (_, [_, ..]) if count == 1 => {
                return Some(Err(CallError::ArgumentCount { want: count.to_string(), got: args.len() }));
            }
            _ => return None,
        };
        Some(Ok(result))
    }

    fn display(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let mut out = format!("{major}.{minor}.{patch}");
        for (mark, part) in [('-', &self.pre), ('+', &self.metadata)] {
            if !part.is_empty() {
                out.push(mark);
                out.push_str(part);
            }
        }
        out
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// One comparison; `known` counts the parts that were written (0 to 3).
struct Constraint {
    operator: String,
    version: Version,
    known: usize,
}

struct Grammar {
    one: Regex,
    find: Regex,
    valid: Regex,
    range: Regex,
}

const VERSION: &str = r"v?([0-9|xX*]+)(\.[0-9|xX*]+)?(\.[0-9|xX*]+)?(-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?";
const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";

fn grammar() -> Result<&'static Grammar, CallError> {
    static GRAMMAR: OnceLock<Option<Grammar>> = OnceLock::new();
    GRAMMAR
        .get_or_init(|| {
            let one = Regex::new(&format!(r"^\s*({OPERATORS})\s*({VERSION})\s*$")).ok()?;
            let find = Regex::new(&format!(r"({OPERATORS})\s*({VERSION})")).ok()?;
            let piece = format!(r"(?:{OPERATORS})\s*(?:{VERSION})\s*");
            let valid = Regex::new(&format!(r"^(?:\s*{piece})(?:(?:\s+|,\s*){piece})*$")).ok()?;
            let range = Regex::new(&format!(r"\s*(?P<low>{VERSION})\s+-\s+(?P<high>{VERSION})\s*")).ok()?;
            Some(Grammar { one, find, valid, range })
        })
        .as_ref()
        .ok_or_else(|| CallError::argument("the constraint grammar is not available"))
}

/// Whether a version satisfies a constraint such as `>=1.20-0 <2`.
///
/// # Errors
/// One of them cannot be read.
pub fn satisfies(version: &str, constraint: &str) -> Result<bool, CallError> {
    let alternatives = parse(constraint)?;
    let version = Version::parse(version)?;
    Ok(alternatives.iter().any(|all| all.iter().all(|c| c.accepts(&version))))
}

/// Whether a text is a version; parts may be missing, a `v` may stand before it.
pub fn is_valid(version: &str) -> bool {
    Version::parse(version).is_ok()
}

fn parse(source: &str) -> Result<Vec<Vec<Constraint>>, CallError> {
    let grammar = grammar()?;
    let source = grammar.range.replace_all(source, ">= ${low}, <= ${high} ");
    let mut alternatives = Vec::new();
    for segment in source.split("||") {
        let bad = || CallError::argument(format!("improper constraint: {segment}"));
        if !grammar.valid.is_match(segment) {
            return Err(bad());
        }
        let mut all = Vec::new();
        for found in grammar.find.find_iter(segment) {
            all.push(Constraint::parse(grammar, found.as_str()).ok_or_else(bad)?);
        }
        alternatives.push(all);
    }
    Ok(alternatives)
}

impl Constraint {
    fn parse(grammar: &Grammar, source: &str) -> Option<Self> {
        let groups = grammar.one.captures(source)?;
        let part = |i: usize| groups.get(i).map_or("", |m| m.as_str());
        let open = |s: &str| matches!(s.trim_start_matches('.'), "" | "x" | "X" | "*");
        let known = (3..6).take_while(|i| !open(part(*i))).count();
        let pre = part(6);
        let text = match known {
            0 => format!("0.0.0{pre}"),
            1 => format!("{}.0.0{pre}", part(3)),
            2 => format!("{}{}.0{pre}", part(3), part(4)),
            _ => part(2).to_owned(),
        };
        Some(Self { operator: part(1).to_owned(), version: Version::parse(&text).ok()?, known })
    }

    fn accepts(&self, v: &Version) -> bool {
        let (own, known) = (&self.version, self.known);
        if self.operator == "!=" && known == 3 {
            return v.order(own) != Ordering::Equal;
        }
        if !v.pre.is_empty() && own.pre.is_empty() {
            return false;
        }
        let order = v.order(own);
        let parts = known.min(2);
        match self.operator.as_str() {
            "!=" => known > 0 && v.numbers[..known] != own.numbers[..known] || known == 0 && v.numbers[0] != 0,
            ">" if known == 3 => order == Ordering::Greater,
            ">" => match v.numbers[0].cmp(&own.numbers[0]) {
                Ordering::Equal if known == 2 => v.numbers[1] > own.numbers[1],
                Ordering::Equal if known == 0 => order == Ordering::Greater,
                first => first == Ordering::Greater,
            },
            "<" => order == Ordering::Less,
            ">=" | "=>" => order != Ordering::Less,
            "<=" | "=<" if known == 3 => order != Ordering::Greater,
            "<=" | "=<" => {
                v.numbers[0] < own.numbers[0]
                    || v.numbers[0] == own.numbers[0] && (known == 1 || v.numbers[1] <= own.numbers[1])
            }
            "^" => order != Ordering::Less && self.caret(v),
            "" | "=" if known == 3 => order == Ordering::Equal,
            _ => {
                let any = own.numbers == [0; 3] && (known == 3 || known == 0);
                order != Ordering::Less && (any || v.numbers[..parts] == own.numbers[..parts])
            }
        }
    }

    /// `^`: nothing left of the first non-zero part changes.
    fn caret(&self, v: &Version) -> bool {
        let own = self.version.numbers;
        if own[0] > 0 || self.known == 1 {
            return v.numbers[0] == own[0];
        }
        if v.numbers[0] > 0 {
            return false;
        }
        if own[1] > 0 || self.known == 2 {
            return v.numbers[1] == own[1];
        }
        v.numbers[1] == 0 && v.numbers[2] == own[2]
    }
}
