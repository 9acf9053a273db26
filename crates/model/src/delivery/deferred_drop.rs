//! Events that are done with, to be dropped by the thread that made them.

use std::sync::Arc;

use crate::delivery::event::LiveEvent;

/// Events that are kept at the most. What is beyond is dropped at once.
const MAX_EVENTS: usize = 1024;
/// Bytes of JSON that are kept at the most.
const MAX_BYTES: usize = 1024 * 1024;

/// Events that wait to be dropped where that costs least: freeing what another thread has allocated is slow, and the
/// thread that settles is the one that is short of time.
#[derive(Debug, Default)]
pub(crate) struct DeferredDrop {
    events: Vec<Arc<LiveEvent>>,
    bytes: usize,
}

impl DeferredDrop {
    /// Keeps an event, or drops it if there is no room.
    pub(crate) fn push(&mut self, event: Arc<LiveEvent>) {
        let bytes = self.bytes + event.size();
        if bytes <= MAX_BYTES && self.events.len() < MAX_EVENTS {
            self.bytes = bytes;
            self.events.push(event);
        }
    }

    /// The events, for the caller to drop.
    pub(crate) fn take(&mut self) -> Vec<Arc<LiveEvent>> {
        self.bytes = 0;
        std::mem::take(&mut self.events)
    }
}
