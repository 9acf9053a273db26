//! The entries that a group had read past and that a new pattern takes.

use std::collections::BTreeSet;

use crate::consumer::request_gate::RequestGate;
use crate::stream_store::{ConsumerId, Request, TakeUpTask};

/// The most entries of one request.
const MAX_ENTRIES: usize = 200;

/// The tasks of the group by which entries are taken up.
#[derive(Debug, Default)]
pub(crate) struct TakeUp {
    tasks: Vec<TakeUpTask>,
    /// The tasks whose loss this client has told, until the store has heard of that.
    told: BTreeSet<u64>,
    gate: RequestGate,
}

impl TakeUp {
    /// Takes the tasks that the store knows.
    pub(crate) fn learn(&mut self, tasks: Vec<TakeUpTask>) {
        self.tasks = tasks;
    }

    /// The request that takes up entries of types that this client takes, where there is room for so many.
    pub(crate) fn next_request(
        &mut self,
        member: &ConsumerId,
        room: usize,
        takes: impl Fn(&str) -> bool,
        now: u64,
    ) -> Option<Request> {
        if self.tasks.is_empty() || room == 0 || !self.gate.is_open(now, 1) {
            return None;
        }
        let own = self.tasks.iter().filter(|task| takes(&task.event_type));
        let tasks: Vec<u64> = own.map(|task| task.number).collect();
        if tasks.is_empty() {
            return None;
        }
        self.gate.sent();
        Some(Request::TakeUp {
            member: member.clone(),
            told: self.told(),
            tasks,
            limit: room.min(MAX_ENTRIES),
        })
    }

    /// The request that says which losses were told, where there is one to say.
    pub(crate) fn next_told(&mut self, member: &ConsumerId, now: u64) -> Option<Request> {
        if self.told.is_empty() || !self.gate.is_open(now, 1) {
            return None;
        }
        self.gate.sent();
        Some(Request::TakeUp { member: member.clone(), told: self.told(), tasks: Vec::new(), limit: 0 })
    }

    fn told(&self) -> Vec<u64> {
        self.told.iter().copied().collect()
    }

    /// A request was answered: the store has heard of the losses that it said were told, and some tasks are done.
    pub(crate) fn succeeded(&mut self, told: &[u64], done: &[u64]) {
        self.gate.succeeded();
        self.told.retain(|number| !told.contains(number));
        self.tasks.retain(|task| !done.contains(&task.number));
    }

    /// Whether the loss of a task is to be told: it was not before.
    pub(crate) fn tells(&mut self, number: u64) -> bool {
        self.told.insert(number)
    }

    /// Whether the store has heard of all losses that were told.
    pub(crate) fn is_told(&self) -> bool {
        self.told.is_empty()
    }

    /// The group is another one, with tasks of its own.
    pub(crate) fn forget(&mut self) {
        self.tasks.clear();
        self.told.clear();
    }

    pub(crate) fn failed(&mut self, now: u64, random: f64) {
        self.gate.failed(now, random);
    }

    /// From when on the next request may go, if there may be one.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.tasks.is_empty()).then_some(self.gate.opens_at())
    }

    /// From when on a loss can be said to be told, if there is one.
    pub(crate) fn told_due(&self) -> Option<u64> {
        (!self.told.is_empty()).then_some(self.gate.opens_at())
    }
}
