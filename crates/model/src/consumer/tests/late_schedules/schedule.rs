//! Clients of two groups, what is on its way between them and the store, and what has become of each entry.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::Codec;
use crate::config::DeadLetterConfig;
use crate::consumer::tests::late_schedules::ledger::Ledger;
use crate::consumer::tests::late_schedules::step::{CLIENTS, Start, Step, TYPES};
use crate::consumer::tests::world::*;
use crate::consumer::{Announcement, Consumer, GroupKey, Joining, Read, ReceivedEntry, Source, Work};
use crate::delivery::{Delivery, Settlement};
use crate::error::Outcome;
use crate::options::subscribe::{OrderBy, SubscribeOptions};
use crate::stream_store::{EntryId, Position, Request, Response, StoredEntry};
use crate::{BusError, ErrorKind};

const GROUPS: [&str; 2] = ["g", "h"];

/// Where each pattern of a client starts that is new to its group, when a request was made.
type Starts = BTreeMap<String, Position>;

struct Process {
    consumer: Consumer,
    key: GroupKey,
    /// The number of the client start.
    birth: u32,
    starts: Starts,
    parked: Option<Read>,
    works: Vec<(GroupKey, Request, Starts)>,
    answers: Vec<(GroupKey, Request, Result<Response, BusError>)>,
    /// The handler calls that run: their tokens, their entries, and since when.
    runs: Vec<(u32, EntryId, u64)>,
}

pub(super) struct Schedule {
    world: World,
    processes: [Option<Process>; CLIENTS],
    ledgers: [Ledger; 2],
    births: u32,
    subscriptions: u32,
}

fn group_options(n: usize) -> SubscribeOptions {
    durable(|d| GROUPS[n % 2].clone_into(&mut d.group))
}

impl Schedule {
    pub(super) fn new() -> Schedule {
        let mut world = World::new();
        for group in GROUPS {
            let (stream, group) = (arc("s"), arc(group));
            let open = Request::EnsureGroup { stream, group, from: Position::Beginning, restarted: false };
            world.store.execute(open, world.now).unwrap();
        }
        Schedule {
            world,
            processes: [const { None }; CLIENTS],
            ledgers: [Ledger::default(), Ledger::default()],
            births: 0,
            subscriptions: 0,
        }
    }

    pub(super) fn apply(&mut self, step: Step) {
        match step {
            Step::Publish { count, event_type } => {
                for _ in 0..count {
                    let event_type = TYPES[event_type];
                    let id = self.world.publish("s", event_type, None);
                    self.ledgers.iter_mut().for_each(|ledger| ledger.published(id, event_type));
                }
            }
            Step::Subscribe { client, pattern, start } => self.subscribe(client, pattern, start),
            Step::Serve { client, fails, fault } => self.serve(client, Some((fails, fault))),
            Step::Collect(n) => self.collect(n),
            Step::Execute { client, which, fault } => self.execute(client, which, fault),
            Step::Answer { client, which } => self.answer(client, which),
            Step::Read { client, lost } => self.read(client, lost),
            Step::Take(n) => self.take(n),
            Step::Settle(n) => self.settle(n, self.world.now),
            Step::Crash { client, sent } => self.crash(client, sent),
            Step::Trim { keep } => self.trim(keep),
            Step::Pass(ms) => self.pass(ms),
        }
    }

    /// A new client start.
    fn start(&mut self, n: usize) -> Process {
        self.births += 1;
        let name: std::sync::Arc<str> = format!("c{}", self.births).into();
        let dead_letter = DeadLetterConfig::default();
        let mut consumer = Consumer::new(dead_letter, "p:".to_owned(), name.clone(), Codec::Oxbus);
        let key = consumer.join(Joining {
            group: GROUPS[n % 2].into(),
            consumer: name.clone(),
            instance: name,
            lease: LEASE,
            foreign_lease: 600_000,
            order_by: OrderBy::None,
        });
        consumer.connected(key);
        Process {
            consumer,
            key,
            birth: self.births,
            starts: Starts::new(),
            parked: None,
            works: Vec::new(),
            answers: Vec::new(),
            runs: Vec::new(),
        }
    }

    fn subscribe(&mut self, n: usize, pattern: &str, start: Start) {
        if self.processes[n].is_none() {
            self.processes[n] = Some(self.start(n));
        }
        self.subscriptions += 1;
        let from = match start {
            Start::Default => None,
            Start::New => Some(Position::New),
            Start::Behind(count) => Some(Position::After(self.ledgers[n % 2].back(count))),
        };
        let Some(p) = &mut self.processes[n] else { return };
        let position = from.unwrap_or(Position::Beginning);
        let known = p.starts.entry(pattern.to_owned()).or_insert(position);
        *known = known.earlier(position);
        let source = Source { stream: arc("s"), from: from.unwrap_or(Position::New), given: from.is_some() };
        let patterns = [pattern.to_owned()];
        p.consumer.add(p.key, self.subscriptions, &patterns, &[source], &group_options(n), None).unwrap();
    }

