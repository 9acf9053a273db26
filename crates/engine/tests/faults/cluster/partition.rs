//! A master that no client can reach, while the other nodes can.

use oxbus_model::topology::lanes::Lanes;
use oxbus_testkit::{ClusterSet, FaultProxy, eventually};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::proxied::Proxied;
use super::sharded::able;
use super::{TYPES, judge, kept};
use crate::setup::{assert_between, gaps_since, is_gap, ready, seconds, timed};
use crate::support::{Bus, Inbox, PATIENCE, Published, Record};

/// How long the master is cut off: longer than a client takes to find out.
const CUT: std::time::Duration = std::time::Duration::from_secs(4);

/// Publishes, handles and hears events while a node is cut off, and when it can be reached again.
async fn lives_through(proxied: &Proxied, node: usize, config: Value, publisher: &Bus, live: (&Bus, &Inbox)) {
    let (bus, heard) = live;
    let worker = ready(config).await;
    let handled = Inbox::with(&worker, &["o.*", "m.*", "p.*"], json!({ "group": "workers" })).await;
    for event_type in TYPES {
        publisher.publish_with(event_type, 0, json!({ "id": format!("before-{event_type}") })).await.unwrap();
        handled.wait_for_id(&format!("before-{event_type}")).await;
        heard.wait_for_id(&format!("before-{event_type}")).await;
    }
    let mark = publisher.notices.mark();
    let (here, elsewhere) = proxied.cut_off(node).await;
    let cut = Instant::now();
    let vain = |n: u64| Record::new(here, n).with(json!({ "id": format!("vain-{n}"), "timeout": 1_500 }));
    let records: Vec<Record> = (0..5).map(vain).collect();
    let vain = async { timed(publisher.start_publish(&records).results()).await };
    let going_on = async {
        let mut count = 0_u64;
        while cut.elapsed() < CUT {
            for event_type in &elsewhere {
                let id = format!("on-{event_type}-{count}");
                let options = json!({ "id": id, "timeout": 20_000 });
                publisher.publish_with(*event_type, count, options).await.unwrap();
                handled.wait_for_id(&id).await;
            }
            count += 1;
        }
        count
    };
    let ((vain, took), count) = tokio::join!(vain, going_on);
    assert_between(took, 0, 1_500);
    assert!(count > 0);
    let results: Vec<(String, Published)> =
        vain.into_iter().enumerate().map(|(n, result)| (format!("vain-{n}"), result)).collect();
    assert!(results.iter().all(|(_, result)| result.is_err()), "{results:?}");
    // Still one that is never sent.
    let late = json!({ "id": "never", "timeout": 300 });
    let (never, took) = timed(publisher.publish_with(here, 9, late)).await;
    assert_between(took, 300, 300);
    let never = ("never".to_owned(), never);
    assert!(never.1.is_err());
    let address = proxied.proxies[node].addr().to_string();
    let named = || async {
        let health = worker.health().await;
        let link = &health["connections"][format!("consumer@{address}")];
        link["status"] != "up" && health["status"] == "degraded" && !link.is_null()
    };
    eventually(PATIENCE, "the health report names the node", named).await;

    // Otherwise the next publish would be written to the connection that stood still, which the client may give up then.
    publisher.has_lost(mark, &[&format!("publisher@{address}")]).await;
    proxied.heal(node);
    let id = "after";
    publisher.publish_with(here, 10, json!({ "id": id, "timeout": 30_000 })).await.unwrap();
    handled.wait_for_id(id).await;
    heard.wait_for_id(id).await;
    bus.notices.wait_for(is_gap).await;
    let stored = kept(&proxied.set).await;
    let (lost, _) = judge(&results.into_iter().chain([never]).collect::<Vec<_>>(), &stored);
    assert_eq!(lost, 0);
    super::handled(&handled, &stored).await;
    // What was stored although nobody was told of it may not have been published.
    let told = stored.into_iter().filter(|(id, _)| !id.starts_with("vain")).collect();
    super::handled(heard, &told).await;
    let well = || async { worker.health().await["status"] == "healthy" };
    eventually(PATIENCE, "all is well again", well).await;
    assert_eq!((gaps_since(bus, 0), gaps_since(&worker, 0)), (1, 0));
    worker.disconnect().await;
}

/// The node is the one by which the client hears live events: it hears them from another one, and has missed none of those that are stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_masters_go_on_while_one_cannot_be_reached() {
    let proxied = Proxied::start().await;
    let config = proxied.config("broadcast");
    let (publisher, bus) = (ready(config.clone()).await, ready(config.clone()).await);
    let heard = Inbox::of(&bus, &["o.*", "m.*", "p.*"]).await;
    let hears = |proxy: &FaultProxy| !proxy.connections_containing("psubscribe").is_empty();
    let node = proxied.proxies.iter().position(hears).expect("a node that tells of events");
    lives_through(&proxied, node, config, &publisher, (&bus, &heard)).await;
    publisher.disconnect().await;
    bus.disconnect().await;
}

/// With lanes some are not heard until the node can be reached again, and then there is the gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_of_the_other_masters_go_on_while_one_cannot_be_reached() {
    let set = ClusterSet::builder().replicas(0).node_timeout(seconds(60)).start().await;
    let Some(set) = able(set).await else { return };
    let proxied = Proxied::of(set).await;
    let config = proxied.config("sharded");
    let (publisher, bus) = (ready(config.clone()).await, ready(config.clone()).await);
    let heard = Inbox::of(&bus, &["o.*", "m.*", "p.*"]).await;
    // The lanes of the other types are elsewhere.
    let node = proxied.of_stream("users").await;
    for event_type in ["o.a", "m.a"] {
        let lanes = Lanes::new("", 16);
        let slot = lanes.slot(lanes.of(event_type.as_bytes())).expect("a lane");
        assert_ne!(proxied.set.master_of(slot).await.port(), proxied.set.nodes()[node].port());
    }
    lives_through(&proxied, node, config, &publisher, (&bus, &heard)).await;
    publisher.disconnect().await;
    bus.disconnect().await;
}
