//! From a socket to a connection that is ready for commands: version, login, name, database, role.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use oxbus_model::address_race::AddressRace;
use oxbus_model::config::{Address, Config, RedisConfig};
use oxbus_model::stream_store::KeyLayout;
use oxbus_model::{BusError, ErrorKind, server_error};
use redis::{Cmd, cmd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::debug;

use crate::host::Notice;
use crate::redis::connection::cluster::{ServerLayout, check_slots, check_state};
use crate::redis::connection::failures::{closed_at_login, lost, no_database, not_redis};
use crate::redis::connection::names::{Resolve, SystemNames};
use crate::redis::connection::socket;
use crate::redis::connection::stream::Stream;
use crate::redis::connection::tls::Tls;
use crate::redis::resp::reply::{Protocol, Reply, decode};
use crate::redis::topology::{ConnectionOutcome, Topology};
use crate::transport::link_id::LinkId;

/// Where to connect, and how.
pub(crate) struct Endpoint {
    topology: Box<dyn Topology>,
    names: Box<dyn Resolve>,
    config: RedisConfig,
    client_name: String,
    require_no_eviction: bool,
    tls: Result<Option<Tls>, BusError>,
    layout: ServerLayout,
}

/// A connection that is ready for commands.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    /// Bytes that the server sent behind its replies.
    pub(crate) buffer: BytesMut,
    pub(crate) protocol: Protocol,
    /// Whether `ROLE` may be asked: access rules can forbid it, and some servers do not have it.
    pub(crate) role_known: bool,
    encrypted: bool,
    /// How the keys are named on the server.
    pub(crate) layout: KeyLayout,
    /// What the host is to be told of it.
    pub(crate) notice: Option<Notice>,
    /// The server.
    pub(crate) address: Address,
}

impl Endpoint {
    pub(in crate::redis) fn new(config: &Config, topology: Box<dyn Topology>) -> Arc<Self> {
        Endpoint::with_names(config, topology, Box::new(SystemNames))
    }

