//! Live events of wires that publish nothing: they are read from the streams in which they are stored.
//!
//! One reader waits in all streams of the configuration at once, without a group: it leaves nothing on the server, and claims
//! nothing. It begins behind what the streams have when the first subscription comes. A broken connection makes no gap, as it goes
//! on where it was; what was trimmed meanwhile is one. Until it has caught up it compares its positions with the streams now and then.
//!
//! - this file: [`Tail`]; `position`: how far a stream was read

mod position;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::codec::event_json::{id_of, is_for_room_or_user};
use oxbus_model::config::Mode;
use oxbus_model::consumer::{Content, GroupKey, Read, ReceivedEntry};
use oxbus_model::delivery::{InboundEvent, LiveEvent};
use oxbus_model::routing::channel::Channels;
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::routing::stream_routing::StreamRouting;
use oxbus_model::stream_store::{Request, Response, StreamInfo};
use oxbus_model::{BusError, ErrorKind};
use tokio::time::sleep;
use tracing::debug;

use crate::host::Notice;
use crate::receive::acceptance;
use crate::runtime::clock::wall_ms;
use crate::runtime::line_limit::LineLimit;
use crate::runtime::panics::catch_panic;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;
use crate::transport::Transport;
use crate::transport::inbound::InboundBatch;
use crate::transport::store::unexpected;
use position::Position;

/// Entries of each stream that one read brings, at the most.
const LIMIT: usize = 256;
/// While entries come, the streams are looked at once in this time, in milliseconds.
const LOOK: u64 = 1_000;
/// The pause before a store that has not answered is asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause before a read is tried again that was refused.
const REFUSED: Duration = Duration::from_secs(1);
/// Patterns that a `gap` names at the most.
const MAX_PATTERNS: usize = 1_000;
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
    is_looking: bool,
    /// How far each stream was read; none before the first look.
    positions: Vec<Position>,
    /// When the streams were last looked at: on the client's clock, and in Unix milliseconds.
    looked: (u64, i64),
    /// Whether entries have come since then.
    has_read: bool,
    /// Whether the host was told that a read is refused.
    is_refused: bool,
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
            is_looking: false,
            positions: Vec::new(),
            looked: (0, 0),
            has_read: false,
            is_refused: false,
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
    pub(crate) fn start(&self) {
        let mut reading = self.reading();
        let starts = !std::mem::replace(&mut reading.wanted, true);
        let is_there = !reading.positions.is_empty();
        drop(reading);
        if starts {
            self.transport.join(GroupKey::TAIL, "tail".into());
        }
        if is_there {
            self.state.confirmations.confirmed(&awaited());
        }
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
        let left = self.transport.leave(GroupKey::TAIL);
        drop(reading);
        self.tasks.spawn(left);
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
        let event = entry.content.into_event().and_then(Arc::into_inner);
        let Some(event) = event.filter(|event| !self.is_for_others(event)) else { return };
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

    /// Looks at the streams, and reads on, after a pause.
    fn look(self: &Arc<Self>, pause: Option<Duration>) {
        let mut reading = self.reading();
        reading.number += 1;
        reading.is_looking = true;
        let (tail, number) = (self.clone(), reading.number);
        drop(reading);
        self.tasks.spawn(async move {
            if let Some(pause) = pause {
                sleep(pause).await;
            }
            let looked = catch_panic("the tail of streams", tail.clone().look_and_read(number)).await;
            if let Err(fault) = looked {
                tail.state.notice(Notice::Error(fault));
            }
        });
    }

    async fn look_and_read(self: Arc<Self>, number: u64) {
        let store = self.transport.store();
        let mut streams = Vec::with_capacity(self.streams.len());
        for stream in &*self.streams {
            loop {
                if self.reading().number != number {
                    return;
                }
                match store.execute(Request::Describe { stream: stream.clone() }).await {
                    Ok(Response::Stream(found)) => break streams.push(found),
                    Ok(_) => return self.state.notice(Notice::Error(unexpected())),
                    // It is asked until it answers, or the connection is another one.
                    Err(error) => {
                        debug!(stream = &**stream, error = error.message, "a stream cannot be looked at");
                        sleep(PAUSE).await;
                    }
                }
            }
        }
        self.looked(number, &streams);
    }

    /// Takes in what a look has found, and reads on.
    fn looked(&self, number: u64, streams: &[Option<StreamInfo>]) {
        let mut reading = self.reading();
        if reading.number != number || !reading.wanted {
            return;
        }
        let is_first = reading.positions.is_empty();
        let mut lost = false;
        if is_first {
            reading.positions = streams.iter().map(|stream| Position::behind(stream.as_ref())).collect();
        }
        for (position, stream) in reading.positions.iter_mut().zip(streams) {
            lost |= position.compare(stream.as_ref());
        }
        let since = std::mem::replace(&mut reading.looked, (self.state.clock.now_ms(), wall_ms()));
        (reading.has_read, reading.is_looking) = (false, false);
        self.read(&reading);
        let to = reading.looked.1;
        drop(reading);
        if is_first {
            self.state.confirmations.confirmed(&awaited());
        }
        if lost {
            self.tell(since.1, to);
        }
    }

    /// Tells that entries are gone that were not read.
    fn tell(&self, from: i64, to: i64) {
        let router = self.state.router();
        let mut patterns: Vec<String> =
            router.heard_patterns().take(MAX_PATTERNS).map(str::to_owned).collect();
        drop(router);
        patterns.sort();
        patterns.dedup();
        self.state.notice(Notice::Gap { from, to, patterns, recovered: 0, complete: false });
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
