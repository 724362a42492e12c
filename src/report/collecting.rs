//! A reporter that remembers, for tests.

use std::sync::{Mutex, PoisonError};

use super::{Event, Reporter};

/// Keeps every event in the order it came.
#[derive(Debug, Default)]
pub struct Collecting(Mutex<Vec<Event>>);

impl Collecting {
    /// What came so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for Collecting {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

#[cfg(test)]
mod tests {
    use content::Observer;

    use super::super::Watch;
    use super::*;

    #[test]
    fn content_events_flow_into_a_reporter_and_warnings_become_warnings() {
        let collecting = Collecting::default();
        Watch(&collecting).event(&content::Event::Planned { blobs: 1, bytes: 2 });
        Watch(&collecting).event(&content::Event::Warning("slow".to_owned()));
        let want = [Event::Content(content::Event::Planned { blobs: 1, bytes: 2 }), Event::Warning("slow".to_owned())];
        assert_eq!(collecting.events(), want);
    }
}
