//! Publishes that wait until replicas have them. They have a link of their own, as waiting holds up
//! everything else on a connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::{BusError, ErrorKind, Outcome};
use tokio::task::JoinHandle;

use crate::host::Failed;
use crate::publish::encoder::Encoded;
use crate::redis::connection::handshake::Endpoint;
use crate::redis::connection::link;
use crate::redis::connection::link::Handle;
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::batches::Batch;
use crate::redis::publisher::composer::{Composer, Place};
use crate::redis::publisher::in_flight::Kind;
use crate::redis::publisher::session::{Input, Publisher};
use crate::redis::publisher::streams_ready::StreamsReady;
use crate::transport::context::TransportContext;
use crate::transport::events::{PublishReport, TransportEvents};

/// The commands of a submission, ready to be sent.
pub(crate) struct PreparedBatch {
    pub(in crate::redis) batch: u32,
    pub(in crate::redis) state: Batch,
    pub(in crate::redis) groups: Vec<Group>,
}

impl PreparedBatch {
    /// The client is closed, and sends nothing any more.
    pub(in crate::redis) fn refuse(self, events: &dyn TransportEvents) {
        let PreparedBatch { batch, state, groups } = self;
        let error = BusError::new(ErrorKind::Closed, "the client is closed").with_outcome(Outcome::NotSent);
        let mut report = PublishReport::default();
        report.release(state.open, state.bytes);
        for kind in groups.iter().flat_map(|group| group.commands.kinds()) {
            kind.each_event(|_, index| {
                report.failed.push(Failed { batch, index, error: error.clone(), message_id: None });
            });
        }
        events.published(&mut report);
    }
}

/// Commands that wait for the same.
pub(in crate::redis) struct Group {
    /// So many replicas, and so many milliseconds for them at the most; `None` where nothing is waited for.
    pub(in crate::redis) wait: Option<(u32, u64)>,
    pub(in crate::redis) deadline: u64,
    pub(in crate::redis) commands: Pipeline<Kind>,
}

/// Gathers the events of a submission that are to be replicated.
pub(in crate::redis) struct Replicas {
    composer: Composer,
    groups: Vec<Group>,
    link: Arc<Replicated>,
}

impl Replicas {
    pub(in crate::redis) fn new(context: &TransportContext, link: Arc<Replicated>) -> Replicas {
        Replicas { composer: Composer::new(&context.config, &context.channels), groups: Vec::new(), link }
    }

    /// Adds an event.
    pub(in crate::redis) fn add(&mut self, place: Place, event: &Encoded<'_>) {
        let (replicas, timeout, deadline) = (event.options.replicas, event.timeout, place.deadline);
        let wait = Some((replicas, timeout));
        let last = self.groups.pop_if(|last| {
            let same = last.wait == wait;
            if !same {
                self.composer.finish(&mut last.commands);
            }
            same
        });
        let mut group = last.unwrap_or_else(|| Group { wait, deadline, commands: Pipeline::new() });
        self.composer.add(place, event, &mut group.commands);
        self.groups.push(group);
    }

    /// Cancels an event that was sent to the link.
    pub(in crate::redis) fn cancel(&self, batch: u32, index: u32) {
        self.link.tell(Input::Cancel { batch, index });
    }

    /// Sends what was gathered.
    pub(in crate::redis) fn send(&mut self, events: &dyn TransportEvents, batch: u32, state: Batch) {
        if let Some(last) = self.groups.last_mut() {
            self.composer.finish(&mut last.commands);
        }
        let groups = std::mem::take(&mut self.groups);
        if let Err(composed) = self.link.send(Box::new(PreparedBatch { batch, state, groups })) {
            composed.refuse(events);
        }
    }
}

/// The link, which is made with the first event that needs it.
pub(in crate::redis) struct Replicated {
    context: Arc<TransportContext>,
    ready: Arc<StreamsReady>,
    endpoint: Arc<Endpoint>,
    runtime: tokio::runtime::Handle,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    link: Option<Handle<Input>>,
    closed: bool,
}

impl Replicated {
    pub(in crate::redis) fn new(
        context: Arc<TransportContext>,
        ready: Arc<StreamsReady>,
        endpoint: Arc<Endpoint>,
        runtime: tokio::runtime::Handle,
    ) -> Arc<Replicated> {
        Arc::new(Replicated { context, ready, endpoint, runtime, slot: Mutex::default() })
    }

    /// Sends commands; gives them back when the client is closed.
    fn send(&self, composed: Box<PreparedBatch>) -> Result<(), Box<PreparedBatch>> {
        let mut slot = self.slot();
        if slot.closed {
            return Err(composed);
        }
        let link = slot.link.get_or_insert_with(|| {
            let session = Publisher::replicated(self.context.clone(), self.ready.clone());
            link::start(session, self.context.clone(), self.endpoint.clone(), &self.runtime)
        });
        // The link takes inputs for as long as its handle lives.
        link.send(Input::PreparedBatch(composed));
        Ok(())
    }

    /// Tells the link something, if there is one.
    pub(in crate::redis) fn tell(&self, input: Input) -> bool {
        self.slot().link.as_ref().is_some_and(|link| link.send(input))
    }

    /// Ends the link, for good.
    pub(in crate::redis) fn end(&self) -> Option<JoinHandle<()>> {
        let mut slot = self.slot();
        slot.closed = true;
        slot.link.take().map(Handle::end)
    }

    #[cfg(feature = "failpoints")]
    pub(in crate::redis) fn inject_panic(&self) {
        self.slot().link.iter().for_each(Handle::inject_panic);
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
