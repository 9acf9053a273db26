//! Hybrid mode over sentinels: a client reaches its own handlers all the while, and others as soon as there is a master.

use std::time::Duration;

use oxbus_engine::host::Notice;
use oxbus_model::Outcome;
use oxbus_model::observe::stats::LinkMode;
use oxbus_testkit::{SentinelSet, eventually};
use serde_json::json;
use tokio::time::sleep;

use super::load::figure;
use super::of_set;
use crate::setup::{millis, ready, seconds, timed};
use crate::support::{Bus, Inbox, PATIENCE, Remote};

async fn reached(bus: &Bus, mode: LinkMode) {
    eventually(PATIENCE, &format!("{mode:?}"), async || bus.stats().mode == mode).await;
}

/// Whether the client has told that it works alone, and that all is well again.
fn has_told(bus: &Bus, wanted: &str) -> bool {
    let is_told = |notice: &Notice| matches!(notice, Notice::Warning { code, .. } if *code == wanted);
    bus.notices.all().iter().any(is_told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_hybrid_mode_works_alone_until_it_has_found_the_new_master() {
    for is_planned in [true, false] {
        let set = SentinelSet::start().await;
        let old = &set.servers[0];
        let mut config = of_set(&set);
        config["mode"] = json!("hybrid");
        let bus = ready(config).await;
        let inbox = Inbox::of(&bus, &["note"]).await;
        reached(&bus, LinkMode::Hybrid).await;
        let other = ready(of_set(&set)).await;
        let elsewhere = Inbox::of(&other, &["note"]).await;
        bus.publish("note", 0).await.unwrap();
        elsewhere.wait_for(1).await;

        let (mark, of_other) = (bus.notices.mark(), other.notices.mark());
        if is_planned {
            set.fail_over().await;
        } else {
            old.kill();
        }
        let successor = set.successor_of(old.port());
        tokio::pin!(successor);
        let (mut receipts, mut longest) = (Vec::new(), Duration::ZERO);
        let new = loop {
            let (published, took) = timed(bus.publish("note", 1)).await;
            let published = published.unwrap();
            longest = longest.max(took);
            assert_eq!(published.local, 1);
            let outcome = &published.remote;
            assert!(*outcome != Remote::Failed(Outcome::Rejected), "{outcome:?}");
            receipts.push(published);
            tokio::select! {
                new = &mut successor => break new,
                () = sleep(millis(5)) => {}
            }
        };
        figure(&format!("hybrid: {} published, the slowest within {longest:?}", receipts.len()));
        assert!(receipts.len() > 50);
        // Links may be on the old master still, for all that the mode says.
        bus.has_lost(mark, &["publisher", "subscriber"]).await;
        reached(&bus, LinkMode::Hybrid).await;
        if !is_planned {
            assert!(receipts.iter().any(|receipt| matches!(receipt.remote, Remote::Failed(_))));
            let told = async || ["LOCAL_ONLY", "HYBRID_RESTORED"].iter().all(|code| has_told(&bus, code));
            eventually(PATIENCE, "what has happened is told", told).await;
        }
        // Each side gets the events of the other one again, and its own once.
        eventually(seconds(10), "the other one follows too", async || {
            other.health().await["redis"]["sentinel"]["master"] == json!(new.addr().to_string())
        })
        .await;
        other.has_lost(of_other, &["publisher", "subscriber"]).await;
        other.wait_until_ready(Some(20_000)).await.unwrap();
        let last = bus.publish("note", 2).await.unwrap();
        assert_eq!((last.local, last.remote), (1, Remote::Resolved));
        elsewhere.wait_for_id(&last.id).await;
        let answer = other.publish("note", 3).await.unwrap();
        inbox.wait_for_id(&answer.id).await;
        assert!(receipts.iter().all(|receipt| inbox.times(&receipt.id) == 1));
        bus.disconnect().await;
        other.disconnect().await;
    }
}
