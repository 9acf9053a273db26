//! When a client start shows that it lives, for all its consumers at once.

use crate::BusError;
use crate::consumer::context::Context;
use crate::consumer::poison::Groups;
use crate::consumer::work::Work;
use crate::stream_store::{Request, Response};

/// For how long a client start counts as alive, in milliseconds. Until then its consumers' names are not given to others
/// after it has died.
pub(super) const ALIVE: u64 = 10_000;

/// After how many milliseconds a request that failed is sent again.
const AGAIN: u64 = 1_000;

/// The key of a client start that is renewed every third of its life.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    at: u64,
    in_flight: bool,
    /// When the request was sent that was answered last, if one was.
    shown_at: Option<u64>,
    sent_at: u64,
}

impl Liveness {
    /// Whether a request goes now.
    pub(super) fn next_request(&mut self, now: u64) -> bool {
        let due = !self.in_flight && now >= self.at;
        if due {
            self.in_flight = true;
            self.sent_at = now;
            self.at = now + ALIVE / 3;
        }
        due
    }

    /// A request was answered. Returns whether the client start had counted as dead since it was last heard of: others may
    /// have taken the names of its consumers.
    pub(super) fn answered(&mut self, result: &Result<Response, BusError>, now: u64) -> bool {
        self.in_flight = false;
        match result {
            Ok(Response::Count(known)) => {
                let lapsed = *known == 0 && self.shown_at.is_some();
                self.shown_at = Some(self.sent_at);
                lapsed
            }
            _ => {
                self.at = now + AGAIN;
                false
            }
        }
    }

    /// Whether the others are known to see that it lives.
    pub(super) fn is_shown(&self, now: u64) -> bool {
        self.shown_at.is_some_and(|at| now < at + ALIVE)
    }

    /// The next request goes as soon as possible.
    pub(super) fn hurry(&mut self) {
        self.at = 0;
    }

    /// When the next request goes, unless one is on its way.
    pub(super) fn due(&self) -> Option<u64> {
        (!self.in_flight).then_some(self.at)
    }
}

/// Shows that this client start lives, while it has a consumer, and notices that it stood still.
pub(super) fn show(
    liveness: &mut Liveness,
    groups: &mut Groups,
    cx: &mut Context,
    now: u64,
    out: &mut Vec<Work>,
) {
    let shortest = groups.values().map(|group| group.lease.ms()).min();
    if cx.standstill.note(shortest, now) {
        liveness.hurry();
    }
    cx.is_shown = liveness.is_shown(now);
    if !cx.is_shown {
        let streams = groups.values_mut().flat_map(|group| &mut group.streams);
        streams.for_each(|stream| stream.doubt_name(ALIVE, now));
    }
    let Some(group) = groups.values().find(|group| group.is_open()) else { return };
    if liveness.next_request(now) {
        out.push(Work::Store(group.key, Request::KeepAlive { key: cx.alive_key.clone(), ttl: ALIVE }));
    }
}

/// The request was answered that shows that this client start lives.
pub(super) fn shown(
    liveness: &mut Liveness,
    groups: &mut Groups,
    cx: &mut Context,
    result: &Result<Response, BusError>,
    now: u64,
) {
    cx.standstill.answered(liveness.sent_at);
    if liveness.answered(result, now) {
        for stream in groups.values_mut().flat_map(|group| &mut group.streams) {
            stream.name_doubtful = true;
            stream.heartbeat.hurry();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn it_is_renewed_every_third_and_a_lapse_is_noticed() {
        let mut liveness = Liveness::default();
        assert!(liveness.next_request(100) && !liveness.next_request(100) && !liveness.is_shown(100));
        assert!(!liveness.answered(&Ok(Response::Count(0)), 150), "the first time nobody was known");
        assert!(liveness.is_shown(10_099) && !liveness.is_shown(10_100));
        assert_eq!(liveness.due(), Some(3_433));
        assert!(liveness.next_request(3_433) && !liveness.answered(&Ok(Response::Count(1)), 3_440));
        assert!(liveness.next_request(20_000) && liveness.answered(&Ok(Response::Count(0)), 20_001));
        assert!(liveness.next_request(30_000));
        assert!(!liveness.answered(&Err(BusError::new(ErrorKind::ConnectionLost, "no")), 30_010));
        assert_eq!((liveness.due(), liveness.is_shown(30_010)), (Some(31_010), false));
    }
}
