//! YAML and JSON as a tree that knows its lines.
//!
//! Scalars keep their text (`1.20` stays `1.20`), whatever they would be read as; aliases and merge keys are resolved;
//! the number of nodes is bounded, so that aliases of aliases cannot fill the memory. Of two equal keys the last one
//! counts, as for `kubectl`.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};

/// Nodes of one file; the largest bundles of custom resource definitions have some 200,000.
const MAX_NODES: usize = 4_000_000;
/// Collections inside each other.
const MAX_DEPTH: usize = 200;

/// A value and the line it begins in, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// Any other scalar.
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the text.
    Map(Vec<(String, Node)>),
}

/// A scalar's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) style: Style,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes: may be a number or a truth value.
    Plain,
    /// With quotes: a text.
    Quoted,
    /// Over several lines behind `|` or `>`; the text begins in the node's line.
    Block,
}

/// Where and why a text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// What the parser said.
    pub reason: String,
}

impl Node {
    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().rev().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The scalar text below a key.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::text)
    }

    /// The value at the end of a chain of keys.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The entries of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }
}

/// Reads all documents of a text. Empty documents are left out.
///
/// # Errors
/// When the text is not YAML, or too large.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut builder = Builder { text, anchors: HashMap::new(), count: 0 };
    let mut parser = Parser::new_from_str(text);
    let mut documents = Vec::new();
    // An explicit stack: nothing a file holds can exhaust ours.
    let mut stack: Vec<Open> = Vec::new();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| YamlError { line: error.marker().line(), reason: error.info() })?;
        let line = span.start.line();
        let finished = match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = builder.scalar(&text, style, line);
                Some((node, anchor))
            }
            Event::Alias(id) => Some((builder.alias(id, line)?, 0)),
            Event::SequenceStart(_, anchor, _) => {
                stack.push(Open { line, anchor, filling: Filling::List(Vec::new()) });
                None
            }
            Event::MappingStart(_, anchor, _) => {
                stack.push(Open { line, anchor, filling: Filling::Map(Vec::new(), None) });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => stack.pop().map(Open::close),
            Event::DocumentStart(..) => {
                builder.anchors.clear();
                None
            }
            _ => None,
        };
        if stack.len() > MAX_DEPTH {
            return Err(YamlError { line, reason: format!("more than {MAX_DEPTH} values inside each other") });
        }
        let Some((node, anchor)) = finished else { continue };
        builder.count(1, line)?;
        if anchor != 0 {
            builder.anchors.insert(anchor, node.clone());
            builder.count(size(&node), line)?;
        }
        match stack.last_mut() {
            Some(open) => open.take(node),
            None if node.value != Value::Null => documents.push(node),
            None => {}
        }
    }
    Ok(documents)
}

struct Builder<'a> {
    text: &'a str,
    anchors: HashMap<usize, Node>,
    count: usize,
}

impl Builder<'_> {
    fn count(&mut self, nodes: usize, line: usize) -> Result<(), YamlError> {
        self.count += nodes;
        match self.count > MAX_NODES {
            true => Err(YamlError { line, reason: format!("more than {MAX_NODES} values, aliases included") }),
            false => Ok(()),
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, line: usize) -> Node {
        let (style, line) = match style {
            ScalarStyle::Plain => (Style::Plain, line),
            ScalarStyle::Literal | ScalarStyle::Folded => (Style::Block, self.first_line(line)),
            _ => (Style::Quoted, line),
        };
        let is_null = style == Style::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let value = match is_null {
            true => Value::Null,
            false => Value::Scalar(Scalar { text: text.to_owned(), style }),
        };
        Node { line, value }
    }

    /// The line in which the content of a block begins: the one after its indicator.
    fn first_line(&self, line: usize) -> usize {
        let indicator = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let bare = indicator.split(" #").next().unwrap_or_default().trim_end();
        let bare = bare.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        if bare.ends_with(['|', '>']) { line + 1 } else { line }
    }

    fn alias(&mut self, id: usize, line: usize) -> Result<Node, YamlError> {
        let node = self.anchors.get(&id).cloned();
        let mut node =
            node.ok_or_else(|| YamlError { line, reason: "an alias stands inside its own anchor".to_owned() })?;
        node.line = line;
        self.count(size(&node), line)?;
        Ok(node)
    }
}

