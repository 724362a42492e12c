//! Cuts a file into its YAML documents, which are kept word for word.

use crate::clusterfile::node::Node;
use crate::clusterfile::{ClusterfileError, DocumentText};

/// The documents of a file that hold something, in order.
pub(super) fn split(text: &str) -> Vec<DocumentText> {
    let mut documents = Vec::new();
    let mut current = DocumentText { text: String::new(), line: 1 };
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        let bare = line.trim_end();
        let separator = bare == "---" || bare.starts_with("--- ") || bare.starts_with("---\t");
        if separator || bare == "..." {
            documents.push(std::mem::replace(&mut current, DocumentText { text: String::new(), line: number + 1 }));
            // What stands behind the marker on its line belongs to the document.
            let rest = bare.strip_prefix("---").unwrap_or_default().trim_start();
            if !rest.is_empty() {
                current = DocumentText { text: format!("{rest}\n"), line: number };
            }
        } else {
            current.text.push_str(line);
        }
    }
    documents.push(current);
    documents.retain(|document| !is_empty(&document.text));
    documents
}

/// Whether there is nothing but comments and directives.
fn is_empty(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line.starts_with("%YAML"))
}

/// A document with what it says it is.
pub(super) struct Document {
    pub(super) text: DocumentText,
    pub(super) node: Node,
    pub(super) kind: String,
    pub(super) api: String,
}

impl Document {
    pub(super) fn parse(text: DocumentText) -> Result<Self, ClusterfileError> {
        let node = Node::parse(&text.text, text.line)?;
        let word = |key| node.text_at(&[key]).unwrap_or_default();
        Ok(Self { kind: word("kind"), api: word("apiVersion"), node, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_at_their_markers_and_kept_word_for_word() {
        for (text, want) in [
            ("", &[][..]),
            ("a: 1\n", &[("a: 1\n", 1)]),
            (
                "---\na: 1\n---\n# only a comment\n---\nb: |\n  ---\n  x\n...\n",
                &[("a: 1\n", 2), ("b: |\n  ---\n  x\n", 6)],
            ),
            ("--- # first\na: 1", &[("# first\na: 1", 1)]),
            ("--- {a: 1}\n---\nb: 2\n", &[("{a: 1}\n", 1), ("b: 2\n", 3)]),
            ("a: 1\r\n---\r\nb: 2\r\n", &[("a: 1\r\n", 1), ("b: 2\r\n", 3)]),
            ("a: ---x\n----\n", &[("a: ---x\n----\n", 1)]),
        ] {
            let got = split(text);
            let got: Vec<_> = got.iter().map(|document| (document.text.as_str(), document.line)).collect();
            assert_eq!(got, want, "{text:?}");
        }
    }
}
