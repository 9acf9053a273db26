//! A broker to test against.

use std::sync::Arc;

use oxbus_engine::Broker;
use oxbus_model::topology::lanes::{DEFAULT_LANES, Lanes, head_of_message};
use oxbus_testkit::{ClusterSet, RedisServer, RedisServerBuilder, SentinelSet, cluster};
use serde_json::{Value, json};

use crate::pool::{Lease, NODE_TIMEOUT};
use crate::support::{Bus, PATIENCE};

/// What a transport can do beyond what every transport must.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// The broker can go away and come back while clients live: [`Fixture::restart`].
    pub survives_a_broker_restart: bool,
    /// Programs other than Oxbus can publish and store: [`Fixture::publish_foreign`], [`Fixture::command`].
    pub open_to_others: bool,
    /// A client's own handlers get its events before the broker has them. So they also get the events that
    /// never reach the broker: duplicates and cancelled ones.
    pub local_first: bool,
    /// The outcome of a publish counts all who received the event, and not only those of one of several servers.
    pub counts_receivers: bool,
    /// Live events go by lanes: the outcome of a publish counts all who hear the lane of the event, whether they want it or not.
    pub has_lanes: bool,
    /// Events of different streams, and those that are not stored, are delivered live in the order of their publishes.
    pub orders_across_streams: bool,
    /// Live events of different types, and of different rooms, are delivered in the order of their publishes.
    pub orders_across_types: bool,
}

fn of_cluster(set: &ClusterSet) -> Value {
    json!({ "redis": { "cluster": { "nodes": set.addresses() } } })
}

fn with_mode_of(other: &Value, mut config: Value) -> Value {
    config["mode"] = other.get("mode").unwrap_or(&json!("redis")).clone();
    config
}

/// A broker of one transport, for one test.
#[derive(Clone)]
pub struct Fixture {
    pub capabilities: Capabilities,
    config: Value,
    /// What the names of its streams, and its channels, begin with.
    scope: String,
    broker: Option<Arc<Broker>>,
    servers: Option<Servers>,
    /// Whether its servers run in cluster mode.
    in_cluster_mode: bool,
}

/// The servers of a broker.
#[derive(Clone)]
enum Servers {
    One(Arc<RedisServer>),
    Sentinel(Arc<SentinelSet>),
    /// Three masters, which other tests use afterwards.
    Cluster(Arc<Lease>),
    /// Three masters that only this test uses.
    LastingCluster(Arc<ClusterSet>),
}

impl Servers {
    /// All that take commands.
    fn masters(&self) -> &[RedisServer] {
        match self {
            Servers::One(server) => std::slice::from_ref(server),
            Servers::Sentinel(set) => &set.servers[..1],
            Servers::Cluster(lease) => lease.set().nodes(),
            Servers::LastingCluster(set) => set.nodes(),
        }
    }

    /// Runs a command where its key is; one about a server on all of them.
    async fn command(&self, args: &[impl AsRef<[u8]>]) -> oxbus_testkit::Value {
        use oxbus_testkit::Value;
        let mut replies = Vec::new();
        let is_of_all = matches!(args[0].as_ref(), b"KEYS" | b"INFO" | b"CONFIG");
        for server in self.masters() {
            match server.try_command(args).await {
                Err(why) if why.to_string().contains("MOVED ") => {}
                reply if is_of_all => replies.push(reply.expect("a reply")),
                reply => return reply.expect("a reply"),
            }
        }
        let all = replies.into_iter().reduce(|all, next| match (all, next) {
            (Value::Array(all), Value::Array(next)) => Value::Array([all, next].concat()),
            (all, next) if args[0].as_ref() == b"INFO" => Value::bulk(&(all.text() + &next.text())),
            (all, _) => all,
        });
        all.expect("a reply")
    }

    fn config(&self) -> Value {
        match self {
            Servers::One(server) => json!({ "redis": server.url() }),
            Servers::Sentinel(set) => {
                json!({ "redis": { "sentinel": { "name": set.name(), "nodes": set.nodes() } } })
            }
            Servers::Cluster(lease) => {
                let mut config = of_cluster(lease.set());
                config["redis"]["password"] = json!(lease.password());
                config
            }
            Servers::LastingCluster(set) => of_cluster(set),
        }
    }
}

