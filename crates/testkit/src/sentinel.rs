//! A master and its replicas, watched by sentinels.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::proxy::FaultProxy;
use crate::resp::Value;
use crate::server::{RedisServer, RedisServerBuilder};
use crate::wait::{eventually, eventually_some};

/// The name under which the sentinels know the master.
const NAME: &str = "mymaster";

/// How long servers and sentinels may take to know each other, or to fail over.
const PATIENCE: Duration = Duration::from_secs(60);

/// A master, its replicas and the sentinels that watch them, all on the loopback interface.
pub struct SentinelSet {
    /// The servers; the first one was the master at the start.
    pub servers: Vec<RedisServer>,
    /// The sentinels.
    pub sentinels: Vec<RedisServer>,
    /// Where asked for, what stands between each server and its clients and sentinels, in the order of `servers`.
    pub proxies: Vec<FaultProxy>,
}

/// The settings of a [`SentinelSet`] before it is started.
#[derive(Clone, Debug)]
pub struct SentinelSetBuilder {
    server: RedisServerBuilder,
    sentinel: RedisServerBuilder,
    replicas: usize,
    sentinels: usize,
    password: Option<String>,
    host: &'static str,
    has_proxies: bool,
}

impl SentinelSetBuilder {
    /// What each server is started with.
    pub fn server(mut self, settings: RedisServerBuilder) -> Self {
        self.server = settings;
        self
    }

    /// What each sentinel is started with.
    pub fn sentinel(mut self, settings: RedisServerBuilder) -> Self {
        self.sentinel = settings;
        self
    }

    /// How many replicas and sentinels there are; two and three without.
    pub fn of(mut self, replicas: usize, sentinels: usize) -> Self {
        (self.replicas, self.sentinels) = (replicas, sentinels);
        self
    }

    /// The password of the servers, which the sentinels know.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The host by which the sentinels know the master, which is an address without this.
    pub fn announced_as(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// Puts a proxy in front of each server, whose address is the one that sentinels and clients know. Replicas connect to
    /// the first master directly, and to its successors by their proxies.
    pub fn behind_proxies(mut self) -> Self {
        self.has_proxies = true;
        self
    }

    /// Starts all of it, and waits until everybody knows everybody.
    pub async fn start(self) -> SentinelSet {
        let server = |settings: RedisServerBuilder| match &self.password {
            Some(password) => settings.password(password),
            None => settings,
        };
        let (mut servers, mut proxies): (Vec<RedisServer>, Vec<FaultProxy>) = Default::default();
        for _ in 0..=self.replicas {
            let mut settings = server(self.server.clone());
            if let Some(master) = servers.first() {
                settings = settings.replica_of(master.port());
            }
            if self.has_proxies {
                // The server has to know the port of its proxy, so it is connected to it afterwards.
                let proxy = FaultProxy::start((Ipv4Addr::LOCALHOST, 0)).await;
                let port = proxy.addr().port().to_string();
                settings =
                    settings.arg("replica-announce-ip", "127.0.0.1").arg("replica-announce-port", port);
                proxies.push(proxy);
            }
            servers.push(settings.start().await);
            if let Some(proxy) = proxies.last() {
                proxy.retarget(servers[servers.len() - 1].addr());
            }
        }
        let master = proxies.first().map_or(servers[0].port(), |proxy| proxy.addr().port());
        let mut sentinels = Vec::new();
        for _ in 0..self.sentinels {
            let (host, quorum) = (self.host, self.sentinels / 2 + 1);
            let mut settings = self
                .sentinel
                .clone()
                .sentinel()
                .arg("sentinel", format!("monitor {NAME} {host} {master} {quorum}"))
                .arg("sentinel", format!("down-after-milliseconds {NAME} 1000"))
                .arg("sentinel", format!("failover-timeout {NAME} 3000"))
                .arg("sentinel", format!("parallel-syncs {NAME} {}", self.replicas.max(1)));
            if let Some(password) = &self.password {
                settings = settings.arg("sentinel", format!("auth-pass {NAME} {password}"));
            }
            sentinels.push(settings.start().await);
        }
        let set = SentinelSet { servers, sentinels, proxies };
        set.settle().await;
        set
    }
}

impl SentinelSet {
    /// A master, two replicas and three sentinels, for which a server that is silent for a second is down.
    pub async fn start() -> SentinelSet {
        SentinelSet::builder().start().await
    }

