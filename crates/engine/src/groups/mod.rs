//! The consumer groups of a client: drives [`oxbus_model::consumer`] with a transport's store and readers.
//!
//! # Layout
//!
//! - this file: the pump, which carries work to the transport and answers back
//! - `announcements`: what others are told; `joining`: subscriptions of groups
//! - `chores`: what is done now and then for streams and groups; `closing`: the end of groups

mod announcements;
mod leaving;
mod maintenance;
mod subscribing;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use oxbus_model::BusError;
use oxbus_model::codec::entry;
use oxbus_model::config::Config;
use oxbus_model::consumer::{Claims, Content, GroupKey, ReceivedEntry, Work};
use oxbus_model::delivery::DeliveryCounts;
use oxbus_model::observe::metrics::Types;
use oxbus_model::routing::stream_routing::StreamRouting;
use oxbus_model::stream_store::{Request, Response};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::host::Notice;
use crate::runtime::panics::catch_panic;
use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::Transport;

pub(crate) use maintenance::Chores;
pub(crate) use subscribing::Durable;
use subscribing::Waiting;

/// The groups of a client.
pub(crate) struct Groups {
    claims: Mutex<Claims>,
    /// Which streams store which events.
    pub(crate) storage: StreamRouting,
    waiting: Mutex<Waiting>,
    pub(crate) chores: Mutex<Chores>,
    behind: OnceLock<Behind>,
    /// Whether any group was ever joined: without, nothing here costs anything.
    used: AtomicBool,
    /// Calls of the pump since it last came to rest.
    pumps: AtomicU32,
    /// Wakes the task that pumps.
    wanted: Arc<Notify>,
    /// When the task that keeps time looks next, on the client's clock.
    armed: AtomicU64,
    /// Something was settled or closed.
    pub(crate) changed: Notify,
    /// Groups whose read was told to end.
    nudged: Mutex<Vec<GroupKey>>,
}

/// A thread that pumps. One that panics leaves no other waiting for it.
struct Pumping<'a>(&'a AtomicU32);

impl Drop for Pumping<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(0, Ordering::Release);
        }
    }
}

/// What is behind the groups.
struct Behind {
    transport: Weak<dyn Transport>,
    runtime: Handle,
}

impl Groups {
    pub(crate) fn new(config: &Config, instance_id: &str, types: Arc<Types>) -> Self {
        let mut claims = Claims::new(
            config.dead_letter.clone(),
            config.channel_prefix.clone(),
            instance_id.into(),
            entry::arrival,
        );
        claims.count_by(types);
        if config.mode.has_server() {
            claims.read_ahead();
        }
        Groups {
            claims: Mutex::new(claims),
            storage: StreamRouting::new(&config.streams),
            waiting: Mutex::default(),
            chores: Mutex::default(),
            behind: OnceLock::new(),
            used: AtomicBool::new(false),
            pumps: AtomicU32::new(0),
            wanted: Arc::default(),
            armed: AtomicU64::new(u64::MAX),
            changed: Notify::new(),
            nudged: Mutex::default(),
        }
    }

    /// Tells what is behind the groups. Once, when the client is made.
    pub(crate) fn attach(&self, transport: &Arc<dyn Transport>, runtime: Handle) {
        // A client is made once.
        let _ = self.behind.set(Behind { transport: Arc::downgrade(transport), runtime });
    }

    /// What is claimed.
    pub(crate) fn claims(&self) -> MutexGuard<'_, Claims> {
        // After a panic under the lock the table may be off by one entry, which its claim's lease makes good.
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is, or was, a group.
    pub(crate) fn in_use(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    fn transport(&self) -> Option<Arc<dyn Transport>> {
        self.behind.get()?.transport.upgrade()
    }

    fn runtime(&self) -> Option<&Handle> {
        self.behind.get().map(|behind| &behind.runtime)
    }
}

impl ClientState {
    /// The reader of a group can read, for the first time or again.
    pub(crate) fn reader_up(self: &Arc<Self>, group: GroupKey) {
        self.groups.claims().connected(group);
        self.pump();
    }

    /// The reader of a group cannot read; a read that it had is over.
    pub(crate) fn reader_down(self: &Arc<Self>, group: GroupKey, _error: &BusError) {
        self.groups.claims().disconnected(group);
        self.pump();
    }

    /// A read has ended, with the entries that came; empty when none came in time.
    pub(crate) fn arrived(self: &Arc<Self>, group: GroupKey, arrivals: Vec<ReceivedEntry>) {
        let now = self.clock.now_ms();
        if !arrivals.is_empty() {
            self.intake().measures.received(arrivals.len(), now);
        }
        if self.config.persistence.is_some() {
            for arrival in &arrivals {
                if let Content::Event { candidate, .. } = &arrival.content {
                    self.keep_recent(candidate.json().as_bytes());
                }
            }
        }
        self.groups.claims().arrived(group, arrivals, now);
        self.pump();
    }

    /// A read was refused by the server; the connection stays.
    pub(crate) fn interrupted(self: &Arc<Self>, group: GroupKey, error: BusError) {
        self.groups.claims().interrupted(group, &error, self.clock.now_ms());
        self.pump();
    }

