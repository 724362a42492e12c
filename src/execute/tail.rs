//! The last lines that a command printed, for the error that tells of its failure.

use std::collections::VecDeque;

/// How many lines are kept.
const LINES: usize = 10;

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<String>);

impl Tail {
    /// How much of a line is worth keeping, in characters.
    pub(super) const WIDTH: usize = 300;

    /// Takes a line.
    pub(super) fn push(&mut self, line: String) {
        if self.0.len() == LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    /// The lines, the oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}
