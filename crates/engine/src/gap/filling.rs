//! From a missed interval to the events that fill it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use oxbus_model::BusError;
use oxbus_model::codec::decoded::DecodedEntry;
use oxbus_model::codec::event_json::{id_of, is_for_room_or_user};
use oxbus_model::config::Mode;
use oxbus_model::delivery::{InboundEvent, LiveEvent};
use oxbus_model::routing::router::{Route, Router, ServerSubscription};
use oxbus_model::stream_store::{EntryId, Request, Response, StoredEntry};
use tokio::time::sleep;

use super::missed_interval::{Gap, MissedInterval, REACH};
use super::recovery::Recovery;
use crate::admin::merged_range::MergedRange;
use crate::host::Notice;
use crate::receive::acceptance;
use crate::runtime::clock::Clock;
use crate::runtime::panics::catch_panic;
use crate::runtime::tasks::Tasks;
use crate::transport::inbound::InboundBatch;
use crate::transport::store::{PendingResponse, Store, unexpected};

/// How long a store that does not answer is asked again, in milliseconds.
pub(super) const PATIENCE: u64 = 10_000;
/// The pause before it is.
const PAUSE: Duration = Duration::from_millis(100);
/// How exactly the clock of the store should be known, in milliseconds: less than a missed interval reaches back.
const EXACT: u64 = 500;
/// How often it is asked for at the most.
const TRIES: u32 = 5;
/// The entries that are looked at for one missed interval, at the most.
const MAX_ENTRIES: usize = 100_000;
/// How many of them are read at once.
const CHUNK: usize = 500;
/// Events that are handed on together.
const BATCH: usize = 256;
/// Event types whose server subscriptions are remembered.
const REMEMBERED: usize = 1_024;

/// Reads from streams what was missed, delivers it, and then reports the gap. The subscriptions were asked for again at
/// `reopened`, and are confirmed.
pub(super) fn fill(recovery: &Arc<Recovery>, missed: MissedInterval, reopened: u64, gap: Gap) {
    let recovery = recovery.clone();
    let deadline = recovery.shared.clock.now_ms().saturating_add(PATIENCE);
    Tasks::current(&recovery.shared.log).spawn(async move {
        let mut filling = Filling::new(&recovery, &missed, reopened, deadline);
        let filled = catch_panic("recovery", filling.run()).await;
        let (recovered, complete) = filling.result();
        let shared = &recovery.shared;
        if let Err(fault) = filled {
            shared.notice(Notice::Error(fault));
        }
        if !recovery.is_closing() {
            shared.notice(gap.notice(recovered, complete));
        }
    });
}

/// A missed interval that is being filled.
struct Filling<'a> {
    recovery: &'a Arc<Recovery>,
    missed: &'a MissedInterval,
    reopened: u64,
    batch: InboundBatch,
    /// The server subscriptions of the missed interval that match a channel, each with since when it is established.
    server_subscriptions: HashMap<Box<str>, Vec<(ServerSubscription, u64)>>,
    /// Where rules name channels: the subscriptions of a type.
    ruled: HashMap<Box<str>, Vec<(Route, Vec<ServerSubscription>)>>,
    recovered: u64,
    complete: bool,
    /// When a store that does not answer is given up.
    deadline: u64,
}

/// A store that is asked until it answers: the connection to it may be made again just as that of the
/// subscriber.
struct Patient {
    recovery: Arc<Recovery>,
    deadline: u64,
}

impl Store for Patient {
    fn execute(&self, request: Request) -> PendingResponse {
        let (recovery, deadline) = (self.recovery.clone(), self.deadline);
        Box::pin(async move {
            loop {
                match recovery.store.execute(request.clone()).await {
                    Err(error) if recovery.is_closing() => return Err(error),
                    Err(_) if recovery.shared.clock.now_ms() < deadline => sleep(PAUSE).await,
                    answer => return answer,
                }
            }
        })
    }
}

/// The clock of the store, by that of the client: it showed `theirs` between two times of ours.
#[derive(Clone, Copy)]
struct StoreClock {
    before: u64,
    after: u64,
    theirs: u64,
}

