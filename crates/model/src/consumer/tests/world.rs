//! A store, a clock, and clients that do their work when they are told to.

use std::sync::Arc;

use crate::codec::Codec;
use crate::codec::outline::Shapes;
use crate::config::DeadLetterConfig;
use crate::consumer::{Announcement, Consumer, GroupKey, Joining, Read, ReceivedEntry, Source, Work};
use crate::delivery::{Delivery, DeliveryCounts, Settlement};
use crate::error::Outcome;
use crate::filter::Filter;
use crate::options::subscribe::{DurableOptions, OrderBy, SubscribeOptions};
use crate::retry::{Jitter, RetryPolicy};
use crate::stream_store::{ConsumerId, EntryId, Fields, PendingEntry, Position, Request, Response, Streams};
use crate::{BusError, ErrorKind};

pub(super) const LEASE: u64 = 30_000;
pub(super) const FOREIGN_LEASE: u64 = 600_000;
pub(super) const RETRYABLE: Settlement = Settlement::Failed { retryable: true };

pub(super) fn options() -> SubscribeOptions {
    let retry = RetryPolicy { jitter: Jitter::None, ..RetryPolicy::default() };
    let durable = DurableOptions {
        group: "g".to_owned(),
        streams: None,
        from: None,
        consumer: None,
        order_by: OrderBy::None,
        batch: None,
        max_processing: 600_000,
    };
    SubscribeOptions { concurrency: 16, retry, durable: Some(durable), ..SubscribeOptions::default() }
}

pub(super) fn durable(change: impl FnOnce(&mut DurableOptions)) -> SubscribeOptions {
    let mut options = options();
    options.durable.as_mut().map(change).unwrap();
    options
}

pub(super) fn ordered(order: OrderBy) -> SubscribeOptions {
    durable(|d| d.order_by = order)
}

pub(super) fn fields(event_type: &str, key: Option<&str>, n: u64) -> Fields {
    let meta = key.map_or("{}".to_owned(), |key| format!("{{\"key\":\"{key}\"}}"));
    let number = n.to_string();
    let fields = [("eventId", &*number), ("eventType", event_type), ("data", &*number), ("meta", &*meta)];
    let bytes = |text: &str| Box::<[u8]>::from(text.as_bytes());
    fields.into_iter().map(|(name, value)| (bytes(name), bytes(value))).collect()
}

/// What a store does instead of its work.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// It refuses.
    Refuse(ErrorKind),
    /// It does it, and the answer is lost.
    Mute,
}

pub(super) struct World {
    pub(super) store: Streams,
    pub(super) now: u64,
    /// How far the store's clock is ahead.
    pub(super) ahead: i64,
    pub(super) published: u64,
}

impl World {
    pub(super) fn new() -> World {
        World { store: Streams::new(), now: 10_000_000, ahead: 0, published: 0 }
    }

    /// The time by the store's clock.
    pub(super) fn store_now(&self) -> u64 {
        self.now.saturating_add_signed(self.ahead)
    }

    pub(super) fn publish(&mut self, stream: &str, event_type: &str, key: Option<&str>) -> EntryId {
        self.published += 1;
        let now = self.store_now();
        self.store.append(stream, fields(event_type, key, self.published), None, now)
    }

    /// A client of ours, of the group `g` of stream `s`, reads an entry under the name `dead` and dies.
    pub(super) fn read_by_dead(&mut self, instance: &str) {
        let (consumer, instance) = ("dead".into(), instance.into());
        let member = ConsumerId { stream: "s".into(), group: "g".into(), consumer, instance };
        let heartbeat = Request::Heartbeat {
            instance: member.instance.clone(),
            member,
            alive: 0,
            alive_key: "dead".into(),
            lease: LEASE,
            foreign_lease: FOREIGN_LEASE,
            patterns: Vec::new(),
            mark: None,
            version: 0,
            take_up: Vec::new(),
        };
        let now = self.store_now();
        self.store.execute(heartbeat, now).unwrap();
        self.store.read_group("s", "g", "dead", 1, now).unwrap();
    }

    pub(super) fn pending(&mut self, stream: &str) -> Vec<PendingEntry> {
        let (stream, group) = (stream.into(), "g".into());
        let request = Request::Pending {
            stream,
            group,
            from: EntryId::MIN,
            limit: 100_000,
            min_idle: 0,
            consumer: None,
        };
        let now = self.store_now();
        match self.store.execute(request, now) {
            Ok(Response::Pending(pending)) => pending,
            other => panic!("{other:?}"),
        }
    }

