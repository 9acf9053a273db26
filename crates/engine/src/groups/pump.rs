//! Carries work from the claims to the transport, and answers back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use oxbus_model::BusError;
use oxbus_model::consumer::{Announcement, Content, GroupKey, ReceivedEntry, Work};
use oxbus_model::delivery::DeliveryCounts;
use oxbus_model::stream_store::{Request, Response};
use tokio::sync::Notify;
use tracing::Instrument;

use super::announcements::announce;
use super::log;
use super::maintenance::GroupMaintenance;
use super::pump_gate::PumpGate;
use super::subscribing::{DurableSubscription, GroupSubscriptions};
use super::wanted::UnstoredWatch;
use crate::host::Notice;
use crate::runtime::clock;
use crate::runtime::panics::catch_panic;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::Transport;

/// Drives the consumer groups of a client.
pub(crate) struct GroupDriver {
    pub(super) state: Arc<ClientState>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) tasks: Tasks,
    pub(super) subscriptions: GroupSubscriptions,
    maintenance: Arc<GroupMaintenance>,
    gate: PumpGate,
    /// Wakes the task that pumps.
    scheduled: Arc<Notify>,
    /// When the task that keeps time looks next, on the client's clock.
    armed: AtomicU64,
    /// Groups whose read was told to end.
    unblocked: Mutex<Vec<GroupKey>>,
    unstored: Arc<UnstoredWatch>,
}

impl GroupDriver {
    pub(crate) fn new(state: Arc<ClientState>, transport: Arc<dyn Transport>, tasks: Tasks) -> Self {
        GroupDriver {
            subscriptions: GroupSubscriptions::new(state.clone(), transport.clone()),
            maintenance: GroupMaintenance::new(state.clone(), transport.clone(), tasks.clone()),
            gate: PumpGate::default(),
            scheduled: Arc::default(),
            armed: AtomicU64::new(u64::MAX),
            unblocked: Mutex::default(),
            unstored: UnstoredWatch::new(state.clone(), transport.clone(), tasks.clone()),
            state,
            transport,
            tasks,
        }
    }

    /// The making and trimming of streams.
    pub(crate) fn maintenance(&self) -> &Arc<GroupMaintenance> {
        &self.maintenance
    }

    /// What groups want that this client does not store.
    pub(crate) fn unstored(&self) -> &Arc<UnstoredWatch> {
        &self.unstored
    }

    /// Whether a durable subscription of that number exists or is on its way.
    pub(crate) fn contains(&self, subscription: u32) -> bool {
        self.subscriptions.contains(subscription)
    }

