//! What is behind a client: its parts, and what happens to several of them at once.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Waker};

use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};
use tracing::{Instrument, debug, debug_span};

use crate::admin;
use crate::admin::Effect;
use crate::gap::Gaps;
use crate::groups::GroupDriver;
use crate::groups::announcements::announce;
use crate::host::{Answer, Notice};
use crate::observe::stream_gauges::StreamGauges;
use crate::rooms::Memberships;
use crate::runtime::panics::catch_panic;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::state::numbers::SubscriptionNumbers;
use crate::tail::Tail;
use crate::transport::Transport;

/// The parts of a client.
pub(crate) struct Core {
    pub(super) state: Arc<ClientState>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) tasks: Tasks,
    pub(super) groups: Arc<GroupDriver>,
    pub(super) memberships: Memberships,
    /// What live subscriptions have missed; `None` where nothing can be missed, as in memory.
    pub(super) gaps: Option<Gaps>,
    /// What live subscriptions read from streams; `None` where all that they hear is published.
    pub(super) tail: Option<Arc<Tail>>,
    /// What the metrics say of streams.
    pub(super) gauges: StreamGauges,
    /// Whether the transport was told to start.
    started: AtomicBool,
    /// Whether the task that keeps time runs.
    pub(super) keeps_time: AtomicBool,
    /// False once publishes are refused.
    pub(super) accepting: RwLock<bool>,
    /// Requests without a reply.
    pub(super) requests: AtomicUsize,
}

impl Core {
    pub(super) fn new(
        state: Arc<ClientState>,
        transport: Arc<dyn Transport>,
        tasks: Tasks,
        gaps: Option<Gaps>,
    ) -> Core {
        Core {
            groups: Arc::new(GroupDriver::new(state.clone(), transport.clone(), tasks.clone())),
            memberships: Memberships::new(state.clone(), transport.clone(), tasks.clone()),
            tail: Tail::new(&state, &transport, &tasks),
            gaps,
            gauges: StreamGauges::default(),
            started: AtomicBool::new(false),
            keeps_time: AtomicBool::new(false),
            accepting: RwLock::new(true),
            requests: AtomicUsize::new(0),
            state,
            transport,
            tasks,
        }
    }

    /// Connects, if that was not done before.
    pub(super) fn start(self: &Arc<Self>) {
        if !self.started.load(Ordering::Acquire) {
            // Publishing comes by here each time, and only the first has something to log.
            let _log = self.tasks.log();
            self.transport.start();
            self.started.store(true, Ordering::Release);
        }
        if !self.state.config.streams.is_empty() {
            self.keep_time();
        }
    }

    /// Ends a subscription, live or durable; one that waits for its confirmation fails. Whether there was one.
    pub(super) fn unsubscribe(&self, subscription: u32, kind: ErrorKind, why: &str) -> bool {
        let numbers = self.state.numbers();
        if self.groups.contains(subscription) {
            return self.groups.unsubscribe(subscription, BusError::new(kind, why));
        }
        if !self.state.router().contains(subscription) {
            return false;
        }
        let unused = self.state.remove_subscription(subscription);
        self.transport.unsubscribe(unused);
        self.tail.iter().for_each(Tail::subscriptions_changed);
        drop(numbers);
        self.state.confirmations.end_wait(subscription, Err(BusError::new(kind, why)));
        true
    }

    /// The next number that no subscription has.
    pub(super) fn next_number(&self, numbers: &mut SubscriptionNumbers) -> u32 {
        numbers.next(|number| self.state.router().contains(number) || self.groups.contains(number))
    }

    /// Does work whose result is the reply to a ticket. In memory, where nothing waits, it is done at once.
    pub(super) fn answer(
        self: &Arc<Self>,
        ticket: u32,
        work: impl Future<Output = Result<impl Into<Answer>, BusError>> + Send + 'static,
    ) {
        let core = self.clone();
        core.requests.fetch_add(1, Ordering::AcqRel);
        let mut work = Box::pin(self.tasks.carry(async move {
            let result = catch_panic("a request", work).await;
            core.state.completions.answer(ticket, result.and_then(|result| result).map(Into::into));
            core.requests.fetch_sub(1, Ordering::AcqRel);
        }));
        let at_once = !self.state.config.mode.has_server()
            && work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if !at_once {
            self.tasks.spawn_carried(work);
        }
    }

