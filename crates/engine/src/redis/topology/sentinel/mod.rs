//! A master and its replicas, watched by sentinels.
//!
//! - this file: [`SentinelWatch`], which links ask for the master; `shared`: what is known.
//! - `watcher`: the connection to one sentinel; `answer`: what it says.

mod answer;
mod shared;
mod watcher;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::config::{Address, SentinelConfig};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use std::future::pending;
use tokio::task::JoinSet;

use crate::redis::connection::handshake::Handshake;
use crate::redis::topology::{ConnectionOutcome, Topology, while_another_is_found};
use crate::runtime::tasks::Tasks;
use crate::transport::Boxed;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;
use shared::Shared;

/// Follows the master that sentinels name. All links go to it.
pub(in crate::redis) struct SentinelWatch {
    shared: Arc<Shared>,
    tasks: Tasks,
    watchers: Mutex<Watchers>,
}

/// The tasks that watch the sentinels, one for each. They end when they are dropped.
enum Watchers {
    NotStarted,
    Started(#[expect(dead_code, reason = "held for its drop")] JoinSet<()>),
    Closed,
}

impl SentinelWatch {
    /// Connects to no sentinel before the first link asks.
    pub(in crate::redis) fn new(
        context: &TransportContext,
        config: &SentinelConfig,
        handshake: Arc<Handshake>,
        tasks: Tasks,
    ) -> SentinelWatch {
        let shared = Arc::new(Shared::new(context, config, handshake, tasks.clone()));
        SentinelWatch { shared, tasks, watchers: Mutex::new(Watchers::NotStarted) }
    }

    fn start(&self) {
        let mut watchers = self.watchers();
        if matches!(*watchers, Watchers::NotStarted) {
            let mut set = JoinSet::new();
            for sentinel in 0..self.shared.sentinels().len() {
                self.tasks.spawn_in(&mut set, watcher::run(self.shared.clone(), sentinel));
            }
            *watchers = Watchers::Started(set);
        }
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topology for SentinelWatch {
    fn locate<'a>(&'a self, _link: &'a LinkId) -> Boxed<'a, Result<Address, BusError>> {
        self.start();
        Box::pin(async {
            let mut known = self.shared.known();
            loop {
                let now = known.borrow_and_update().clone();
                if let Some(master) = now.master {
                    return Ok(master);
                }
                if !now.is_open || known.changed().await.is_err() {
                    self.shared.ask();
                    return Err(self.shared.no_master());
                }
            }
        })
    }

    fn learn(&self, _link: &LinkId, address: &Address, outcome: ConnectionOutcome) {
        match outcome {
            ConnectionOutcome::Connected => {}
            ConnectionOutcome::NotMaster => {
                self.shared.doubt(address, BusError::new(ErrorKind::NotMaster, "it says that it is none"));
                self.shared.ask();
            }
            ConnectionOutcome::Failed => self.shared.ask(),
        }
    }

    fn superseded(&self, _link: &LinkId, address: Option<&Address>) -> Option<Boxed<'static, BusError>> {
        let (mut known, left) = (self.shared.known(), address.cloned());
        Some(Box::pin(async move {
            loop {
                let master = known.borrow_and_update().master.clone();
                if let Some(master) = master.filter(|master| left.as_ref() != Some(master)) {
                    let message = format!("the sentinels name {master} as the master now");
                    return BusError::new(ErrorKind::NotMaster, message);
                }
                if known.changed().await.is_err() {
                    return pending().await;
                }
            }
        }))
    }

    fn for_the_client(&self, error: &BusError) -> BusError {
        while_another_is_found(error)
    }

    fn report(&self) -> Option<(Value, Vec<(&'static str, String)>)> {
        Some(self.shared.report())
    }

    fn close(&self) {
        *self.watchers() = Watchers::Closed;
    }
}
