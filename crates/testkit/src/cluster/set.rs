//! A cluster of three masters and their replicas.

use std::ops::RangeInclusive;

use tokio::time::{Instant, sleep};

use super::joining::{id_of, meet, replicate};
use super::moving::{accept, connect, set_all, set_slots};
use super::publishes::arrive;
use super::settings::NodeSettings;
use super::view::View;
use super::{FAILOVER_LIMIT, KEYS_AT_ONCE, MIGRATE_LIMIT, PATIENCE, POLL, SLOTS_AT_ONCE};
use crate::resp::Value;
use crate::server::{CONTROL_USER, RedisServer};
use crate::wait::{eventually, eventually_some};

/// Three masters, which share the slots, and their replicas, all on the loopback interface.
///
/// What a node knows is asked of those that run and are not frozen. Whatever waits panics after 60 s.
pub struct ClusterSet {
    settings: NodeSettings,
    servers: Vec<RedisServer>,
    /// The ids of the nodes, in the order of `servers`.
    ids: Vec<String>,
}

impl ClusterSet {
    pub(super) fn new(settings: NodeSettings, servers: Vec<RedisServer>, ids: Vec<String>) -> Self {
        Self { settings, servers, ids }
    }

    /// All nodes. At the start the first three are the masters, and node `n` of the others is a replica of node `n % 3`.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.servers
    }

    /// `127.0.0.1:port` of all nodes.
    pub fn addresses(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.addr().to_string()).collect()
    }

    /// `redis://127.0.0.1:port` of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(RedisServer::url).collect()
    }

    /// The node on a port. Panics when there is none.
    #[track_caller]
    pub fn on(&self, port: u16) -> &RedisServer {
        self.servers.iter().find(|server| server.port() == port).expect("a node of the cluster")
    }

    /// The id by which the cluster knows a node.
    #[track_caller]
    pub fn id(&self, node: &RedisServer) -> &str {
        let at = self.servers.iter().position(|server| server.port() == node.port());
        &self.ids[at.expect("a node of the cluster")]
    }

    /// The nodes that run and are not frozen.
    pub fn answering(&self) -> impl Iterator<Item = &RedisServer> {
        self.servers.iter().filter(|server| server.process_id().is_some() && !server.is_frozen())
    }

    /// The slot of a key.
    pub async fn slot_of(&self, key: &str) -> u16 {
        let node = self.answering().next().expect("a node that answers");
        let slot = node.command(&["CLUSTER", "KEYSLOT", key]).await.int();
        u16::try_from(slot).expect("a slot")
    }

    /// The master of a slot, once there is one that answers.
    pub async fn master_of(&self, slot: u16) -> &RedisServer {
        eventually_some(PATIENCE, "a node that serves the slot", || async { self.served_by(slot).await })
            .await
    }

    /// As [`ClusterSet::master_of`], by a key.
    pub async fn master_of_key(&self, key: &str) -> &RedisServer {
        self.master_of(self.slot_of(key).await).await
    }

    /// The node that serves a slot now: of those that say so of themselves, the one that has taken it over last.
    pub async fn served_by(&self, slot: u16) -> Option<&RedisServer> {
        let serving = self.views().await.into_iter().filter(|(_, view)| view.own().serves(slot));
        serving.max_by_key(|(_, view)| view.own().epoch).map(|(server, _)| server)
    }

    /// The nodes that serve slots now, in the order of [`ClusterSet::nodes`].
    pub async fn masters(&self) -> Vec<&RedisServer> {
        let views = self.views().await.into_iter();
        views.filter(|(_, view)| !view.own().slots.is_empty()).map(|(server, _)| server).collect()
    }

    /// The slots that a node says it serves.
    pub async fn slots_of(&self, node: &RedisServer) -> Vec<u16> {
        self.slot_ranges_of(node).await.into_iter().flatten().collect()
    }

    pub(super) async fn slot_ranges_of(&self, node: &RedisServer) -> Vec<RangeInclusive<u16>> {
        View::of(node).await.expect("what a node knows").own().slots.clone()
    }

    /// The replicas of a master, as they say themselves.
    pub async fn replicas_of(&self, master: &RedisServer) -> Vec<&RedisServer> {
        let id = self.id(master);
        let views = self.views().await.into_iter();
        let replicas = views.filter(|(_, view)| view.own().master.as_deref() == Some(id));
        replicas.map(|(server, _)| server).collect()
    }

    /// Ends a node at once.
    pub fn kill(&self, node: &RedisServer) {
        node.kill();
    }

    /// Stops a node from running, while its sockets stay open.
    pub fn freeze(&self, node: &RedisServer) {
        node.freeze();
    }

    /// Lets a node go on.
    pub fn thaw(&self, node: &RedisServer) {
        node.thaw();
    }

    /// Makes a replica the master by `CLUSTER FAILOVER`, for which its master waits, and returns when it is.
    ///
    /// A node that has won an election less than four times the node timeout ago must not be given: servers count the votes of
    /// that election once more, so that it believes to have won, is a replica again within 100 ms, and its master takes no
    /// writes for five seconds.
    pub async fn fail_over(&self, replica: &RedisServer) {
        let is_master = || async { View::of(replica).await.is_ok_and(|view| view.own().master.is_none()) };
        eventually_some(PATIENCE, "a failover by command", || async {
            // One that takes too long is given up by the replica, as on a busy machine: it is asked again then.
            let asked = replica.try_command(&["CLUSTER", "FAILOVER"]).await;
            let deadline = Instant::now() + FAILOVER_LIMIT;
            while asked.is_ok() && Instant::now() < deadline {
                if is_master().await {
                    return Some(());
                }
                sleep(POLL).await;
            }
            is_master().await.then_some(())
        })
        .await;
    }

    /// Waits until all nodes that answer say the same of each other, no slot is moving and all slots are served.
    pub async fn settled(&self) {
        let answering: Vec<&str> = self.answering().map(|server| self.id(server)).collect();
        eventually(PATIENCE, "nodes that agree and serve all slots", || async {
            let views = self.views().await;
            let [(_, first), others @ ..] = &views[..] else { return false };
            let counts = |id: &str| answering.contains(&id);
            let is_quiet = |view: &View| {
                answering
                    .iter()
                    .all(|id| view.nodes.get(*id).is_some_and(|known| known.is_well && !known.is_moving))
            };
            if views.len() != answering.len()
                || !views.iter().all(|(_, view)| is_quiet(view))
                || !others.iter().all(|(_, view)| view.agrees_with(first, counts))
            {
                return false;
            }
            for server in self.answering() {
                let info = server.try_command(&["CLUSTER", "INFO"]).await.map(|info| info.text());
                if !info.is_ok_and(|info| info.contains("cluster_state:ok")) {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Waits until every node has heard what was published at any of them. A node sends the next message to another one only
    /// when that has acknowledged the last, so that it is on its way for 40 ms.
    pub async fn publishes_arrived(&self) {
        let nodes: Vec<&RedisServer> = self.answering().collect();
        eventually(PATIENCE, "what was published arrives", || async { arrive(&nodes).await.is_ok() }).await;
    }

    /// Moves a slot with its keys, one key after the other as all servers can: `IMPORTING` and `MIGRATING`, `MIGRATE` of its
    /// keys, and `NODE`. Returns when all nodes agree on it.
    pub async fn move_slot(&self, slot: u16, to: &RedisServer) {
        self.move_slots(&[slot], to).await;
        self.settled().await;
    }

    /// As [`ClusterSet::move_slot`], for several, which need not be of the same node. It does not wait until all agree.
    pub async fn move_slots(&self, slots: &[u16], to: &RedisServer) {
        for from in self.masters().await.into_iter().filter(|from| from.port() != to.port()) {
            let served = self.slots_of(from).await;
            let mut moved: Vec<u16> = slots.iter().copied().filter(|slot| served.contains(slot)).collect();
            moved.sort_unstable();
            for batch in moved.chunks(SLOTS_AT_ONCE) {
                self.begin_move(batch, from, to).await;
                self.migrate_keys(batch, from, to).await;
                self.end_move(batch, from, to).await;
            }
        }
    }

    /// The first step of a move: what is not on the old node any more is asked of the new one.
    pub async fn begin_move(&self, slots: &[u16], from: &RedisServer, to: &RedisServer) {
        for (node, state, other) in [(to, "IMPORTING", from), (from, "MIGRATING", to)] {
            set_all(node, slots, state, self.id(other)).await;
        }
    }

    /// The second step of a move: the keys, until there are none on the old node.
    pub async fn migrate_keys(&self, slots: &[u16], from: &RedisServer, to: &RedisServer) {
        let mut client = connect(from).await;
        let port = to.port().to_string();
        for slot in slots.iter().map(u16::to_string) {
            loop {
                let question = ["CLUSTER", "GETKEYSINSLOT", &slot, KEYS_AT_ONCE];
                let keys = accept(client.call(&question).await.expect("a node that answers"));
                if keys.items().is_empty() {
                    break;
                }
                let migrate = [
                    "MIGRATE",
                    "127.0.0.1",
                    &port,
                    "",
                    "0",
                    MIGRATE_LIMIT,
                    "AUTH2",
                    CONTROL_USER,
                    "-",
                    "KEYS",
                ];
                let mut command: Vec<&[u8]> = migrate.iter().map(|arg| arg.as_bytes()).collect();
                command.extend(keys.items().iter().map(Value::bytes));
                accept(client.call(&command).await.expect("a node that answers"));
            }
        }
    }

    /// The last step of a move: all masters are told who has the slots, the new node first, so that none is without it.
    /// One that refuses, because it has become a replica (as a master does that loses its last slot), is told by the others.
    pub async fn end_move(&self, slots: &[u16], from: &RedisServer, to: &RedisServer) {
        set_all(to, slots, "NODE", self.id(to)).await;
        set_slots(from, slots, "NODE", self.id(to)).await;
        let told = [to.port(), from.port()];
        for other in self.masters().await.into_iter().filter(|other| !told.contains(&other.port())) {
            set_slots(other, slots, "NODE", self.id(to)).await;
        }
    }

    /// Whether the servers move slots at once (`CLUSTER MIGRATESLOTS`, Valkey from 9 on).
    pub async fn moves_at_once(&self) -> bool {
        let node = self.answering().next().expect("a node that answers");
        node.try_command(&["CLUSTER", "GETSLOTMIGRATIONS"]).await.is_ok()
    }

    /// Moves slots of one node with their keys in a single step (`CLUSTER MIGRATESLOTS`), and returns when all nodes agree.
    ///
    /// # Panics
    /// Where the servers do not know it: see [`ClusterSet::moves_at_once`].
    pub async fn move_slots_at_once(&self, slots: RangeInclusive<u16>, to: &RedisServer) {
        let from = self.master_of(*slots.start()).await;
        let (first, last) = (slots.start().to_string(), slots.end().to_string());
        let command = ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", &first, &last, "NODE", self.id(to)];
        eventually_some(PATIENCE, "a move that begins", || async { from.try_command(&command).await.ok() })
            .await;
        eventually(PATIENCE, "slots that have moved", || async {
            self.served_by(*slots.end()).await.is_some_and(|server| server.port() == to.port())
        })
        .await;
        self.settled().await;
    }

    /// As [`ClusterSet::move_slots_at_once`], for all slots of a node.
    pub(super) async fn move_all_at_once(&self, from: &RedisServer, to: &RedisServer) {
        while let Some(slots) = self.slot_ranges_of(from).await.into_iter().next() {
            self.move_slots_at_once(slots, to).await;
        }
    }

    /// Starts a node that all others know, a master without slots or a replica of `master`, and gives its port.
    pub async fn add_node(&mut self, master: Option<u16>) -> u16 {
        let server = self.settings.clone().start(self.servers.len()).await;
        for other in self.answering() {
            meet(&server, other).await;
        }
        let (port, id) = (server.port(), id_of(&server).await);
        if let Some(master) = master {
            let followed = self.replicas_of(self.on(master)).await.len() + 1;
            replicate(&server, self.id(self.on(master))).await;
            self.on(master).wait_for_replicas(followed).await;
        }
        self.servers.push(server);
        self.ids.push(id);
        self.settled().await;
        port
    }

    /// Takes a node away: what it serves goes to `heir`, and so do its replicas. Then the others forget it, and it is killed.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn remove_node(&mut self, port: u16, heir: u16) {
        let (node, heir) = (self.on(port), self.on(heir));
        if self.moves_at_once().await {
            self.move_all_at_once(node, heir).await;
        } else {
            self.move_slots(&self.slots_of(node).await, heir).await;
        }
        for replica in self.replicas_of(node).await {
            replicate(replica, self.id(heir)).await;
        }
        self.settled().await;
        let id = self.id(node).to_owned();
        for other in self.answering().filter(|other| other.port() != port) {
            other.command(&["CLUSTER", "FORGET", &id]).await;
        }
        let at = self.ids.iter().position(|known| *known == id).expect("a node of the cluster");
        self.ids.remove(at);
        // It ends when it is dropped.
        self.servers.remove(at);
        self.settled().await;
    }

    /// Ends all nodes in an orderly way.
    pub async fn stop(&self) {
        for server in self.servers.iter().filter(|server| server.process_id().is_some()) {
            server.stop().await;
        }
    }

    /// What the nodes that answer say.
    async fn views(&self) -> Vec<(&RedisServer, View)> {
        let mut views = Vec::new();
        for server in self.answering() {
            if let Ok(view) = View::of(server).await {
                views.push((server, view));
            }
        }
        views
    }
}