    fn collect(&mut self, n: usize) {
        let Some(p) = &mut self.processes[n] else { return };
        for work in p.consumer.work(self.world.now) {
            match work {
                Work::Read(read) => assert!(p.parked.replace(read).is_none(), "one read at a time"),
                Work::Store(key, request) => p.works.push((key, request, p.starts.clone())),
            }
        }
    }

    /// Executes a request of a client.
    fn execute(&mut self, n: usize, which: usize, fault: u8) {
        let Some(p) = &mut self.processes[n] else { return };
        if p.works.is_empty() {
            return;
        }
        let (key, request, starts) = p.works.remove(which % p.works.len());
        let now = self.world.now;
        let result = if fault == 0 {
            Err(BusError::new(ErrorKind::ServerOom, "refused").with_outcome(Outcome::Rejected))
        } else {
            let result = self.world.store.execute(request.clone(), now);
            let ledger = &mut self.ledgers[n % 2];
            match (&request, &result) {
                (Request::Skip { entries, .. }, Ok(Response::Skipped { done: true, not_owned, .. })) => {
                    let skipped = entries.iter().filter(|(id, _)| !not_owned.contains(id));
                    skipped.for_each(|(id, _)| ledger.skipped(*id, now));
                }
                (_, Ok(Response::Facts(facts))) if facts.taken_by.is_none() => {
                    ledger.told_patterns(facts, &starts, now);
                }
                _ => {}
            }
            match fault {
                1 => {
                    Err(BusError::new(ErrorKind::ConnectionLost, "no answer").with_outcome(Outcome::Unknown))
                }
                _ => result,
            }
        };
        p.answers.push((key, request, result));
    }

    fn answer(&mut self, n: usize, which: usize) {
        let Some(p) = &mut self.processes[n] else { return };
        if p.answers.is_empty() {
            return;
        }
        let (key, request, result) = p.answers.remove(which % p.answers.len());
        if let Some(Work::Store(key, next)) =
            p.consumer.answered(key, request, result, self.world.now, longest_wait, None)
        {
            p.works.push((key, next, p.starts.clone()));
        }
        for announcement in p.consumer.take_announcements() {
            if let Announcement::MessagesLost { missed, .. } = announcement {
                self.ledgers[n % 2].told += missed.count;
            }
        }
    }

    fn read(&mut self, n: usize, lost: bool) {
        let Some(p) = &mut self.processes[n] else { return };
        let Some(read) = p.parked.clone() else { return };
        let missed = self.world.store.take_missed(&read.streams, &read.group);
        self.ledgers[n % 2].told += missed.iter().map(|(_, missed)| missed.count).sum::<u64>();
        let stream = &read.streams[0];
        let entries = self
            .world
            .store
            .read_group(stream, &read.group, &read.consumer, read.limit, self.world.now)
            .unwrap();
        if entries.is_empty() {
            return;
        }
        p.parked = None;
        if lost {
            p.consumer.disconnected(p.key);
            p.consumer.connected(p.key);
        } else {
            let received = |entry| ReceivedEntry::pending(&Codec::Oxbus, stream.clone(), entry, "me", None);
            p.consumer.arrived(p.key, entries.into_iter().map(received).collect(), self.world.now);
        }
    }

    /// Does everything that is to be done. `fault`: how many requests go well before one does not, and how.
    fn serve(&mut self, n: usize, fault: Option<(usize, u8)>) {
        let mut executed = 0;
        for round in 0.. {
            assert!(round < 1_000, "it never comes to rest");
            self.collect(n);
            let Some(p) = &self.processes[n] else { return };
            let (works, answers) = (p.works.len(), p.answers.len());
            if works + answers == 0 {
                break;
            }
            for _ in 0..works {
                let fails = fault.filter(|(number, _)| *number == executed);
                self.execute(n, 0, fails.map_or(9, |(_, fault)| fault));
                executed += 1;
            }
            (0..works + answers).for_each(|_| self.answer(n, 0));
        }
        self.read(n, false);
    }

    fn take(&mut self, n: usize) {
        let Some(p) = &mut self.processes[n] else { return };
        let mut out: Vec<Delivery> = Vec::new();
        p.consumer.take(self.world.now, (1_000, usize::MAX), &mut out);
        for delivery in out {
            let id = delivery.stored.as_ref().unwrap().id;
            self.ledgers[n % 2].taken(id, p.birth, delivery.subscription);
            p.runs.push((delivery.token, id, self.world.now));
        }
    }

