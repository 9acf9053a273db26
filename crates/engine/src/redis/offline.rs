//! For tests: a client of a Cluster that nobody answers.

use std::sync::Arc;

use oxbus_model::config::{Address, Config, Environment, Servers};
use serde_json::{Value, json};

use crate::client::ClientEvents;
use crate::host::Host;
use crate::redis::connection::endpoint::Endpoint;
use crate::redis::connection::handshake::Handshake;
use crate::redis::connection::link::Connector;
use crate::redis::connection::names::SystemNames;
use crate::redis::topology::SingleServer;
use crate::redis::topology::cluster::view::ClusterView;
use crate::runtime::clock::Clock;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

/// Where nobody listens.
pub(in crate::redis) fn nowhere() -> Address {
    let config = Config::resolve(r#"{"redis":"redis://127.0.0.1:1"}"#, &Environment::default()).unwrap();
    match config.redis.servers {
        Servers::One(address) => address,
        other => panic!("{other:?}"),
    }
}

/// What makes links, all to [`nowhere`], and what the client knows. `cluster`: options beside its nodes.
pub(in crate::redis) fn offline(mut cluster: Value) -> (Connector, Arc<ClusterView>, Arc<ClientState>) {
    cluster["nodes"] = json!(["127.0.0.1:1"]);
    let config = json!({ "redis": { "cluster": cluster } }).to_string();
    let config = Config::resolve(&config, &Environment::default()).unwrap();
    let Servers::Cluster(servers) = &config.redis.servers else { panic!("{config:?}") };
    let view = Arc::new(ClusterView::new(servers));
    let handshake = Arc::new(Handshake::new(&config, Box::new(SystemNames)));
    let endpoint = Endpoint::new(Box::new(SingleServer(nowhere())), handshake);
    let state = Arc::new(ClientState::new(config, "this-start", Arc::new(Deaf), Clock::start(None)));
    let events = ClientEvents::detached(state.clone());
    let tasks = Tasks::current(events.log());
    (Connector { context: Arc::new(events.context(events.clone())), endpoint, tasks }, view, state)
}
