//! A Redis Cluster.
//!
//! - this file: [`ClusterWatch`], which links ask for their node; `view`: what is known, for all who route.
//! - `watcher`: asks nodes who has which slots; `answer`: what they say; `suspects`: those that are away; `report`: for health.

mod answer;
pub(in crate::redis) mod report;
mod suspects;
pub(in crate::redis) mod view;
mod watcher;

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::config::{Address, ClusterConfig};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::redis::connection::access::Access;
use crate::redis::connection::names::SystemNames;
use crate::redis::topology::{ConnectionOutcome, Topology, while_another_is_found};
use crate::runtime::clock;
use crate::runtime::tasks::Tasks;
use crate::transport::Boxed;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;
use view::ClusterView;
use watcher::Watcher;

/// Knows which node has which slots. A link of a node goes to that node; any other goes to one of the masters.
pub(in crate::redis) struct ClusterWatch {
    view: Arc<ClusterView>,
    tasks: Tasks,
    watch: Mutex<Watch>,
    /// Spreads the subscribers of many clients over the masters.
    start: usize,
}

/// The watcher, and how those are reached that are away.
struct ToStart {
    watcher: Watcher,
    suspects: Access,
}

/// The tasks that ask. They end when they are dropped.
enum Watch {
    NotStarted(Box<ToStart>),
    Started(#[expect(dead_code, reason = "held for its drop")] JoinSet<()>),
    Closed,
}

impl ClusterWatch {
    /// Connects to no node before the first link asks.
    pub(in crate::redis) fn new(
        context: &TransportContext,
        config: &ClusterConfig,
        view: Arc<ClusterView>,
        tasks: Tasks,
    ) -> ClusterWatch {
        let access = || Access::to_servers(&context.config, Box::new(SystemNames));
        let watcher = Watcher::new(view.clone(), access(), &context.config, &config.nodes);
        let tasks_to_start = ToStart { suspects: access(), watcher };
        let start = (clock::random() * 1_000.0) as usize;
        ClusterWatch { view, tasks, watch: Mutex::new(Watch::NotStarted(Box::new(tasks_to_start))), start }
    }

    fn begin(&self) {
        let mut watch = self.watch();
        if let Watch::NotStarted(_) = &*watch
            && let Watch::NotStarted(start) = std::mem::replace(&mut *watch, Watch::Closed)
        {
            let ToStart { watcher, suspects } = *start;
            let mut set = JoinSet::new();
            let looks = suspects::look_after(self.view.clone(), suspects, watcher.limit);
            self.tasks.spawn_in(&mut set, looks);
            self.tasks.spawn_in(&mut set, watcher.run());
            *watch = Watch::Started(set);
        }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a link that belongs to no node waits for one until it says why there is none.
const UNSERVED_LIMIT: Duration = Duration::from_secs(1);

impl Topology for ClusterWatch {
    fn locate<'a>(&'a self, link: &'a LinkId) -> Boxed<'a, Result<Address, BusError>> {
        self.begin();
        if let Some(node) = link.node() {
            return Box::pin(std::future::ready(Ok(node.clone())));
        }
        Box::pin(async move {
            let mut known = self.view.known();
            loop {
                let now = known.borrow_and_update().clone();
                match (now.any_master(self.start), &now.unreachable) {
                    // What waits in these links is for slots that nobody serves.
                    (Some(_), _) if *link != LinkId::Subscriber => {
                        tokio::time::sleep(UNSERVED_LIMIT).await;
                        return Err(unserved());
                    }
                    (Some(master), _) => return Ok(master),
                    (None, Some(error)) => {
                        self.view.ask();
                        return Err(error.clone());
                    }
                    (None, None) if now.map.is_some() => return Err(unserved()),
                    (None, None) => {}
                }
                if known.changed().await.is_err() {
                    return pending().await;
                }
            }
        })
    }

    fn learn(&self, _link: &LinkId, address: &Address, outcome: ConnectionOutcome) {
        match outcome {
            ConnectionOutcome::Connected => self.view.is_well(address),
            ConnectionOutcome::NotMaster => self.view.ask(),
            ConnectionOutcome::Failed => self.view.suspect(address),
        }
    }

    fn superseded(&self, link: &LinkId, address: Option<&Address>) -> Option<Boxed<'static, BusError>> {
        let (mut known, needs_master) = (self.view.known(), link.node().is_some());
        let address = address.cloned();
        Some(Box::pin(async move {
            let Some(address) = address else { return pending().await };
            // A node whose first slots are on their way to it is not known as a master yet.
            let mut was_right = !needs_master;
            loop {
                let is_right = match &known.borrow_and_update().map {
                    Some(map) if needs_master => map.can_take_slots(&address),
                    Some(map) => map.is_usable(&address),
                    None => false,
                };
                let is_over = was_right && !is_right && known.borrow().map.is_some();
                was_right |= is_right;
                if is_over {
                    let what =
                        if needs_master { "has no slots of the cluster" } else { "has left the cluster" };
                    return BusError::new(ErrorKind::ConnectionLost, format!("{address} {what} any more"));
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
        Some(report::of(&self.view.now()))
    }

    fn close(&self) {
        *self.watch() = Watch::Closed;
    }
}

fn unserved() -> BusError {
    BusError::new(ErrorKind::ServerBusy, "the cluster serves not all of the slots that are needed")
}
