//! Live events of wires that publish nothing: they are read from the streams in which they are stored.
//!
//! One reader waits in all streams of the configuration at once, without a group: it leaves nothing on the server, and claims
//! nothing. It begins behind what the streams have when the first subscription comes. A broken connection makes no gap, as it goes
//! on where it was; what was trimmed meanwhile is one. Until it has caught up it compares its positions with the streams now and then.
//!
//! In a Cluster each node answers for itself: one may bring entries while the streams are looked at, and one that does not answer keeps
//! the streams of the others from nobody.
//!
//! - this file: [`Tail`]; `look`: comparing it with the streams; `position`: how far a stream was read

mod look;
mod position;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::codec::event_json::{id_of, is_for_room_or_user};
use oxbus_model::config::Mode;
use oxbus_model::consumer::{Content, GroupKey, Read, ReceivedEntry};
use oxbus_model::delivery::{InboundEvent, LiveEvent};
use oxbus_model::routing::channel::Channels;
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::routing::stream_routing::StreamRouting;
use oxbus_model::{BusError, ErrorKind};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::host::Notice;
use crate::receive::acceptance;
use crate::runtime::line_limit::LineLimit;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;
use crate::transport::Transport;
use crate::transport::inbound::InboundBatch;
use position::Position;

/// Entries of each stream that one read brings, at the most.
const LIMIT: usize = 256;
/// While entries come, the streams are looked at once in this time, in milliseconds.
const LOOK: u64 = 1_000;
/// The pause before a read is tried again that was refused.
const REFUSED: Duration = Duration::from_secs(1);
/// Lines in a second about entries that are no events, at the most.
const LINES_PER_SECOND: u32 = 10;

/// Reads events from streams for live subscriptions.
pub(crate) struct Tail {
    state: Arc<ClientState>,
    transport: Arc<dyn Transport>,
    tasks: Tasks,
    storage: StreamRouting,
    streams: Arc<[Arc<str>]>,
    reading: Mutex<Reading>,
}

/// Where the reader is.
struct Reading {
    wanted: bool,
    /// A look of an earlier connection has another number, and leads to nothing.
    number: u64,
    /// The end of the last reader.
    leaving: Option<JoinHandle<()>>,
    is_looking: bool,
    /// How far each stream was read; none before the first look.
    positions: Vec<Position>,
    /// When the streams were last looked at: on the client's clock, and in Unix milliseconds.
    looked: (u64, i64),
    /// Whether entries have come since then.
    has_read: bool,
    /// Whether the host was told that a read is refused.
    is_refused: bool,
    /// The same of a look.
    is_blind: bool,
    /// Its memory is used again.
    batch: InboundBatch,
    limit: LineLimit,
}

/// What stands for the tail among the things that the confirmation of a subscription waits for. No channel has this name: none
/// begins with a control character.
fn awaited() -> ServerSubscription {
    ServerSubscription::Channel(Arc::from(&b"\0tail"[..]))
}

impl Tail {
    /// `None` where everything live is published, or nothing is stored.
    pub(crate) fn new(
        state: &Arc<ClientState>,
        transport: &Arc<dyn Transport>,
        tasks: &Tasks,
    ) -> Option<Arc<Tail>> {
        let config = &state.config;
        if !config.mode.has_server() || !config.wires.are_tailed() || config.streams.is_empty() {
            return None;
        }
        let reading = Reading {
            wanted: false,
            number: 0,
            leaving: None,
            is_looking: false,
            positions: Vec::new(),
            looked: (0, 0),
            has_read: false,
            is_refused: false,
            is_blind: false,
            batch: InboundBatch::default(),
            limit: LineLimit::per_second(LINES_PER_SECOND),
        };
        Some(Arc::new(Tail {
            streams: config.streams.iter().map(|stream| Arc::from(stream.name.as_str())).collect(),
            storage: StreamRouting::new(&config.streams),
            reading: Mutex::new(reading),
            state: state.clone(),
            transport: transport.clone(),
            tasks: tasks.clone(),
        }))
    }

    /// Accepts a subscription of a client that publishes nothing live: all that it can hear is in the streams.
    ///
    /// # Errors
    /// `NO_STREAM` where that is nothing.
    pub(crate) fn check(&self, patterns: &[String], by_channel: bool) -> Result<(), BusError> {
        let refused = |message: String| Err(BusError::new(ErrorKind::NoStream, message));
        if by_channel || patterns.iter().any(|pattern| Channels::addresses_channels(pattern)) {
            return refused("this wire publishes nothing live: there are no channels, rooms, users and broadcasts to hear".to_owned());
        }
        if self.storage.streams_matching(patterns).is_empty() {
            return refused(format!("this wire publishes nothing live, and no stream stores {patterns:?}"));
        }
        Ok(())
    }

    /// What the confirmation of a live subscription waits for, besides its server subscriptions.
    pub(crate) fn awaited(&self) -> ServerSubscription {
        awaited()
    }