impl Fixture {
    /// The transport in memory.
    pub async fn memory() -> Fixture {
        Fixture {
            capabilities: Capabilities {
                survives_a_broker_restart: false,
                open_to_others: false,
                local_first: false,
                counts_receivers: true,
                has_lanes: false,
                orders_across_streams: true,
                orders_across_types: true,
            },
            config: json!({ "mode": "memory" }),
            scope: String::new(),
            broker: Some(Arc::default()),
            servers: None,
            in_cluster_mode: false,
        }
    }

    /// A Redis server of its own.
    pub async fn redis() -> Fixture {
        Fixture::of(Servers::One(Arc::new(RedisServer::start().await)))
    }

    /// A Redis server of its own that a sentinel knows. What happens when it fails over is a matter of the faults.
    pub async fn sentinel() -> Fixture {
        Fixture::of(Fixture::watched(RedisServer::builder()).await)
    }

    async fn watched(settings: RedisServerBuilder) -> Servers {
        Servers::Sentinel(Arc::new(SentinelSet::smallest(settings).await))
    }

    /// A Cluster of three masters of its own. What happens when slots move or masters go is a matter of the faults.
    pub async fn cluster() -> Fixture {
        let mut fixture = Fixture::of(Servers::Cluster(Lease::take().await));
        fixture.capabilities.counts_receivers = false;
        fixture.capabilities.orders_across_streams = false;
        Fixture { in_cluster_mode: true, ..fixture }
    }

    /// As [`Fixture::cluster`], with live events on lanes.
    pub async fn sharded() -> Fixture {
        let mut fixture = Fixture::cluster().await;
        fixture.capabilities.has_lanes = true;
        fixture.capabilities.orders_across_types = false;
        fixture.config["redis"]["cluster"]["pubsub"] = json!("sharded");
        fixture
    }

    /// A Redis server of its own that runs in cluster mode and serves all slots.
    pub async fn cluster_node() -> Fixture {
        Fixture { in_cluster_mode: true, ..Fixture::of(Servers::One(Arc::new(cluster::one_server().await))) }
    }

    /// A Redis server of its own, for clients in hybrid mode.
    pub async fn hybrid() -> Fixture {
        let mut fixture = Fixture::redis().await;
        fixture.config["mode"] = json!("hybrid");
        fixture.capabilities.local_first = true;
        fixture
    }

    fn of(servers: Servers) -> Fixture {
        Fixture {
            capabilities: Capabilities {
                survives_a_broker_restart: true,
                open_to_others: true,
                local_first: false,
                counts_receivers: true,
                has_lanes: false,
                orders_across_streams: true,
                orders_across_types: true,
            },
            config: servers.config(),
            scope: String::new(),
            broker: None,
            servers: Some(servers),
            in_cluster_mode: false,
        }
    }

    /// Another broker of this transport, which keeps what is stored through [`Fixture::restart`]; `None`
    /// without the capability.
    pub async fn lasting(&self) -> Option<Fixture> {
        if !self.capabilities.survives_a_broker_restart {
            return None;
        }
        let settings = RedisServer::builder().arg("appendonly", "yes").arg("appendfsync", "always");
        let in_cluster_mode = self.in_cluster_mode;
        let started = match &self.servers {
            Some(Servers::Sentinel(_)) => Fixture::watched(settings).await,
            Some(Servers::Cluster(_)) => {
                let set = ClusterSet::builder().node(settings).replicas(0).node_timeout(NODE_TIMEOUT);
                Servers::LastingCluster(Arc::new(set.start().await))
            }
            _ if in_cluster_mode => Servers::One(Arc::new(cluster::one_server_of(settings).await)),
            _ => Servers::One(Arc::new(settings.start().await)),
        };
        let lasting = Fixture { in_cluster_mode, ..Fixture::of(started) };
        let mut config = with_mode_of(&self.config, lasting.config);
        if self.capabilities.has_lanes {
            config["redis"]["cluster"]["pubsub"] = json!("sharded");
        }
        Some(Fixture { capabilities: self.capabilities, config, ..lasting })
    }

