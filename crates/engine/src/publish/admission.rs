//! How many publishes may be in flight: beyond, they are refused at once instead of piling up.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bounds on publishes in flight, in events and in bytes of their text.
#[derive(Debug)]
pub(crate) struct Admission {
    max_events: usize,
    max_bytes: usize,
    events: AtomicUsize,
    bytes: AtomicUsize,
}

impl Admission {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Admission { max_events, max_bytes, events: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Admits as many of `events` as there is room for, all of `bytes` or none. Returns how many.
    ///
    /// Only the host's thread admits, so that checking before adding is no race.
    pub(crate) fn admit(&self, events: usize, bytes: usize) -> usize {
        let room = self.max_events.saturating_sub(self.events.load(Ordering::Acquire));
        if self.bytes.load(Ordering::Acquire).saturating_add(bytes) > self.max_bytes {
            return 0;
        }
        let admitted = events.min(room);
        if admitted > 0 {
            self.events.fetch_add(admitted, Ordering::AcqRel);
            self.bytes.fetch_add(bytes, Ordering::AcqRel);
        }
        admitted
    }

    /// Gives room back.
    pub(crate) fn release(&self, events: usize, bytes: usize) {
        self.events.fetch_sub(events, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Bytes of their text.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Publishes in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.events.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_admitted_in_part_and_bytes_as_a_whole() {
        let a = Admission::new(10, 100);
        assert_eq!(a.admit(8, 50), 8);
        assert_eq!(a.admit(8, 51), 0);
        assert_eq!(a.admit(8, 50), 2);
        assert_eq!(a.admit(1, 0), 0);
        a.release(8, 50);
        assert_eq!((a.admit(9, 1), a.in_flight()), (8, 10));
    }
}