    /// A live subscription waits for it: it starts, unless it has.
    pub(crate) fn start(self: &Arc<Self>) {
        let mut reading = self.reading();
        if std::mem::replace(&mut reading.wanted, true) {
            let is_there = !reading.positions.is_empty();
            drop(reading);
            if is_there {
                self.state.confirmations.confirmed(&awaited());
            }
            return;
        }
        let last = reading.leaving.take_if(|last| !last.is_finished());
        let Some(last) = last else {
            drop(reading);
            return self.transport.join(GroupKey::TAIL, "tail".into());
        };
        // What the last reader says of itself would be taken for this one's.
        let (tail, number) = (self.clone(), reading.number);
        reading.leaving = Some(self.tasks.spawn(async move {
            let _ = last.await;
            let reading = tail.reading();
            if reading.wanted && reading.number == number {
                tail.transport.join(GroupKey::TAIL, "tail".into());
            }
        }));
    }

    /// Subscriptions have ended: with the last of them the reader ends.
    pub(crate) fn subscriptions_changed(self: &Arc<Self>) {
        let mut reading = self.reading();
        if !reading.wanted || self.state.router().heard_patterns().next().is_some() {
            return;
        }
        reading.wanted = false;
        reading.number += 1;
        reading.positions.clear();
        let (last, left) = (reading.leaving.take(), self.transport.leave(GroupKey::TAIL));
        reading.leaving = Some(self.tasks.spawn(async move {
            if let Some(last) = last {
                let _ = last.await;
            }
            left.await;
        }));
    }

    /// The reader can read.
    pub(crate) fn up(self: &Arc<Self>) {
        self.look(None);
    }

    /// A read was refused: it is tried again after a while.
    pub(crate) fn refused(self: &Arc<Self>, error: &BusError) {
        if !std::mem::replace(&mut self.reading().is_refused, true) {
            self.state.notice(Notice::Error(error.clone()));
        }
        self.look(Some(REFUSED));
    }

    /// Entries have come, or none in time.
    pub(crate) fn came(self: &Arc<Self>, entries: Vec<ReceivedEntry>) {
        let mut reading = self.reading();
        if reading.positions.is_empty() {
            // It has ended meanwhile.
            return;
        }
        let now = self.state.clock.now_ms();
        let looks =
            if entries.is_empty() { reading.has_read } else { now.saturating_sub(reading.looked.0) >= LOOK };
        reading.has_read |= !entries.is_empty();
        reading.is_refused = false;
        for entry in entries {
            self.take(&mut reading, entry, now);
        }
        acceptance::accept(&self.state, &mut reading.batch, |_| {});
        if reading.is_looking {
            return;
        }
        if looks {
            drop(reading);
            self.look(None);
        } else {
            self.read(&reading);
        }
    }

    /// Takes an entry, if live subscriptions want it.
    fn take(&self, reading: &mut Reading, entry: ReceivedEntry, now: u64) {
        let Tail { state, storage, streams, .. } = self;
        let Some(stream) = streams.iter().position(|stream| *stream == entry.stream) else { return };
        if !reading.positions.get_mut(stream).is_some_and(|position| position.pass(entry.id)) {
            return;
        }
        let event_type = match &entry.content {
            // One that is for one group was given back to it. Others are not to be heard live.
            Content::Event { event_type, only_group, .. } => {
                if only_group.is_some() || !storage.realtime(stream, event_type) {
                    return;
                }
                event_type.clone()
            }
            Content::Undecodable(reason) => {
                state.stats.events_foreign.add(1);
                if let Some(left_out) = reading.limit.admit(now) {
                    debug!(stream = &*entry.stream, id = %entry.id, reason, left_out, "an entry is not an event");
                }
                return;
            }
        };
        let Some(mut event) = entry.content.into_event().and_then(Arc::into_inner) else { return };
        event.own |= state.is_own(None, &event.json);
        if self.is_for_others(&event) {
            return;
        }
        let Reading { batch, .. } = reading;
        let before = batch.routes.len();
        state.router().route_stored(&event_type, &mut batch.routes);
        if state.config.wires.repeat()
            && let Some(id) = id_of(&event.json)
        {
            state.twins().keep_first(&id, &mut batch.routes, before, now);
        }
        if batch.routes.len() > before {
            let type_number = batch.types.number(&state.types, &event_type);
            batch.events.push((InboundEvent::new(LiveEvent { type_number, ..event }), batch.routes.len()));
        }
    }

    /// Whether an event is not for subscriptions by type here: one of a room or a user, and in hybrid mode this client's own, which
    /// they have had.
    fn is_for_others(&self, event: &LiveEvent) -> bool {
        (event.own && self.state.config.mode == Mode::Hybrid)
            || (event.parts.is_none() && is_for_room_or_user(&event.json))
    }

    fn read(&self, reading: &Reading) {
        let positions = reading.positions.iter().map(|position| position.id);
        self.transport.read(Read {
            key: GroupKey::TAIL,
            group: "".into(),
            consumer: "".into(),
            streams: self.streams.clone(),
            limit: LIMIT,
            behind: Some(self.streams.iter().cloned().zip(positions).collect()),
        });
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        // What a panic has left out is read again, or was counted as a fault.
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
