//! What is done now and then: streams and their groups are made, and trimmed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};

use oxbus_model::BusError;
use oxbus_model::consumer::Announcement;
use oxbus_model::stream_store::{Position, Request, Response};
use tokio::sync::watch;

use super::Groups;
use crate::host::Notice;
use crate::runtime::panics::catch_panic;
use crate::state::ClientState;
use crate::transport::EVICTION_POLICY;

/// How often streams are trimmed, in milliseconds.
const RETAIN: u64 = 5_000;

/// Entries that one step of trimming removes when there are more, about, and how many such steps follow each other.
const RETAINED_AT_ONCE: u64 = 9_900;
const RETAIN_STEPS: usize = 100;

/// How long the server's policy is asked for, in milliseconds.
const POLICY_LIMIT: u64 = 500;

/// After how long a stream that could not be made is tried again, in milliseconds.
const ENSURE_AGAIN: u64 = 5_000;

/// When each chore is due, and what became of the last.
pub(crate) struct Chores {
    retain_at: Option<u64>,
    ensure_at: Option<u64>,
    running: bool,
    /// Whether the server's policy was looked at.
    policy_known: bool,
    /// Whether the streams were looked at since the start.
    ensured: watch::Sender<bool>,
    /// Groups that were there in the time of this client, by stream and name. One of them that is missing is
    /// lost, not new.
    known: BTreeSet<(String, String)>,
    /// Streams with faults: why.
    pub(crate) troubles: BTreeMap<String, BusError>,
}

impl Default for Chores {
    fn default() -> Self {
        Chores {
            retain_at: None,
            ensure_at: None,
            running: false,
            policy_known: false,
            ensured: watch::Sender::new(false),
            known: BTreeSet::new(),
            troubles: BTreeMap::new(),
        }
    }
}

impl Chores {
    /// When the next is due.
    pub(super) fn next(&self) -> Option<u64> {
        if self.running {
            return None;
        }
        [self.retain_at, self.ensure_at].into_iter().flatten().min()
    }
}

