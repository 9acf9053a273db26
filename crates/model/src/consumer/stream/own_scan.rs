//! The scan for this consumer's own pending entries: those of an earlier process of its name, and those that were
//! delivered into a connection that broke.

// The keys are ids that the store has given.
use rustc_hash::FxHashSet as HashSet;

use crate::consumer::request_gate::RequestGate;
use crate::stream_store::EntryId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Wanted { after: EntryId },
    Asked { after: EntryId },
    Done,
}

/// How far the scan for own pending entries has come. New entries are read when it is done.
#[derive(Debug)]
pub(crate) struct OwnScan {
    state: State,
    gate: RequestGate,
    /// Whether the scan must begin again when it is answered.
    again: bool,
    /// Whether the own entries of an earlier process have all been taken up.
    own_scan_done: bool,
    /// Entries that were done with while the own ones were asked for: they come once more and are not meant.
    settled_during_scan: HashSet<EntryId>,
}

impl OwnScan {
    pub(crate) fn new() -> Self {
        OwnScan {
            state: State::Wanted { after: EntryId::MIN },
            gate: RequestGate::default(),
            again: false,
            own_scan_done: false,
            settled_during_scan: HashSet::default(),
        }
    }

    /// The own pending entries are to be found. A scan for those of an earlier process goes on where it is, because
    /// what it has found has been counted.
    pub(crate) fn want(&mut self) {
        match self.state {
            State::Asked { .. } => self.again = self.own_scan_done,
            State::Wanted { .. } if !self.own_scan_done => {}
            _ => self.state = State::Wanted { after: EntryId::MIN },
        }
    }

    /// The store can be reached, perhaps anew: the next request need not wait because earlier ones have failed.
    pub(crate) fn hurry(&mut self) {
        self.gate.open();
    }

    /// Whether it is not done, and its last request failed.
    pub(crate) fn is_failing(&self) -> bool {
        !self.is_done() && self.gate.has_failed()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Behind which entry own ones are asked for now, and whether the request raises their delivery count: a process
    /// has died with them.
    pub(crate) fn next_request(&mut self, now: u64) -> Option<(EntryId, bool)> {
        let State::Wanted { after } = self.state else { return None };
        if !self.gate.is_open(now, 1) {
            return None;
        }
        self.gate.sent();
        self.state = State::Asked { after };
        Some((after, !self.own_scan_done))
    }

    pub(crate) fn succeeded(&mut self) {
        self.gate.succeeded();
    }

    /// A request behind `after` failed.
    pub(crate) fn failed(&mut self, after: EntryId, now: u64, random: f64) {
        self.gate.failed(now, random);
        self.found(State::Wanted { after });
    }

    /// The entries of an answer were taken in; `last` is the last of them.
    pub(crate) fn taken_in(&mut self, last: Option<EntryId>) {
        self.own_scan_done |= last.is_none();
        self.found(last.map_or(State::Done, |after| State::Wanted { after }));
    }

    fn found(&mut self, state: State) {
        self.settled_during_scan.clear();
        let again = std::mem::take(&mut self.again);
        self.state = if again { State::Wanted { after: EntryId::MIN } } else { state };
    }

    /// An entry is done with for good.
    pub(crate) fn settled(&mut self, id: EntryId) {
        if matches!(self.state, State::Asked { .. }) {
            self.settled_during_scan.insert(id);
        }
    }

    /// Whether an entry was done with after the own ones had been asked for.
    pub(crate) fn was_settled_meanwhile(&self, id: EntryId) -> bool {
        self.settled_during_scan.contains(&id)
    }

    /// When the next request may go, if there is one to send.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.is_done()).then_some(self.gate.opens_at())
    }
}
