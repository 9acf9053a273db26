//! What groups want, in a registry of the channel prefix: clients with groups register it, and a client that publishes events
//! live only asks whether a group waits for them, which would wait for ever.
//!
//! A client asks for the first time when it has published the first event of a type that it does not store, and then now and
//! then, as a group may come later. It never asks while it publishes.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use oxbus_model::stream_store::{Request, WantedPattern, keys};
use tokio::sync::Notify;
use tracing::debug;

use crate::host::Notice;
use crate::publish::unstored_types::MAX_TYPES;
use crate::runtime::panics::catch_panic;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::Transport;
use crate::transport::store::Store;

/// How long types are gathered before the registry is asked.
const GATHERING: Duration = Duration::from_millis(200);

/// How long after the first question the next one is, and the longest between two: it doubles.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3_600));

/// Whether groups want what a client publishes and does not store.
pub(crate) struct UnstoredWatch {
    state: Arc<ClientState>,
    transport: Arc<dyn Transport>,
    tasks: Tasks,
    started: AtomicBool,
    /// A type was added.
    added: Arc<Notify>,
    /// The types that the host was warned of.
    warned: Mutex<Vec<Arc<str>>>,
}

/// Registers what groups want. The bus works without it.
pub(super) async fn register(state: &ClientState, store: &dyn Store, wanted: Vec<WantedPattern>) {
    if wanted.is_empty() {
        return;
    }
    let key = keys::wanted(&state.config.channel_prefix).into();
    let streams = wanted.into_iter().map(|wanted| (wanted.name(), wanted.events)).collect();
    if let Err(error) = store.execute(Request::RegisterStreams { key, streams }).await {
        let (error, code) = (&error.message, error.kind.code());
        debug!(code, "what groups want was not registered for publishers: {error}");
    }
}

impl UnstoredWatch {
    pub(super) fn new(state: Arc<ClientState>, transport: Arc<dyn Transport>, tasks: Tasks) -> Arc<Self> {
        let (started, added, warned) = (AtomicBool::new(false), Arc::default(), Mutex::default());
        Arc::new(UnstoredWatch { state, transport, tasks, started, added, warned })
    }

    /// A subscription is established: what it wants is registered.
    pub(super) fn register_wanted(self: &Arc<Self>, subscription: u32) {
        let Some(wanted) = self.state.groups.wanted().get(&subscription).cloned() else { return };
        let watch = self.clone();
        self.run(async move { register(&watch.state, &*watch.transport.store(), wanted).await });
    }

    /// This client has published an event of a type that it does not store, for the first time.
    pub(crate) fn find_wanted(self: &Arc<Self>) {
        if !self.state.config.mode.has_server() {
            let watch = self.clone();
            return self.run(async move {
                let _ = watch.warn_of_unstored().await;
            });
        }
        self.added.notify_one();
        if self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Arc::downgrade(self);
        let (state, added) = (self.state.clone(), self.added.clone());
        self.tasks.spawn(async move {
            let mut interval = INTERVALS.0;
            added.notified().await;
            loop {
                tokio::time::sleep(GATHERING).await;
                let Some(strong) = this.upgrade() else { return };
                let asked = catch_panic("what groups want", strong.warn_of_unstored()).await;
                let is_open = match asked {
                    Ok(is_open) => is_open,
                    Err(fault) => {
                        state.notice(Notice::Error(fault));
                        true
                    }
                };
                drop(strong);
                let mut watch = state.lifecycle.watch();
                tokio::select! {
                    () = added.notified() => interval = INTERVALS.0,
                    () = tokio::time::sleep(interval), if is_open => {
                        interval = (interval * 2).min(INTERVALS.1);
                    }
                    _ = watch.wait_for(|change| change.state == State::Closed) => return,
                }
            }
        });
    }

    /// Warns of types that a group wants and this client does not store, each once. Returns whether there are others that
    /// a group may want later.
    async fn warn_of_unstored(&self) -> bool {
        if self.state.unstored.take_full() {
            let message = format!(
                "this client publishes more than {MAX_TYPES} event types that it does not store; whether a group waits for one \
                 of the others is not looked up"
            );
            self.state.notice(Notice::Warning { code: "TYPES_NOT_LOOKED_UP", message });
        }
        let warned = || self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let unwarned: Vec<Arc<str>> = {
            let warned = warned();
            self.state.unstored.all().into_iter().filter(|known| !warned.contains(known)).collect()
        };
        if unwarned.is_empty() {
            return false;
        }
        let all = match self.transport.wanted().await {
            Ok(all) => all,
            Err(error) => {
                let (error, code) = (&error.message, error.kind.code());
                debug!(code, "it is not known what groups want: {error}");
                return true;
            }
        };
        let mut is_open = false;
        for event_type in unwarned {
            let Some(wanted) = self.waiting(&all, &event_type).await else {
                is_open = true;
                continue;
            };
            warned().push(event_type.clone());
            let WantedPattern { stream, group, .. } = wanted;
            let message = format!(
                "group {group:?} of stream {stream:?} waits for events of type {event_type:?}, which this client publishes and \
                 does not store: only live subscriptions get them; let a stream of `streams` store them, and `durable` refuse \
                 what none stores"
            );
            self.state.notice(Notice::Warning { code: "TYPE_NOT_STORED", message });
        }
        is_open
    }

    /// What wants events of a type, of a group that is still there.
    async fn waiting<'a>(&self, all: &'a [WantedPattern], event_type: &str) -> Option<&'a WantedPattern> {
        for wanted in all.iter().filter(|wanted| wanted.wants(event_type)) {
            let (stream, group) = (wanted.stream.as_str().into(), wanted.group.as_str().into());
            if self.transport.may_have_group(stream, group).await {
                return Some(wanted);
            }
        }
        None
    }

    /// Runs work that nobody waits for. In memory all of it is done at once, which virtual time relies on.
    fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut work = Box::pin(self.tasks.carry(work));
        if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.tasks.spawn_carried(work);
        }
    }
}
