//! The shapes of a client, which readers find and drains tell the host of.

use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxbus_model::codec::outline::Shapes;
use oxbus_model::codec::outline::shapes::Changes;

/// The shapes of the objects that a client receives. The readers of a client, and the answers to questions, take turns with it, each for one message, one event or one read;
/// a drain takes it only for the moment in which it asks for changes.
pub(crate) struct SharedShapes {
    wanted: AtomicBool,
    shapes: Mutex<Shapes>,
}

impl SharedShapes {
    pub(crate) fn new() -> Self {
        SharedShapes { wanted: AtomicBool::new(false), shapes: Mutex::new(Shapes::new(RandomState::new())) }
    }

    /// The host builds objects by shapes from now on.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// The shapes for what is received, if the host wants any.
    pub(crate) fn lock(&self) -> Option<MutexGuard<'_, Shapes>> {
        self.wanted.load(Ordering::Relaxed).then(|| self.lock_for_answer()).flatten()
    }

    /// The shapes for events that the host has asked for, to build them by shapes.
    pub(crate) fn lock_for_answer(&self) -> Option<MutexGuard<'_, Shapes>> {
        // After a panic under the lock an outline may be of a shape that the host is never told of, so nothing is built by shapes.
        self.shapes.lock().ok()
    }

    /// What the host is to be told before it gets the events that came until now, and the generation of shapes that it then knows.
    /// Only drains change the generation.
    pub(crate) fn drain(&self, now_ms: u64) -> (Changes, u32) {
        let mut shapes = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        shapes.age(now_ms);
        (shapes.take_changes(), shapes.generation())
    }
}
