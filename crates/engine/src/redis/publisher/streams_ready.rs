//! When publishes may be sent.

use std::sync::atomic::{AtomicBool, Ordering};

use oxbus_model::config::StreamConfig;

/// Whether the configured groups were made, or could not be: an event that is stored before its group is made would
/// never reach it. Until then nothing is sent; that is bounded by the time of each publish, and takes one round trip.
pub(in crate::redis) struct StreamsReady(AtomicBool);

impl StreamsReady {
    /// Streams without groups are ready at once.
    pub(in crate::redis) fn new(streams: &[StreamConfig]) -> StreamsReady {
        StreamsReady(AtomicBool::new(streams.iter().all(|stream| stream.groups.is_empty())))
    }

    /// Whether publishes may be sent.
    pub(in crate::redis) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// They may be sent from now on, for good. False if they might before.
    pub(in crate::redis) fn set(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}