    /// (original id, reason, attempts) of the dead letters.
    pub(super) fn letters(&mut self, stream: &str) -> Vec<(String, String, String)> {
        let stream = format!("{stream}:dlq").into();
        let request =
            Request::Range { stream, from: EntryId::MIN, to: EntryId::MAX, limit: 100_000, reverse: false };
        let now = self.store_now();
        let Ok(Response::Entries(entries)) = self.store.execute(request, now) else { panic!() };
        let field = |fields: &Fields, name: &str| {
            let found = fields.iter().find(|(n, _)| &**n == name.as_bytes());
            String::from_utf8(found.unwrap().1.to_vec()).unwrap()
        };
        let letter = |e: &crate::stream_store::StoredEntry| {
            (field(&e.fields, "dlq-id"), field(&e.fields, "dlq-reason"), field(&e.fields, "dlq-attempts"))
        };
        entries.iter().map(letter).collect()
    }

    /// Makes a read: `None` when there is nothing.
    pub(super) fn read(
        &mut self,
        read: &Read,
    ) -> Option<Result<Vec<crate::consumer::ReceivedEntry>, BusError>> {
        let mut arrivals = Vec::new();
        let now = self.store_now();
        for stream in read.streams.iter() {
            match self.store.read_group(stream, &read.group, &read.consumer, read.limit, now) {
                Ok(entries) => {
                    let read = |e| ReceivedEntry::pending(&Codec::Oxbus, stream.clone(), e, "me", None);
                    arrivals.extend(entries.into_iter().map(read));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        (!arrivals.is_empty()).then_some(Ok(arrivals))
    }
}

/// Which requests do not go well.
pub(super) type Faults = Box<dyn FnMut(&Request) -> Option<Fault>>;

pub(super) struct Client {
    pub(super) consumer: Consumer,
    pub(super) key: GroupKey,
    pub(super) parked: Option<Read>,
    pub(super) announcements: Vec<Announcement>,
    pub(super) tally: DeliveryCounts,
    /// What was asked, for tests that look at it.
    pub(super) asked: Vec<Request>,
    pub(super) fault: Faults,
    /// What its host builds objects by, if it does.
    pub(super) shapes: Option<Shapes>,
}

impl Client {
    pub(super) fn new(consumer: &str, options: &SubscribeOptions) -> Client {
        Client::with(consumer, options, DeadLetterConfig::default())
    }

    /// A client without subscriptions, whose instance is named after its consumer.
    pub(super) fn with(consumer: &str, options: &SubscribeOptions, dead_letter: DeadLetterConfig) -> Client {
        Client::started(consumer, consumer, options, dead_letter)
    }

    pub(super) fn started(
        name: &str,
        instance: &str,
        options: &SubscribeOptions,
        dead_letter: DeadLetterConfig,
    ) -> Client {
        let mut consumer = Consumer::new(dead_letter, "p:".to_owned(), instance.into(), Codec::Oxbus);
        let key = consumer.join(Joining {
            group: "g".into(),
            consumer: name.into(),
            instance: instance.into(),
            lease: LEASE,
            foreign_lease: FOREIGN_LEASE,
            order_by: options.durable.as_ref().map(|d| d.order_by).unwrap(),
        });
        Client {
            consumer,
            key,
            parked: None,
            announcements: Vec::new(),
            tally: DeliveryCounts::default(),
            asked: Vec::new(),
            fault: Box::new(|_| None),
            shapes: None,
        }
    }

    pub(super) fn add(&mut self, subscription: u32, pattern: &str, options: &SubscribeOptions) {
        self.try_add(subscription, pattern, "s", options).unwrap();
    }

    pub(super) fn try_add(
        &mut self,
        subscription: u32,
        pattern: &str,
        stream: &str,
        options: &SubscribeOptions,
    ) -> Result<(), BusError> {
        let filter = options.filter.as_ref().map(|f| Filter::parse(f).unwrap());
        let source = Source { stream: stream.into(), from: Position::New, given: false };
        self.consumer.add(self.key, subscription, &[pattern.to_owned()], &[source], options, filter)
    }

    pub(super) fn perform(&mut self, work: Work, world: &mut World) {
        match work {
            Work::Read(read) => {
                assert!(self.parked.replace(read).is_none(), "one read at a time");
            }
            Work::Store(key, request) => {
                self.asked.push(request.clone());
                let fault = (self.fault)(&request);
                let store_now = world.store_now();
                let result = match fault {
                    Some(Fault::Refuse(kind)) => Err(BusError::new(kind, "refused")),
                    Some(Fault::Mute) => {
                        _ = world.store.execute(request.clone(), store_now);
                        let error = BusError::new(ErrorKind::ConnectionLost, "no answer");
                        Err(error.with_outcome(Outcome::Unknown))
                    }
                    None => world.store.execute(request.clone(), store_now),
                };
                let shapes = self.shapes.as_mut();
                let next = self.consumer.answered(key, request, result, world.now, longest_wait, shapes);
                if let Some(next) = next {
                    self.perform(next, world);
                }
            }
        }
    }

    /// Does everything that can be done now.
    pub(super) fn run(&mut self, world: &mut World) {
        for round in 0.. {
            assert!(round < 10_000, "it never comes to rest");
            let work = self.consumer.work(world.now);
            let idle = work.is_empty();
            work.into_iter().for_each(|work| self.perform(work, world));
            let read = self.parked.as_ref().and_then(|read| world.read(read));
            match read {
                Some(Ok(arrivals)) => self.consumer.arrived(self.key, arrivals, world.now),
                Some(Err(error)) => self.consumer.interrupted(self.key, &error, world.now, longest_wait),
                None if idle => break,
                None => continue,
            }
            self.parked = None;
        }
        self.announcements.extend(self.consumer.take_announcements());
        self.tally.add(self.consumer.take_counts());
    }

    pub(super) fn take(&mut self, world: &World) -> Vec<Delivery> {
        let mut out = Vec::new();
        let ready = self.consumer.has_ready(world.now);
        self.consumer.take(world.now, (1000, usize::MAX), &mut out);
        assert!(ready || out.is_empty(), "what is handed out was announced");
        out
    }

    pub(super) fn settle(&mut self, token: u32, settlement: Settlement, now: u64) -> DeliveryCounts {
        let (tally, _) = self.consumer.settle(token, settlement, now, || 0.5);
        self.tally.add(tally);
        tally
    }
}

/// A world with one client.
pub(super) struct Bench {
    pub(super) world: World,
    pub(super) client: Client,
}

impl Bench {
    /// One subscription to everything, established.
    pub(super) fn new(options: &SubscribeOptions) -> Bench {
        let mut bench = Bench { world: World::new(), client: Client::new("c", options) };
        bench.client.add(1, "*", options);
        bench.run();
        bench.client.consumer.connected(bench.client.key);
        bench.run();
        bench
    }

    pub(super) fn run(&mut self) {
        self.client.run(&mut self.world);
    }

    pub(super) fn publish(&mut self, count: usize) -> Vec<EntryId> {
        let ids = (0..count).map(|_| self.world.publish("s", "a.b", None)).collect();
        self.run();
        ids
    }

    pub(super) fn publish_keyed(&mut self, keys: &str) -> Vec<EntryId> {
        let keys = keys.chars().map(|c| (c != '-').then(|| c.to_string()));
        let ids = keys.map(|key| self.world.publish("s", "a.b", key.as_deref())).collect();
        self.run();
        ids
    }

    pub(super) fn take(&mut self) -> Vec<Delivery> {
        self.client.take(&self.world)
    }

    /// The numbers of the events that are handed out.
    pub(super) fn take_numbers(&mut self) -> (Vec<u32>, Vec<u64>) {
        let out = self.take();
        (out.iter().map(|d| d.token).collect(), out.iter().map(number).collect())
    }

    pub(super) fn settle(&mut self, token: u32, settlement: Settlement) -> DeliveryCounts {
        let tally = self.client.settle(token, settlement, self.world.now);
        self.run();
        tally
    }

    /// Lets time pass, with everything done as it becomes due.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.world.now + ms;
        while let Some(due) = self.client.consumer.next_due(self.world.now).filter(|due| *due <= end) {
            assert!(due > self.world.now);
            self.world.now = due;
            self.run();
        }
        self.world.now = end;
        self.run();
    }

    pub(super) fn pending(&mut self) -> Vec<(EntryId, u32)> {
        self.world.pending("s").into_iter().map(|p| (p.id, p.deliveries)).collect()
    }

    pub(super) fn announced(&mut self) -> Vec<Announcement> {
        std::mem::take(&mut self.client.announcements)
    }

    pub(super) fn member(&self) -> ConsumerId {
        ConsumerId { stream: "s".into(), group: "g".into(), consumer: "c".into(), instance: "c".into() }
    }
}

/// Failed requests are tried again after the longest wait that they may have.
pub(super) fn longest_wait() -> f64 {
    1.0
}

/// The number that an event was published with.
pub(super) fn number(delivery: &Delivery) -> u64 {
    let event: serde_json::Value = serde_json::from_str(&delivery.event.json).unwrap();
    event.get("data").and_then(|data| data.as_u64()).unwrap()
}

pub(super) fn arc(text: &str) -> Arc<str> {
    text.into()
}

/// Another client of the group, established.
pub(super) fn peer(bench: &mut Bench, name: &str) -> Client {
    let mut peer = Client::new(name, &options());
    peer.add(1, "*", &options());
    peer.run(&mut bench.world);
    peer.consumer.connected(peer.key);
    peer.run(&mut bench.world);
    peer
}

/// Ends the client's read, so that another gets what is published.
pub(super) fn unread(bench: &mut Bench) {
    bench.client.consumer.disconnected(bench.client.key);
    bench.client.parked = None;
}
