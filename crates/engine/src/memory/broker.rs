//! A broker in memory: it does for its clients what Redis does with channels, patterns and streams.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use oxbus_model::consumer::{GroupKey, Read};
use oxbus_model::routing::pattern;
use oxbus_model::routing::router::{ServerSubscription, ServerSubscriptionRef};
use oxbus_model::stream_store::{EntryId, Fields, Request, Response, Streams};
use oxbus_model::{BusError, ErrorKind};

use crate::memory::readers::{EndedRead, GroupReads, Reads};
use crate::publish::messages::Messages;
use crate::runtime::clock::{VirtualTime, wall_ms};
use crate::transport::context::TransportContext;

/// A broker shared by clients in memory mode; it lives as long as the last of them.
#[derive(Default)]
pub struct Broker {
    time: Time,
    state: Mutex<State>,
    /// The clients whose deadlines are kept by the virtual time.
    timed: Mutex<Vec<Weak<dyn Timed>>>,
}

/// Something with deadlines.
pub(crate) trait Timed: Send + Sync {
    /// Does what is due. Returns when the next is, in milliseconds since the Unix epoch.
    fn run_due(&self) -> Option<u64>;
}

/// The clock by which entries get their ids, and what is kept for a while expires.
#[derive(Default)]
enum Time {
    #[default]
    Wall,
    /// Stands still unless it is advanced.
    Virtual(Arc<VirtualTime>),
}

/// All is behind one lock, so that streams and live events are in the same order for all clients. No client is
/// told of what it reads while the lock is held: it may ask for more at once.
#[derive(Default)]
struct State {
    next: u64,
    members: HashMap<u64, BrokerClient>,
    streams: Streams,
    reads: Reads,
}

struct BrokerClient {
    context: Arc<TransportContext>,
    channels: HashSet<Arc<[u8]>>,
    patterns: HashSet<Arc<[u8]>>,
    readers: HashMap<GroupKey, GroupReads>,
}

/// An event that is to be stored.
pub(super) struct NewEntry<'a> {
    /// Where.
    pub(super) stream: &'a str,
    /// Its fields.
    pub(super) fields: Fields,
    /// The number of entries that the stream keeps.
    pub(super) cap: u64,
    /// The id of the event, where it must be stored once only within so many milliseconds.
    pub(super) once: Option<(&'a str, u64)>,
    /// What is published, where it is to be published live as well.
    pub(super) live: Option<&'a Messages>,
}

/// What became of a [`NewEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Appended {
    /// The entry, an earlier one for a duplicate.
    pub(super) id: EntryId,
    /// Whether the event was there already: then it was not published either.
    pub(super) duplicate: bool,
    /// How often it was delivered live.
    pub(super) receivers: i64,
}

/// An event that is to be kept by its id for a while.
pub(super) struct PersistedEvent<'a> {
    /// Its key.
    pub(super) key: &'a str,
    /// The event.
    pub(super) json: &'a [u8],
    /// For how many milliseconds.
    pub(super) ttl: u64,
    /// The stream of all that are kept, and its fields there.
    pub(super) history: Option<(&'a str, Fields)>,
}

impl Broker {
    /// A broker without clients, by the clock of the machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// A broker whose time stands still unless it is advanced; it starts at `start_ms` since the Unix epoch.
    pub fn with_virtual_time(start_ms: u64) -> Self {
        Broker { time: Time::Virtual(Arc::new(VirtualTime::new(start_ms))), ..Broker::default() }
    }

