//! One question for many who ask the same: the first asks, the others wait and find the answer here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::lock;
use crate::names::Name;

/// A repository, and a tag or digest in it.
type Question = (Name, String);

/// The questions that are being asked.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Question, Arc<Mutex<()>>>>);

impl Turns {
    /// Asks when nobody else is asking the same.
    pub(super) fn take<T>(&self, question: Question, ask: impl FnOnce() -> T) -> T {
        let turn = Arc::clone(lock(&self.0).entry(question.clone()).or_default());
        let _turn = lock(&turn);
        let _end = End { turns: self, question };
        ask()
    }
}

/// Takes a question off the list. Those who wait for its end hold it themselves.
struct End<'a> {
    turns: &'a Turns,
    question: Question,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        lock(&self.turns.0).remove(&self.question);
    }
}
