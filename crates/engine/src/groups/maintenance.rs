//! What is done now and then for streams: they and their groups are made, and they are trimmed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use oxbus_model::config::StreamConfig;
use oxbus_model::consumer::Announcement;
use oxbus_model::stream_store::{Position, Request, Response, keys};
use oxbus_model::{BusError, ErrorKind, Outcome};
use tokio::sync::watch;
use tracing::debug;

use super::announcements::announce;
use super::{log, wanted};
use crate::host::Notice;
use crate::runtime::panics::catch_panic;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;
use crate::transport::{
    EVICTION_POLICY, OLD_SERVER, Probe, RETENTION_REFUSED, SERVER_INFO_DENIED, Transport,
};

/// How often streams are trimmed, in milliseconds. While nothing is removed the interval doubles, as far as the second.
const TRIM_INTERVAL: u64 = 5_000;
const QUIET_TRIM_INTERVAL: u64 = 30_000;

/// Entries that one step of trimming removes when there are more, about, and how many such steps follow each other.
const TRIMMED_AT_ONCE: u64 = 9_900;
const TRIM_STEPS: usize = 100;

/// How long the server's policy is asked for, in milliseconds.
const POLICY_LIMIT: u64 = 500;

/// After how long a stream that could not be made is tried again, in milliseconds: publishes wait for it.
const ENSURE_AGAIN: u64 = 1_000;

/// How often it is looked whether the groups are still there, in milliseconds.
const LOOK_INTERVAL: u64 = 60_000;

/// When which task is due, on the client's clock, and what the last ones found.
#[derive(Default)]
struct Schedule {
    trim_at: Option<u64>,
    /// The interval until then.
    trim_interval: u64,
    /// How many events this client had published and received at the last trim.
    events_then: u64,
    ensure_at: Option<u64>,
    running: bool,
    /// Whether the server's policy was looked at.
    policy_known: bool,
    /// Whether the streams were registered since the last connection was made.
    registered: bool,
}

/// Makes and trims the streams of a client's configuration.
pub(crate) struct GroupMaintenance {
    state: Arc<ClientState>,
    transport: Arc<dyn Transport>,
    tasks: Tasks,
    schedule: Mutex<Schedule>,
    /// Whether the streams were looked at since the start.
    ensured: watch::Sender<bool>,
}

/// Whether the server was not asked, or has not answered, because there is no connection to it.
fn is_unanswered(error: &BusError) -> bool {
    error.kind == ErrorKind::ConnectionLost
        || (error.kind == ErrorKind::CommandTimeout && error.outcome == Some(Outcome::NotSent))
}

fn is_trimmed(stream: &StreamConfig) -> bool {
    stream.max_length.is_some() || stream.max_age.is_some()
}

impl GroupMaintenance {
    pub(super) fn new(state: Arc<ClientState>, transport: Arc<dyn Transport>, tasks: Tasks) -> Arc<Self> {
        let ensured = watch::Sender::new(false);
        Arc::new(GroupMaintenance { state, transport, tasks, schedule: Mutex::default(), ensured })
    }

    /// A connection is there: streams and groups are made where they are missing.
    pub(crate) fn ensure_streams(self: &Arc<Self>) {
        let streams = self.state.config.maintained_streams();
        if streams.is_empty() {
            return;
        }
        let now = self.state.clock.now_ms();
        let mut schedule = self.schedule();
        schedule.ensure_at = Some(now);
        schedule.registered = false;
        if streams.iter().any(is_trimmed) && schedule.trim_at.is_none() {
            schedule.trim_at = Some(now.saturating_add(TRIM_INTERVAL));
        }
        drop(schedule);
        self.run_due(now);
        self.state.deadlines.notify_waiters();
    }

    /// Waits until the streams were looked at once.
    pub(crate) async fn streams_ensured(&self) {
        if self.state.config.maintained_streams().is_empty() {
            return;
        }
        // The sender lives as long as `self`.
        let _ = self.ensured.subscribe().wait_for(|ensured| *ensured).await;
    }

    /// A group was removed on purpose: where it is missing it is a new one.
    pub(crate) fn forget_group(&self, stream: String, group: String) {
        self.state.groups.known().remove(&(stream, group));
    }

    /// When the next task is due; `None` while one runs.
    pub(super) fn next_due(&self) -> Option<u64> {
        let schedule = self.schedule();
        if schedule.running {
            return None;
        }
        let look_again = self.state.groups.is_missing().then_some(0);
        [schedule.trim_at, schedule.ensure_at, look_again].into_iter().flatten().min()
    }

