//! The submissions that are under way: what of each is settled, and what the host knows of it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use oxbus_model::config::StreamConfig;
use oxbus_model::{BusError, ErrorKind, Outcome};

use crate::host::{EventId, Failed, Published, SettledLocally, StoredEntries};
use crate::redis::publisher::in_flight::{Command, EntryRef, PublishedEvent};
use crate::redis::publisher::later_steps::LaterSteps;
use crate::transport::events::{PublishReport, TransportEvents};

/// What is known of an event while it is under way.
#[derive(Clone, Copy)]
pub(in crate::redis) struct Known {
    /// Its id, if it was generated.
    pub(in crate::redis) id: Option<EventId>,
    /// The number of its type.
    pub(in crate::redis) type_number: u16,
    /// Whether nobody waits for its result.
    pub(in crate::redis) is_quiet: bool,
}

/// One submission, until all its events are settled.
pub(in crate::redis) struct Batch {
    /// The timestamp of events that had none of their own.
    pub(in crate::redis) stamp: Arc<str>,
    /// By index.
    known: Vec<Known>,
    /// Events that are not settled.
    pub(in crate::redis) open: usize,
    /// Bytes of its text, which count against the admission until it is done.
    pub(in crate::redis) bytes: usize,
    /// Answered since the last report: (index, receivers), in order.
    answered: Vec<(u32, i64)>,
    /// The same of those that were stored.
    stored: Vec<(u32, i64, EntryRef)>,
    /// Where recent events are kept: the events by index.
    pub(in crate::redis) texts: Vec<(u32, Box<[u8]>)>,
    /// In hybrid mode, in order: the events that are not stored. They were handed to this client's own
    /// subscriptions, and their publish succeeds whatever the server says.
    pub(in crate::redis) unstored: Vec<u32>,
    /// In a Cluster, by index: what is done for events once they are stored.
    pub(in crate::redis) later: Vec<(u32, LaterSteps)>,
}

impl Batch {
    pub(in crate::redis) fn new(stamp: Arc<str>, known: Vec<Known>, open: usize, bytes: usize) -> Self {
        Batch {
            stamp,
            known,
            open,
            bytes,
            answered: Vec::new(),
            stored: Vec::new(),
            texts: Vec::new(),
            unstored: Vec::new(),
            later: Vec::new(),
        }
    }

    /// The part of it that has these events, all of which are under way. The last part takes the bytes with it.
    pub(in crate::redis) fn split(&mut self, indexes: &BTreeSet<u32>) -> Batch {
        let mut part = Batch::new(self.stamp.clone(), self.known.clone(), indexes.len(), 0);
        part.texts = self.texts.extract_if(.., |(index, _)| indexes.contains(index)).collect();
        part.unstored = self.unstored.extract_if(.., |index| indexes.contains(index)).collect();
        part.later = self.later.extract_if(.., |(index, _)| indexes.contains(index)).collect();
        self.open = self.open.saturating_sub(indexes.len());
        if self.open == 0 {
            part.bytes = std::mem::take(&mut self.bytes);
        }
        part
    }

    /// Takes another part of the same submission in.
    fn merge(&mut self, other: Batch) {
        self.open += other.open;
        self.bytes += other.bytes;
        self.texts.extend(other.texts);
        self.texts.sort_unstable_by_key(|(index, _)| *index);
        self.unstored.extend(other.unstored);
        self.unstored.sort_unstable();
        self.later.extend(other.later);
        self.later.sort_unstable_by_key(|(index, _)| *index);
    }

    /// The position of what is done for an event once it is stored.
    pub(in crate::redis) fn later_of(&self, index: u32) -> Option<usize> {
        self.later.binary_search_by_key(&index, |(index, _)| *index).ok()
    }

