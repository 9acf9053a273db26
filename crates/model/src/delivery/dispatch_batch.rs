//! The deliveries that are handed to the host in one go.

use crate::breaker::BreakerState;
use crate::delivery::event::Delivery;
use crate::delivery::settlement::CircuitChange;

/// What is handed to the host, and how much more there may be.
pub(crate) struct DispatchBatch<'a> {
    out: &'a mut Vec<Delivery>,
    /// The length of `out` at which it is enough.
    end: usize,
    /// The bytes that are left.
    bytes: usize,
    circuits: Vec<CircuitChange>,
}

impl<'a> DispatchBatch<'a> {
    /// A batch of at most `max_events` events behind those of `out`, to which nothing is added once they have
    /// `max_bytes`.
    pub(crate) fn new(out: &'a mut Vec<Delivery>, (max_events, max_bytes): (usize, usize)) -> Self {
        let end = out.len().saturating_add(max_events);
        DispatchBatch { out, end, bytes: max_bytes, circuits: Vec::new() }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= self.end || self.bytes == 0
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.bytes = self.bytes.saturating_sub(delivery.weight());
        self.out.push(delivery);
    }

    /// The circuit breaker of a subscription has changed for a call.
    pub(crate) fn circuit_changed(&mut self, subscription: u32, state: BreakerState) {
        self.circuits.push(CircuitChange { subscription, state });
    }

    /// The circuits that have changed.
    pub(crate) fn into_circuits(self) -> Vec<CircuitChange> {
        self.circuits
    }
}
