//! How soon an idle client of a group takes what another has handed back, or has left behind.

use std::collections::HashSet;
use std::sync::Arc;

use oxbus_engine::host::Notice;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::{FaultProxy, RedisServer, eventually};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{hasty_keeper, keeper, numbered, pending, settled, sorted, store, workers};
use crate::setup::{assert_between, millis, ready, timed};
use crate::support::{Bus, Event, Inbox, PATIENCE};

/// So long that only a hand-back frees an entry while a test runs, and a look by the lease alone comes too late.
const LONG: u64 = 60_000;
/// The shortest lease that there is.
const SHORTEST: u64 = 100;
/// How long an idle client may take for what is handed back.
const SOON: u64 = 1_000;
/// How many entries an owner holds.
const COUNT: u64 = 20;
const HAND_BACKS: &str = "oxbus:handed-back";

/// A client that holds all of [`COUNT`] new entries: half of them are being handled until permits are given, the others wait.
struct Owner {
    bus: Bus,
    subscription: u32,
    permit: Arc<Semaphore>,
}

impl Owner {
    async fn of(server: &RedisServer, config: Value) -> Owner {
        let bus = ready(config).await;
        let (permit, started) = (Arc::new(Semaphore::new(0)), Inbox::default());
        let (wait, begun) = (permit.clone(), started.clone());
        let handler = move |event: Event| {
            begun.put(event);
            let wait = wait.clone();
            async move {
                wait.acquire().await.expect("a permit").forget();
                Settlement::Succeeded
            }
        };
        let half = super::member("workers", json!({ "concurrency": COUNT / 2 }));
        let subscription = bus.subscribe_async(&["job"], half, handler).await.unwrap();
        store(&bus, numbered(0..COUNT)).await;
        started.wait_for(COUNT as usize / 2).await;
        let held = async || pending(server, "workers").await == COUNT as i64;
        eventually(PATIENCE, "the owner holds all", held).await;
        Owner { bus, subscription, permit }
    }

    /// Closes, and finishes what is being handled once `others` is done.
    async fn close(self, others: impl Future<Output = ()>) {
        tokio::join!(self.bus.disconnect(), async {
            others.await;
            self.permit.add_permits(COUNT as usize);
        });
    }
}

/// An idle member of the group, which has looked for what it could take: it finds nothing by chance in time.
async fn idle(server: &RedisServer, config: Value) -> (Bus, Inbox) {
    let others: HashSet<String> = server.clients().await.iter().map(|client| client["id"].clone()).collect();
    let bus = ready(config).await;
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    // Not any second one: an owner that holds enough reads nothing more.
    let reads = async || {
        let clients = server.clients().await;
        clients.iter().any(|client| client["cmd"] == "xreadgroup" && !others.contains(&client["id"]))
    };
    eventually(PATIENCE, "a reader of its own", reads).await;
    (bus, inbox)
}

fn quiet(url: &str) -> Value {
    let mut config = hasty_keeper(url, LONG);
    config["pubsub"] = json!(false);
    config
}

/// What is handed back by `owner` reaches `peer` soon, when the owner's subscription ends and when it closes.
async fn handed_back_is_taken_soon(server: &RedisServer, owner: Value, peer: Value, heard: u64) {
    let rest: Vec<u64> = (COUNT / 2..COUNT).collect();
    for closes in [false, true] {
        let owner = Owner::of(server, owner.clone()).await;
        let (bus, inbox) = idle(server, peer.clone()).await;
        let tells = async || server.pubsub_numsub(HAND_BACKS).await == heard;
        eventually(PATIENCE, "those who hear of hand-backs", tells).await;
        assert_eq!(inbox.len(), 0);
        let taken = async || assert_between(timed(inbox.wait_for(rest.len())).await.1, 0, SOON);
        if closes {
            owner.close(taken()).await;
        } else {
            assert!(owner.bus.unsubscribe(owner.subscription).await);
            taken().await;
            owner.permit.add_permits(COUNT as usize);
            settled(server, "workers").await;
            owner.bus.disconnect().await;
        }
        settled(server, "workers").await;
        assert_eq!(sorted(&inbox), rest);
        bus.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_back_is_taken_when_a_message_tells_of_it() {
    let server = RedisServer::start().await;
    let config = hasty_keeper(&server.url(), LONG);
    handed_back_is_taken_soon(&server, config.clone(), config, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_back_is_taken_where_the_channel_is_denied() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "resetchannels", "&broadcast"]).await;
    let config = hasty_keeper(&server.url(), LONG);
    handed_back_is_taken_soon(&server, config.clone(), config, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_back_is_taken_without_pubsub() {
    let server = RedisServer::start().await;
    handed_back_is_taken_soon(&server, quiet(&server.url()), quiet(&server.url()), 0).await;
}

/// A worker without live events next to a service that has them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_back_is_taken_where_only_one_of_both_has_pubsub() {
    let server = RedisServer::start().await;
    let config = hasty_keeper(&server.url(), LONG);
    handed_back_is_taken_soon(&server, quiet(&server.url()), config.clone(), 1).await;
    handed_back_is_taken_soon(&server, config, quiet(&server.url()), 1).await;
}

/// The message is lost with the connection on which it would have come: the client looks once that is noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_back_is_taken_when_its_message_is_lost() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    for stands_still in [false, true] {
        let owner = Owner::of(&server, hasty_keeper(&server.url(), LONG)).await;
        let (peer, inbox) = idle(&server, hasty_keeper(&proxy.url(), LONG)).await;
        let hears = async || server.pubsub_numsub(HAND_BACKS).await == 2;
        eventually(PATIENCE, "both hear of hand-backs", hears).await;
        let subscriber = proxy.wait_for_connection(HAND_BACKS).await;
        let down = |n: &Notice| matches!(n, Notice::Disconnected { link, .. } if &**link == "subscriber");
        let mark = peer.notices.mark();
        if stands_still {
            proxy.freeze_replies(subscriber);
        } else {
            proxy.refuse(true);
            proxy.cut(subscriber);
            peer.notices.wait_from(mark, down).await;
        }
        assert!(owner.bus.unsubscribe(owner.subscription).await);
        let taken = async || assert_between(timed(inbox.wait_for(COUNT as usize / 2)).await.1, 0, SOON);
        if stands_still {
            // The message is on the connection that the client believes in until its heartbeat has no answer.
            peer.notices.wait_from(mark, down).await;
        }
        taken().await;
        proxy.refuse(false);
        owner.permit.add_permits(COUNT as usize);
        settled(&server, "workers").await;
        owner.bus.disconnect().await;
        peer.disconnect().await;
        assert_eq!(sorted(&inbox), (COUNT / 2..COUNT).collect::<Vec<_>>());
    }
}