    /// The answered events as runs of consecutive indexes.
    fn take_runs(&mut self, batch: u32, streams: &[Arc<str>], mut report: impl FnMut(Published)) {
        let known = |index: u32| self.known.get(index as usize);
        // Of a result that nobody waits for, the id would be told to nobody.
        let id = |index: u32| known(index).filter(|known| !known.is_quiet).and_then(|known| known.id);
        let is_heard =
            |index: u32, receivers: i64| known(index).is_some_and(|known| known.is_quiet) && receivers > 0;
        let mut answered = self.answered.drain(..).peekable();
        while let Some((first, receivers)) = answered.next() {
            let mut items = vec![(id(first), receivers)];
            let mut is_quiet = is_heard(first, receivers);
            while let Some((index, receivers)) =
                answered.next_if(|(index, _)| *index as usize == first as usize + items.len())
            {
                items.push((id(index), receivers));
                is_quiet &= is_heard(index, receivers);
            }
            report(Published { batch, first, timestamp: self.stamp.clone(), items, stored: None, is_quiet });
        }
        let mut stored = self.stored.drain(..).peekable();
        while let Some((first, receivers, entry)) = stored.next() {
            let mut items = vec![(id(first), receivers)];
            let mut entries = vec![(entry.id, entry.duplicate)];
            while let Some((index, receivers, next)) = stored.next_if(|(index, _, next)| {
                *index as usize == first as usize + items.len() && next.stream == entry.stream
            }) {
                items.push((id(index), receivers));
                entries.push((next.id, next.duplicate));
            }
            let stream = streams.get(entry.stream).cloned().unwrap_or_else(|| "".into());
            let stored = Some(StoredEntries { stream, entries });
            let (timestamp, is_quiet) = (self.stamp.clone(), false);
            report(Published { batch, first, timestamp, items, stored, is_quiet });
        }
    }

    /// Counts what was answered.
    fn count(&self, report: &mut PublishReport) {
        for (index, _) in &self.answered {
            report.count(None, self.type_number(*index));
        }
        for (index, _, entry) in &self.stored {
            report.count(Some(entry.stream), self.type_number(*index));
        }
    }

    /// The number of the type of an event.
    fn type_number(&self, index: u32) -> u16 {
        self.known.get(index as usize).map_or(0, |known| known.type_number)
    }

    /// Whether the host knows of all that was answered.
    fn is_reported(&self) -> bool {
        self.answered.is_empty() && self.stored.is_empty()
    }
}

/// All submissions that are under way.
pub(in crate::redis) struct Batches {
    /// The names of the streams, by their index in the configuration.
    streams: Box<[Arc<str>]>,
    open: HashMap<u32, Batch>,
    /// The numbers of submissions with events that were published and not reported, each once.
    touched: Vec<u32>,
    /// The events that were settled since the last report.
    pub(in crate::redis) settled: PublishReport,
    /// In a Cluster: events that are stored, and whose next step is to be done now.
    pub(in crate::redis) to_go_on: Vec<(u32, u32)>,
    /// Why later steps of events that are stored were not done.
    pub(in crate::redis) not_done: Vec<String>,
}

impl Batches {
    pub(in crate::redis) fn new(streams: &[StreamConfig]) -> Batches {
        let streams = streams.iter().map(|stream| stream.name.as_str().into()).collect();
        Batches {
            streams,
            open: HashMap::new(),
            touched: Vec::new(),
            settled: PublishReport::default(),
            to_go_on: Vec::new(),
            not_done: Vec::new(),
        }
    }

    /// Adds a submission whose events are under way.
    pub(in crate::redis) fn add(&mut self, batch: u32, state: Batch) {
        match self.open.entry(batch) {
            Entry::Vacant(entry) => drop(entry.insert(state)),
            Entry::Occupied(mut entry) => entry.get_mut().merge(state),
        }
    }

    /// Gives the part of a submission away that has these events, all of which are under way.
    pub(in crate::redis) fn split(&mut self, batch: u32, indexes: &BTreeSet<u32>) -> Option<Batch> {
        let state = self.open.get_mut(&batch)?;
        let part = state.split(indexes);
        if state.open == 0 && state.is_reported() {
            self.open.remove(&batch);
        }
        Some(part)
    }

    /// An event was published.
    pub(in crate::redis) fn published(&mut self, event: PublishedEvent) {
        let PublishedEvent { batch, index, mut receivers, mut entry } = event;
        let Some(state) = self.open.get_mut(&batch) else { return };
        if let Some(at) = state.later_of(index) {
            let later = &mut state.later[at].1;
            if entry.is_some_and(|entry| entry.duplicate) {
                later.give_up();
            }
            later.receivers += receivers;
            let stored = *later.stored.get_or_insert(entry);
            if !later.is_done() {
                return self.to_go_on.push((batch, index));
            }
            (receivers, entry) = (later.receivers, stored);
            state.later.remove(at);
        }
        if state.is_reported() {
            self.touched.push(batch);
        }
        if let Ok(at) = state.texts.binary_search_by_key(&index, |(index, _)| *index) {
            self.settled.recent.push(std::mem::take(&mut state.texts[at].1));
        }
        match entry {
            None => state.answered.push((index, receivers)),
            Some(entry) => state.stored.push((index, receivers, entry)),
        }
        self.settle(batch);
    }

