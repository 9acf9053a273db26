//! The types of events that a client publishes by their type and stores nowhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// They are gathered where events are made, and looked up elsewhere in the registry of what groups want. Only types that
/// have a number of their own are told, which bounds them.
#[derive(Default)]
pub(crate) struct UnstoredTypes {
    types: Mutex<Vec<Arc<str>>>,
    /// Whether one was added since somebody looked.
    added: AtomicBool,
}

impl UnstoredTypes {
    /// Adds a type, unless it is there.
    pub(crate) fn add(&self, event_type: &str) {
        let mut types = self.types();
        if !types.iter().any(|known| **known == *event_type) {
            types.push(event_type.into());
            self.added.store(true, Ordering::Release);
        }
    }

    /// Whether a type was added since the last call.
    pub(crate) fn take_added(&self) -> bool {
        self.added.load(Ordering::Acquire) && self.added.swap(false, Ordering::AcqRel)
    }

    /// All.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        self.types().clone()
    }

    fn types(&self) -> MutexGuard<'_, Vec<Arc<str>>> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
