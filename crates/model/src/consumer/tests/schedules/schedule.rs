//! Clients of one group, and a model of what must have become of each event.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::config::DeadLetterConfig;
use crate::consumer::entry::Load;
use crate::consumer::stream::Stream;
use crate::consumer::tests::schedules::process::{Process, Run};
use crate::consumer::tests::schedules::step::Step;
use crate::consumer::tests::world::*;
use crate::consumer::{Announcement, Work};
use crate::delivery::Settlement;
use crate::error::Outcome;
use crate::options::subscribe::{BatchOptions, OrderBy, SubscribeOptions};
use crate::stream_store::{EntryId, Position, Request, Response};
use crate::{BusError, ErrorKind};

const CONCURRENCY: usize = 4;
const RETRIES: u32 = 2;

pub(super) struct Schedule {
    world: World,
    options: SubscribeOptions,
    order: OrderBy,
    processes: Vec<Process>,
    births: usize,
    published: BTreeMap<EntryId, Option<u8>>,
    succeeded: HashSet<EntryId>,
}

impl Schedule {
    pub(super) fn new(order: OrderBy, batch: Option<BatchOptions>) -> Schedule {
        let options = durable(|d| (d.order_by, d.batch) = (order, batch));
        let options = SubscribeOptions { concurrency: CONCURRENCY, max_retries: RETRIES, ..options };
        let mut schedule = Schedule {
            world: World::new(),
            options,
            order,
            processes: Vec::new(),
            births: 0,
            published: BTreeMap::new(),
            succeeded: HashSet::new(),
        };
        let open = Request::EnsureGroup {
            stream: "s".into(),
            group: "g".into(),
            from: Position::Beginning,
            restarted: false,
        };
        schedule.world.store.execute(open, schedule.world.now).unwrap();
        for n in 0..3 {
            let process = schedule.process(&format!("c{n}"), n);
            schedule.processes.push(process);
            // The first makes known that the group wants everything.
            schedule.serve(n);
        }
        schedule
    }

    /// The last of the clients handles only some of the events.
    fn process(&mut self, name: &str, n: usize) -> Process {
        self.births += 1;
        let instance = format!("i{}", self.births);
        let mut client = Client::started(name, &instance, &self.options, DeadLetterConfig::default());
        let subscription = self.births as u32;
        client.add(subscription, if n == 2 { "a.*" } else { "*" }, &self.options);
        client.consumer.connected(client.key);
        let (works, answers, runs) = (Vec::new(), Vec::new(), Vec::new());
        Process { client, subscription, works, answers, connected: true, runs, unfinished: HashSet::new() }
    }

    pub(super) fn apply(&mut self, step: Step) {
        match step {
            Step::Publish { count, key } => {
                for n in 0..count {
                    let key = (key > 0).then_some(key);
                    let event_type = if n == 4 { "x.y" } else { "a.b" };
                    let text = key.map(|k| k.to_string());
                    let id = self.world.publish("s", event_type, text.as_deref());
                    self.published.insert(id, key);
                }
            }
            Step::Serve(n) => self.serve(n),
            Step::Collect(n) => self.collect(n),
            Step::Execute { client, which, fault } => self.execute(client, which, fault),
            Step::Answer { client, which } => self.answer(client, which),
            Step::Read { client, lost } => self.read(client, lost),
            Step::Take(n) => self.take(n),
            Step::Settle { client, which, how } => self.settle(client, which, how),
            Step::Late { client, which } => self.late(client, which),
            Step::Disconnect(n) => {
                let p = &mut self.processes[n];
                p.connected = false;
                p.client.parked = None;
                p.client.consumer.disconnected(p.client.key);
            }
            Step::Connect(n) => self.connect(n),
            Step::Crash { client, same_name } => {
                // What was on its way may still be executed.
                while !same_name && !self.processes[client].works.is_empty() {
                    self.execute(client, 0, 9);
                }
                let name = format!("c{client}{}", if same_name { "" } else { "x" }.repeat(self.births));
                self.processes[client] = self.process(&name, client);
            }
            Step::Stop(n) => {
                let p = &mut self.processes[n];
                p.unfinished.clear();
                p.client.consumer.stop_reading(None, self.world.now);
            }
            Step::Pause { client, paused } => {
                let p = &mut self.processes[client];
                p.client.consumer.pause(p.subscription, paused);
            }
            Step::Resubscribe(n) => {
                self.births += 1;
                let p = &mut self.processes[n];
                p.unfinished.clear();
                p.client.consumer.remove(p.subscription, self.world.now);
                p.subscription = self.births as u32;
                p.client.add(p.subscription, if n == 2 { "a.*" } else { "*" }, &self.options);
            }
            Step::Pass(ms) => self.world.now += ms,
        }
    }

    fn connect(&mut self, n: usize) {
        let p = &mut self.processes[n];
        if !std::mem::replace(&mut p.connected, true) {
            p.client.consumer.connected(p.client.key);
        }
    }

