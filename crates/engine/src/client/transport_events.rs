//! What becomes of the reports of a transport: the client's side of [`TransportEvents`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use oxbus_model::BusError;
use oxbus_model::consumer::{Announcement, GroupKey, ReceivedEntry};
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::Missed;
use oxbus_model::topology::lanes::Lanes;
use tracing::dispatcher::DefaultGuard;
use tracing::{Dispatch, dispatcher};

use super::core::Core;
use crate::gap::Gaps;
use crate::groups::GroupDriver;
use crate::groups::announcements::announce;
use crate::host::Notice;
use crate::observe::lasting_failures::LastingFailures;
use crate::observe::link_mode::LinkModeWatch;
use crate::observe::outages::{FailedAttempt, Outages};
use crate::receive::acceptance;
use crate::receive::foreign::ForeignMessages;
use crate::state::ClientState;
use crate::tail::Tail;
use crate::transport::context::TransportContext;
use crate::transport::events::{ContinuityChange, PublishReport, Refused, TakeMessage, TransportEvents};
use crate::transport::inbound::{InboundBatch, OwnEvents};
use crate::transport::link_id::LinkId;

/// Takes the reports of a client's transport.
pub(crate) struct ClientEvents {
    state: Arc<ClientState>,
    link_mode: LinkModeWatch,
    lasting_failures: LastingFailures,
    outages: Outages,
    /// The parts that use the transport themselves. Reports to them are over when the client is dropped.
    core: Weak<Core>,
    inbound: Mutex<Inbound>,
}

/// What is kept from one read of messages to the next.
#[derive(Default)]
struct Inbound {
    /// Its memory is used again.
    batch: InboundBatch,
    foreign: ForeignMessages,
}

impl ClientEvents {
    pub(super) fn new(state: Arc<ClientState>, core: Weak<Core>) -> ClientEvents {
        let link_mode = LinkModeWatch::new(state.clone());
        ClientEvents {
            state,
            link_mode,
            lasting_failures: LastingFailures::default(),
            outages: Outages::default(),
            core,
            inbound: Mutex::default(),
        }
    }

    /// The events of a transport without a client: reports to groups and of gaps lead nowhere.
    #[cfg(test)]
    pub(crate) fn detached(state: Arc<ClientState>) -> Arc<ClientEvents> {
        Arc::new(ClientEvents::new(state, Weak::new()))
    }

    /// What a transport of this client is made with, where it reports to `events`.
    pub(crate) fn context(&self, events: Arc<dyn TransportEvents>) -> TransportContext {
        let ClientState { config, clock, channels, origin, types, unstored, shapes, samples, .. } =
            &*self.state;
        let lanes = config.redis.servers.lanes();
        TransportContext {
            config: config.clone(),
            clock: clock.clone(),
            channels: channels.clone(),
            lanes: lanes.map(|lanes| Arc::new(Lanes::new(&config.channel_prefix, lanes))),
            lane_status: self.state.lane_status.clone(),
            origin: origin.clone(),
            types: types.clone(),
            unstored: unstored.clone(),
            shapes: shapes.clone(),
            own_ids: self.state.own_ids.clone(),
            samples: samples.clone(),
            most_replicas: Arc::default(),
            events,
        }
    }

    /// What takes the log of this client.
    pub(crate) fn log(&self) -> &Dispatch {
        &self.state.log
    }

    /// What is logged until the guard is dropped goes to the log of this client. Links to a server report on tasks of
    /// the client, where it does anyway; a transport in memory reports on the thread of whoever publishes.
    fn log_of_report(&self) -> Option<DefaultGuard> {
        (!self.state.config.mode.has_server()).then(|| dispatcher::set_default(&self.state.log))
    }

    fn groups(&self) -> Option<Arc<GroupDriver>> {
        self.core.upgrade().map(|core| core.groups.clone())
    }

    fn tail(&self) -> Option<Arc<Tail>> {
        self.core.upgrade().and_then(|core| core.tail.clone())
    }