    /// The same broker with channels and streams of other names, for a test beside others.
    pub fn scoped(&self, scope: &str) -> Fixture {
        let mut fixture = self.clone();
        fixture.scope = scope.to_owned();
        fixture.config["channelPrefix"] = json!(scope);
        fixture
    }

    /// Whether so many have received an event of which `told` were told, as far as the transport counts.
    pub fn are_received(&self, told: i64, expected: i64) -> bool {
        match self.capabilities {
            Capabilities { has_lanes: true, .. } => told >= expected,
            Capabilities { counts_receivers: true, .. } => told == expected,
            _ => (0..=expected).contains(&told),
        }
    }

    /// Asserts that these came, in this order if the transport keeps one across types and rooms.
    #[track_caller]
    pub fn assert_came(&self, mut came: Vec<Value>, expected: &[Value], what: &str) {
        let mut expected = expected.to_vec();
        if !self.capabilities.orders_across_types {
            came.sort_by_cached_key(Value::to_string);
            expected.sort_by_cached_key(Value::to_string);
        }
        assert_eq!(came, expected, "{what}");
    }

    /// A name within its scope.
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.scope)
    }

    /// A connected client.
    pub async fn bus(&self) -> Bus {
        self.bus_with(json!({})).await
    }

    /// A connected client with more configuration.
    pub async fn bus_with(&self, more: Value) -> Bus {
        let bus = self.idle_bus(more);
        // How long its attempts may take is not tried here.
        let limit = u64::try_from(PATIENCE.as_millis()).ok();
        bus.connect_within(limit).await.expect("a connection");
        bus.wait_until_ready(limit).await.expect("a connection");
        bus
    }

    /// A client that was not asked to connect.
    pub fn idle_bus(&self, more: Value) -> Bus {
        let mut config = self.config.clone();
        let fields = config.as_object_mut().expect("an object");
        for (name, value) in more.as_object().expect("an object") {
            match (name.as_str(), value) {
                // Options of Redis go beside the address, not in its place.
                ("redis", Value::Object(more)) if self.servers.is_some() => {
                    let mut redis = match &fields["redis"] {
                        Value::String(url) => json!({ "url": url }),
                        servers => servers.clone(),
                    };
                    redis.as_object_mut().expect("an object").extend(more.clone());
                    fields.insert(name.clone(), redis);
                }
                _ => drop(fields.insert(name.clone(), value.clone())),
            }
        }
        Bus::with_broker(config, self.broker.clone())
    }

    /// Ends the broker and starts it again; empty, unless it is a [`Fixture::lasting`] one.
    ///
    /// # Panics
    /// On a Cluster that other tests use afterwards: nodes take no commands for two seconds after a start.
    pub async fn restart(&self) {
        let servers = self.servers.as_ref().expect("the capability");
        assert!(
            !matches!(servers, Servers::Cluster(_)),
            "the restart of a cluster that others use: see lasting()"
        );
        for server in servers.masters() {
            server.restart().await;
        }
        if let Servers::LastingCluster(set) = servers {
            set.settled().await;
        }
    }

    /// Publishes bytes that Oxbus did not write; returns how many received them.
    pub async fn publish_foreign(&self, channel: &str, message: &[u8]) -> i64 {
        if self.capabilities.has_lanes {
            let (lanes, channel) = (Lanes::new(&self.scope, DEFAULT_LANES), channel.as_bytes());
            let lane = lanes.channel(lanes.of(channel));
            let message = [head_of_message(channel).as_bytes(), channel, message].concat();
            return self.command(&[b"SPUBLISH", lane.as_bytes(), &message]).await.int();
        }
        self.command(&[b"PUBLISH", channel.as_bytes(), message]).await.int()
    }

    /// Runs a command of the server.
    pub async fn command(&self, args: &[impl AsRef<[u8]>]) -> oxbus_testkit::Value {
        self.servers.as_ref().expect("the capability").command(args).await
    }
}
