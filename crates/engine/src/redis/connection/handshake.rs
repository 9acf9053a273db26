//! From a connection that is logged in to one that is ready for commands: keys, database, role.

use std::time::Duration;

use oxbus_model::config::{Address, Config, Servers};
use oxbus_model::stream_store::KeyLayout;
use oxbus_model::{BusError, ErrorKind};
use redis::{Cmd, cmd};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::redis::connection::access::Access;
use crate::redis::connection::cluster::{ServerLayout, check_slots, check_state};
use crate::redis::connection::credentials::ServerFacts;
use crate::redis::connection::failures::no_database;
use crate::redis::connection::names::Resolve;
use crate::redis::connection::open_connection::OpenConnection;
use crate::redis::connection::step::Step;

/// Connects to servers that keep data.
pub(in crate::redis) struct Handshake {
    access: Access,
    database: u32,
    ready_check: bool,
    connect_timeout: Duration,
    require_no_eviction: bool,
    layout: ServerLayout,
    /// Whether the servers are those of a Cluster that is known as one: slots may lie on any of them.
    of_cluster: bool,
}

impl Handshake {
    /// One whose names are looked up by `names`.
    pub(in crate::redis) fn new(config: &Config, names: Box<dyn Resolve>) -> Handshake {
        Handshake {
            access: Access::to_servers(config, names),
            database: config.redis.database,
            ready_check: config.redis.ready_check,
            connect_timeout: Duration::from_millis(config.redis.connect_timeout),
            require_no_eviction: config.require_no_eviction,
            layout: ServerLayout::new(config),
            of_cluster: matches!(config.redis.servers, Servers::Cluster(_)),
        }
    }

    /// How the keys are named; `None` before the first login.
    pub(in crate::redis) fn layout(&self) -> Option<KeyLayout> {
        self.layout.known()
    }

    /// Connects to `address`, within the connect timeout. With `master`, a server that is a replica is refused.
    /// `on_connect` are commands that are sent after every login. Their replies are ignored.
    pub(in crate::redis) async fn connect(
        &self,
        address: &Address,
        master: bool,
        on_connect: Vec<Cmd>,
    ) -> Result<OpenConnection, BusError> {
        let deadline = Instant::now() + self.connect_timeout;
        let (talk, server) = self.access.log_in(address, deadline).await?;
        let shaken = timeout_at(deadline, self.shake_hands(talk, server, master, on_connect)).await;
        shaken.unwrap_or_else(|_| Err(self.access.late(address, None)))
    }

    async fn shake_hands(
        &self,
        mut talk: OpenConnection,
        server: ServerFacts,
        master: bool,
        on_connect: Vec<Cmd>,
    ) -> Result<OpenConnection, BusError> {
        self.learn_layout(&mut talk, server.mode.as_deref()).await?;
        let mut commands = Vec::new();
        if self.database != 0 {
            commands.push((Step::Database, cmd("SELECT").arg(self.database).to_owned()));
        }
        if self.ready_check {
            // While a server loads its data it answers this with LOADING.
            commands.push((Step::Ready, cmd("PING")));
        }
        if master {
            commands.push((Step::Role, cmd("ROLE")));
        }
        if self.require_no_eviction {
            commands.push((Step::Eviction, cmd("INFO").arg("memory").to_owned()));
        }
        commands.extend(on_connect.into_iter().map(|command| (Step::Optional, command)));
        talk.send(commands.iter().map(|(_, command)| command)).await?;
        for (step, _) in &commands {
            let judged = talk.answer(|reply| step.judge(reply)).await?;
            let role_known = judged.map_err(|error| match step {
                Step::Database => no_database(&talk.address, self.database, error),
                _ => error,
            })?;
            talk.role_known |= role_known && *step == Step::Role;
        }
        // A server without `HELLO` does not tell its version; a role that was asked for is a master's.
        let role = server.role.or_else(|| talk.role_known.then(|| "master".to_owned()));
        debug!(protocol = talk.protocol.name(), version = server.version, role, "the handshake is done");
        Ok(talk)
    }

    /// Finds out how the keys are named on a server of this mode: `cluster`, `sentinel` or another one.
    async fn learn_layout(&self, talk: &mut OpenConnection, mode: Option<&str>) -> Result<(), BusError> {
        if mode == Some("sentinel") {
            let message =
                "this is a Redis Sentinel, which keeps no data: give the address of the server itself";
            return Err(BusError::at(ErrorKind::InvalidConfig, "redis", message));
        }
        if self.of_cluster {
            if mode.is_some_and(|mode| mode != "cluster") {
                let message = "this server does not run in cluster mode: give its address as 'url'";
                return Err(BusError::at(ErrorKind::InvalidConfig, "redis.cluster", message));
            }
            talk.layout = KeyLayout::Tagged;
            // What there is to tell of one server in cluster mode does not hold here.
            return self.layout.found(talk.layout).map(drop);
        }
        if mode == Some("cluster") {
            self.layout.accept_cluster()?;
            let questions = ["SLOTS", "INFO"].map(|about| cmd("CLUSTER").arg(about).to_owned());
            talk.send(&questions).await?;
            talk.answer(|reply| check_slots(&reply)).await??;
            talk.answer(|reply| check_state(&reply)).await??;
            talk.layout = KeyLayout::Tagged;
        }
        talk.notice = self.layout.found(talk.layout)?;
        Ok(())
    }
}