    /// Wakes the host if handlers have something to do.
    pub(super) fn wake_if_ready(&self) {
        let state = &self.state;
        let durable = || state.groups.in_use() && state.groups.claims().has_ready(state.clock.now_ms());
        if state.live_queue().has_ready() || durable() {
            state.completions.wake();
        }
    }

    /// Calls a method of administration with its arguments, JSON text.
    pub(super) async fn administer(&self, method: &str, arguments: &str) -> Result<Answer, BusError> {
        let arguments: Value = serde_json::from_str(arguments).map_err(|e| {
            BusError::new(ErrorKind::InvalidOptions, format!("the arguments cannot be read as JSON: {e}"))
        })?;
        let state = &self.state;
        if state.lifecycle.state() == State::Closed {
            return Err(BusError::new(ErrorKind::Closed, "the client is closed"));
        }
        let (store, known) = (self.transport.store(), (state.recent.clone(), state.shapes.clone()));
        let (shared, groups) = (state.clone(), self.groups.clone());
        let act = move |effect| match effect {
            Effect::Announced(announcement) => announce(&shared, announcement),
            Effect::Counted(counts) => shared.live_queue().metrics.count(counts),
            Effect::GroupRemoved { stream, group } => groups.maintenance().forget_group(stream, group),
            Effect::Warning { code, message } => shared.notice(Notice::Warning { code, message }),
        };
        let context = admin::Context::new(store, &state.config, state.origin.instance_id(), known, act);
        let asked = async {
            let answer = admin::call(&context, method, arguments).await;
            let answer = answer.map_err(|error| self.state.lifecycle.explain(error));
            match &answer {
                Ok(_) => debug!("a request was answered"),
                Err(error) => debug!(code = error.kind.code(), error = error.message, "a request failed"),
            }
            answer
        };
        asked.instrument(debug_span!("request", method)).await
    }

    /// The first stage of closing: nothing more is taken in.
    pub(super) fn stop_deliveries(&self) {
        let numbers = self.state.numbers();
        let unused = self.state.close_subscriptions();
        self.transport.unsubscribe(unused);
        self.tail.iter().for_each(Tail::subscriptions_changed);
        drop(numbers);
        if self.state.groups.in_use() {
            self.groups.stop();
        }
        self.state.confirmations.end_all(&Err(BusError::new(ErrorKind::Closed, "the client was closed")));
    }

    /// Waits for running handlers, which may still publish, and then for publishes.
    pub(super) async fn finish(&self) {
        let live = async {
            loop {
                let changed = self.state.deadlines.notified();
                if self.state.live_queue().deliveries.running() == 0 {
                    break;
                }
                changed.await;
            }
        };
        tokio::join!(live, self.groups.finish(), self.memberships.leave_all());
        self.refuse_publishes();
        self.transport.flush().await;
    }

    /// What would be given up by closing now: `publishes` that have no outcome, and whether all that was handled for
    /// groups is `settled` in the store.
    pub(super) fn unfinished(&self) -> Value {
        let settled = !self.state.groups.in_use() || self.state.groups.claims().is_settled(None);
        json!({ "publishes": self.state.admission.in_flight(), "settled": settled })
    }

    /// Closes at once. Idempotent.
    pub(super) fn close(&self) {
        let _log = self.tasks.log();
        self.refuse_publishes();
        self.stop_deliveries();
        self.transport.close();
        if self.state.lifecycle.close() {
            self.state.notice(Notice::Closed);
        }
        self.state.deadlines.notify_waiters();
        self.groups.close();
    }

    fn refuse_publishes(&self) {
        *self.accepting.write().unwrap_or_else(PoisonError::into_inner) = false;
    }
}