impl StoreClock {
    async fn read(store: &dyn Store, clock: Clock) -> Result<StoreClock, BusError> {
        let mut tries = 0;
        loop {
            let before = clock.now_ms();
            let theirs = match store.execute(Request::Time).await? {
                Response::Time(theirs) => theirs,
                _ => return Err(unexpected()),
            };
            let read = StoreClock { before, after: clock.now_ms(), theirs };
            tries += 1;
            // The first answer may have had to wait for the connection.
            if read.took() <= EXACT || tries == TRIES {
                return Ok(read);
            }
        }
    }

    /// The least that the store's clock can have shown at a time of ours.
    fn earliest(self, ours: u64) -> u64 {
        self.theirs.saturating_add(ours).saturating_sub(self.after)
    }

    /// The most that it can have shown.
    fn latest(self, ours: u64) -> u64 {
        self.theirs.saturating_add(ours).saturating_sub(self.before)
    }

    /// How long the answer took.
    fn took(self) -> u64 {
        self.after.saturating_sub(self.before)
    }
}

impl<'a> Filling<'a> {
    fn new(recovery: &'a Arc<Recovery>, missed: &'a MissedInterval, reopened: u64, deadline: u64) -> Self {
        Filling {
            recovery,
            missed,
            reopened,
            batch: InboundBatch::default(),
            server_subscriptions: HashMap::new(),
            ruled: HashMap::new(),
            recovered: 0,
            complete: false,
            deadline,
        }
    }

    /// How many events were delivered, and whether they are all that may have been missed.
    fn result(&self) -> (u64, bool) {
        (self.recovered, self.complete)
    }

    async fn run(&mut self) {
        let (streams, covered) = self.streams();
        // What cannot be read is missing; the gap says so.
        let read = self.read(&streams).await;
        self.deliver();
        self.complete = covered && read.unwrap_or(false);
    }

    /// The streams that may hold what was missed, and whether they hold all of it.
    fn streams(&self) -> (Vec<usize>, bool) {
        let (storage, router) = (&self.recovery.storage, self.recovery.shared.router());
        let mut patterns = Vec::new();
        let mut covered = true;
        for server_subscription in self.missed.server_subscriptions.keys() {
            covered &= !router.addresses_channels(server_subscription);
            for pattern in router.patterns(server_subscription) {
                covered &= storage.stores_all(pattern);
                patterns.push(pattern.to_owned());
            }
        }
        drop(router);
        patterns.sort();
        patterns.dedup();
        (storage.streams_matching(&patterns), covered)
    }

    /// Reads the streams and delivers. False when something is missing.
    async fn read(&mut self, streams: &[usize]) -> Result<bool, BusError> {
        if streams.is_empty() {
            return Ok(true);
        }
        let store = Arc::new(Patient { recovery: self.recovery.clone(), deadline: self.deadline });
        let clock = StoreClock::read(&*store, self.recovery.shared.clock.clone()).await?;
        let from = EntryId::first_of(clock.latest(self.missed.from).saturating_sub(REACH));
        let to = EntryId::last_of(clock.theirs);
        let names: Vec<Arc<str>> = {
            let config = &self.recovery.shared.config.streams;
            streams.iter().filter_map(|index| config.get(*index)).map(|s| s.name.as_str().into()).collect()
        };
        let mut whole = clock.took() <= EXACT;
        for name in &names {
            let facts = match store.execute(Request::Describe { stream: name.clone() }).await? {
                Response::Stream(facts) => facts.unwrap_or_default(),
                _ => return Err(unexpected()),
            };
            // Ids that are ahead of the clock tell no time.
            whole &=
                !facts.is_trimmed(from) && facts.last_generated <= EntryId::last_of(clock.theirs + REACH);
        }
        let mut walk = MergedRange::new(store, names, (from, to), false, CHUNK);
        for _ in 0..MAX_ENTRIES {
            let Some((index, entry)) = walk.next().await? else { return Ok(whole) };
            let stream = streams.get(index).copied().unwrap_or_default();
            whole &= self.take(stream, &entry, clock);
            if self.batch.events.len() >= BATCH {
                self.deliver();
                // A long missed interval must not keep others of this thread waiting.
                tokio::task::yield_now().await;
            }
        }
        Ok(false)
    }