    fn collect(&mut self, n: usize) {
        let p = &mut self.processes[n];
        for work in p.client.consumer.work(self.world.now) {
            match work {
                Work::Read(read) => assert!(p.client.parked.replace(read).is_none(), "one read at a time"),
                work => p.works.push(work),
            }
        }
    }

    fn execute(&mut self, n: usize, which: usize, fault: u8) {
        let p = &mut self.processes[n];
        if p.works.is_empty() {
            return;
        }
        let Work::Store(key, request) = p.works.remove(which % p.works.len()) else { return };
        let result = match fault {
            0 => Err(BusError::new(ErrorKind::ServerOom, "refused").with_outcome(Outcome::Rejected)),
            1 => {
                _ = self.world.store.execute(request.clone(), self.world.now);
                Err(BusError::new(ErrorKind::ConnectionLost, "no answer").with_outcome(Outcome::Unknown))
            }
            _ => self.world.store.execute(request.clone(), self.world.now),
        };
        p.answers.push((key, request, result));
    }

    fn answer(&mut self, n: usize, which: usize) {
        let p = &mut self.processes[n];
        if p.answers.is_empty() {
            return;
        }
        let (key, request, result) = p.answers.remove(which % p.answers.len());
        if let Ok(Response::Fenced { not_owned: taken, deleted: gone, .. }) = &result {
            let ids = [&taken[..], &gone[..]].concat();
            p.unfinished.retain(|id| !ids.contains(id));
            p.runs.iter_mut().for_each(|run| run.again.retain(|id| !ids.contains(id)));
        }
        p.works.extend(p.client.consumer.answered(key, request, result, self.world.now, longest_wait, None));
        let lost = p.client.consumer.take_announcements().into_iter().filter_map(|a| match a {
            Announcement::ClaimLost { tokens, .. } => Some(tokens),
            _ => None,
        });
        lost.flatten().for_each(|token| assert!(p.runs.iter().any(|run| run.token == token)));
    }

    fn read(&mut self, n: usize, lost: bool) {
        let p = &mut self.processes[n];
        let Some(read) = p.client.parked.clone() else { return };
        let Some(result) = self.world.read(&read) else { return };
        p.client.parked = None;
        match result {
            // It was delivered into a dead socket.
            _ if lost => {
                p.client.consumer.disconnected(p.client.key);
                p.client.consumer.connected(p.client.key);
            }
            Ok(arrivals) => p.client.consumer.arrived(p.client.key, arrivals, self.world.now),
            Err(error) => p.client.consumer.interrupted(p.client.key, &error, self.world.now, longest_wait),
        }
    }

    fn serve(&mut self, n: usize) {
        for _ in 0..1000 {
            self.collect(n);
            if self.processes[n].works.is_empty() && self.processes[n].answers.is_empty() {
                break;
            }
            while !self.processes[n].works.is_empty() {
                self.execute(n, 0, 9);
            }
            while !self.processes[n].answers.is_empty() {
                self.answer(n, 0);
            }
        }
        self.read(n, false);
    }

    fn take(&mut self, n: usize) {
        let p = &mut self.processes[n];
        let mut out = p.client.take(&self.world).into_iter().peekable();
        while let Some(first) = out.next() {
            let mut entries = vec![first.stored.clone().unwrap()];
            while let Some(next) = out.next_if(|d| d.token == first.token) {
                entries.push(next.stored.unwrap());
            }
            let ids: Vec<EntryId> = entries.iter().map(|e| e.id).collect();
            entries.retain(|e| e.deliveries <= RETRIES);
            let again = entries.iter().map(|e| e.id).collect();
            assert!(first.attempt >= 1);
            for id in &ids {
                Self::check_order(p, self.order, &self.published, *id, &ids);
                p.unfinished.remove(id);
            }
            p.runs.push(Run { token: first.token, ids, again, timed_out: false });
        }
        let timed_out =
            if self.order == OrderBy::None { 0 } else { p.runs.iter().filter(|r| r.timed_out).count() };
        let running = p.runs.iter().filter(|r| !r.timed_out).count();
        assert_eq!(running, p.client.consumer.running());
        // Calls of a subscription that has ended go on beside those of the next.
        let most = if self.births > 3 { usize::MAX } else { CONCURRENCY };
        assert!(running + timed_out <= most);
    }

    /// What must not be at the same time, or is not finished yet, in this process.
    fn check_order(
        p: &Process,
        order: OrderBy,
        published: &BTreeMap<EntryId, Option<u8>>,
        id: EntryId,
        beside: &[EntryId],
    ) {
        let same = |other: &EntryId| match order {
            OrderBy::None => false,
            OrderBy::Key => published[&id].is_some() && published[other] == published[&id],
            OrderBy::Stream => true,
        };
        let runs = p.runs.iter().flat_map(|run| &run.ids);
        for other in runs.chain(&p.unfinished).filter(|other| !beside.contains(other)) {
            assert!(!same(other), "{id} starts while {other} is not finished");
        }
        if order == OrderBy::Key {
            assert!(beside.iter().filter(|other| same(other)).count() <= 1);
        }
    }

