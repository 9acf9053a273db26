//! Whether the consumer group of a stream is known to be there, and when it is made.

use crate::consumer::request_gate::RequestGate;
use crate::stream_store::{EntryId, Position};

/// A group that has disappeared is created again after so many milliseconds at the earliest.
const REOPEN: u64 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Asked,
    Open,
}

/// How the group of a stream is opened.
#[derive(Debug)]
pub(crate) struct Opening {
    state: State,
    /// Where the group starts if it is new.
    start: Position,
    /// Whether a subscription asked for that start.
    start_given: bool,
    /// Whether the group has been there before.
    opened_before: bool,
    at: u64,
    gate: RequestGate,
}

impl Opening {
    pub(crate) fn new(start: Position, start_given: bool) -> Self {
        let gate = RequestGate::default();
        Opening { state: State::Closed, start, start_given, opened_before: false, at: 0, gate }
    }

    /// Whether the group is known to be there.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(crate) fn opened_before(&self) -> bool {
        self.opened_before
    }

    /// Where the group starts if it is new.
    pub(crate) fn start(&self) -> Position {
        self.start
    }

    /// A subscription asks for a start: it counts unless one was asked for, or the group was there, before.
    pub(crate) fn ask_for_start(&mut self, start: Position) {
        if self.state == State::Closed && !self.opened_before && !self.start_given {
            (self.start, self.start_given) = (start, true);
        }
    }

    /// Where the group is to be made now, if it is time for that, and whether it is made again. `mark` gives the
    /// low-water mark.
    pub(crate) fn next_request(
        &mut self,
        mark: impl FnOnce() -> Option<EntryId>,
        now: u64,
    ) -> Option<(Position, bool)> {
        if self.state != State::Closed || now < self.at || !self.gate.is_open(now, 1) {
            return None;
        }
        self.gate.sent();
        self.state = State::Asked;
        self.at = now + REOPEN;
        let again = self.opened_before;
        let from = if again { mark().map_or(Position::Beginning, Position::After) } else { self.start };
        Some((from, again))
    }

    /// The group is there. Returns whether it had been there before.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.gate.succeeded();
        self.state = State::Open;
        std::mem::replace(&mut self.opened_before, true)
    }

    /// The group could not be made.
    pub(crate) fn failed(&mut self, now: u64, random: f64) {
        self.gate.failed(now, random);
        self.state = State::Closed;
    }

    /// The store can be reached, perhaps anew: the next request need not wait because earlier ones have failed.
    pub(crate) fn hurry(&mut self) {
        self.gate.open();
    }

    /// A request found that the group is gone.
    pub(crate) fn group_gone(&mut self) {
        if self.state == State::Open {
            self.state = State::Closed;
        }
    }

    /// When the group may be made, if that is to be.
    pub(crate) fn due(&self) -> Option<u64> {
        (self.state == State::Closed).then_some(self.at.max(self.gate.opens_at()))
    }
}