    /// Subscribes to a group. The reply comes when its streams and the group are there, and the consumer is ours.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        durable: DurableSubscription,
    ) -> Result<Vec<Arc<str>>, BusError> {
        // What is refused makes no connection.
        let streams = self.subscriptions.check(&durable)?;
        self.transport.start();
        if self.state.groups.start_use() && self.state.config.mode.has_server() {
            self.start_pumping();
        }
        self.subscriptions.add(durable)?;
        self.schedule();
        Ok(streams)
    }

    /// The reader of a group can read, for the first time or again.
    pub(crate) fn reader_up(self: &Arc<Self>, group: GroupKey) {
        self.state.groups.claims().connected(group);
        self.pump();
    }

    /// The reader of a group cannot read; a read that it had is over.
    pub(crate) fn reader_down(self: &Arc<Self>, group: GroupKey) {
        self.state.groups.claims().disconnected(group);
        self.pump();
    }

    /// A read has ended, with the entries that came; empty when none came in time.
    pub(crate) fn received(self: &Arc<Self>, group: GroupKey, entries: Vec<ReceivedEntry>) {
        let state = &self.state;
        let now = state.clock.now_ms();
        if !entries.is_empty() {
            state.live_queue().metrics.received(entries.len(), now);
        }
        if state.config.persistence.is_some() {
            for entry in &entries {
                if let Content::Event { candidate, .. } = &entry.content {
                    state.push_received(candidate.json());
                }
            }
        }
        state.samples.read(&entries, || state.groups.claims().name_of(group));
        state.groups.claims().arrived(group, entries, now);
        self.pump();
    }

    /// A read was refused by the server; the connection stays.
    pub(crate) fn read_interrupted(self: &Arc<Self>, group: GroupKey, error: &BusError) {
        self.state.groups.claims().interrupted(group, error, self.state.clock.now_ms(), clock::random);
        self.pump();
    }

    /// Whether this client is told from now on of entries that others hand back.
    pub(crate) fn hear_hand_backs(self: &Arc<Self>, heard: bool) {
        self.state.groups.claims().hear_hand_backs(heard);
        self.schedule();
    }

    /// Entries of a group were handed back, by this client or another.
    pub(crate) fn handed_back(self: &Arc<Self>, stream: &str, group: &str) {
        self.state.groups.claims().handed_back(stream, group);
        self.schedule();
    }

    /// Has the work of groups done: at once where it takes no I/O, else by the task for it.
    pub(crate) fn schedule(self: &Arc<Self>) {
        if !self.state.groups.in_use() {
            return;
        }
        if self.state.config.mode.has_server() {
            self.scheduled.notify_one();
        } else {
            self.pump();
        }
    }

    /// Does what is due in the groups. Returns when something is due next, on the client's clock.
    pub(crate) fn run_due(self: &Arc<Self>) -> Option<u64> {
        let state = &self.state;
        if !state.groups.in_use() && state.config.streams.is_empty() {
            return None;
        }
        let now = state.clock.now_ms();
        for subscription in self.subscriptions.expired(now) {
            let error = self.subscriptions.timed_out(subscription);
            self.unsubscribe(subscription, error);
        }
        self.maintenance.run_due(now);
        self.pump();
        // A pump that finds something earlier from here on notifies the task that keeps time.
        self.armed.store(u64::MAX, Ordering::Release);
        let claims = state.groups.claims().next_due(now);
        let next = [claims, self.subscriptions.next_deadline(), self.maintenance.next_due()];
        let next = next.into_iter().flatten().min();
        if let Some(next) = next {
            self.armed.fetch_min(next, Ordering::AcqRel);
        }
        next
    }

    /// Carries work from the claims to the transport until there is none. Only one thread does at a time;
    /// the others' calls make it look again.
    fn pump(self: &Arc<Self>) {
        // In memory whoever publishes pumps the groups of all clients; with a server the tasks of this client do.
        let _log = (!self.state.config.mode.has_server()).then(|| self.tasks.log());
        if self.gate.run(|| self.pump_once()) {
            self.state.groups.changed.notify_waiters();
        }
    }

    /// Whether there was something to do.
    fn pump_once(self: &Arc<Self>) -> bool {
        let state = &self.state;
        if state.lifecycle.state() == State::Closed {
            // Entries that handlers still have are claimed by other consumers after their lease.
            return false;
        }
        let now = state.clock.now_ms();
        let mut claims = state.groups.claims();
        let work = claims.work(now);
        let announcements = claims.take_announcements();
        let counts = claims.take_counts();
        let ready = claims.has_ready(now);
        let due = claims.next_due(now);
        let spent = claims.take_deferred_drops();
        let outdated = claims.outdated();
        drop(claims);
        drop(spent);
        if counts != DeliveryCounts::default() {
            state.live_queue().metrics.count(counts);
        }
        if ready {
            state.completions.wake();
        }
        if due.is_some_and(|due| due < self.armed.load(Ordering::Acquire)) {
            state.deadlines.notify_waiters();
        }
        let busy = !work.is_empty() || !announcements.is_empty();
        for announcement in announcements {
            self.handle(announcement);
        }
        for work in work {
            self.perform(work);
        }
        self.unblock_reads(outdated);
        busy
    }

    fn handle(self: &Arc<Self>, announcement: Announcement) {
        match announcement {
            Announcement::Confirmed { subscription } => {
                self.subscriptions.confirmed(subscription);
                self.unstored.register_wanted(subscription);
            }
            Announcement::Refused { subscription, error } => drop(self.unsubscribe(subscription, error)),
            announcement => announce(&self.state, announcement),
        }
    }

    /// Ends reads that are outdated, each once.
    fn unblock_reads(&self, outdated: Vec<GroupKey>) {
        let mut unblocked = self.unblocked.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *unblocked, outdated.clone());
        drop(unblocked);
        for group in outdated.into_iter().filter(|group| !before.contains(group)) {
            self.transport.unblock_read(group);
        }
    }

    fn perform(self: &Arc<Self>, work: Work) {
        match work {
            Work::Read(read) => self.transport.read(read),
            Work::Store(key, request) => self.execute(key, request),
        }
    }

    /// Executes a request; its response goes to the claims.
    fn execute(self: &Arc<Self>, key: GroupKey, request: Request) {
        let span = log::span(&request);
        let mut answer = self.transport.store().execute(request.clone());
        match span.in_scope(|| answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
            Poll::Ready(result) => {
                span.in_scope(|| log::answered(&request, &result));
                self.apply_response(key, request, result);
            }
            Poll::Pending => {
                let driver = self.clone();
                self.tasks.spawn(async move {
                    let applied = catch_panic("groups", async {
                        let answer = answer.instrument(span.clone());
                        let result = catch_panic("store", answer).await.and_then(|result| result);
                        span.in_scope(|| log::answered(&request, &result));
                        driver.apply_response(key, request, result);
                        driver.pump();
                    });
                    if let Err(fault) = applied.await {
                        driver.state.notice(Notice::Error(fault));
                    }
                });
            }
        }
    }

    fn apply_response(self: &Arc<Self>, key: GroupKey, request: Request, result: Result<Response, BusError>) {
        let now = self.state.clock.now_ms();
        let mut claims = self.state.groups.claims();
        // Who receives events waits for the shapes, so they are held only where entries are read.
        let brings = matches!(&result, Ok(Response::Claimed { .. } | Response::TakenUp { .. }));
        let mut shapes = brings.then(|| self.state.shapes.lock()).flatten();
        let next = claims.answered(key, request, result, now, clock::random, shapes.as_deref_mut());
        drop((shapes, claims));
        if let Some(work) = next {
            self.perform(work);
        }
    }

    /// Starts the task that pumps when that is scheduled.
    fn start_pumping(self: &Arc<Self>) {
        let driver = Arc::downgrade(self);
        self.tasks.spawn(async move {
            loop {
                let Some(strong) = driver.upgrade() else { return };
                if let Err(fault) = catch_panic("groups", async { strong.pump() }).await {
                    strong.state.notice(Notice::Error(fault));
                }
                if strong.state.lifecycle.state() == State::Closed {
                    return;
                }
                // The task does not own the driver while it waits: a client that is dropped must not live on here.
                let scheduled = strong.scheduled.clone();
                drop(strong);
                scheduled.notified().await;
            }
        });
    }
}