    /// Starts the tasks that are due.
    pub(super) fn run_due(self: &Arc<Self>, now: u64) {
        let mut schedule = self.schedule();
        if schedule.running {
            return;
        }
        let due = |at: &mut Option<u64>, again: Option<u64>| {
            let is_due = at.is_some_and(|at| at <= now);
            if is_due {
                *at = again.map(|ms| now.saturating_add(ms));
            }
            is_due
        };
        let look_again = self.state.groups.take_missing();
        let ensure = due(&mut schedule.ensure_at, None) || look_again;
        let interval = schedule.trim_interval.max(TRIM_INTERVAL);
        let trim = due(&mut schedule.trim_at, Some(interval));
        if !ensure && !trim {
            return;
        }
        schedule.running = true;
        drop(schedule);
        let maintenance = self.clone();
        let mut work = Box::pin(self.tasks.carry(async move {
            let done = catch_panic("maintenance", async {
                if ensure {
                    maintenance.make_streams().await;
                }
                if trim {
                    let removed = maintenance.trim_streams().await;
                    maintenance.pace_trims(removed);
                }
            });
            if let Err(fault) = done.await {
                maintenance.state.notice(Notice::Error(fault));
            }
            maintenance.schedule().running = false;
            maintenance.state.deadlines.notify_waiters();
        }));
        // In memory all of it is done at once, which virtual time relies on.
        if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.tasks.spawn_carried(work);
        }
    }

    async fn make_streams(&self) {
        let state = &self.state;
        let (mut troubles, mut unavailable) = (BTreeMap::new(), BTreeMap::new());
        let mut unanswered = BTreeSet::new();
        for stream in state.config.maintained_streams() {
            if stream.groups.is_empty()
                && let Err(error) = self.look_at(&stream.name).await
            {
                troubles.insert(stream.name.clone(), error);
            }
            for (group, from) in &stream.groups {
                let Err(error) = self.make_group(&stream.name, group, *from).await else { continue };
                let is_unanswered = is_unanswered(&error);
                let message =
                    format!("group {group:?} of stream {:?} cannot be made: {}", stream.name, error.message);
                let error = BusError { message, ..error };
                if !self.may_be_there(&stream.name, group).await {
                    unavailable.insert(stream.name.clone(), error.clone());
                }
                if is_unanswered {
                    // That a link is down says nothing of the group, and is told elsewhere.
                    unanswered.insert(stream.name.clone());
                } else {
                    troubles.insert(stream.name.clone(), error);
                }
            }
        }
        self.schedule_next_look(!troubles.is_empty() || !unanswered.is_empty());
        let before = state.groups.replace_troubles(&troubles, &unanswered);
        for (stream, error) in troubles {
            if !before.contains_key(&stream) {
                state.notice(Notice::Error(error));
            }
        }
        self.transport.groups_looked_at(&unavailable);
        let registered = self.register_streams().await;
        self.ensured.send_replace(true);
        if !(self.warn_of_server().await && registered) {
            self.look_within(ENSURE_AGAIN);
        }
    }

    /// Whether the key of a stream without groups holds what is no stream: then nothing can be stored there.
    async fn look_at(&self, stream: &str) -> Result<(), BusError> {
        match self.transport.store().execute(Request::Describe { stream: stream.into() }).await {
            Err(error) if error.kind == ErrorKind::WrongType => {
                let message = format!("the key {stream:?} holds no stream: {}", error.message);
                Err(BusError { message, ..error })
            }
            _ => Ok(()),
        }
    }

    /// When the groups are looked at again. In memory nothing but a request of a client removes one.
    fn schedule_next_look(&self, in_trouble: bool) {
        let has_groups = || self.state.config.maintained_streams().iter().any(|s| !s.groups.is_empty());
        let interval = match in_trouble {
            true => ENSURE_AGAIN,
            false if self.state.config.mode.has_server() && has_groups() => LOOK_INTERVAL,
            false => return,
        };
        self.look_within(interval);
    }

    /// The groups are looked at again after so many milliseconds at the latest.
    fn look_within(&self, interval: u64) {
        let at = self.state.clock.now_ms().saturating_add(interval);
        let mut schedule = self.schedule();
        // One that came up meanwhile may be earlier.
        schedule.ensure_at = Some(schedule.ensure_at.map_or(at, |before| before.min(at)));
    }

    /// Whether a group that could not be made may be there all the same, so that it misses nothing that is stored now:
    /// it was there before, and the server does not say that it is gone.
    async fn may_be_there(&self, stream: &str, group: &str) -> bool {
        if !self.state.groups.known().contains(&(stream.to_owned(), group.to_owned())) {
            return false;
        }
        match self.transport.store().execute(Request::Describe { stream: stream.into() }).await {
            Ok(Response::Stream(facts)) => {
                facts.is_some_and(|facts| facts.groups.iter().any(|found| found.name == group))
            }
            _ => true,
        }
    }

    /// Registers the streams, once for each connection, so that observers find them. The bus works without it. Returns
    /// whether the server has answered, or did before.
    async fn register_streams(&self) -> bool {
        if std::mem::replace(&mut self.schedule().registered, true) {
            return true;
        }
        let config = &self.state.config;
        let named = |stream: &StreamConfig| (stream.name.clone(), stream.events.clone());
        let register = Request::RegisterStreams {
            key: keys::registry(&config.channel_prefix).into(),
            streams: config.maintained_streams().iter().map(named).collect(),
        };
        let result = self.transport.store().execute(register).await;
        if let Err(error) = &result {
            let (message, code) = (&error.message, error.kind.code());
            debug!(code, "the streams were not registered for observers: {message}");
            if is_unanswered(error) {
                self.schedule().registered = false;
                return false;
            }
        }
        let wanted = self.state.groups.wanted().values().flatten().cloned().collect();
        wanted::register(&self.state, &*self.transport.store(), wanted).await;
        true
    }

    /// Makes a group where it is missing: one that was there before goes on where it was, or at the beginning.
    async fn make_group(&self, stream: &str, group: &str, from: Position) -> Result<(), BusError> {
        let name = (stream.to_owned(), group.to_owned());
        let known = self.state.groups.known().contains(&name);
        let from = if known { Position::Beginning } else { from };
        let (stream, group): (Arc<str>, Arc<str>) = (stream.into(), group.into());
        let ensure =
            Request::EnsureGroup { stream: stream.clone(), group: group.clone(), from, restarted: known };
        let result = self.transport.store().execute(ensure.clone()).await;
        log::span(&ensure).in_scope(|| log::answered(&ensure, &result));
        if let Response::Ensured { created: true, position, recreated, .. } = result?
            && (known || recreated)
        {
            announce(&self.state, Announcement::GroupRecreated { stream, group, from: position });
        }
        self.state.groups.known().insert(name);
        Ok(())
    }

    /// A server that evicts keys takes whole streams with their groups, and an old one does not tell what groups miss: the host
    /// is warned once, when such a server is first met, or one that does not tell. Returns whether the server has answered, or
    /// did before.
    async fn warn_of_server(&self) -> bool {
        if std::mem::replace(&mut self.schedule().policy_known, true) {
            return true;
        }
        let Probe { warnings, error, .. } = self.transport.probe(POLICY_LIMIT).await;
        if error.is_some_and(|error| is_unanswered(&error) || error.kind == ErrorKind::CommandTimeout) {
            self.schedule().policy_known = false;
            return false;
        }
        for (code, message) in warnings {
            if [EVICTION_POLICY, OLD_SERVER, SERVER_INFO_DENIED].contains(&code) {
                self.state.notice(Notice::Warning { code, message });
            }
        }
        true
    }

    /// Sets when streams are trimmed next, after a trim that has `removed` entries or not.
    fn pace_trims(&self, removed: bool) {
        let state = &self.state;
        let events = state.stats.events_published.get() + state.stats.events_received.get();
        let mut schedule = self.schedule();
        let busy = removed || std::mem::replace(&mut schedule.events_then, events) != events;
        let doubled = (schedule.trim_interval.max(TRIM_INTERVAL) * 2).min(QUIET_TRIM_INTERVAL);
        schedule.trim_interval = if busy { TRIM_INTERVAL } else { doubled };
        let next = state.clock.now_ms().saturating_add(schedule.trim_interval);
        schedule.trim_at = schedule.trim_at.map(|at| at.min(next));
    }

    /// Trims the streams. Returns whether an entry was removed.
    async fn trim_streams(&self) -> bool {
        let mut any = false;
        for stream in self.state.config.maintained_streams().iter().filter(|stream| is_trimmed(stream)) {
            let retention = Request::ApplyRetention {
                stream: stream.name.as_str().into(),
                instance: self.state.origin.instance_id().into(),
                max_len: stream.max_length,
                max_age: stream.max_age,
                safe: stream.safe_trim,
            };
            // One step is bounded. While it removes as much as it may there is more; what is left after the last step
            // is for the next interval.
            for _ in 0..TRIM_STEPS {
                let result = self.transport.store().execute(retention.clone()).await;
                log::span(&retention).in_scope(|| log::answered(&retention, &result));
                any |= matches!(result, Ok(Response::Count(1..)));
                let goes_on = matches!(result, Ok(Response::Count(TRIMMED_AT_ONCE..)));
                self.report_retention(&stream.name, result.err());
                if !goes_on {
                    break;
                }
            }
        }
        any
    }

    /// A stream was trimmed, or was not. The host is warned when the server begins to refuse it, or does so for another
    /// reason. What has failed with a connection says nothing.
    fn report_retention(&self, stream: &str, error: Option<BusError>) {
        let Some(error) = error else {
            self.state.groups.untrimmed().remove(stream);
            return;
        };
        let (why, kind) = (&error.message, error.kind);
        debug!(code = kind.code(), "stream {stream} was not trimmed: {why}");
        if (kind.retryable() && kind != ErrorKind::ServerOom) || kind == ErrorKind::Closed {
            return;
        }
        let message = format!("stream {stream:?} is not trimmed, and grows: {why}");
        let refusal = BusError { message: message.clone(), ..error };
        let before = self.state.groups.untrimmed().insert(stream.to_owned(), refusal);
        if before.is_none_or(|before| before.kind != kind) {
            self.state.notice(Notice::Warning { code: RETENTION_REFUSED, message });
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
