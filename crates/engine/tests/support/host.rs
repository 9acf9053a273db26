//! What a client's host has: the calls that wait for an answer, the handlers, and what went wrong unnoticed.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_engine::{Broker, Client, Host};
use oxbus_model::config::Config;
use oxbus_model::stream_store::EntryId;
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::handler::Handler;
use super::notices::Notices;
use super::outcome::Open;
use super::patience::PATIENCE;

/// Wakes the pump when the engine wakes its host.
pub(super) struct Waker(pub(super) Notify);

impl Host for Waker {
    fn wake(&self) {
        self.0.notify_one();
    }
}

pub(super) struct Inner {
    pub(super) client: Client,
    pub(super) waker: Arc<Waker>,
    /// Held by the pump while it works; see [`Bus::block`].
    pub(super) gate: Arc<tokio::sync::Mutex<()>>,
    /// How often the host was blocked.
    pub(super) blocked: AtomicU64,
    /// How long this host took at the most, in milliseconds, for what it had drained before it came to the replies.
    pub(super) dispatching: AtomicU64,
    pub(super) waiting: Mutex<Waiting>,
    pub(super) handlers: Mutex<HashMap<u32, Handler>>,
    pub(super) faults: Mutex<Vec<String>>,
    /// Publishes that failed and were stored: batch, index, entry.
    pub(super) stored_nevertheless: Mutex<Vec<(u32, u32, EntryId)>>,
    pub(super) notices: Notices,
}

/// Calls that are not answered.
#[derive(Default)]
pub(super) struct Waiting {
    last_ticket: u32,
    pub(super) last_batch: u32,
    pub(super) tickets: HashMap<u32, oneshot::Sender<Result<Value, BusError>>>,
    pub(super) batches: HashMap<u32, Open>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A failed assertion elsewhere must not hide behind a poisoned lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// The host of a new client; `broker` is what it uses in memory mode.
    pub(super) fn new(config: Config, broker: Option<Arc<Broker>>, notices: Notices) -> Inner {
        let waker = Arc::new(Waker(Notify::new()));
        Inner {
            client: Client::new(config, broker, waker.clone(), Handle::current()),
            waker,
            gate: Arc::default(),
            blocked: AtomicU64::default(),
            dispatching: AtomicU64::default(),
            waiting: Mutex::default(),
            handlers: Mutex::default(),
            faults: Mutex::default(),
            stored_nevertheless: Mutex::default(),
            notices,
        }
    }

    pub(super) fn ticket(&self) -> (u32, oneshot::Receiver<Result<Value, BusError>>) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        waiting.last_ticket = waiting.last_ticket.wrapping_add(1);
        let ticket = waiting.last_ticket;
        waiting.tickets.insert(ticket, sender);
        (ticket, receiver)
    }

    pub(super) fn fault(&self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("a fault: {what}");
        lock(&self.faults).push(what);
    }
}

/// The reply to a call; panics when there is none in time.
pub(super) async fn answer(
    what: &str,
    reply: oneshot::Receiver<Result<Value, BusError>>,
) -> Result<Value, BusError> {
    match timeout(PATIENCE, reply).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(BusError::new(ErrorKind::Internal, format!("the host ended during {what}"))),
        Err(_) => panic!("{what}: no reply within {PATIENCE:?}"),
    }
}
