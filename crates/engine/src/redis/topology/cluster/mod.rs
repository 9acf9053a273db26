//! A Redis Cluster.
//!
//! - this file: [`ClusterWatch`], which links ask for their node; `view`: what is known, for all who route.
//! - `watcher`: asks nodes who has which slots; `answer`: what they say; `suspects`: those that are away; `report`: for health.
//! - `pubsub_check`: whether all clients have live events travel in the same way.

mod answer;
mod pubsub_check;
pub(in crate::redis) mod report;
mod suspects;
pub(in crate::redis) mod view;
mod watcher;

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::config::{Address, ClusterConfig, PubSub};
use oxbus_model::stream_store::keys;
use oxbus_model::topology::lane_reconciler::LaneStatus;
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::redis::connection::access::Access;
use crate::redis::connection::names::SystemNames;
use crate::redis::topology::{ConnectionOutcome, Topology, while_another_is_found};
use crate::runtime::clock;
use crate::runtime::tasks::Tasks;
use crate::transport::Boxed;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;
use pubsub_check::PubSubCheck;
use view::{ClusterView, Known};
use watcher::Watcher;

/// Knows which node has which slots. A link of a node goes to that node; any other goes to one of the masters.
pub(in crate::redis) struct ClusterWatch {
    view: Arc<ClusterView>,
    tasks: Tasks,
    watch: Mutex<Watch>,
    /// Spreads the subscribers of many clients over the masters.
    start: usize,
    pubsub: PubSub,
    /// Where the lanes of sharded pub/sub are subscribed.
    lane_status: Arc<Mutex<LaneStatus>>,
}

/// The watcher, and how those are reached that are away.
struct ToStart {
    watcher: Watcher,
    suspects: Access,
    check: Option<PubSubCheck>,
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
        let check = PubSubCheck {
            view: view.clone(),
            access: access(),
            limit: watcher.limit,
            key: keys::pubsub(&context.config.channel_prefix),
            pubsub: config.pubsub,
            observes: context.config.observe,
        };
        if !context.config.pubsub {
            // Without live events there is nothing to agree on.
            view.pubsub_is(Ok(()));
        }
        let check = context.config.pubsub.then_some(check);
        let tasks_to_start = ToStart { suspects: access(), watcher, check };
        ClusterWatch {
            view,
            tasks,
            watch: Mutex::new(Watch::NotStarted(Box::new(tasks_to_start))),
            start: (clock::random() * 1_000.0) as usize,
            pubsub: config.pubsub,
            lane_status: context.lane_status.clone(),
        }
    }

    fn begin(&self) {
        let mut watch = self.watch();
        if let Watch::NotStarted(_) = &*watch
            && let Watch::NotStarted(start) = std::mem::replace(&mut *watch, Watch::Closed)
        {
            let ToStart { watcher, suspects, check } = *start;
            let mut set = JoinSet::new();
            let looks = suspects::look_after(self.view.clone(), suspects, watcher.limit);
            self.tasks.spawn_in(&mut set, looks);
            self.tasks.spawn_in(&mut set, watcher.run());
            if let Some(check) = check {
                self.tasks.spawn_in(&mut set, check.run());
            }
            *watch = Watch::Started(set);
        }
    }

    /// Waits until it is known that all clients have live events travel as this one does. A client with broadcast does not wait
    /// for long: it works where nobody can say.
    async fn agrees_on_pubsub(&self) -> Result<(), BusError> {
        let mut known = self.view.known();
        let agreed = async {
            loop {
                let Known { pubsub, unreachable, .. } = known.borrow_and_update().clone();
                match (pubsub, unreachable) {
                    (Some(agreed), _) => return agreed,
                    (None, Some(error)) => return Err(error),
                    (None, None) => {}
                }
                if known.changed().await.is_err() {
                    return pending().await;
                }
            }
        };
        match timeout(UNSERVED_LIMIT, agreed).await {
            Ok(agreed) => agreed,
            Err(_) if self.pubsub == PubSub::Broadcast => Ok(()),
            Err(_) => {
                let message = "the node that knows how live events of this bus travel does not answer";
                Err(BusError::new(ErrorKind::ServerBusy, message))
            }
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
        Box::pin(async move {
            if link.is_of_live_events() {
                self.agrees_on_pubsub().await?;
            }
            if let Some(node) = link.node() {
                return Ok(node.clone());
            }
            let mut known = self.view.known();
            loop {
                let now = known.borrow_and_update().clone();
                match (now.any_master(self.start), &now.unreachable) {
                    // What waits in these links is for slots that nobody serves.
                    (Some(_), _) if !matches!(link, LinkId::Subscriber | LinkId::HandBacks) => {
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
        let is_live = link.is_of_live_events();
        let address = address.cloned();
        Some(Box::pin(async move {
            let Some(address) = address else { return pending().await };
            // A node whose first slots are on their way to it is not known as a master yet.
            let mut was_right = !needs_master;
            loop {
                if is_live && let Some(Err(differs)) = &known.borrow().pubsub {
                    return differs.clone();
                }
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
        let lanes = self.lane_status.lock().unwrap_or_else(PoisonError::into_inner);
        Some(report::of(&self.view.now(), &lanes))
    }

    fn close(&self) {
        *self.watch() = Watch::Closed;
    }
}

fn unserved() -> BusError {
    BusError::new(ErrorKind::ServerBusy, "the cluster serves not all of the slots that are needed")
}
