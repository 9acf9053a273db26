//! Asks nodes of a Cluster, one at a time, who has which slots.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use oxbus_model::backoff::Backoff;
use oxbus_model::config::{Address, Config};
use oxbus_model::server_error;
use oxbus_model::topology::slot_map::SlotMap;
use oxbus_model::{BusError, ErrorKind};
use redis::cmd;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, info};

use super::answer::Reading;
use super::view::ClusterView;
use crate::redis::connection::access::Access;
use crate::redis::connection::open_connection::OpenConnection;
use crate::redis::resp::reply::Reply;
use crate::redis::resp::value::RespValue;
use crate::runtime::clock;
use crate::runtime::panics::catch_panic;

/// The time between two questions while nothing seems wrong.
const PERIOD: Duration = Duration::from_secs(10);
/// The same while a master cannot be reached: another one may take its place.
const TROUBLED_PERIOD: Duration = Duration::from_millis(250);
/// The least time between two questions, however many ask for one.
const LEAST: Duration = Duration::from_millis(50);
/// How long a node may take to be connected to and to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// The ceilings of the first and of all later pauses after no node has answered, in milliseconds.
const PAUSES: (u64, u64) = (50, 1_000);

/// Asks for ever.
pub(super) struct Watcher {
    pub(super) view: Arc<ClusterView>,
    pub(super) access: Access,
    pub(super) seeds: Vec<Address>,
    /// Whether the ports for TLS are meant.
    pub(super) tls: bool,
    /// The longest that a node may take.
    pub(super) limit: Duration,
    /// The connection to the node that was asked last.
    talk: Option<OpenConnection>,
    /// Whether `CLUSTER SHARDS` is not known: then `CLUSTER SLOTS` is asked.
    asks_slots: bool,
    /// Which node is asked next, when another one is to be.
    turn: usize,
}

impl Watcher {
    pub(super) fn new(view: Arc<ClusterView>, access: Access, config: &Config, seeds: &[Address]) -> Watcher {
        let limit = Duration::from_millis(config.redis.connect_timeout).min(ANSWER_LIMIT);
        Watcher {
            view,
            access,
            seeds: seeds.to_vec(),
            tls: config.redis.tls.is_some(),
            limit,
            talk: None,
            asks_slots: false,
            // Clients that start together ask different nodes.
            turn: (clock::random() * 1_000.0) as usize,
        }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        loop {
            let asked = catch_panic("the watch of a cluster", self.watch(&mut backoff)).await;
            if asked.is_err() {
                self.talk = None;
            }
            sleep(Duration::from_millis(backoff.next(clock::random()))).await;
        }
    }

    /// Asks until no node answers.
    async fn watch(&mut self, backoff: &mut Backoff) {
        let mut asked = self.view.asked();
        loop {
            asked.mark_unchanged();
            if let Err(errors) = self.ask_one_of_all().await {
                return self.view.nobody_answers(&errors);
            }
            backoff.reset();
            let now = Instant::now();
            let period = if self.is_troubled() { TROUBLED_PERIOD } else { PERIOD };
            tokio::select! {
                () = sleep_until(now + period) => {}
                _ = asked.changed() => sleep_until(now + LEAST).await,
            }
        }
    }

    fn is_troubled(&self) -> bool {
        let known = self.view.now();
        let Some(map) = &known.map else { return true };
        map.uncovered() > 0 || known.suspects.iter().any(|suspect| map.is_master(suspect))
    }

    /// Asks one node after the other until one has answered.
    async fn ask_one_of_all(&mut self) -> Result<(), Vec<(Address, BusError)>> {
        if let Some(talk) = self.talk.take()
            && let Ok(()) = self.ask(talk).await
        {
            return Ok(());
        }
        let mut errors = Vec::new();
        for node in self.candidates() {
            let deadline = Instant::now() + self.limit;
            let asked = match self.access.log_in(&node, deadline).await {
                Ok((talk, server)) if server.mode.as_deref().is_none_or(|mode| mode == "cluster") => {
                    self.ask(talk).await
                }
                Ok(_) => {
                    let message = "this server does not run in cluster mode: give its address as 'url'";
                    Err(BusError::at(ErrorKind::InvalidConfig, "redis.cluster", message))
                }
                Err(error) => Err(error),
            };
            match asked {
                Ok(()) => return Ok(()),
                Err(error) => errors.push((node, error)),
            }
        }
        Err(errors)
    }

    /// The nodes in the order in which they are asked: those that are known, those last that could not be reached, and
    /// then the seeds.
    fn candidates(&mut self) -> Vec<Address> {
        let known = self.view.now();
        let nodes = known.map.iter().flat_map(|map| map.nodes()).map(|(_, node)| node.address.clone());
        let (mut well, suspects): (BTreeSet<Address>, BTreeSet<Address>) =
            nodes.partition(|node| !known.suspects.contains(node));
        if well.is_empty() {
            well.extend(self.seeds.iter().cloned());
        }
        self.turn = self.turn.wrapping_add(1);
        let mut all: Vec<Address> = well.into_iter().collect();
        let turn = self.turn % all.len().max(1);
        all.rotate_left(turn);
        for node in suspects.into_iter().chain(self.seeds.iter().cloned()) {
            if !all.contains(&node) {
                all.push(node);
            }
        }
        all
    }

    async fn ask(&mut self, mut talk: OpenConnection) -> Result<(), BusError> {
        let deadline = Instant::now() + self.limit;
        let answered = timeout_at(deadline, self.shards(&mut talk)).await;
        let map = answered.unwrap_or_else(|_| Err(silent()))?;
        let is_new = self.view.learned(map);
        if is_new {
            let known = self.view.now();
            let masters: Vec<String> = known.masters().iter().map(ToString::to_string).collect();
            info!(node = %talk.address, masters = masters.join(" "), "a node has told of the cluster");
        }
        // Where something is wrong of which this node does not know, another one may know it.
        if is_new || !self.is_troubled() {
            self.talk = Some(talk);
        }
        Ok(())
    }

    async fn shards(&mut self, talk: &mut OpenConnection) -> Result<SlotMap, BusError> {
        loop {
            let about = if self.asks_slots { "SLOTS" } else { "SHARDS" };
            talk.send([&cmd("CLUSTER").arg(about).to_owned()]).await?;
            let said = talk.answer(|reply| match reply {
                Reply::Error(error) => Err(error.to_owned()),
                other => Ok(RespValue::from(other)),
            });
            match said.await? {
                Ok(reply) => {
                    let told_by = talk.address.clone();
                    let reading =
                        Reading { addresses: self.view.addresses(), told_by: &told_by, tls: self.tls };
                    let shards =
                        if self.asks_slots { reading.slots(reply)? } else { reading.shards(reply)? };
                    return Ok(SlotMap::new(shards));
                }
                Err(error) if !self.asks_slots && server_error::is_withheld(&error) => {
                    debug!(node = %talk.address, error, "the node does not know CLUSTER SHARDS");
                    self.asks_slots = true;
                }
                Err(error) => return Err(server_error::classify(&error).into_error(&error)),
            }
        }
    }
}

fn silent() -> BusError {
    BusError::new(ErrorKind::ConnectionLost, format!("no answer within {} ms", ANSWER_LIMIT.as_millis()))
}
