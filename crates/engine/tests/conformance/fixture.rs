//! A broker to test against.

use std::sync::Arc;

use oxbus_engine::Broker;
use oxbus_testkit::{RedisServer, cluster};
use serde_json::{Value, json};

use crate::support::Bus;

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
    server: Option<Arc<RedisServer>>,
    /// Whether its servers run in cluster mode.
    in_cluster_mode: bool,
}

impl Fixture {
    /// The transport in memory.
    pub async fn memory() -> Fixture {
        Fixture {
            capabilities: Capabilities {
                survives_a_broker_restart: false,
                open_to_others: false,
                local_first: false,
            },
            config: json!({ "mode": "memory" }),
            scope: String::new(),
            broker: Some(Arc::default()),
            server: None,
            in_cluster_mode: false,
        }
    }

    /// A Redis server of its own.
    pub async fn redis() -> Fixture {
        Fixture::of(RedisServer::start().await)
    }

    /// A Redis server of its own that runs in cluster mode and serves all slots.
    pub async fn cluster() -> Fixture {
        Fixture { in_cluster_mode: true, ..Fixture::of(cluster::one_server().await) }
    }

    /// A Redis server of its own, for clients in hybrid mode.
    pub async fn hybrid() -> Fixture {
        let mut fixture = Fixture::redis().await;
        fixture.config["mode"] = json!("hybrid");
        fixture.capabilities.local_first = true;
        fixture
    }

    fn of(server: RedisServer) -> Fixture {
        Fixture {
            capabilities: Capabilities {
                survives_a_broker_restart: true,
                open_to_others: true,
                local_first: false,
            },
            config: json!({ "redis": server.url() }),
            scope: String::new(),
            broker: None,
            server: Some(Arc::new(server)),
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
        let started =
            if in_cluster_mode { cluster::one_server_of(settings).await } else { settings.start().await };
        let lasting = Fixture { in_cluster_mode, ..Fixture::of(started) };
        let config = with_mode_of(&self.config, lasting.config);
        Some(Fixture { capabilities: self.capabilities, config, ..lasting })
    }

    /// The same broker with channels and streams of other names, for a test beside others.
    pub fn scoped(&self, scope: &str) -> Fixture {
        let mut fixture = self.clone();
        fixture.scope = scope.to_owned();
        fixture.config["channelPrefix"] = json!(scope);
        fixture
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
        bus.connect().await.expect("a connection");
        bus.wait_until_ready(None).await.expect("a connection");
        bus
    }

    /// A client that was not asked to connect.
    pub fn idle_bus(&self, more: Value) -> Bus {
        let mut config = self.config.clone();
        let fields = config.as_object_mut().expect("an object");
        for (name, value) in more.as_object().expect("an object") {
            match (name.as_str(), value) {
                // Options of Redis go beside the address, not in its place.
                ("redis", Value::Object(more)) if self.server.is_some() => {
                    let mut redis = json!({ "url": fields["redis"] });
                    redis.as_object_mut().expect("an object").extend(more.clone());
                    fields.insert(name.clone(), redis);
                }
                _ => drop(fields.insert(name.clone(), value.clone())),
            }
        }
        Bus::with_broker(config, self.broker.clone())
    }

    /// Ends the broker and starts it again; empty, unless it is a [`Fixture::lasting`] one.
    pub async fn restart(&self) {
        self.server.as_ref().expect("the capability").restart().await;
    }

    /// Publishes bytes that Oxbus did not write; returns how many received them.
    pub async fn publish_foreign(&self, channel: &str, message: &[u8]) -> i64 {
        self.command(&[b"PUBLISH", channel.as_bytes(), message]).await.int()
    }

    /// Runs a command of the server.
    pub async fn command(&self, args: &[impl AsRef<[u8]>]) -> oxbus_testkit::Value {
        self.server.as_ref().expect("the capability").command(args).await
    }
}
