//! A single server, and links over a topology of several.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxbus_model::ErrorKind;
use oxbus_model::config::{Config, Environment};
use oxbus_model::stream_store::Request;
use oxbus_testkit::RedisServer;
use oxbus_testkit::eventually;
use oxbus_testkit::server::unused_port;

use super::*;
use crate::client::ClientEvents;
use crate::host::Host;
use crate::redis::RedisTransport;
use crate::runtime::clock::Clock;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;

use crate::transport::Transport;

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

fn local(port: u16) -> Address {
    Address::Tcp { host: "127.0.0.1".to_owned(), port }
}

/// Servers in a ring: a link goes on to the next one when one does not do.
struct Ring {
    servers: Vec<Address>,
    /// The one that is tried, and what became of all attempts so far.
    tried: Arc<Mutex<(usize, Vec<ConnectionOutcome>)>>,
}

impl Topology for Ring {
    fn locate<'a>(&'a self, _link: &'a LinkId) -> Boxed<'a, Result<Address, BusError>> {
        let (at, _) = *self.tried.lock().unwrap();
        Box::pin(std::future::ready(Ok(self.servers[at % self.servers.len()].clone())))
    }

    fn learn(&self, link: &LinkId, address: &Address, outcome: ConnectionOutcome) {
        assert_eq!(*link, LinkId::Consumer);
        let (at, outcomes) = &mut *self.tried.lock().unwrap();
        assert_eq!(*address, self.servers[*at % self.servers.len()]);
        *at += usize::from(outcome != ConnectionOutcome::Connected);
        outcomes.push(outcome);
    }
}

#[tokio::test]
async fn a_single_server_stays_the_one_whatever_becomes_of_it() {
    let topology = SingleServer(local(1));
    for outcome in [ConnectionOutcome::NotMaster, ConnectionOutcome::Failed, ConnectionOutcome::Connected] {
        topology.learn(&LinkId::Publisher, &local(1), outcome);
        assert_eq!(topology.locate(&LinkId::Publisher).await, Ok(local(1)));
    }
}

#[test]
fn a_demoted_master_is_told_from_a_server_that_is_away() {
    let outcome = |kind| ConnectionOutcome::of(&BusError::new(kind, ""));
    assert_eq!(outcome(ErrorKind::NotMaster), ConnectionOutcome::NotMaster);
    assert_eq!(outcome(ErrorKind::ConnectionRefused), ConnectionOutcome::Failed);
}

#[tokio::test]
async fn a_link_asks_for_its_server_at_each_attempt_and_tells_what_came_of_it() {
    let master = RedisServer::start().await;
    let replica = RedisServer::builder().replica_of(master.port()).start().await;
    let tried = Arc::new(Mutex::new((0, Vec::new())));
    let servers = vec![local(unused_port()), local(replica.port()), local(master.port())];
    let ring = Box::new(Ring { servers, tried: tried.clone() });
    let config = Config::resolve("{}", &Environment::default()).unwrap();
    let state = Arc::new(ClientState::new(config, "instance", Arc::new(Deaf), Clock::start(None)));
    let events = ClientEvents::detached(state);
    let transport = RedisTransport::over(events.context(events.clone()), Tasks::current(events.log()), ring);
    let store = transport.store();
    let answers = || async { store.execute(Request::Time).await.is_ok() };
    eventually(Duration::from_secs(30), "the master is found", answers).await;
    let found = [ConnectionOutcome::Failed, ConnectionOutcome::NotMaster, ConnectionOutcome::Connected];
    assert_eq!(tried.lock().unwrap().1, found);
    // The loss of a connection is told as well.
    master.stop().await;
    let told = || std::future::ready(tried.lock().unwrap().1.get(3).copied());
    let lost = oxbus_testkit::eventually_some(Duration::from_secs(30), "the loss is told", told).await;
    assert_eq!(lost, ConnectionOutcome::Failed);
    transport.close();
    transport.ended().await;
}
