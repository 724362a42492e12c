//! Path functions, on the text alone: Go's `path`, and `filepath` as it is on Linux (the same).

use super::super::value::Value;
use super::{Builtin, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("base", "s", |_, a| Ok(Value::string(base(text(a, 0))))),
    row("dir", "s", |_, a| Ok(Value::from(dir(text(a, 0))))),
    row("clean", "s", |_, a| Ok(Value::from(clean(text(a, 0))))),
    row("ext", "s", |_, a| Ok(Value::string(ext(text(a, 0))))),
    row("isAbs", "s", |_, a| Ok(Value::Bool(text(a, 0).starts_with('/')))),
    row("osBase", "s", |_, a| Ok(Value::string(base(text(a, 0))))),
    row("osDir", "s", |_, a| Ok(Value::from(dir(text(a, 0))))),
    row("osClean", "s", |_, a| Ok(Value::from(clean(text(a, 0))))),
    row("osExt", "s", |_, a| Ok(Value::string(ext(text(a, 0))))),
    row("osIsAbs", "s", |_, a| Ok(Value::Bool(text(a, 0).starts_with('/')))),
];

fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/" } else { trimmed.rsplit('/').next().unwrap_or(trimmed) }
}

fn dir(path: &str) -> String {
    clean(&path[..path.rfind('/').map_or(0, |i| i + 1)])
}

fn ext(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').map_or("", |i| &name[i..])
}

pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
