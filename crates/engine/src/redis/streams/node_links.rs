//! The command links of a Cluster, one for each node, and which of them a command goes to.
//!
//! A command that a node refuses because its slot is elsewhere was not executed: it is sent to the other node, until its time
//! is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::config::Address;
use oxbus_model::topology::redirect::Redirect;
use oxbus_model::{BusError, ErrorKind, Outcome};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout_at};

use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::resp::key_of::key_of;
use crate::redis::resp::value::RespValue;
use crate::redis::streams::asker::{Asker, closed};
use crate::redis::streams::command_session::Input;
use crate::redis::topology::cluster::view::{ClusterView, Known};
use crate::runtime::clock::Clock;

/// The pause before a command is sent again whose keys lie on two nodes, or that nodes send to each other.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts the link to a node.
type Start = Box<dyn Fn(&Address) -> LazyLink<Input> + Send + Sync>;

/// The command links of a Cluster.
pub(in crate::redis) struct NodeLinks {
    view: Arc<ClusterView>,
    clock: Clock,
    start: Start,
    links: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    links: HashMap<Address, Arc<LazyLink<Input>>>,
    ended: Vec<JoinHandle<()>>,
    closed: bool,
}

impl NodeLinks {
    pub(in crate::redis) fn new(
        view: Arc<ClusterView>,
        clock: Clock,
        start: impl Fn(&Address) -> LazyLink<Input> + Send + Sync + 'static,
    ) -> NodeLinks {
        NodeLinks { view, clock, start: Box::new(start), links: Mutex::default() }
    }

    pub(super) fn view(&self) -> &ClusterView {
        &self.view
    }

    /// The link to a node.
    pub(super) fn of(&self, node: &Address) -> Arc<LazyLink<Input>> {
        let mut open = self.open();
        if let Some(link) = open.links.get(node) {
            return link.clone();
        }
        let link = Arc::new((self.start)(node));
        if open.closed {
            link.end();
        } else {
            open.links.insert(node.clone(), link.clone());
        }
        link
    }

    /// All links, each with its node, in the order of their addresses.
    pub(super) fn all(&self) -> Vec<(Address, Arc<LazyLink<Input>>)> {
        let mut all: Vec<_> =
            self.open().links.iter().map(|(node, link)| (node.clone(), link.clone())).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Takes the links to nodes out that are no masters any more.
    pub(super) fn take_gone(&self, known: &Known) -> Vec<(Address, Arc<LazyLink<Input>>)> {
        let Some(map) = &known.map else { return Vec::new() };
        self.open().links.extract_if(|node, _| !map.can_take_slots(node)).collect()
    }

    /// Whether there is a link to a node.
    pub(super) fn has(&self, node: &Address) -> bool {
        self.open().links.contains_key(node)
    }

    pub(super) fn end(&self) -> Vec<JoinHandle<()>> {
        let mut open = self.open();
        open.closed = true;
        let ended: Vec<_> = open.links.drain().filter_map(|(_, link)| link.end()).collect();
        ended.into_iter().chain(std::mem::take(&mut open.ended)).collect()
    }

    /// Sends a command to a node. The error names it, unless the node has said it itself.
    pub(super) async fn ask_at(
        &self,
        asker: &Asker,
        node: &Address,
        packed: Vec<u8>,
        asking: bool,
        deadline: u64,
    ) -> Result<RespValue, BusError> {
        let answer = asker.ask(&self.of(node), packed, asking, deadline).await;
        answer.map_err(|error| match (error.kind, error.outcome) {
            (ErrorKind::Closed | ErrorKind::QueueFull, _) | (_, Some(Outcome::Rejected)) => error,
            _ => naming(node, error),
        })
    }

    /// The masters in the order of their addresses, once there is one, until `deadline`.
    pub(super) async fn masters(&self, deadline: u64) -> Result<Vec<Address>, BusError> {
        self.locate(None, deadline).await?;
        Ok(self.view.now().masters())
    }

    /// Sends a command to the node of its keys; one without keys to any.
    pub(super) async fn ask(
        &self,
        asker: &Asker,
        packed: Vec<u8>,
        deadline: u64,
    ) -> Result<RespValue, BusError> {
        let key = key_of(&packed).map(|key| String::from_utf8_lossy(key).into_owned());
        let mut target = self.locate(key.as_deref(), deadline).await?;
        let (mut asking, mut hops) = (false, 0);
        loop {
            let answer = self.ask_at(asker, &target, packed.clone(), asking, deadline).await;
            let Err(error) = &answer else { return answer };
            let Some(redirect) = Redirect::read(&error.message) else { return answer };
            // Nodes may send a command to each other for a while; TRYAGAIN lasts until the keys are on one node.
            hops += 1;
            if hops > 2 || redirect == Redirect::TryAgain {
                if self.clock.now_ms() + PAUSE.as_millis() as u64 >= deadline {
                    return Err(late(error));
                }
                sleep(PAUSE).await;
            }
            match redirect {
                Redirect::Moved(slot, to) => {
                    target = self.view.moved(slot, &to, &target);
                    asking = false;
                }
                Redirect::Ask(_, to) => {
                    target = self.view.address(&to, &target);
                    asking = true;
                }
                Redirect::TryAgain => {}
            }
        }
    }

    /// The node that serves a key, or any. Waits until one is known, until `deadline`.
    async fn locate(&self, key: Option<&str>, deadline: u64) -> Result<Address, BusError> {
        let mut known = self.view.known();
        let located = async {
            loop {
                let now = known.borrow_and_update().clone();
                let found = match key {
                    Some(key) => now.owner_of(key).cloned(),
                    None => now.any_master(0),
                };
                if let Some(node) = found {
                    return Ok(node);
                }
                if let Some(error) = now.unreachable {
                    let kind = ErrorKind::ConnectionLost;
                    let message = format!("not connected: {}", error.message);
                    return Err(BusError::new(kind, message).with_outcome(Outcome::NotSent));
                }
                if known.changed().await.is_err() {
                    return Err(closed());
                }
            }
        };
        timeout_at(self.clock.instant(deadline), located).await.unwrap_or_else(|_| {
            let message = "no node of the cluster serves the slot; it was never sent";
            Err(BusError::new(ErrorKind::CommandTimeout, message).with_outcome(Outcome::NotSent))
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same error with the name of the node that it is about.
pub(super) fn naming(node: &Address, error: BusError) -> BusError {
    let name = node.to_string();
    if error.message.contains(&name) {
        return error;
    }
    BusError { message: format!("{name}: {}", error.message), ..error }
}

fn late(last: &BusError) -> BusError {
    let message = format!("no node has executed it in time: {}", last.message);
    BusError::new(ErrorKind::CommandTimeout, message).with_outcome(Outcome::NotSent)
}
