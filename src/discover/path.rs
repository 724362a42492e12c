//! Path expressions of rules: which values of a document are meant.
//!
//! ```text
//! spec.image            one key after the other
//! spec.*Image           a key with * for any text
//! spec.parts[*].image   every item; [0] one of them; [name=web] those whose key has that value
//! spec..image           at any depth below spec
//! data."a.b".c          a key that holds a dot
//! ```

use super::glob;
use super::yaml::Node;

/// One path expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A key; `*` in it stands for any text.
    Key(String),
    Item(usize),
    AnyItem,
    /// Items with a key of that value.
    Where(String, String),
    /// The value itself and everything below it.
    AnyDepth,
}

impl Path {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = match rest.as_bytes() {
                [b'.', b'.', ..] => {
                    steps.push(Step::AnyDepth);
                    &rest[2..]
                }
                [b'.', ..] if !steps.is_empty() && rest.len() > 1 => &rest[1..],
                [b'[', ..] => {
                    let (inside, after) = rest[1..].split_once(']').ok_or("a `[` is not closed")?;
                    steps.push(bracket(inside)?);
                    after
                }
                [b'"', ..] => {
                    let (key, after) = rest[1..].split_once('"').ok_or("a `\"` is not closed")?;
                    steps.push(Step::Key(key.to_owned()));
                    after
                }
                _ => {
                    let end = rest.find(['.', '[', '"']).unwrap_or(rest.len());
                    if end == 0 {
                        return Err(format!("a key is missing at `{rest}`"));
                    }
                    steps.push(Step::Key(rest[..end].to_owned()));
                    &rest[end..]
                }
            };
        }
        match steps.last() {
            None | Some(Step::AnyDepth) => Err("the path does not end in a key or an item".to_owned()),
            Some(_) => Ok(Self(steps)),
        }
    }

    /// The values that are meant, in the order of the document, each once.
    pub(crate) fn select<'a>(&self, root: &'a Node) -> Vec<&'a Node> {
        let mut found = vec![root];
        for step in &self.0 {
            let mut next: Vec<&Node> = Vec::new();
            for node in found {
                step.apply(node, &mut next);
            }
            found = next;
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|node| seen.insert(std::ptr::from_ref::<Node>(node)));
        found
    }
}

impl Step {
    fn apply<'a>(&self, node: &'a Node, found: &mut Vec<&'a Node>) {
        match self {
            Self::Key(key) => {
                let entries = node.entries().iter().filter(|(name, _)| glob::matches(key, name));
                found.extend(entries.map(|(_, node)| node));
            }
            Self::Item(at) => found.extend(node.items().get(*at)),
            Self::AnyItem => found.extend(node.items()),
            Self::Where(key, value) => {
                found.extend(node.items().iter().filter(|item| item.text_of(key) == Some(value)));
            }
            Self::AnyDepth => {
                found.push(node);
                let children = node.items().iter().chain(node.entries().iter().map(|(_, node)| node));
                children.for_each(|child| self.apply(child, found));
            }
        }
    }
}

fn bracket(inside: &str) -> Result<Step, String> {
    if inside == "*" {
        return Ok(Step::AnyItem);
    }
    if let Some((key, value)) = inside.split_once('=') {
        return Ok(Step::Where(key.to_owned(), value.to_owned()));
    }
    inside.parse().map(Step::Item).map_err(|_not_a_number| format!("`[{inside}]` is none of [*], [3] and [key=value]"))
}

#[cfg(test)]
mod tests {
    use super::super::yaml::documents;
    use super::*;

    #[test]
    fn paths_select_what_they_say() {
        let text = "spec:\n  image: a\n  fooImage: b\n  parts:\n  - {name: x, image: c}\n  - {name: y, image: d}\n  \"a.b\": {image: e}\n";
        let documents = documents(text).unwrap();
        for (path, want) in [
            ("spec.image", &["a"][..]),
            ("spec.*Image", &["b"]),
            ("spec.*mage", &["a", "b"]),
            ("spec.parts[*].image", &["c", "d"]),
            ("spec.parts[1].image", &["d"]),
            ("spec.parts[name=x].image", &["c"]),
            ("spec..image", &["a", "c", "d", "e"]),
            ("spec.\"a.b\".image", &["e"]),
            ("..image", &["a", "c", "d", "e"]),
            ("spec.nothing", &[]),
        ] {
            let found = Path::parse(path).unwrap().select(&documents[0]);
            assert_eq!(found.iter().filter_map(|node| node.text()).collect::<Vec<_>>(), want, "{path}");
        }
        for bad in ["", ".", "a.", "a..", "a[", "a[x]", "a.\"b", ".a"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
