//! A process of a random schedule: a client, and what is on its way between it and the store.

use std::collections::HashSet;

use crate::BusError;
use crate::consumer::tests::world::*;
use crate::consumer::{GroupKey, Work};
use crate::stream_store::{EntryId, Request, Response};

/// A handler call as the schedule sees it.
pub(super) struct Run {
    pub(super) token: u32,
    pub(super) ids: Vec<EntryId>,
    /// Those that are tried again if the call fails.
    pub(super) again: Vec<EntryId>,
    pub(super) timed_out: bool,
}

pub(super) struct Process {
    pub(super) client: Client,
    pub(super) subscription: u32,
    pub(super) works: Vec<Work>,
    pub(super) answers: Vec<(GroupKey, Request, Result<Response, BusError>)>,
    pub(super) connected: bool,
    pub(super) runs: Vec<Run>,
    /// Entries that a handler had and that are to be tried again, as far as this process knows.
    pub(super) unfinished: HashSet<EntryId>,
}

impl Process {
    pub(super) fn is_idle(&self) -> bool {
        let consumer = &self.client.consumer;
        self.client.parked.is_some() && consumer.is_settled(None) && consumer.waiting().0 == 0
    }
}
