//! A link that is made with the first input for it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use crate::redis::connection::handle::Handle;

/// Starts a link.
type Start<I> = Box<dyn Fn() -> Handle<I> + Send + Sync>;

/// A link whose session takes inputs `I`, started with the first of them.
pub(in crate::redis) struct LazyLink<I> {
    start: Start<I>,
    slot: Mutex<Slot<I>>,
}

struct Slot<I> {
    link: Option<Handle<I>>,
    closed: bool,
}

impl<I> LazyLink<I> {
    /// `start` starts the link. It is called at most once.
    pub(in crate::redis) fn new(start: impl Fn() -> Handle<I> + Send + Sync + 'static) -> LazyLink<I> {
        LazyLink { start: Box::new(start), slot: Mutex::new(Slot { link: None, closed: false }) }
    }

    /// Sends an input, and starts the link if that was not done before. Gives the input back once the link has ended.
    pub(in crate::redis) fn send(&self, input: I) -> Result<(), I> {
        let mut slot = self.slot();
        if slot.closed {
            return Err(input);
        }
        // The link takes inputs for as long as its handle lives.
        slot.link.get_or_insert_with(&self.start).send(input);
        Ok(())
    }

    /// Sends an input if the link was started and has not ended. Whether it was sent.
    pub(in crate::redis) fn send_if_started(&self, input: I) -> bool {
        self.slot().link.as_ref().is_some_and(|link| link.send(input))
    }

    /// Whether the link was started and has not ended.
    pub(in crate::redis) fn is_started(&self) -> bool {
        self.slot().link.is_some()
    }

    /// Ends the link, for good. What its session holds is settled when the task is over.
    pub(in crate::redis) fn end(&self) -> Option<JoinHandle<()>> {
        let mut slot = self.slot();
        slot.closed = true;
        slot.link.take().map(Handle::end)
    }

    #[cfg(feature = "failpoints")]
    pub(in crate::redis) fn inject_panic(&self) {
        self.slot().link.iter().for_each(Handle::inject_panic);
    }

    fn slot(&self) -> MutexGuard<'_, Slot<I>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