    /// Fails an event.
    pub(in crate::redis) fn fail(&mut self, batch: u32, index: u32, error: BusError) {
        self.failed(Failed { batch, index, error, message_id: None });
    }

    /// Fails an event that is stored. The error tells the id of its entry.
    pub(in crate::redis) fn fail_stored(&mut self, event: PublishedEvent, error: BusError) {
        let PublishedEvent { batch, index, entry, .. } = event;
        let message_id = entry.map(|entry| entry.id);
        self.failed(Failed { batch, index, error, message_id });
    }

    /// Fails all events of commands.
    pub(in crate::redis) fn fail_all(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        error: &BusError,
    ) {
        for command in commands {
            command.each_event(|batch, index| self.fail(batch, index, error.clone()));
        }
    }

    /// An event failed after it was under way.
    pub(in crate::redis) fn failed(&mut self, mut failed: Failed) {
        let batch = failed.batch;
        if let Some(entry) = self.stored(&failed) {
            if failed.error.kind != ErrorKind::Aborted {
                self.not_done.push(failed.error.message);
                return self.published(PublishedEvent { batch, index: failed.index, receivers: 0, entry });
            }
            failed.error = failed.error.with_outcome(Outcome::Unknown);
            failed.message_id = entry.map(|entry| entry.id);
        }
        if let Some(state) = self.open.get_mut(&batch)
            && let Some(at) = state.later_of(failed.index)
        {
            state.later.remove(at);
        }
        match self.settled_locally(&failed) {
            Some(settled_locally) => {
                let number =
                    self.open.get(&batch).map_or(0, |state| state.type_number(settled_locally.index));
                self.settled.count(None, number);
                self.settled.settled_locally.push(settled_locally);
            }
            None => self.settled.failed.push(failed),
        }
        self.settle(batch);
    }

    /// Whether an event is stored, and a later step is under way.
    pub(in crate::redis) fn is_stored(&self, batch: u32, index: u32) -> bool {
        let later = self.open.get(&batch).and_then(|state| state.later.get(state.later_of(index)?));
        later.is_some_and(|(_, later)| later.stored.is_some())
    }

    /// Where an event is stored of which a later step has failed; `None` where it was the first step. Where no step can follow
    /// any more, none does.
    fn stored(&mut self, Failed { batch, index, error, .. }: &Failed) -> Option<Option<EntryRef>> {
        let state = self.open.get_mut(batch)?;
        let at = state.later_of(*index)?;
        let later = &mut state.later[at].1;
        if matches!(error.kind, ErrorKind::PublishTimeout | ErrorKind::Closed) {
            later.give_up();
        }
        later.stored
    }

    /// What is told of a failure where the publish succeeds nevertheless. In hybrid mode a live event that Redis did not
    /// take still resolves, with `remote` as the outcome there. An abort rejects.
    fn settled_locally(&self, &Failed { batch, index, ref error, .. }: &Failed) -> Option<SettledLocally> {
        let state = self.open.get(&batch)?;
        let remote = error.outcome.filter(|_| error.kind != ErrorKind::Aborted)?;
        state.unstored.binary_search(&index).ok()?;
        let id = state.known.get(index as usize).and_then(|known| known.id);
        Some(SettledLocally { batch, index, timestamp: state.stamp.clone(), id, remote: Some(remote) })
    }

    /// Whether nothing is under way.
    pub(in crate::redis) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Tells the host what was settled since the last time.
    pub(in crate::redis) fn report(&mut self, events: &dyn TransportEvents) {
        for batch in self.touched.drain(..) {
            let Some(state) = self.open.get_mut(&batch) else { continue };
            state.count(&mut self.settled);
            state.take_runs(batch, &self.streams, |run| self.settled.published.push(run));
            if state.open == 0 {
                self.open.remove(&batch);
            }
        }
        if !self.settled.is_empty() {
            events.published(&mut self.settled);
        }
    }

    /// Gives back the room that a settled event took.
    fn settle(&mut self, batch: u32) {
        let Some(state) = self.open.get_mut(&batch) else { return };
        state.open -= 1;
        let done = state.open == 0;
        self.settled.release(1, if done { state.bytes } else { 0 });
        if done && state.is_reported() {
            self.open.remove(&batch);
        }
    }
}