    /// An endpoint whose names are looked up by `names`.
    pub(in crate::redis) fn with_names(
        config: &Config,
        topology: Box<dyn Topology>,
        names: Box<dyn Resolve>,
    ) -> Arc<Self> {
        let (redis, require_no_eviction) = (&config.redis, config.require_no_eviction);
        let name = redis.connection_name.as_deref().unwrap_or(&config.service_name);
        Arc::new(Endpoint {
            topology,
            names,
            // The server refuses names with blanks and control characters.
            client_name: name.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).collect(),
            require_no_eviction,
            // What was passed over is in the notices of the configuration.
            tls: redis.tls.as_ref().map(|tls| Tls::new(tls).map(|(tls, _)| tls)).transpose(),
            config: redis.clone(),
            layout: ServerLayout::new(config),
        })
    }

    /// How the keys are named; `None` before the first login.
    pub(in crate::redis) fn layout(&self) -> Option<KeyLayout> {
        self.layout.known()
    }

    /// The server that a link is to connect to next.
    pub(crate) async fn locate(&self, link: &LinkId) -> Result<Address, BusError> {
        self.topology.locate(link).await
    }

    /// Connects a link to `address`, within the connect timeout. With `master`, a server that is a replica is refused.
    /// `on_connect` are commands that are sent after every login. Their replies are ignored.
    pub(crate) async fn connect(
        &self,
        link: &LinkId,
        address: Address,
        master: bool,
        on_connect: Vec<Cmd>,
    ) -> Result<Connection, BusError> {
        let connected = self.connect_to(address.clone(), master, on_connect).await;
        let outcome = connected.as_ref().map_or_else(ConnectionOutcome::of, |_| ConnectionOutcome::Connected);
        self.topology.learn(link, &address, outcome);
        connected
    }

    /// A connection of a link to `address` has ended.
    pub(crate) fn lost(&self, link: &LinkId, address: &Address, error: &BusError) {
        self.topology.learn(link, address, ConnectionOutcome::of(error));
    }

    async fn connect_to(
        &self,
        address: Address,
        master: bool,
        on_connect: Vec<Cmd>,
    ) -> Result<Connection, BusError> {
        let limit = Duration::from_millis(self.config.connect_timeout);
        let tls = self.tls.as_ref().map_err(Clone::clone)?.as_ref();
        let (mut race, mut connected) = (AddressRace::default(), false);
        let opened = tokio::time::timeout(limit, async {
            let stream = socket::open(&address, &self.config, tls, self.names.as_ref(), &mut race).await?;
            connected = true;
            self.shake_hands(stream, &address, master, on_connect).await
        });
        let opened = opened.await;
        opened.unwrap_or_else(|_| {
            let mut message = format!("{address} did not answer within {} ms", self.config.connect_timeout);
            if let Address::Tcp { host, .. } = &address
                && !connected
                && host.parse::<IpAddr>().is_err()
            {
                message = format!("{message} ({})", race.report(host));
            }
            Err(BusError::new(ErrorKind::ConnectTimeout, message))
        })
    }

    async fn shake_hands(
        &self,
        stream: Box<dyn Stream>,
        address: &Address,
        master: bool,
        on_connect: Vec<Cmd>,
    ) -> Result<Connection, BusError> {
        let mut talk = Connection {
            stream,
            buffer: BytesMut::new(),
            protocol: Protocol::Resp3,
            role_known: false,
            encrypted: self.config.tls.is_some(),
            layout: KeyLayout::Plain,
            notice: None,
            address: address.clone(),
        };
        let server = self.login(&mut talk).await?;
        self.learn_layout(&mut talk, server.mode.as_deref()).await?;
        let mut commands = Vec::new();
        if self.config.database != 0 {
            commands.push((Step::Database, cmd("SELECT").arg(self.config.database).to_owned()));
        }
        if self.config.ready_check {
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
                Step::Database => no_database(&talk.address, self.config.database, error),
                _ => error,
            })?;
            talk.role_known |= role_known && *step == Step::Role;
        }
        // A server without `HELLO` does not tell its version; a role that was asked for is a master's.
        let role = server.role.or_else(|| talk.role_known.then(|| "master".to_owned()));
        debug!(protocol = talk.protocol.name(), version = server.version, role, "the handshake is done");
        Ok(talk)
    }

    /// `HELLO 3` with login and name; where the server does not know or allow it, RESP2's three commands.
    async fn login(&self, talk: &mut Connection) -> Result<ServerFacts, BusError> {
        let user = self.config.username.as_deref();
        // A user who needs none logs in with any.
        let password = self.config.password.as_ref().map(|p| p.expose()).or(user.map(|_| ""));
        let mut hello = cmd("HELLO");
        hello.arg(3);
        if let Some(password) = password {
            hello.arg("AUTH").arg(user.unwrap_or("default")).arg(password);
        }
        hello.arg("SETNAME").arg(&self.client_name);
        talk.send([&hello]).await?;
        let greeting = talk.answer(|reply| match error_of(&reply) {
            Some(error) => Err(error.to_owned()),
            None => Ok(ServerFacts::read(&reply)),
        });
        let error = match greeting.await? {
            Ok(server) => return Ok(server),
            Err(error) => error,
        };
        let old = error.starts_with("NOPROTO")
            || error.starts_with("ERR unknown command")
            || error.starts_with("NOPERM");
        if !old {
            return Err(self.refused_login(&talk.address, server_error::classify(&error).into_error(&error)));
        }
        talk.protocol = Protocol::Resp2;
        let mut commands = Vec::new();
        if let Some(password) = password {
            let mut auth = cmd("AUTH");
            if let Some(user) = user {
                auth.arg(user);
            }
            commands.push((Step::Required, auth.arg(password).to_owned()));
        }
        commands.push((Step::Optional, cmd("CLIENT").arg("SETNAME").arg(&self.client_name).to_owned()));
        let info = cmd("INFO").arg("server").to_owned();
        talk.send(commands.iter().map(|(_, command)| command).chain([&info])).await?;
        for (step, _) in &commands {
            let judged = talk.answer(|reply| step.judge(reply)).await?;
            judged.map_err(|error| self.refused_login(&talk.address, error))?;
        }
        talk.answer(|reply| ServerFacts::of_info(&reply)).await
    }

    /// A refused login, with what whoever mends it has to look at.
    fn refused_login(&self, address: &Address, error: BusError) -> BusError {
        if error.kind != ErrorKind::AuthFailed {
            return error;
        }
        let user = self.config.username.as_deref().unwrap_or("default");
        let message = match self.config.password {
            Some(_) => format!("{address} refuses the login of user {user:?}: {}", error.message),
            None => format!(
                "{address} asks for a password, and none is set: set a password (redis.password, in the URL, or \
                 REDIS_PASSWORD): {}",
                error.message
            ),
        };
        BusError { message, ..error }
    }

    /// Finds out how the keys are named on a server of this mode: `cluster`, `sentinel` or another one.
    async fn learn_layout(&self, talk: &mut Connection, mode: Option<&str>) -> Result<(), BusError> {
        if mode == Some("sentinel") {
            let message =
                "this is a Redis Sentinel, which keeps no data: give the address of the server itself";
            return Err(BusError::at(ErrorKind::InvalidConfig, "redis", message));
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

/// What a server says of itself in its answer to `HELLO`.
#[derive(Default)]
struct ServerFacts {
    version: Option<String>,
    role: Option<String>,
    mode: Option<String>,
}

impl ServerFacts {
    fn read(reply: &Reply<'_>) -> ServerFacts {
        let mut facts = ServerFacts::default();
        let Reply::Array(items) = reply else { return facts };
        for pair in items.chunks_exact(2) {
            let [Reply::Text(name), Reply::Text(value)] = pair else { continue };
            let value = || Some(String::from_utf8_lossy(value).into_owned());
            match *name {
                b"version" => facts.version = value(),
                b"role" => facts.role = value(),
                b"mode" => facts.mode = value(),
                _ => {}
            }
        }
        facts
    }

    /// What the answer to `INFO server` says of a server without `HELLO`. One that does not tell runs alone.
    fn of_info(reply: &Reply<'_>) -> ServerFacts {
        let info = String::from_utf8_lossy(reply.text().unwrap_or_default());
        // Valkey has another name for it.
        let mode = |line: &str| {
            line.strip_prefix("redis_mode:").or_else(|| line.strip_prefix("server_mode:")).map(str::to_owned)
        };
        let mode = info.lines().find_map(mode);
        ServerFacts { mode, ..ServerFacts::default() }
    }
}

/// The meaning of a reply of the handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Required,
    Database,
    Optional,
    Ready,
    Role,
    Eviction,
}

impl Step {
    /// Whether to go on; true when the step told what it was to tell.
    fn judge(self, reply: Reply<'_>) -> Result<bool, BusError> {
        if let Some(error) = error_of(&reply) {
            let forgiven = match self {
                Step::Optional => true,
                Step::Ready => !server_error::is_not_ready(error),
                // Services that manage servers for others often take commands away.
                Step::Role => server_error::is_withheld(error),
                Step::Required | Step::Database | Step::Eviction => false,
            };
            return if forgiven { Ok(false) } else { Err(server_error::classify(error).into_error(error)) };
        }
        match self {
            Step::Role => check_role(&reply).map(|()| true),
            Step::Eviction => check_eviction(&reply).map(|()| true),
            Step::Required | Step::Database | Step::Optional | Step::Ready => Ok(true),
        }
    }
}

/// Fails unless the answer to `ROLE` is that of a master.
pub(in crate::redis) fn check_role(reply: &Reply<'_>) -> Result<(), BusError> {
    match reply {
        Reply::Array(items) if items.first().and_then(Reply::text) == Some(b"master") => Ok(()),
        Reply::Array(items) => {
            let role = String::from_utf8_lossy(items.first().and_then(Reply::text).unwrap_or(b"unknown"));
            let message = format!("the server is not a master, its role is {role}");
            Err(BusError::new(ErrorKind::NotMaster, message))
        }
        _ => Ok(()),
    }
}

fn check_eviction(reply: &Reply<'_>) -> Result<(), BusError> {
    let info = String::from_utf8_lossy(reply.text().unwrap_or_default());
    let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).unwrap_or("noeviction");
    if policy == "noeviction" {
        return Ok(());
    }
    let message =
        format!("the server's maxmemory-policy is {policy}, which deletes data; noeviction is required");
    Err(BusError::at(ErrorKind::InvalidConfig, "requireNoEviction", message))
}

fn error_of<'a>(reply: &Reply<'a>) -> Option<&'a str> {
    match reply {
        Reply::Error(error) => Some(error),
        _ => None,
    }
}

impl Connection {
    async fn send(&mut self, commands: impl IntoIterator<Item = &Cmd>) -> Result<(), BusError> {
        let packed: Vec<u8> = commands.into_iter().flat_map(Cmd::get_packed_command).collect();
        self.stream.write_all(&packed).await.map_err(|e| lost(&self.address, &e, self.encrypted))?;
        self.stream.flush().await.map_err(|e| lost(&self.address, &e, self.encrypted))
    }

    async fn answer<T>(&mut self, read: impl FnOnce(Reply<'_>) -> T) -> Result<T, BusError> {
        loop {
            let decoded = decode(self.protocol, &self.buffer);
            if let Some((reply, len)) = decoded.map_err(|_| not_redis(&self.address, &self.buffer))? {
                let result = read(reply);
                self.buffer.advance(len);
                return Ok(result);
            }
            if self
                .stream
                .read_buf(&mut self.buffer)
                .await
                .map_err(|e| lost(&self.address, &e, self.encrypted))?
                == 0
            {
                return Err(closed_at_login(&self.address, self.encrypted));
            }
        }
    }
}