    fn inbound(&self) -> MutexGuard<'_, Inbound> {
        // What a panic has left in it is handed on with the next read.
        self.inbound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TransportEvents for ClientEvents {
    fn link_needed(&self, link: &LinkId) {
        if let Some(ready) = self.state.lifecycle.link_needed(link) {
            self.state.notice(ready);
        }
    }

    fn link_up(&self, link: &LinkId) {
        let _log = self.log_of_report();
        let state = &self.state;
        self.lasting_failures.is_over(link);
        let now = state.clock.now_ms();
        let ready = state.lifecycle.link_up(link, now);
        self.outages.up(link, &state.config.redis.servers, now);
        // From then on the store takes commands.
        if link.is_publisher() || !state.config.mode.has_server() {
            if let Some(groups) = self.groups() {
                groups.maintenance().ensure_streams();
            }
            // The server may have lost what it knew.
            state.presence_due.notify_one();
        }
        if let Some(notice) = ready {
            state.notice(notice);
        }
        self.link_mode.follow();
    }

    fn link_alive(&self, link: &LinkId, now: u64) {
        self.state.lifecycle.link_alive(link, now);
    }

    fn link_down(&self, link: &LinkId, error: &BusError) {
        let state = &self.state;
        if state.lifecycle.link_down(link, error) {
            state.stats.reconnections.add(1);
            self.outages.lost(link, &state.config.redis.servers, error, state.clock.now_ms());
            state.notice(Notice::Disconnected { link: link.name(), error: error.clone() });
        }
        self.link_mode.follow();
    }

    fn link_reconnecting(&self, link: &LinkId, attempt: u32, delay: u64, error: BusError) {
        let servers = &self.state.config.redis.servers;
        let failure = self.lasting_failures.failed(link, servers, &error);
        let failed = FailedAttempt { servers, attempt, delay, error: &error, is_told: failure.is_some() };
        self.outages.failed(link, failed, self.state.clock.now_ms());
        if let Some(failure) = failure {
            self.state.notice(Notice::Error(failure));
        }
        self.state.notice(Notice::Reconnecting { link: link.name(), attempt, delay, error });
    }

    fn link_gone(&self, link: &LinkId) {
        self.lasting_failures.is_over(link);
        self.outages.gone(link);
        if let Some(ready) = self.state.lifecycle.link_gone(link) {
            self.state.notice(ready);
        }
    }

    fn messages(&self, read: &mut dyn FnMut(&mut TakeMessage<'_>)) {
        // In memory nothing is missed, and each event comes alone: its way costs nothing more.
        let core = if self.state.config.mode.has_server() { self.core.upgrade() } else { None };
        let seen = core.as_ref().and_then(|core| core.gaps.as_ref()).and_then(Gaps::seen);
        let mut inbound = self.inbound();
        let Inbound { batch, foreign } = &mut *inbound;
        acceptance::receive(&self.state, seen, batch, foreign, read);
    }

    fn own_events(&self) -> OwnEvents<'_> {
        acceptance::own_events(&self.state)
    }

    fn accept_own(&self, batch: &mut InboundBatch) -> Vec<u32> {
        let mut takers = Vec::with_capacity(batch.events.len());
        acceptance::accept(&self.state, batch, |count| takers.push(count));
        takers
    }

    fn confirmed(&self, server_subscription: &ServerSubscription) {
        self.state.confirmations.confirmed(server_subscription);
    }

    fn refused(&self, server_subscription: &ServerSubscription, error: &BusError) -> Refused {
        let mut unneeded = Vec::new();
        for subscription in self.state.confirmations.refused(server_subscription, error) {
            unneeded.extend(self.state.remove_subscription(subscription));
        }
        let is_missed = self.state.router().patterns(server_subscription).next().is_some();
        Refused { unneeded, is_missed }
    }

    fn subscriptions_pending(&self, link: &LinkId, pending: bool) {
        self.state.lifecycle.link_pending(link, pending);
    }

    fn subscriptions_refused(&self, link: &LinkId, refused: &[ServerSubscription]) {
        // What everyone works without is no fault of the link.
        let router = self.state.router();
        let missed = refused.iter().filter(|server_subscription| !router.is_dispensable(server_subscription));
        let names = missed
            .map(|server_subscription| String::from_utf8_lossy(server_subscription.name()).into_owned())
            .collect();
        drop(router);
        self.state.lifecycle.link_refused(link, names);
        self.link_mode.follow();
    }

    fn continuity(&self, change: ContinuityChange<'_>) {
        if let Some(core) = self.core.upgrade()
            && let Some(gaps) = &core.gaps
        {
            gaps.changed(change);
        }
    }

    fn published(&self, report: &mut PublishReport) {
        let state = &self.state;
        let (events, bytes) = std::mem::take(&mut report.released);
        if events > 0 || bytes > 0 {
            state.admission.release(events, bytes);
        }
        report.recent.drain(..).for_each(|event| state.push_published(&event));
        if !report.counted.is_empty() {
            state.publishes.count(report.counted.drain(..));
        }
        let PublishReport { published, settled_locally, delivered_locally, failed, .. } = report;
        state.completions.settled(published, settled_locally, delivered_locally, failed);
        if state.unstored.take_added()
            && let Some(groups) = self.groups()
        {
            groups.unstored().find_wanted();
        }
    }

    fn reader_up(&self, group: GroupKey) {
        if group == GroupKey::TAIL {
            return self.tail().iter().for_each(Tail::up);
        }
        self.groups().iter().for_each(|groups| groups.reader_up(group));
    }

    fn reader_down(&self, group: GroupKey, _error: &BusError) {
        if group == GroupKey::TAIL {
            // It goes on where it was when it is up again.
            return;
        }
        self.groups().iter().for_each(|groups| groups.reader_down(group));
    }

    fn entries(&self, group: GroupKey, entries: Vec<ReceivedEntry>) {
        if group == GroupKey::TAIL {
            if let Some(tail) = self.tail() {
                Tail::came(&tail, entries);
            }
            return;
        }
        if let Some(groups) = self.groups() {
            groups.received(group, entries);
        }
    }

    fn missed(&self, stream: Arc<str>, group: Arc<str>, missed: Missed) {
        announce(&self.state, Announcement::MessagesLost { stream, group, missed });
    }

    fn read_interrupted(&self, group: GroupKey, error: BusError) {
        if group == GroupKey::TAIL {
            return self.tail().iter().for_each(|tail| Tail::refused(tail, &error));
        }
        self.groups().iter().for_each(|groups| groups.read_interrupted(group, &error));
    }

    fn hand_backs_heard(&self, heard: bool) {
        self.groups().iter().for_each(|groups| groups.hear_hand_backs(heard));
    }

    fn handed_back(&self, stream: &str, group: &str) {
        self.groups().iter().for_each(|groups| groups.handed_back(stream, group));
    }

    fn notice(&self, notice: Notice) {
        self.state.notice(notice);
    }
}