impl Groups {
    pub(crate) fn chores(&self) -> MutexGuard<'_, Chores> {
        self.chores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientState {
    /// A connection is there: streams and groups are made where they are missing.
    pub(crate) fn ensure_streams(self: &Arc<Self>) {
        if self.config.streams.is_empty() {
            return;
        }
        let now = self.clock.now_ms();
        let mut chores = self.groups.chores();
        chores.ensure_at = Some(now);
        let trims = self.config.streams.iter().any(|s| s.max_length.is_some() || s.max_age.is_some());
        if trims && chores.retain_at.is_none() {
            chores.retain_at = Some(now.saturating_add(RETAIN));
        }
        drop(chores);
        self.run_chores(now);
        self.deadlines.notify_waiters();
    }

    /// Waits until the streams were looked at once.
    pub(crate) async fn streams_ensured(&self) {
        if self.config.streams.is_empty() {
            return;
        }
        let mut ensured = self.groups.chores().ensured.subscribe();
        // The sender lives as long as the client.
        let _ = ensured.wait_for(|ensured| *ensured).await;
    }

    /// A group was removed on purpose: where it is missing it is a new one.
    pub(crate) fn forget_group(&self, name: &(String, String)) {
        self.groups.chores().known.remove(name);
    }

    /// Starts the chores that are due.
    pub(super) fn run_chores(self: &Arc<Self>, now: u64) {
        let mut chores = self.groups.chores();
        if chores.running {
            return;
        }
        let due = |at: &mut Option<u64>, again: Option<u64>| {
            let is_due = at.is_some_and(|at| at <= now);
            if is_due {
                *at = again.map(|ms| now.saturating_add(ms));
            }
            is_due
        };
        let ensure = due(&mut chores.ensure_at, None);
        let retain = due(&mut chores.retain_at, Some(RETAIN));
        if !ensure && !retain {
            return;
        }
        chores.running = true;
        drop(chores);
        let shared = self.clone();
        let mut work = Box::pin(async move {
            let done = catch_panic("chores", async {
                if ensure {
                    shared.make_streams().await;
                }
                if retain {
                    shared.trim_streams().await;
                }
            });
            if let Err(fault) = done.await {
                shared.notice(Notice::Error(fault));
            }
            shared.groups.chores().running = false;
            shared.deadlines.notify_waiters();
        });
        // In memory all of it is done at once, which virtual time relies on.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if work.as_mut().poll(&mut context).is_pending()
            && let Some(runtime) = self.groups.runtime()
        {
            runtime.spawn(work);
        }
    }

    /// A server that evicts keys takes whole streams with their groups: said once, when it is first met.
    async fn warn_of_eviction(&self) {
        if std::mem::replace(&mut self.groups.chores().policy_known, true) {
            return;
        }
        let Some(transport) = self.groups.transport() else { return };
        for (code, message) in transport.probe(POLICY_LIMIT).await.warnings {
            if code == EVICTION_POLICY {
                self.notice(Notice::Warning { code, message });
            }
        }
    }

    async fn make_streams(self: &Arc<Self>) {
        let mut troubles = BTreeMap::new();
        for stream in &self.config.streams {
            for (group, from) in &stream.groups {
                if let Err(error) = self.make_group(&stream.name, group, *from).await {
                    troubles.insert(stream.name.clone(), error);
                }
            }
        }
        {
            let mut chores = self.groups.chores();
            for (stream, error) in &troubles {
                if !chores.troubles.contains_key(stream) {
                    let message = format!("the groups of stream {stream} are not there: {}", error.message);
                    self.notice(Notice::Error(BusError { message, ..error.clone() }));
                }
            }
            if !troubles.is_empty() {
                chores.ensure_at = Some(self.clock.now_ms().saturating_add(ENSURE_AGAIN));
            }
            chores.troubles = troubles;
            chores.ensured.send_replace(true);
        }
        if let Some(transport) = self.groups.transport() {
            transport.streams_ready();
        }
        self.warn_of_eviction().await;
    }

    /// Makes a group where it is missing: one that was there before goes on where it was, or at the beginning.
    async fn make_group(self: &Arc<Self>, stream: &str, group: &str, from: Position) -> Result<(), BusError> {
        let name = (stream.to_owned(), group.to_owned());
        let known = self.groups.chores().known.contains(&name);
        let from = if known { Position::Beginning } else { from };
        let (stream, group): (Arc<str>, Arc<str>) = (stream.into(), group.into());
        let open =
            Request::EnsureGroup { stream: stream.clone(), group: group.clone(), from, restarted: known };
        let answer = self.ask_store(open).await?;
        if let Response::Ensured { created: true, position, recreated } = answer
            && (known || recreated)
        {
            self.announce(Announcement::GroupRecreated { stream, group, from: position });
        }
        self.groups.chores().known.insert(name);
        Ok(())
    }

    async fn trim_streams(self: &Arc<Self>) {
        for stream in &self.config.streams {
            if stream.max_length.is_none() && stream.max_age.is_none() {
                continue;
            }
            let retain = Request::ApplyRetention {
                stream: stream.name.as_str().into(),
                instance: self.origin.instance_id().into(),
                max_len: stream.max_length,
                max_age: stream.max_age,
                safe: stream.safe_trim,
            };
            // One step is bounded. While it removes as much as it may there is more, up to what the next time is for.
            for _ in 0..RETAIN_STEPS {
                match self.ask_store(retain.clone()).await {
                    Ok(Response::Count(removed)) if removed >= RETAINED_AT_ONCE => {}
                    Ok(_) => break,
                    Err(error) => {
                        let message = format!("stream {} was not trimmed: {}", stream.name, error.message);
                        self.log("debug", message, serde_json::json!({ "code": error.kind.code() }));
                        break;
                    }
                }
            }
        }
    }

    /// Executes a request for which no group waits.
    pub(crate) async fn ask_store(&self, request: Request) -> Result<Response, BusError> {
        match self.groups.transport() {
            Some(transport) => transport.store().execute(request).await,
            None => Err(BusError::new(oxbus_model::ErrorKind::Closed, "the client is closed")),
        }
    }
}