/// The look that the message has caused is lost: the next one is soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_back_is_taken_when_the_look_for_it_is_lost() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let owner = Owner::of(&server, hasty_keeper(&server.url(), LONG)).await;
    let (peer, inbox) = idle(&server, hasty_keeper(&proxy.url(), LONG)).await;
    let hears = async || server.pubsub_numsub(HAND_BACKS).await == 2;
    eventually(PATIENCE, "both hear of hand-backs", hears).await;
    // The connection that keeps the group's facts is the one that looks.
    let commands = proxy.wait_for_connection("oxbus:alive").await;
    proxy.cut_connection_after_swallowing(commands, 1);
    assert!(owner.bus.unsubscribe(owner.subscription).await);
    let ((), took) = timed(inbox.wait_for(COUNT as usize / 2)).await;
    assert_between(took, 0, 2 * SOON);
    owner.permit.add_permits(COUNT as usize);
    settled(&server, "workers").await;
    owner.bus.disconnect().await;
    peer.disconnect().await;
}

/// What a client that dies has held is elsewhere soon after its lease, while a peer or two are idle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_client_held_is_taken_by_idle_peers() {
    for peers in [1, 2] {
        let server = RedisServer::start().await;
        let owner = Owner::of(&server, hasty_keeper(&server.url(), SHORTEST)).await;
        let mut idlers = Vec::new();
        for _ in 0..peers {
            idlers.push(idle(&server, hasty_keeper(&server.url(), SHORTEST)).await);
        }
        owner.bus.client().destroy();
        assert_taken(&server, &idlers.iter().map(|(_, inbox)| inbox.clone()).collect::<Vec<_>>()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_client_held_is_taken_by_one_that_starts_after_its_death() {
    let server = RedisServer::start().await;
    let owner = Owner::of(&server, hasty_keeper(&server.url(), SHORTEST)).await;
    owner.bus.client().destroy();
    let late = keeper(&server.url(), SHORTEST).await;
    let inbox = Inbox::with(&late, &["job"], workers()).await;
    assert_taken(&server, &[inbox]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_client_held_is_taken_by_one_whose_connections_were_cut_meanwhile() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let owner = Owner::of(&server, hasty_keeper(&server.url(), SHORTEST)).await;
    let (_peer, inbox) = idle(&server, hasty_keeper(&proxy.url(), SHORTEST)).await;
    owner.bus.client().destroy();
    let cuts = async {
        // At different moments of the lease and behind it.
        for _ in 0..20 {
            proxy.cut_all();
            tokio::time::sleep(millis(SHORTEST / 4)).await;
        }
    };
    let inboxes = [inbox];
    tokio::join!(cuts, assert_taken(&server, &inboxes));
}

/// All entries of a dead client are handled within the shortest lease and five seconds.
async fn assert_taken(server: &RedisServer, inboxes: &[Inbox]) {
    let handled = async || {
        let mut all: Vec<u64> = inboxes.iter().flat_map(sorted).collect();
        all.sort_unstable();
        all.dedup();
        all.len() as u64 == COUNT
    };
    let ((), took) = timed(eventually(PATIENCE, "all that the dead one had", handled)).await;
    assert_between(took, 0, SHORTEST + 5_000);
    settled(server, "workers").await;
}
