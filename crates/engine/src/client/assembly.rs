//! How a client is made of its parts.

use std::sync::{Arc, Weak};

use oxbus_model::config::Config;
use tokio::runtime::Handle;

use super::core::Core;
use super::transport_events::ClientEvents;
use crate::gap::Gaps;
use crate::host::Host;
use crate::memory::{Broker, MemoryTransport, Timed};
use crate::redis::RedisTransport;
use crate::runtime::clock::Clock;
use crate::state::ClientState;
use crate::transport::Transport;

/// Makes a client; no I/O. `broker` is what a client in memory mode publishes to, and is ignored in others.
pub(super) fn assemble(
    config: Config,
    broker: Option<Arc<Broker>>,
    host: Arc<dyn Host>,
    runtime: Handle,
) -> Arc<Core> {
    let broker = (!config.mode.has_server()).then(|| broker.unwrap_or_default());
    let clock = Clock::start(broker.as_ref().and_then(|broker| broker.virtual_time()));
    let core = over(config, host, clock, runtime.clone(), |events| {
        let context = events.context(events.clone());
        match &broker {
            Some(broker) => Arc::new(MemoryTransport::new(context, broker.clone())),
            None => Arc::new(RedisTransport::new(context, runtime)),
        }
    });
    if let Some(broker) = broker {
        let timed: Weak<dyn Timed> = Arc::downgrade(&core) as Weak<dyn Timed>;
        broker.keep_time_for(timed);
    }
    core
}

/// A client over any transport, which `transport` makes of the client's side of its events.
pub(super) fn over(
    config: Config,
    host: Arc<dyn Host>,
    clock: Clock,
    runtime: Handle,
    transport: impl FnOnce(&Arc<ClientEvents>) -> Arc<dyn Transport>,
) -> Arc<Core> {
    let instance_id = uuid::Uuid::new_v4().simple().to_string();
    let state = Arc::new(ClientState::new(config, &instance_id, host, clock));
    // The one late binding of a client: what a transport reports goes to parts that use the transport. The parts own
    // the transport, and the transport knows them weakly.
    Arc::new_cyclic(|core| {
        let transport = transport(&Arc::new(ClientEvents::new(state.clone(), core.clone())));
        let gaps = state.config.mode.has_server().then(|| Gaps::new(state.clone(), transport.store()));
        Core::new(state, transport, runtime, gaps)
    })
}
