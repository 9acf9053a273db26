//! The types of events that a client publishes by their type and stores nowhere.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most types that are looked up.
pub(crate) const MAX_TYPES: usize = 1_000;

/// They are gathered where events are made, and looked up elsewhere in the registry of what groups want.
#[derive(Default)]
pub(crate) struct UnstoredTypes {
    types: Mutex<HashSet<Arc<str>>>,
    /// Whether one was added since somebody looked.
    added: AtomicBool,
    /// Whether one had no place, and whether that was told.
    full: AtomicBool,
    full_told: AtomicBool,
}

impl UnstoredTypes {
    /// Adds a type, unless it is there, or there are too many. Returns whether it need not be added again.
    pub(crate) fn add(&self, event_type: &str) -> bool {
        let mut types = self.types();
        if types.contains(event_type) {
            return true;
        }
        let fits = types.len() < MAX_TYPES;
        if fits {
            types.insert(event_type.into());
        }
        if fits || !self.full.swap(true, Ordering::AcqRel) {
            self.added.store(true, Ordering::Release);
        }
        fits
    }

    /// Whether a type was added since the last call, or had no place for the first time.
    pub(crate) fn take_added(&self) -> bool {
        self.added.load(Ordering::Acquire) && self.added.swap(false, Ordering::AcqRel)
    }

    /// Whether types are known to have no place, which is to be told once: only the first call after that says so.
    pub(crate) fn take_full(&self) -> bool {
        self.full.load(Ordering::Acquire) && !self.full_told.swap(true, Ordering::AcqRel)
    }

    /// Whether no further type has a place.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// All.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        self.types().iter().cloned().collect()
    }

    fn types(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_there_are_too_many_is_told_once() {
        let types = UnstoredTypes::default();
        for n in 0..MAX_TYPES {
            assert!(types.add(&format!("type.{n}")) && types.take_added());
        }
        assert!(types.add("type.0") && !types.take_added() && !types.take_full());
        assert!(!types.add("one.more") && types.take_added() && types.take_full());
        assert!(!types.add("another") && !types.take_added() && !types.take_full());
        assert_eq!((types.all().len(), types.is_full()), (MAX_TYPES, true));
    }
}
