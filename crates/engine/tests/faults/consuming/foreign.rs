//! Entries that Oxbus did not write, and consumers that it did not make.

use oxbus_model::delivery::Settlement;
use oxbus_testkit::{RedisServer, eventually, seeded};
use rand::Rng;
use serde_json::json;

use super::{
    DEAD_LETTERS, JOBS, keeper, keeper_beside_others, length, member, numbered, pending, settled, sorted,
    store, workers,
};
use crate::setup::{assert_between, soak, timed};
use crate::support::{Inbox, PATIENCE, dead_lettered};

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
    // An entry that names another group is skipped by this one. What the server has done is counted when it has answered.
    let all_counted = async || {
        let counts = bus.stats().counts;
        inbox.len() as u64 + counts.events_dead_lettered + counts.events_skipped == count + 1
    };
    eventually(PATIENCE, "every entry is an event, a dead letter or skipped", all_counted).await;
    let dead_letters = bus.stats().counts.events_dead_lettered;
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

/// A program of another make shares the group, and is slow: it keeps what it reads. A client of ours that dies beside it is
/// replaced as soon as ever, and what the other program leaves behind is found in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_program_of_another_make_keeps_what_it_reads() {
    const LEASE: u64 = 400;
    const FOREIGN_LEASE: u64 = 6_000;
    let server = RedisServer::start().await;
    let url = server.url();
    let open = || keeper_beside_others(&url, LEASE, FOREIGN_LEASE);
    let (one, two) = (open().await, open().await);
    let begun = Inbox::default();
    let kept = begun.clone();
    let stuck = move |event| {
        kept.put(event);
        std::future::pending::<Settlement>()
    };
    one.subscribe_async(&["job"], workers(), stuck).await.unwrap();
    store(&two, numbered(0..3)).await;
    begun.wait_for(3).await;
    one.client().destroy();

    let mut other = server.control().await.unwrap();
    let read = tokio::time::Instant::now();
    let ids = store(&two, numbered(3..6)).await;
    let command =
        ["XREADGROUP", "GROUP", "workers", "worker.py", "COUNT", "10", "BLOCK", "5000", "STREAMS", JOBS, ">"];
    other.call(&command).await.unwrap();
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    let ((), took) = timed(inbox.wait_for(3)).await;
    assert_between(took, 0, LEASE + 5_000);
    // It acknowledges two after several leases, and dies with the third.
    let idle = LEASE * 4;
    let slow = async || {
        let (idle, worker) = (idle.to_string(), "worker.py");
        let command = ["XPENDING", JOBS, "workers", "IDLE", &idle, "-", "+", "10", worker];
        server.command(&command).await.items().len() == 3
    };
    eventually(PATIENCE, "a program that is slower than the lease", slow).await;
    other.call(&["XACK", JOBS, "workers", &ids[0], &ids[1]]).await.unwrap();
    drop(other);
    inbox.wait_for(4).await;
    assert!(read.elapsed().as_millis() >= u128::from(FOREIGN_LEASE), "{:?}", read.elapsed());
    settled(&server, "workers").await;
    assert_eq!((sorted(&inbox), pending(&server, "workers").await), (vec![0, 1, 2, 5], 0));
    let last = inbox.events().pop().unwrap();
    assert_eq!((last.attempt, last.deliveries()), (1, 1));
    two.disconnect().await;
}
