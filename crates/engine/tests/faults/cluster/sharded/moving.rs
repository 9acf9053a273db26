//! Lanes whose slots move.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use oxbus_engine::host::Notice;
use oxbus_testkit::ClusterSet;
use serde_json::json;
use tokio::time::sleep;

use super::{able, lanes, master_of, sharded, type_on};
use crate::setup::{gaps_since, is_gap, millis, ready};
use crate::support::{Bus, Inbox, Record};

/// Publishes numbers of a type until it is told to stop, and gives how many.
struct Numbers {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u64>,
}

impl Numbers {
    fn start(bus: Arc<Bus>, event_type: String) -> Numbers {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut count = 0;
            while !stopped.load(Relaxed) {
                let records =
                    (count..count + 5).map(|n| Record::new(&event_type, n).with_id(&format!("e{n}")));
                for result in bus.publish_many(records.collect()).await {
                    result.unwrap();
                }
                count += 5;
                sleep(millis(2)).await;
            }
            count
        });
        Numbers { stop, task }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.task.await.unwrap()
    }
}

/// What a gap says: how many were recovered, and whether these are all.
async fn gap_from(bus: &Bus, mark: usize) -> (u64, bool, Vec<String>) {
    match bus.notices.wait_from(mark, is_gap).await {
        Notice::Gap { recovered, complete, patterns, .. } => (recovered, complete, patterns),
        other => panic!("{other:?}"),
    }
}

/// The lane of live events moves under load: it is heard at its new home at once, one gap tells of what was missed, and
/// nothing else is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_moves_is_one_gap() {
    let Some(set) = able(ClusterSet::builder().replicas(0).start().await).await else { return };
    let (publisher, bus) = (Arc::new(ready(sharded(&set)).await), ready(sharded(&set)).await);
    let name = type_on(2);
    let moved = Inbox::of(&bus, &[&name]).await;
    let all = Inbox::of(&bus, &["live.*"]).await;
    let other = Inbox::of(&bus, &[&type_on(9)]).await;
    let load = Numbers::start(publisher.clone(), name.clone());
    moved.wait_for(100).await;
    let from = master_of(&set, 2).await;
    let to = set.nodes().iter().find(|node| node.port() != from.port()).unwrap();
    let mark = bus.notices.mark();
    set.move_slot(lanes().slot(2).unwrap(), to).await;
    let (recovered, complete, patterns) = gap_from(&bus, mark).await;
    assert_eq!((recovered, complete, patterns), (0, false, vec!["live.*".to_owned(), name.clone()]));
    let before = moved.len();
    moved.wait_for(before + 100).await;
    publisher.publish(type_on(9), 0).await.unwrap();
    other.wait_for(1).await;
    let count = load.end().await;
    publisher.publish_with(&name, count, json!({ "id": "last" })).await.unwrap();
    moved.wait_for_id("last").await;
    all.wait_for_id("last").await;
    assert_eq!(gaps_since(&bus, mark), 1);
    let heard: Vec<u64> = moved.data().iter().map(|data| data.as_u64().unwrap()).collect();
    assert!(heard.is_sorted(), "in order, and none twice");
    // All that is missing was published one after the other, while the slot moved.
    let known: BTreeSet<u64> = heard.into_iter().collect();
    let missing: Vec<u64> = (0..count).filter(|n| !known.contains(n)).collect();
    if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
        assert_eq!(last - first + 1, missing.len() as u64, "{missing:?}");
    }
    bus.disconnect().await;
    publisher.disconnect().await;
}

/// Where a stream stores the type, nothing is lost: what the gap has missed is read from there, and comes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_moving_lane_has_missed_is_read_from_the_stream() {
    let Some(set) = able(ClusterSet::builder().replicas(0).start().await).await else { return };
    let (publisher, bus) = (Arc::new(ready(sharded(&set)).await), ready(sharded(&set)).await);
    let lane = lanes().of(b"o.a");
    let inbox = Inbox::of(&bus, &["o.*"]).await;
    let load = Numbers::start(publisher.clone(), "o.a".to_owned());
    inbox.wait_for(100).await;
    for round in 1..=3 {
        let from = master_of(&set, lane).await;
        let at = set.nodes().iter().position(|node| node.port() == from.port()).unwrap();
        let (mark, slot, to) = (bus.notices.mark(), lanes().slot(lane).unwrap(), &set.nodes()[(at + 1) % 3]);
        if round == 3 && set.moves_at_once().await {
            set.move_slots_at_once(slot..=slot, to).await;
        } else {
            set.move_slot(slot, to).await;
        }
        let (_, complete, _) = gap_from(&bus, mark).await;
        assert!(complete, "round {round}");
        let before = inbox.len();
        inbox.wait_for(before + 100).await;
        assert_eq!(gaps_since(&bus, mark), 1, "round {round}");
    }
    let count = load.end().await;
    inbox.wait_for(count as usize).await;
    let mut heard: Vec<u64> = inbox.data().iter().map(|data| data.as_u64().unwrap()).collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..count).collect::<Vec<_>>(), "each once");
    bus.disconnect().await;
    publisher.disconnect().await;
}
