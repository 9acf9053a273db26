//! The heartbeats of a subscriber's connection.

use oxbus_model::{BusError, ErrorKind};
use redis::cmd;
use tokio::sync::oneshot;

use crate::redis::connection::liveness::{HEARTBEAT_LIMIT, Liveness};
use crate::redis::subscriber::outgoing::Outgoing;
use crate::runtime::clock::wall_ms;

/// The milliseconds between two heartbeats at the most where events are stored: what was missed begins late.
const STORED_HEARTBEAT: u64 = 2_000;

/// When heartbeats are sent and must be answered, and who waits for an answer. Times are on the client's clock.
pub(super) struct Heartbeats {
    liveness: Liveness,
    /// When bytes were read last, Unix milliseconds.
    last_read_unix: i64,
    /// When the oldest unanswered one was sent.
    sent: Option<u64>,
    /// When the last one was sent, or the connection was made.
    last: u64,
    probes: Vec<oneshot::Sender<()>>,
}

impl Heartbeats {
    /// `idle`: the idle time before one, in milliseconds.
    pub(super) fn new(idle: u64) -> Heartbeats {
        Heartbeats {
            liveness: Liveness::new(idle),
            last_read_unix: 0,
            sent: None,
            last: 0,
            probes: Vec::new(),
        }
    }

    /// The connection is made.
    pub(super) fn opened(&mut self, now: u64) {
        self.read(now);
        self.last = now;
    }

    /// Bytes were read.
    pub(super) fn read(&mut self, now: u64) {
        self.liveness.read(now);
        self.last_read_unix = wall_ms();
    }

    /// When bytes were read last: on the client's clock, and as Unix milliseconds.
    pub(super) fn last_read(&self) -> (u64, i64) {
        (self.liveness.last_read(), self.last_read_unix)
    }

    /// Sends one. The caller notes that its answer is to come.
    pub(super) fn send(&mut self, outgoing: &mut Outgoing, now: u64) {
        outgoing.append(&cmd("PING"));
        self.sent.get_or_insert(now);
        self.last = now;
    }

    /// Says when the next answer has come. An asker may give up.
    pub(super) fn probe(&mut self, probe: oneshot::Sender<()>) {
        self.probes.push(probe);
    }

    /// One is answered.
    pub(super) fn answered(&mut self) {
        self.sent = None;
        self.probes.drain(..).for_each(|probe| _ = probe.send(()));
    }

    /// When [`Heartbeats::is_due`] is to be asked. `is_steady`: whether one is also sent under load, as its answer tells what has
    /// come.
    pub(super) fn next_check(&self, is_steady: bool) -> u64 {
        let idle = self.liveness.heartbeat_at();
        match self.sent {
            Some(sent) => self.liveness.answer_by(sent, HEARTBEAT_LIMIT),
            None if is_steady => idle.min(self.last + STORED_HEARTBEAT),
            None => idle,
        }
    }

    /// Whether one is to be sent.
    ///
    /// # Errors
    /// The connection is dead: one was not answered in time, and nothing else came.
    pub(super) fn is_due(&self, is_steady: bool, now: u64) -> Result<bool, BusError> {
        let is_time = now >= self.next_check(is_steady);
        if is_time && self.sent.is_some() {
            let message = format!("no answer to a heartbeat within {HEARTBEAT_LIMIT} ms");
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        }
        Ok(is_time)
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self) {
        self.sent = None;
        self.probes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_due_when_nothing_came_and_where_events_are_stored_also_under_load() {
        let (mut heartbeats, mut outgoing) = (Heartbeats::new(5_000), Outgoing::default());
        heartbeats.opened(100);
        assert_eq!((heartbeats.next_check(false), heartbeats.next_check(true)), (5_100, 2_100));
        heartbeats.read(2_000);
        assert_eq!((heartbeats.next_check(false), heartbeats.next_check(true)), (7_000, 2_100));
        assert_eq!((heartbeats.is_due(true, 2_099), heartbeats.is_due(true, 2_100)), (Ok(false), Ok(true)));
        heartbeats.send(&mut outgoing, 2_100);
        assert!(!outgoing.bytes.is_empty());
        // A second one does not put off when the first must be answered; whatever comes does.
        heartbeats.send(&mut outgoing, 2_500);
        assert_eq!((heartbeats.next_check(true), heartbeats.is_due(true, 3_099)), (3_100, Ok(false)));
        heartbeats.read(3_000);
        assert_eq!(heartbeats.is_due(true, 3_999), Ok(false));
        assert_eq!(heartbeats.is_due(true, 4_000).map_err(|e| e.kind), Err(ErrorKind::ConnectionLost));
        heartbeats.answered();
        assert_eq!(heartbeats.next_check(true), 4_500, "two seconds after the last one was sent");
    }

    #[test]
    fn who_waits_for_an_answer_gets_the_next_one_and_none_of_a_lost_connection() {
        let mut heartbeats = Heartbeats::new(5_000);
        let (first, mut answered) = oneshot::channel();
        heartbeats.probe(first);
        heartbeats.answered();
        assert_eq!(answered.try_recv(), Ok(()));
        let (second, mut answered) = oneshot::channel();
        heartbeats.probe(second);
        heartbeats.closed();
        heartbeats.answered();
        assert_eq!(answered.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
