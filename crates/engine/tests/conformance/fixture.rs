//! A broker to test against.

use std::sync::Arc;

use oxbus_engine::Broker;
use oxbus_testkit::RedisServer;
use serde_json::{Value, json};

use crate::support::Bus;

/// What a transport can do beyond what every one must.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// The broker can go away and come back while clients live: [`Fixture::restart`].
    pub survives_a_broker_restart: bool,
    /// Programs other than Oxbus can publish: [`Fixture::publish_foreign`].
    pub open_to_others: bool,
}

/// A broker of one transport, for one test.
pub struct Fixture {
    pub capabilities: Capabilities,
    config: Value,
    broker: Option<Arc<Broker>>,
    server: Option<RedisServer>,
}

impl Fixture {
    /// The transport in memory.
    pub async fn memory() -> Fixture {
        Fixture {
            capabilities: Capabilities { survives_a_broker_restart: false, open_to_others: false },
            config: json!({ "mode": "memory" }),
            broker: Some(Arc::default()),
            server: None,
        }
    }

    /// A Redis server of its own.
    pub async fn redis() -> Fixture {
        let server = RedisServer::start().await;
        Fixture {
            capabilities: Capabilities { survives_a_broker_restart: true, open_to_others: true },
            config: json!({ "redis": server.url() }),
            broker: None,
            server: Some(server),
        }
    }

    /// A connected client.
    pub async fn bus(&self) -> Bus {
        self.bus_with(json!({})).await
    }

    /// A connected client with more configuration.
    pub async fn bus_with(&self, more: Value) -> Bus {
        let bus = self.idle_bus(more);
        bus.connect().await.expect("a connection");
        bus
    }

    /// A client that was not asked to connect.
    pub fn idle_bus(&self, more: Value) -> Bus {
        let mut config = self.config.clone();
        let fields = config.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        Bus::with_broker(config, self.broker.clone())
    }

    /// Ends the broker and starts it again, empty.
    pub async fn restart(&self) {
        self.server.as_ref().expect("the capability").restart().await;
    }

    /// Publishes bytes that Oxbus did not write; returns how many received them.
    pub async fn publish_foreign(&self, channel: &str, message: &[u8]) -> i64 {
        let server = self.server.as_ref().expect("the capability");
        server.command(&[b"PUBLISH", channel.as_bytes(), message]).await.int()
    }
}