    fn settle(&mut self, n: usize, which: usize, how: u8) {
        let p = &mut self.processes[n];
        let open: Vec<usize> = (0..p.runs.len()).filter(|i| !p.runs[*i].timed_out).collect();
        let Some(&index) = open.get(which % open.len().max(1)) else { return };
        let settlement = match how {
            0 => RETRYABLE,
            1 => Settlement::RetryLater(20),
            2 => Settlement::Failed { retryable: false },
            3 => Settlement::NotHandled,
            4 => Settlement::TimedOut { retryable: true },
            // Long enough for the store to keep it.
            5 => Settlement::RetryLater(40_000),
            _ => Settlement::Succeeded,
        };
        let tally = p.client.settle(p.runs[index].token, settlement, self.world.now);
        if tally.retried > 0 {
            p.unfinished.extend(&p.runs[index].again);
        }
        if settlement == Settlement::Succeeded {
            self.succeeded.extend(&p.runs[index].ids);
        }
        if how == 4 {
            p.runs[index].timed_out = true;
        } else {
            p.runs.remove(index);
        }
    }

    fn late(&mut self, n: usize, which: usize) {
        let p = &mut self.processes[n];
        let timed_out: Vec<usize> = (0..p.runs.len()).filter(|i| p.runs[*i].timed_out).collect();
        let Some(&index) = timed_out.get(which % timed_out.len().max(1)) else { return };
        let run = p.runs.remove(index);
        p.client.consumer.finish_timed_out(run.token, self.world.now);
    }

    /// Acknowledged: gone, and a handler has succeeded. Not acknowledged: pending or dead-lettered, once.
    pub(super) fn check(&mut self) {
        let describe = Request::Describe { stream: "s".into() };
        let Ok(Response::Stream(facts)) = self.world.store.execute(describe, self.world.now) else {
            panic!()
        };
        let Some(group) = facts.as_ref().and_then(|facts| facts.groups.first()) else { return };
        let position = group.last_delivered;
        let pending: BTreeSet<EntryId> = self.world.pending("s").iter().map(|p| p.id).collect();
        let mut letters: HashMap<String, usize> = HashMap::new();
        for (id, ..) in self.world.letters("s") {
            *letters.entry(id).or_default() += 1;
        }
        for id in self.published.keys().filter(|id| **id <= position) {
            let dead = letters.get(&id.to_string()).copied().unwrap_or(0);
            assert!(dead <= 1, "{id} has {dead} dead letters");
            assert!(dead == 0 || !pending.contains(id), "{id} is pending and dead-lettered");
            let gone = dead == 0 && !pending.contains(id);
            assert!(!gone || self.succeeded.contains(id), "{id} is gone and was not handled");
        }
    }

    /// Everything goes well from now on: everything comes to its end.
    pub(super) fn heal(&mut self) {
        for n in 0..3 {
            self.connect(n);
            let p = &mut self.processes[n];
            p.client.consumer.pause(p.subscription, false);
            if p.client.consumer.groups[&p.client.key].stopping {
                for run in std::mem::take(&mut p.runs) {
                    p.client.settle(run.token, Settlement::NotHandled, self.world.now);
                }
                self.serve(n);
                let name = format!("h{n}");
                self.processes[n] = self.process(&name, n);
            }
        }
        for _ in 0..1000 {
            for n in 0..3 {
                self.serve(n);
                self.take(n);
                while !self.processes[n].runs.is_empty() {
                    self.late(n, 0);
                    self.settle(n, 0, 9);
                }
                self.serve(n);
            }
            self.check();
            self.world.now += 500;
            if self.world.pending("s").is_empty() && self.processes.iter().all(Process::is_idle) {
                break;
            }
        }
        assert_eq!(self.world.pending("s"), [], "not everything came to its end");
        for p in &self.processes {
            let consumer = &p.client.consumer;
            assert!(consumer.is_settled(None));
            assert_eq!((consumer.waiting(), consumer.running()), ((0, 0), 0));
            let group = &consumer.groups[&p.client.key];
            let loads = [Load::Busy, Load::Blocked, Load::Backoff, Load::Settling];
            assert!(group.entries.is_empty());
            assert_eq!(loads.map(|load| group.entries.load(load)), [0; 4]);
            let owned = |s: &Stream| s.updates.acknowledgements.are_all_owned();
            assert!(group.streams.iter().all(|s| s.slots.len() == 0 && owned(s)));
            assert!(group.ordering.is_empty() && group.suspected_poison.is_empty());
            assert!(!p.client.consumer.has_ready(self.world.now));
        }
    }
}