/// A collection that has not ended.
struct Open {
    line: usize,
    anchor: usize,
    filling: Filling,
}

enum Filling {
    List(Vec<Node>),
    /// The entries so far, and the key whose value comes next.
    Map(Vec<(String, Node)>, Option<String>),
}

impl Open {
    fn take(&mut self, node: Node) {
        match &mut self.filling {
            Filling::List(items) => items.push(node),
            Filling::Map(entries, key) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    *key = Some(match node.value {
                        Value::Scalar(scalar) => scalar.text,
                        // Nothing in Kubernetes has such keys.
                        Value::Null | Value::List(_) | Value::Map(_) => String::new(),
                    });
                }
            },
        }
    }

    fn close(self) -> (Node, usize) {
        let value = match self.filling {
            Filling::List(items) => Value::List(items),
            Filling::Map(entries, _) => Value::Map(merged(entries)),
        };
        (Node { line: self.line, value }, self.anchor)
    }
}

/// Puts what `<<` stands for behind the entries that are there.
fn merged(entries: Vec<(String, Node)>) -> Vec<(String, Node)> {
    if entries.iter().all(|(key, _)| key != "<<") {
        return entries;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key == "<<");
    for (_, node) in merges {
        let maps = match node.value {
            Value::List(items) => items,
            _ => vec![node],
        };
        for (key, value) in maps.iter().flat_map(|map| map.entries()) {
            if own.iter().all(|(name, _)| name != key) {
                own.push((key.clone(), value.clone()));
            }
        }
    }
    own
}

fn size(node: &Node) -> usize {
    let mut count = 0;
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        count += 1;
        open.extend(node.items());
        open.extend(node.entries().iter().map(|(_, node)| node));
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines_and_keep_their_text() {
        let text = "a: 1.20\nb:\n  - x # why\n  - 'y'\n---\n# nothing\n---\n{\"c\": {\"d\":\n \"e\"}}\n";
        let documents = documents(text).unwrap();
        assert_eq!(documents.len(), 2);
        let first = &documents[0];
        assert_eq!((first.text_of("a"), first.get("a").unwrap().line), (Some("1.20"), 1));
        let items = first.get("b").unwrap().items();
        assert_eq!(items.iter().map(|i| (i.line, i.text().unwrap())).collect::<Vec<_>>(), [(3, "x"), (4, "y")]);
        let last = documents[1].at(&["c", "d"]).unwrap();
        assert_eq!((last.line, last.text()), (9, Some("e")));
    }

    #[test]
    fn blocks_begin_where_their_text_begins() {
        for (text, line) in
            [("a: |\n  x\n", 2), ("a: |-  # why\n  x\n", 2), ("a: >2-\n    x\n", 2), ("b: 1\na:\n  |\n  x\n", 4)]
        {
            let documents = documents(text).unwrap();
            assert_eq!(documents[0].get("a").unwrap().line, line, "{text}");
        }
    }

    #[test]
    fn aliases_and_merges_are_resolved() {
        let text = "base: &b {image: x, tag: 1}\na:\n  <<: *b\n  tag: 2\nb: *b\nc: {<<: [{p: 1}, {p: 2, q: 3}]}\n";
        let documents = documents(text).unwrap();
        let get = |keys: &[&str]| documents[0].at(keys).and_then(Node::text);
        assert_eq!(get(&["a", "image"]), Some("x"));
        assert_eq!(get(&["a", "tag"]), Some("2"));
        assert_eq!(get(&["b", "tag"]), Some("1"));
        assert_eq!((get(&["c", "p"]), get(&["c", "q"])), (Some("1"), Some("3")));
    }

    #[test]
    fn what_is_no_yaml_or_too_much_is_refused() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..9 {
            bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(","));
        }
        let deep = "[".repeat(MAX_DEPTH + 10);
        for text in ["a: [", "a: b: c", "{{ x }}: {", "a: *nothing", bomb.as_str(), deep.as_str(), "a: &x [*x]"] {
            assert!(documents(text).is_err(), "{}", &text[..text.len().min(60)]);
        }
        assert_eq!(documents("a: 1\nb: [\n").unwrap_err().line, 2);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a-z:{}\\[\\]&*#|>\"' \n,<0-9]{0,60}") {
            drop(documents(&text));
        }
    }
}
