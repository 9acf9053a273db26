//! The router and its links, without a server.

use std::sync::Arc;

use bytes::BufMut;
use oxbus_model::topology::redirect::{Endpoint, Redirect};
use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;

use crate::redis::connection::pipeline::Pipeline;
use crate::redis::offline::{nowhere, offline};
use crate::redis::publisher::batches::Batches;
use crate::redis::publisher::group_gate::GroupGate;
use crate::redis::publisher::held::Held;
use crate::redis::publisher::in_flight::Command;
use crate::redis::publisher::input::Input;
use crate::redis::publisher::routed::{FromLink, Routed};
use crate::redis::publisher::router::{Router, RouterStart};
use crate::redis::publisher::target::Targets;
use crate::state::ClientState;
use crate::transport::link_id::LinkId;

/// A router of a client, and what the client knows.
fn router() -> (Router, Arc<ClientState>) {
    let (connector, view, state) = offline(json!({}));
    let gate = Arc::new(GroupGate::new(&[]));
    (Router::new(RouterStart { connector, view, gate, replicated: None, commands: None }), state)
}

/// A link that has ended late says nothing of the one that has taken its place.
#[tokio::test]
async fn what_is_known_of_a_node_is_that_of_its_present_link() {
    let (mut router, state) = router();
    let home = Some(nowhere());
    let id = LinkId::Replicated.at(&nowhere());
    let is_known = || state.lifecycle.links().contains_key(&id);
    router.link(home.clone());
    assert!(is_known());
    router.ended(home.clone());
    assert!(is_known(), "there is another link");
    router.links.remove(&home);
    router.ended(home);
    assert!(!is_known());
}

/// A node that refuses what it then is to have after all: the router waits before it says so, and the link does not wait as well.
#[test]
fn a_target_that_stays_goes_on_when_the_router_says_so() {
    let (router, mut told) = unbounded_channel();
    let mut routed = Routed::new(Some(nowhere()), router, Targets::new(1, 0, true));
    let (mut pipeline, mut batches) = (Pipeline::new(), Batches::new(&[]));
    let mut held = Held::new(GroupGate::new(&[]).now());
    let entry = || Command::Entry { batch: 1, index: 0, deadline: 100_000, stream: 0 };
    pipeline.push(entry(), 9, |out| out.put_slice(b"x"));
    pipeline.written_with(1, 0, 1, |_| false, |command, bytes| routed.sent(command, bytes));
    let command = pipeline.answered().expect("a command");
    let written = routed.answered().expect("what was written");
    let redirect = Redirect::Moved(1, Endpoint { host: "127.0.0.1".into(), port: 1 });
    routed.refused(command, &written, Some(redirect), 9, &mut pipeline, 1_000);
    assert!(matches!(told.try_recv(), Ok(FromLink::Redirected(_))));
    assert!(routed.advance(&mut batches, &pipeline, 50_000).is_empty(), "the router has not said so");
    routed.input(Input::Resume(0), &mut pipeline, &mut held, 50_000);
    assert_eq!(routed.advance(&mut batches, &pipeline, 50_000).len(), 1);
}
