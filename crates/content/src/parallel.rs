//! The same work on many items, on a bounded number of threads that are joined before the call returns.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::ContentError;

/// Shows that another item failed and that what is still done is done in vain.
#[derive(Debug, Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Does the work on each item. After the first error no item is begun; that error is returned.
pub(crate) fn for_each<T: Sync>(
    jobs: usize,
    items: &[T],
    work: impl Fn(&T, &Stop) -> Result<(), ContentError> + Sync,
) -> Result<(), ContentError> {
    let (stop, next, first) = (Stop::default(), AtomicUsize::new(0), Mutex::new(None));
    let fail = |error| {
        stop.0.store(true, Ordering::Relaxed);
        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    };
    let worker = || {
        while !stop.is_set() {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Err(error) = work(item, &stop) {
                fail(error);
            }
        }
    };
    thread::scope(|scope| {
        // This thread works too.
        for _ in 1..jobs.min(items.len()) {
            let spawned = thread::Builder::new().name("copy".to_owned()).spawn_scoped(scope, worker);
            if let Err(error) = spawned {
                fail(ContentError::io("start a thread that copies")(error));
            }
        }
        worker();
    });
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Does the same to each item on a few threads; the results in the items' order.
pub fn side_by_side<T: Sync, R: Send>(jobs: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            let result = work(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_and_the_first_error_ends_it() {
        let counts: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
        let count = |item: &AtomicUsize, _: &Stop| {
            item.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        for_each(8, &counts, count).unwrap();
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        let items: Vec<usize> = (0..10_000).collect();
        let done = AtomicUsize::new(0);
        let result = for_each(2, &items, |item, _| {
            done.fetch_add(1, Ordering::Relaxed);
            match item {
                5 => Err(ContentError::Unsupported { place: "x".to_owned(), verb: "fail" }),
                _ => Ok(()),
            }
        });
        assert!(result.is_err());
        assert!(done.load(Ordering::Relaxed) < items.len());
    }
}