    /// Takes an entry of a stream. False when it may be missing.
    fn take(&mut self, stream: usize, entry: &StoredEntry, clock: StoreClock) -> bool {
        let Recovery { shared, storage, .. } = &**self.recovery;
        let fields = entry.fields.iter().map(|(name, value)| (&**name, &**value));
        let name = shared.config.streams.get(stream).map(|stream| &*stream.name).unwrap_or_default();
        let (of, shapes) = ((name, entry.id), shared.shapes.lock());
        let Ok(read) = shared.config.codec.read_entry(fields, of, { shapes }.as_deref_mut()) else {
            return true;
        };
        let DecodedEntry { event, only_group } = read;
        let own = shared.is_own(event.instance_id.as_deref(), &event.json);
        if own && shared.config.mode == Mode::Hybrid {
            // Its subscriptions have had it.
            return true;
        }
        // These were not published live, or not on the channel of their type.
        let has_room = event.parts.is_none() && is_for_room_or_user(&event.json);
        if only_group.is_some() || !storage.realtime(stream, &event.event_type) || has_room {
            return true;
        }
        let Some(id) = id_of(&event.json) else { return true };
        let ms = entry.id.ms;
        let seen_last = clock.latest(self.missed.last_read).saturating_add(REACH);
        let late = self.recovery.published_late || ms.saturating_add(REACH) >= clock.earliest(self.reopened);
        let Filling { missed, server_subscriptions, ruled, batch, .. } = self;
        let before = batch.routes.len();
        let router = shared.router();
        let mut seen = self.recovery.seen.lock();
        if seen.is_full() && (ms <= seen_last || late) {
            // It may have come.
            return false;
        }
        let hash = |it: &ServerSubscription| self.recovery.seen.hash(it.into(), &id);
        let mut recovered = Vec::new();
        for (route, wanted) in of_rules(ruled, &router, &event.event_type) {
            let missed = wanted.iter().filter_map(|it| Some((it, *missed.server_subscriptions.get(it)?)));
            let missed = missed.filter(|(_, since)| ms >= clock.earliest(*since));
            let missed: Vec<u64> = missed.map(|(it, _)| hash(it)).collect();
            // It may have come for any of them.
            if !missed.is_empty() && !wanted.iter().any(|it| seen.has(hash(it))) {
                batch.routes.push(*route);
                recovered.extend(missed);
            }
        }
        for channel in shared.channels.all_named(&event.event_type) {
            for (server_subscription, since) in matching(server_subscriptions, missed, &channel) {
                if ms >= clock.earliest(*since) && seen.recover(hash(server_subscription), late) {
                    router.route(server_subscription.into(), channel.as_bytes(), &mut batch.routes);
                }
            }
        }
        for it in recovered {
            seen.recover(it, late);
        }
        if shared.config.wires.have_rules() {
            shared.twins().keep_first(&id, &mut batch.routes, before, shared.clock.now_ms());
        }
        let whole = !(late && seen.is_full());
        drop((seen, router));
        if batch.routes.len() > before {
            let type_number = batch.types.number(&shared.types, &event.event_type);
            let event = LiveEvent { type_number, ..LiveEvent::of(event, None, own) };
            batch.events.push((InboundEvent::new(event), batch.routes.len()));
            self.recovered += 1;
        }
        whole
    }

    fn deliver(&mut self) {
        acceptance::accept(&self.recovery.shared, &mut self.batch, |_| {});
    }
}

/// The server subscriptions of a missed interval that match a channel.
fn matching<'w>(
    known: &'w mut HashMap<Box<str>, Vec<(ServerSubscription, u64)>>,
    missed: &MissedInterval,
    channel: &str,
) -> &'w [(ServerSubscription, u64)] {
    if known.len() >= REMEMBERED && !known.contains_key(channel) {
        known.clear();
    }
    known.entry(channel.into()).or_insert_with(|| {
        let matching = missed
            .server_subscriptions
            .iter()
            .filter(|(server_subscription, _)| server_subscription.matches(channel.as_bytes()));
        matching.map(|(server_subscription, since)| (server_subscription.clone(), *since)).collect()
    })
}

/// The subscriptions of a type whose channels rules name, each with the server subscriptions that may bring it.
fn of_rules<'w>(
    known: &'w mut HashMap<Box<str>, Vec<(Route, Vec<ServerSubscription>)>>,
    router: &Router,
    event_type: &str,
) -> &'w [(Route, Vec<ServerSubscription>)] {
    if known.len() >= REMEMBERED && !known.contains_key(event_type) {
        known.clear();
    }
    known.entry(event_type.into()).or_insert_with(|| router.of_rules(event_type))
}