    /// Its time, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        match &self.time {
            Time::Wall => u64::try_from(wall_ms()).unwrap_or(0),
            Time::Virtual(time) => time.now_ms(),
        }
    }

    /// Sets a virtual time, and has what is due then done. It never goes back; the time of the machine stays
    /// what it is.
    pub fn advance_to(&self, now_ms: u64) {
        if let Time::Virtual(time) = &self.time {
            time.advance_to(now_ms);
            self.run_due();
        }
    }

    /// When, after now, something is due in one of the clients, in milliseconds since the Unix epoch.
    pub fn next_due(&self) -> Option<u64> {
        self.run_due()
    }

    /// The virtual time, if it has one.
    pub(crate) fn virtual_time(&self) -> Option<Arc<VirtualTime>> {
        match &self.time {
            Time::Wall => None,
            Time::Virtual(time) => Some(time.clone()),
        }
    }

    /// Has a client's deadlines kept, as long as it lives.
    pub(crate) fn keep_time_for(&self, client: Weak<dyn Timed>) {
        let mut timed = self.timed();
        timed.retain(|client| client.strong_count() > 0);
        timed.push(client);
    }

    /// Has everything done that is due. Returns when the next is.
    fn run_due(&self) -> Option<u64> {
        // Not under the lock: clients come here with what they do.
        let timed: Vec<_> = self.timed().iter().filter_map(Weak::upgrade).collect();
        timed.iter().filter_map(|client| client.run_due()).min()
    }

    fn timed(&self) -> MutexGuard<'_, Vec<Weak<dyn Timed>>> {
        self.timed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client. Returns its number.
    pub(super) fn join(&self, context: Arc<TransportContext>) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        let member = BrokerClient {
            context,
            channels: HashSet::new(),
            patterns: HashSet::new(),
            readers: HashMap::new(),
        };
        state.members.insert(number, member);
        number
    }

    /// Removes a client. Returns the groups of which a read is over by that.
    pub(super) fn leave(&self, number: u64) -> Vec<GroupKey> {
        let mut state = self.lock();
        if let Some(member) = state.members.remove(&number) {
            state.streams.depart(member.context.origin.instance_id());
        }
        state.reads.remove_all(number)
    }

    /// Subscribes a client. False when it is not a member.
    pub(super) fn subscribe(&self, number: u64, server_subscription: &ServerSubscription) -> bool {
        let mut state = self.lock();
        let Some(member) = state.members.get_mut(&number) else { return false };
        match server_subscription {
            ServerSubscription::Channel(name) => member.channels.insert(name.clone()),
            ServerSubscription::Pattern(name) => member.patterns.insert(name.clone()),
        };
        true
    }

    /// Unsubscribes a client.
    pub(super) fn unsubscribe(&self, number: u64, server_subscription: &ServerSubscription) {
        let mut state = self.lock();
        let Some(member) = state.members.get_mut(&number) else { return };
        match server_subscription {
            ServerSubscription::Channel(name) => member.channels.remove(name),
            ServerSubscription::Pattern(name) => member.patterns.remove(name),
        };
    }

    /// Delivers a message to every client, once for each of its server subscriptions that match, and
    /// returns how often, as `PUBLISH` does.
    pub(super) fn publish(&self, channel: &[u8], payload: &[u8]) -> i64 {
        self.lock().publish(channel, payload)
    }

    /// Stores an event, publishes it live where that is asked for, and hands it to those that wait for it, all
    /// in one step: the order in the stream and the live order are the same. The reads that end by it are for the
    /// caller to tell, holding no lock that a client takes when entries arrive.
    pub(super) fn store(&self, entry: NewEntry<'_>) -> (Appended, Vec<EndedRead>) {
        self.lock().store(entry, self.now_ms())
    }

    /// Keeps an event by its id.
    pub(super) fn keep(&self, PersistedEvent { key, json, ttl, history }: PersistedEvent<'_>) {
        let (mut state, now) = (self.lock(), self.now_ms());
        state.streams.keep_event(key, json, ttl, now);
        if let Some((history, fields)) = history {
            state.streams.append_to_history(history, fields, ttl, now);
        }
    }

    /// Executes a request. The caller must hold no lock that a client takes when entries arrive.
    pub(super) fn execute(&self, request: Request) -> Result<Response, BusError> {
        let handed_back = match &request {
            Request::Requeue { member, .. } => Some((member.stream.clone(), member.group.clone())),
            _ => None,
        };
        let (result, ended) = self.execute_untold(request);
        ended.into_iter().for_each(EndedRead::report);
        if let Some((stream, group)) = handed_back.filter(|_| result.is_ok()) {
            let all: Vec<_> = self.lock().members.values().map(|member| member.context.clone()).collect();
            all.iter().for_each(|context| context.events.handed_back(&stream, &group));
        }
        result
    }

    /// Executes a request as [`Broker::execute`] does, but leaves it to the caller to report the reads that end by it.
    pub(super) fn execute_untold(&self, request: Request) -> (Result<Response, BusError>, Vec<EndedRead>) {
        self.lock().execute(request, self.now_ms())
    }

    /// Lets a client read a group. False when it is not a member.
    pub(super) fn add_reader(&self, number: u64, group: GroupKey) -> bool {
        let mut state = self.lock();
        let Some(member) = state.members.get_mut(&number) else { return false };
        member.readers.entry(group).or_default();
        true
    }

    /// Ends the reader of a group. Returns it, and whether a read is over by that.
    pub(super) fn remove_reader(&self, number: u64, group: GroupKey) -> Option<(GroupReads, bool)> {
        let mut state = self.lock();
        let reader = state.members.get_mut(&number)?.readers.remove(&group)?;
        Some((reader, state.reads.remove(number, group)))
    }

    /// Ends a read that waits. Whether there was one.
    pub(super) fn end_read(&self, number: u64, group: GroupKey) -> bool {
        self.lock().reads.remove(number, group)
    }

    /// Reads new entries of a group: what is there, or else nothing yet, and the read waits for them.
    ///
    /// # Errors
    /// `CLOSED` when the client does not read the group (any more).
    pub(super) fn read(&self, number: u64, read: Read) -> Result<Option<EndedRead>, BusError> {
        self.lock().read(number, read, self.now_ms())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn publish(&self, channel: &[u8], payload: &[u8]) -> i64 {
        let mut receivers = 0;
        // The lock is held throughout, so that all clients see the messages in the same order.
        for member in self.members.values() {
            let exact = member.channels.contains(channel).then_some(ServerSubscriptionRef::Channel(channel));
            let patterns = member.patterns.iter().filter(|p| pattern::matches(p, channel));
            let mut matching =
                exact.into_iter().chain(patterns.map(|p| ServerSubscriptionRef::Pattern(p))).peekable();
            if matching.peek().is_none() {
                continue;
            }
            member.context.events.messages(&mut |message| {
                for server_subscription in matching.by_ref() {
                    message(server_subscription, channel, payload);
                    receivers += 1;
                }
            });
        }
        receivers
    }

    fn store(&mut self, entry: NewEntry<'_>, now_ms: u64) -> (Appended, Vec<EndedRead>) {
        let NewEntry { stream, fields, cap, once, live } = entry;
        let (id, duplicate) = match once {
            Some((event, ttl)) => self.streams.append_once(stream, fields, Some(cap), event, ttl, now_ms),
            None => (self.streams.append(stream, fields, Some(cap), now_ms), false),
        };
        if duplicate {
            return (Appended { id, duplicate, receivers: 0 }, Vec::new());
        }
        let receivers = live.map_or(0, |messages| {
            let (_, payload) = messages.first();
            messages.channels().map(|channel| self.publish(channel.as_bytes(), payload)).sum()
        });
        (Appended { id, duplicate, receivers }, self.wake(Some(stream), now_ms))
    }

    fn execute(&mut self, request: Request, now_ms: u64) -> (Result<Response, BusError>, Vec<EndedRead>) {
        // After these there may be something new to read, or a group is gone.
        let touched = match &request {
            Request::DeadLetter { to: Some(stream), .. }
            | Request::Redeliver { stream, .. }
            | Request::SetPosition { stream, .. }
            | Request::RemoveGroup { stream, .. } => Some(Some(stream.clone())),
            // Where a letter goes back to is told by the letter.
            Request::RequeueDeadLetter { .. } => Some(None),
            _ => None,
        };
        let result = self.streams.execute(request, now_ms);
        let ended = touched.map_or_else(Vec::new, |stream| self.wake(stream.as_deref(), now_ms));
        (result, ended)
    }

    fn read(&mut self, number: u64, read: Read, now_ms: u64) -> Result<Option<EndedRead>, BusError> {
        let reader = self.members.get(&number).and_then(|m| Some((&m.context, m.readers.get(&read.key)?)));
        let (context, reader) =
            reader.ok_or_else(|| BusError::new(ErrorKind::Closed, "the group is not read any more"))?;
        let ended = reader.deliver(&mut self.streams, context, &read, now_ms);
        if ended.is_none() {
            self.reads.wait(number, read);
        }
        Ok(ended)
    }

    /// Delivers to the reads that wait for a stream, or for any: to that first which has waited longest.
    fn wake(&mut self, stream: Option<&str>, now_ms: u64) -> Vec<EndedRead> {
        let State { members, streams, reads, .. } = self;
        reads.end(stream, |number, read| {
            let member = members.get(&number)?;
            member.readers.get(&read.key)?.deliver(streams, &member.context, read, now_ms)
        })
    }
}
