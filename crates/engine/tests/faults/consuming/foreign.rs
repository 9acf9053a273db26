//! Entries that Oxbus did not write.

use oxbus_testkit::{RedisServer, seeded};
use rand::Rng;
use serde_json::json;

use super::{DEAD_LETTERS, JOBS, keeper, length, member, numbered, settled, store, workers};
use crate::setup::soak;
use crate::support::{Inbox, dead_lettered};

/// Scenario 52: whatever others store, the loop goes on: each entry is an event or a dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_others_store_is_an_event_or_a_dead_letter() {
    const NAMES: [&str; 10] = [
        "eventId",
        "eventType",
        "timestamp",
        "source",
        "correlationId",
        "causationId",
        "data",
        "meta",
        "group",
        "x",
    ];
    const VALUES: [&[u8]; 12] = [
        b"",
        b"job",
        b"job.a",
        b"with space",
        b"room:x",
        b"1",
        b"{\"a\":1}",
        b"{\"a\":",
        b"\"\\ud800\"",
        b"\xff\xfe\x00",
        b"2026-01-02T03:04:05Z",
        b"[[[[[[[[[[[[]]]]]]]]]]]]",
    ];
    let mut rng = seeded("foreign entries");
    let server = RedisServer::start().await;
    let bus = keeper(&server.url(), 30_000).await;
    let inbox = Inbox::with(&bus, &["*"], workers()).await;
    let mut control = server.control().await.unwrap();
    let count = soak(2_000, 50_000);
    for _ in 0..count {
        let mut command: Vec<&[u8]> = vec![b"XADD", JOBS.as_bytes(), b"*"];
        for _ in 0..rng.random_range(1..6) {
            command.push(NAMES[rng.random_range(0..NAMES.len())].as_bytes());
            command.push(VALUES[rng.random_range(0..VALUES.len())]);
        }
        control.call(&command).await.unwrap();
    }
    store(&bus, numbered(0..1)).await;
    settled(&server, "workers").await;
    let counts = bus.stats().counts;
    let dead_letters = counts.events_dead_lettered;
    // An entry that names another group is skipped by this one.
    assert_eq!(inbox.len() as u64 + dead_letters + counts.events_skipped, count + 1);
    // The stream of the dead letters keeps about the newest 10,000.
    let kept = length(&server, DEAD_LETTERS).await as u64;
    assert!(kept == dead_letters || kept >= 10_000, "{kept} of {dead_letters}");
    assert_eq!(inbox.events().last().unwrap().data(), json!(0));
    assert!(dead_letters > 0 && inbox.len() > 1);
    assert!(inbox.events().iter().all(|event| event.text().contains("\"source\":\"")));
    bus.disconnect().await;
}

/// Large entries, good and bad, beside small ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_entries_of_others() {
    const LARGE: usize = 5 << 20;
    let server = RedisServer::start().await;
    let bus = keeper(&server.url(), 30_000).await;
    let inbox = Inbox::with(&bus, &["*"], member("workers", json!({ "concurrency": 2 }))).await;
    let text = format!("\"{}\"", "x".repeat(LARGE));
    for round in 0..3 {
        for (event_type, data) in [("job.large", text.as_str()), ("job.large", &text[..LARGE]), ("", &text)] {
            server.command(&["XADD", JOBS, "*", "eventType", event_type, "data", data]).await;
        }
        store(&bus, numbered(round..round + 1)).await;
    }
    settled(&server, "workers").await;
    assert_eq!((inbox.len(), length(&server, DEAD_LETTERS).await), (6, 6));
    let large = inbox.events().into_iter().filter(|event| event.event_type() == "job.large");
    assert!(large.map(|event| event.data().as_str().unwrap().len()).eq([LARGE; 3]));
    assert!(bus.notices.find(dead_lettered).iter().all(|told| told.reason == "undecodable"));
    bus.disconnect().await;
}