    /// Has the work of groups done: here, where it takes no I/O, else by the task for it.
    pub(crate) fn kick(self: &Arc<Self>) {
        if !self.groups.in_use() {
            return;
        }
        if self.config.mode.has_server() {
            self.groups.wanted.notify_one();
        } else {
            self.pump();
        }
    }

    /// Carries work from the claims to the transport until there is none. Only one thread does at a time;
    /// the others' calls make it look again.
    pub(crate) fn pump(self: &Arc<Self>) {
        if self.groups.pumps.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let _pumping = Pumping(&self.groups.pumps);
        loop {
            let seen = self.groups.pumps.load(Ordering::Acquire);
            while self.pump_once() {}
            if self.groups.pumps.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                break;
            }
        }
        self.groups.changed.notify_waiters();
    }

    /// Whether there was something to do.
    fn pump_once(self: &Arc<Self>) -> bool {
        if self.lifecycle.state() == State::Closed {
            // What handlers still have is for others, once it is overdue.
            return false;
        }
        let Some(transport) = self.groups.transport() else { return false };
        let now = self.clock.now_ms();
        let mut claims = self.groups.claims();
        let work = claims.work(now);
        let announcements = claims.take_announcements();
        let tally = claims.take_tally();
        let ready = claims.has_ready(now);
        let due = claims.next_due(now);
        let spent = claims.take_spent();
        let outdated = claims.outdated();
        drop(claims);
        drop(spent);
        self.tally(tally);
        if ready {
            self.outbox.wake();
        }
        if due.is_some_and(|due| due < self.groups.armed.load(Ordering::Acquire)) {
            self.deadlines.notify_waiters();
        }
        let busy = !work.is_empty() || !announcements.is_empty();
        for announcement in announcements {
            self.announce(announcement);
        }
        for work in work {
            self.carry(&*transport, work);
        }
        self.nudge(&*transport, outdated);
        busy
    }

    /// Ends reads that are outdated, each once.
    fn nudge(&self, transport: &dyn Transport, outdated: Vec<GroupKey>) {
        let mut nudged = self.groups.nudged.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *nudged, outdated.clone());
        drop(nudged);
        for group in outdated.into_iter().filter(|group| !before.contains(group)) {
            transport.unblock_read(group);
        }
    }

    fn carry(self: &Arc<Self>, transport: &dyn Transport, work: Work) {
        match work {
            Work::Read(read) => transport.read(read),
            Work::Store(key, request) => self.execute(transport, key, request),
        }
    }

    /// Executes a request; its answer goes to the claims.
    fn execute(self: &Arc<Self>, transport: &dyn Transport, key: GroupKey, request: Request) {
        let mut answer = transport.store().execute(request.clone());
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => self.tell_claims(key, request, result),
            Poll::Pending => {
                let shared = self.clone();
                let answered = async move {
                    let told = catch_panic("groups", async {
                        let result = catch_panic("store", answer).await.and_then(|result| result);
                        shared.tell_claims(key, request, result);
                        shared.pump();
                    });
                    if let Err(fault) = told.await {
                        shared.notice(Notice::Error(fault));
                    }
                };
                if let Some(runtime) = self.groups.runtime() {
                    runtime.spawn(answered);
                }
            }
        }
    }

    fn tell_claims(self: &Arc<Self>, key: GroupKey, request: Request, result: Result<Response, BusError>) {
        let next = self.groups.claims().answered(key, request, result, self.clock.now_ms());
        if let (Some(work), Some(transport)) = (next, self.groups.transport()) {
            self.carry(&*transport, work);
        }
    }

    /// Starts, once, what groups need: the task that pumps.
    fn use_groups(self: &Arc<Self>) {
        if self.groups.used.swap(true, Ordering::AcqRel) || !self.config.mode.has_server() {
            return;
        }
        let shared = Arc::downgrade(self);
        let Some(runtime) = self.groups.runtime() else { return };
        runtime.spawn(async move {
            loop {
                let Some(strong) = shared.upgrade() else { return };
                if let Err(fault) = catch_panic("groups", async { strong.pump() }).await {
                    strong.notice(Notice::Error(fault));
                }
                if strong.lifecycle.state() == State::Closed {
                    return;
                }
                // Not with the client in hand: one that is dropped must not live on here.
                let wanted = strong.groups.wanted.clone();
                drop(strong);
                wanted.notified().await;
            }
        });
    }

    /// What is due in the groups is done. Returns when the next is.
    pub(crate) fn groups_due(self: &Arc<Self>) -> Option<u64> {
        if !self.groups.in_use() && self.config.streams.is_empty() {
            return None;
        }
        let now = self.clock.now_ms();
        self.refuse_late(now);
        self.run_chores(now);
        self.pump();
        // A pump that finds something earlier from here on says so.
        self.groups.armed.store(u64::MAX, Ordering::Release);
        let claims = self.groups.claims().next_due(now);
        let next = [claims, self.groups.waiting().next_deadline(), self.groups.chores().next()];
        let next = next.into_iter().flatten().min();
        if let Some(next) = next {
            self.groups.armed.fetch_min(next, Ordering::AcqRel);
        }
        next
    }

    pub(crate) fn tally(&self, tally: DeliveryCounts) {
        if tally != DeliveryCounts::default() {
            self.intake().measures.count(tally);
        }
    }
}