    /// A master with a single sentinel, for tests in which nothing fails over.
    pub async fn smallest(server: RedisServerBuilder) -> SentinelSet {
        SentinelSet::builder().server(server).of(0, 1).start().await
    }

    /// Settings other than the defaults.
    pub fn builder() -> SentinelSetBuilder {
        let settings = RedisServer::builder();
        SentinelSetBuilder {
            server: settings.clone(),
            sentinel: settings,
            replicas: 2,
            sentinels: 3,
            password: None,
            host: "127.0.0.1",
            has_proxies: false,
        }
    }

    /// The name under which the sentinels know the master.
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// The addresses of the sentinels.
    pub fn nodes(&self) -> Vec<String> {
        self.sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect()
    }

    /// The server on a port, or behind the proxy on it.
    ///
    /// # Panics
    /// When none of them has it.
    pub fn on(&self, port: u16) -> &RedisServer {
        let behind = self.proxies.iter().position(|proxy| proxy.addr().port() == port);
        let is_on = |at: usize| behind == Some(at) || self.servers[at].port() == port;
        let at = (0..self.servers.len()).find(|at| is_on(*at)).expect("a server of the set");
        &self.servers[at]
    }

    /// The server that a sentinel, given by its number, names as the master.
    pub async fn named_by(&self, sentinel: usize) -> Option<&RedisServer> {
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
        let answer = self.sentinels[sentinel].try_command(&question).await.ok()?;
        let Value::Array(address) = answer else { return None };
        let port = address.get(1)?.clone().text().parse().ok()?;
        Some(self.on(port))
    }

    /// The sentinels that run now, given by their numbers.
    fn alive(&self) -> impl Iterator<Item = usize> {
        (0..self.sentinels.len()).filter(|at| self.sentinels[*at].process_id().is_some())
    }

    /// Starts a planned failover as soon as a sentinel agrees to it.
    pub async fn fail_over(&self) {
        let at = self.alive().next().expect("a sentinel that runs");
        eventually(PATIENCE, "a sentinel that agrees to a failover", || async {
            self.sentinels[at].try_command(&["SENTINEL", "FAILOVER", NAME]).await.is_ok()
        })
        .await;
    }

    /// Waits until all sentinels that run name another master than the one on `port`, and gives it.
    pub async fn successor_of(&self, port: u16) -> &RedisServer {
        eventually_some(PATIENCE, "a failover that all sentinels know", || async {
            let mut successor = None;
            for at in self.alive() {
                let named = self.named_by(at).await.filter(|named| named.port() != port)?;
                if successor.get_or_insert(named.port()) != &named.port() {
                    return None;
                }
            }
            successor.map(|port| self.on(port))
        })
        .await
    }

    /// Waits until no sentinel that runs is busy with a failover, and all name the same master.
    pub async fn quiet(&self) {
        eventually(PATIENCE, "the end of a failover", || async {
            let mut masters = Vec::new();
            for at in self.alive() {
                masters.push(self.facts(at, &["flags", "port"]).await);
            }
            masters.iter().all(|facts| facts[0] == "master" && *facts == masters[0])
        })
        .await;
    }

    /// What a sentinel knows of the master.
    async fn facts(&self, sentinel: usize, names: &[&str]) -> Vec<String> {
        let facts = self.sentinels[sentinel].command(&["SENTINEL", "MASTER", NAME]).await;
        let texts: Vec<String> = facts.items().iter().map(|item| item.clone().text()).collect();
        let value =
            |name: &&str| texts.chunks_exact(2).find(|pair| pair[0] == **name).map(|pair| pair[1].clone());
        names.iter().map(|name| value(name).unwrap_or_default()).collect()
    }

    async fn settle(&self) {
        let (replicas, others) = (self.servers.len() - 1, self.sentinels.len() - 1);
        let expected = ["master".to_owned(), replicas.to_string(), others.to_string()];
        for replica in &self.servers[1..] {
            eventually(PATIENCE, "a replica that is up to date", || async {
                let link = replica.info("replication").await;
                link.get("master_link_status").is_some_and(|status| status == "up")
            })
            .await;
        }
        self.servers[0].wait_for_replicas(replicas).await;
        for at in 0..self.sentinels.len() {
            eventually(PATIENCE, "sentinels that know each other and the replicas", || async {
                self.facts(at, &["flags", "num-slaves", "num-other-sentinels"]).await == expected
            })
            .await;
        }
    }
}
