//! When a connection counts as dead, and when it has to prove that it is not.

use oxbus_model::{BusError, ErrorKind};

use crate::redis::connection::pipeline::Pipeline;

/// How long the server may take to answer a heartbeat, in milliseconds.
pub(in crate::redis) const HEARTBEAT_LIMIT: u64 = 1_000;

/// When bytes were read last on a connection, and what follows from it. Times are on the client's clock.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct Liveness {
    /// The idle time before a heartbeat, in milliseconds.
    heartbeat: u64,
    last_read: u64,
}

/// What a connection needs now.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::redis) enum Check {
    /// Nothing.
    Fine,
    /// A heartbeat: it was idle for long enough.
    HeartbeatDue,
}

impl Liveness {
    /// `heartbeat`: the idle time before a heartbeat, in milliseconds.
    pub(in crate::redis) fn new(heartbeat: u64) -> Liveness {
        Liveness { heartbeat, last_read: 0 }
    }

    /// Bytes were read, or the connection was made. Any byte counts as life.
    pub(in crate::redis) fn read(&mut self, now: u64) {
        self.last_read = now;
    }

    /// When bytes were read last.
    pub(in crate::redis) fn last_read(&self) -> u64 {
        self.last_read
    }

    /// When an idle connection is to be asked whether it lives.
    pub(in crate::redis) fn heartbeat_at(&self) -> u64 {
        self.last_read + self.heartbeat
    }

    /// When a command counts as unanswered that was sent at `sent_at` and may take `limit` milliseconds.
    pub(in crate::redis) fn answer_by(&self, sent_at: u64, limit: u64) -> u64 {
        sent_at.max(self.last_read) + limit
    }

    /// When [`Liveness::check`] is needed; `u64::MAX` while commands wait that nothing is sent of.
    pub(in crate::redis) fn next_check<C>(&self, pipeline: &Pipeline<C>) -> u64 {
        match pipeline.front() {
            Some(front) => self.answer_by(front.sent_at, front.limit),
            None if pipeline.is_idle() => self.heartbeat_at(),
            None => u64::MAX,
        }
    }

    /// What the connection needs now.
    ///
    /// # Errors
    /// The connection is dead: the oldest command was not answered in time, and nothing else came.
    pub(in crate::redis) fn check<C>(&self, pipeline: &Pipeline<C>, now: u64) -> Result<Check, BusError> {
        if now < self.next_check(pipeline) {
            return Ok(Check::Fine);
        }
        match pipeline.front() {
            Some(front) => {
                let message = format!("no answer for {} ms", now - front.sent_at.max(self.last_read));
                Err(BusError::new(ErrorKind::ConnectionLost, message))
            }
            None => Ok(Check::HeartbeatDue),
        }
    }
}

/// The error for a reply to nothing: the connection is out of step.
pub(in crate::redis) fn unexpected_reply() -> BusError {
    BusError::new(ErrorKind::ConnectionLost, "the server sent a reply that nothing was asked for")
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    #[test]
    fn an_idle_connection_is_asked_and_one_that_does_not_answer_is_dead() {
        let (mut liveness, mut pipeline) = (Liveness::new(5_000), Pipeline::new());
        liveness.read(100);
        assert_eq!(liveness.check(&pipeline, 5_099), Ok(Check::Fine));
        assert_eq!(liveness.check(&pipeline, 5_100), Ok(Check::HeartbeatDue));
        pipeline.push((), 1_000, |bytes| bytes.put_u8(b'x'));
        assert_eq!(liveness.next_check(&pipeline), u64::MAX);
        pipeline.written(1, 5_200, 1_000, |()| false);
        assert_eq!(liveness.check(&pipeline, 6_199), Ok(Check::Fine));
        assert_eq!(liveness.check(&pipeline, 6_200).map_err(|e| e.kind), Err(ErrorKind::ConnectionLost));
        liveness.read(6_000);
        assert_eq!(liveness.next_check(&pipeline), 7_000);
    }
}
