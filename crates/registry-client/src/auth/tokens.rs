//! `Authorization` headers that registries gave or that worked, by registry and wish.
//!
//! Invariants: of many that want the same token at once one asks for it; a token that is about to expire is not used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Challenge, Scopes};
use crate::credentials::Secret;

/// A token that ends within this time is not worth sending: the request may take as long to arrive.
const MARGIN: Duration = Duration::from_secs(5);

/// A header's value, and until when it is good; none if there is nothing to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) value: Option<Secret>,
    pub(crate) until: Option<Instant>,
}

impl Authorization {
    fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() + MARGIN < until)
    }
}

/// What is known of one registry.
type Slot = Arc<Mutex<Option<Authorization>>>;

/// A registry and a wish.
type Key = (String, Scopes);

#[derive(Default)]
pub(crate) struct Tokens {
    challenges: Mutex<HashMap<String, Challenge>>,
    slots: Mutex<HashMap<Key, Slot>>,
}

impl Tokens {
    /// What a registry asked for when it was asked last.
    pub(crate) fn challenge(&self, registry: &str) -> Option<Challenge> {
        lock(&self.challenges).get(registry).cloned()
    }

    pub(crate) fn remember(&self, registry: &str, challenge: &Challenge) {
        // The scope is that of one request.
        lock(&self.challenges).insert(registry.to_owned(), challenge.clone().without_scope());
    }

    /// The header for a wish: what there is, unless it is `refused` or too old, else what `get` gets.
    pub(crate) fn get<E>(
        &self,
        registry: &str,
        scopes: &Scopes,
        refused: Option<&Secret>,
        get: impl FnOnce() -> Result<Authorization, E>,
    ) -> Result<Option<Secret>, E> {
        let slot = Arc::clone(lock(&self.slots).entry((registry.to_owned(), scopes.clone())).or_default());
        // Whoever comes meanwhile waits here for the one that asks.
        let mut slot = lock(&slot);
        if let Some(known) =
            slot.as_ref().filter(|known| known.is_fresh() && (refused.is_none() || known.value.as_ref() != refused))
        {
            return Ok(known.value.clone());
        }
        *slot = None;
        let fresh = get()?;
        let value = fresh.value.clone();
        *slot = Some(fresh);
        Ok(value)
    }
}

/// A mutex whose holder panicked still holds a usable cache.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    fn token(text: &str, seconds: u64) -> Result<Authorization, ()> {
        Ok(Authorization { value: Some(Secret::new(text)), until: Some(Instant::now() + Duration::from_secs(seconds)) })
    }

    #[test]
    fn a_token_is_got_once_and_again_when_it_is_old_or_refused() {
        let tokens = Tokens::default();
        let (pull, push) = (Scopes::repository("a", Scope::Pull), Scopes::repository("a", Scope::Push));
        let first = tokens.get("hub", &pull, None, || token("1", 60)).unwrap();
        assert_eq!(tokens.get("hub", &pull, None, || token("2", 60)).unwrap(), first);
        assert_ne!(tokens.get("hub", &push, None, || token("3", 2)).unwrap(), first, "another wish");
        assert_ne!(tokens.get("other", &pull, None, || token("4", 60)).unwrap(), first, "another registry");
        assert_eq!(tokens.get("hub", &push, None, || token("5", 60)).unwrap(), Some(Secret::new("5")), "too old");
        let again = tokens.get("hub", &pull, first.as_ref(), || token("6", 60)).unwrap();
        assert_eq!(again, Some(Secret::new("6")), "refused");
    }

    #[test]
    fn of_many_at_once_one_asks() {
        let (tokens, scopes) = (Tokens::default(), Scopes::catalog());
        let asked = Mutex::new(0);
        let ask = || {
            *asked.lock().unwrap() += 1;
            std::thread::sleep(Duration::from_millis(20));
            token("1", 60)
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| tokens.get("hub", &scopes, None, ask).unwrap());
            }
        });
        assert_eq!(*asked.lock().unwrap(), 1);
    }
}
