//! The entries that a group had read past and that a new pattern takes.

use crate::consumer::request_gate::RequestGate;
use crate::stream_store::{ConsumerId, Request, TakeUpTask};

/// The most entries of one request.
const MAX_ENTRIES: usize = 200;

/// The tasks of the group by which entries are taken up.
#[derive(Debug, Default)]
pub(crate) struct TakeUp {
    tasks: Vec<TakeUpTask>,
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
        Some(Request::TakeUp { member: member.clone(), tasks, limit: room.min(MAX_ENTRIES) })
    }

    /// A request was answered; some tasks are done.
    pub(crate) fn succeeded(&mut self, done: &[u64]) {
        self.gate.succeeded();
        self.tasks.retain(|task| !done.contains(&task.number));
    }

    pub(crate) fn failed(&mut self, now: u64, random: f64) {
        self.gate.failed(now, random);
    }

    /// From when on the next request may go, if there may be one.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.tasks.is_empty()).then_some(self.gate.opens_at())
    }
}