    /// The handlers succeed that have begun by then.
    fn settle(&mut self, n: usize, begun_by: u64) {
        let Some(p) = &mut self.processes[n] else { return };
        let (over, running) = std::mem::take(&mut p.runs).into_iter().partition(|run| run.2 <= begun_by);
        p.runs = running;
        for (token, id, _) in over {
            p.consumer.settle(token, Settlement::Succeeded, self.world.now, || 0.5);
            self.ledgers[n % 2].handled(id);
        }
    }

    fn crash(&mut self, n: usize, sent: bool) {
        while sent && self.processes[n].as_ref().is_some_and(|p| !p.works.is_empty()) {
            self.execute(n, 0, 9);
        }
        if let Some(p) = self.processes[n].take() {
            self.ledgers[n % 2].crashed(p.birth);
        }
    }

    fn trim(&mut self, keep: usize) {
        let range = Request::Range {
            stream: arc("s"),
            from: EntryId::MIN,
            to: EntryId::MAX,
            limit: keep + 1,
            reverse: true,
        };
        let Ok(Response::Entries(newest)) = self.world.store.execute(range, self.world.now) else { panic!() };
        let Some(last) = newest.get(keep) else { return };
        let pending = GROUPS.into_iter().flat_map(|group| self.pending(group)).min();
        let before = pending.unwrap_or(EntryId::MAX).min(last.id.next());
        let trim = Request::Trim { stream: arc("s"), max_len: None, min_id: Some(before) };
        self.world.store.execute(trim, self.world.now).unwrap();
        self.ledgers.iter_mut().for_each(|ledger| ledger.trimmed(before));
    }

    /// The pending entries of a group.
    fn pending(&mut self, group: &str) -> Vec<EntryId> {
        let request = Request::Pending {
            stream: arc("s"),
            group: arc(group),
            from: EntryId::MIN,
            limit: 10_000,
            min_idle: 0,
            consumer: None,
        };
        let Ok(Response::Pending(rows)) = self.world.store.execute(request, self.world.now) else { panic!() };
        rows.into_iter().map(|row| row.id).collect()
    }

    /// Time passes while everybody works.
    fn pass(&mut self, ms: u64) {
        let end = self.world.now + ms;
        while self.world.now < end {
            self.world.now = end.min(self.world.now + 7_000);
            for n in 0..CLIENTS {
                // A claim is not renewed for longer than ten minutes.
                self.settle(n, self.world.now.saturating_sub(300_000));
                self.serve(n, None);
            }
        }
    }

    /// Everything goes well from now on, and each group has a pattern for each type: everything comes to its end.
    pub(super) fn heal(&mut self) {
        for n in 0..2 {
            TYPES.iter().for_each(|event_type| self.subscribe(n, event_type, Start::Default));
        }
        for _ in 0..300 {
            for n in 0..CLIENTS {
                self.serve(n, None);
                self.take(n);
                self.settle(n, self.world.now);
                self.serve(n, None);
            }
            let letters = self.letters();
            let is_settled = self.ledgers.iter().zip(&letters).all(|(ledger, of)| ledger.is_settled(of));
            if is_settled && GROUPS.into_iter().all(|group| self.pending(group).is_empty()) {
                break;
            }
            self.pass(5_000);
        }
        let letters = self.letters();
        self.ledgers.iter().zip(&letters).for_each(|(ledger, letters)| ledger.check(letters));
        for group in GROUPS {
            assert_eq!(self.pending(group), [], "not everything of {group} came to its end");
        }
    }

    /// The entries that are dead letters, by group.
    fn letters(&mut self) -> [BTreeSet<EntryId>; 2] {
        let (stream, from, to) = (arc("s:dlq"), EntryId::MIN, EntryId::MAX);
        let range = Request::Range { stream, from, to, limit: 10_000, reverse: false };
        let Ok(Response::Entries(letters)) = self.world.store.execute(range, self.world.now) else {
            panic!()
        };
        let field = |letter: &StoredEntry, name: &str| {
            let field = letter.fields.iter().find(|(field, _)| **field == *name.as_bytes()).unwrap();
            String::from_utf8(field.1.to_vec()).unwrap()
        };
        GROUPS.map(|group| {
            let of_group = letters.iter().filter(|letter| field(letter, "dlq-group") == group);
            of_group.map(|letter| field(letter, "dlq-id").parse().unwrap()).collect()
        })
    }
}
