//! Publishing to streams when things break: what is confirmed is stored, what was not sent is not, and nothing
//! is stored twice.

use std::collections::BTreeMap;

use oxbus_engine::State;
use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::tracker::Ending;
use oxbus_testkit::{FakeServer, FaultProxy, RedisServer, Script, Step, Tracker, eventually, seeded};
use serde_json::{Value, json};

use crate::rig::{Inbox, SLACK, assert_between, failed, hasty, millis, ready, seconds, timed};
use crate::support::{Bus, PATIENCE, Published, Record};

/// `job…` is stored and published, `quiet…` is stored only.
fn streams() -> Value {
    json!([
        { "name": "jobs", "events": "job*" },
        { "name": "quiet", "events": "quiet*", "realtime": false },
    ])
}

/// A configuration with these streams.
fn keeping(mut config: Value) -> Value {
    config["streams"] = streams();
    config
}

/// The ids of the events in a stream, in order.
async fn stored(server: &RedisServer, stream: &str) -> Vec<String> {
    let entries = server.command(&["XRANGE", stream, "-", "+"]).await;
    let id = |entry: &oxbus_testkit::Value| {
        let fields = entry.items()[1].items();
        assert_eq!(fields[0].text(), "eventId");
        fields[1].text()
    };
    entries.items().iter().map(id).collect()
}

fn ending(result: &Published) -> Ending {
    match result.as_ref().map_err(|error| error.outcome.expect("an outcome")) {
        Ok(_) => Ending::Resolved,
        Err(Outcome::Unknown) => Ending::Unknown,
        Err(Outcome::Rejected) => Ending::Rejected,
        Err(Outcome::NotSent) => Ending::NotSent,
    }
}

/// Events of all ways of storing: with a script, by a command, without duplicates.
fn records(tracker: &Tracker, round: usize, count: usize, size: usize) -> Vec<Record> {
    let record = |n| {
        let id = format!("{round}-{n}");
        tracker.published(id.clone());
        match n % 4 {
            0 | 1 => Record::new("job", "x".repeat(size)).with_id(&id),
            2 => Record::new("quiet", "x".repeat(size)).with_id(&id),
            _ => Record::new("job", "x".repeat(size)).with(json!({ "id": id, "deduplicate": true })),
        }
    };
    (0..count).map(record).collect()
}

/// Checks what is stored against what the publisher was told.
async fn check(server: &RedisServer, tracker: &Tracker) {
    for stream in ["jobs", "quiet"] {
        for id in stored(server, stream).await {
            tracker.received(id);
        }
    }
    tracker.assert_all_ended();
    tracker.assert_resolved_received();
    tracker.assert_failed_not_received();
    tracker.assert_no_duplicates();
    tracker.assert_only_published_received();
}

/// Scenario 3: of a server that is killed everything that was confirmed is there when it comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_it_stores_has_what_it_confirmed() {
    let server = RedisServer::builder().arg("appendonly", "yes").arg("appendfsync", "always").start().await;
    let config = keeping(json!({ "redis": { "url": server.url(), "commandTimeout": 1_000 } }));
    let bus = ready(config).await;
    let tracker = Tracker::new();
    let mut random = seeded("a_server_killed_while_it_stores");
    let mut seen = BTreeMap::<Ending, usize>::new();
    for round in 0..crate::rig::soak(4, 40) {
        bus.wait_until_ready(Some(20_000)).await.unwrap();
        let records = records(&tracker, round, 1_000, 2_000);
        let before = bus.stats().counts.events_published;
        let batches: Vec<_> = records.chunks(50).map(|chunk| bus.start_publish(chunk)).collect();
        let some = rand::Rng::random_range(&mut random, 1..800);
        let confirmed = || async { bus.stats().counts.events_published >= before + some };
        eventually(PATIENCE, "some are confirmed", confirmed).await;
        server.kill();
        let mut n = 0;
        for batch in batches {
            for result in batch.results().await {
                let ending = ending(&result);
                tracker.ended(format!("{round}-{n}"), ending);
                *seen.entry(ending).or_default() += 1;
                n += 1;
            }
        }
        server.restart().await;
    }
    eprintln!("{seen:?}");
    assert!(seen[&Ending::Resolved] > 0 && seen.len() > 1, "{seen:?}");
    check(&server, &tracker).await;
    assert_eq!(bus.stats().in_flight, 0);
    bus.disconnect().await;
}

/// A connection that breaks anywhere: nothing is stored twice, and what counts as not sent is not stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_while_events_are_stored() {
    use rand::Rng;
    const COUNT: usize = 60;
    const SIZE: usize = 250_000;
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = ready(keeping(json!({ "redis": { "url": proxy.url(), "commandTimeout": 1_200 } }))).await;
    let tracker = Tracker::new();
    let mut random = seeded("a_connection_cut_while_events_are_stored");
    let mut seen = BTreeMap::<Ending, usize>::new();
    for round in 0..crate::rig::soak(8, 100) {
        bus.wait_until_ready(Some(20_000)).await.unwrap();
        let connection = *proxy.open_connections().last().expect("the publisher's connection");
        let bytes = random.random_range(1..(COUNT * SIZE) as u64);
        if round % 2 == 1 {
            proxy.cut_connection_after_swallowing(connection, bytes);
        } else {
            proxy.cut_connection_after_client_bytes(connection, bytes);
        }
        // In every other pair of rounds there is no next connection to take what was not written.
        proxy.refuse(round % 4 < 2);
        let results = bus.start_publish(&records(&tracker, round, COUNT, SIZE)).results().await;
        proxy.refuse(false);
        for (n, result) in results.iter().enumerate() {
            tracker.ended(format!("{round}-{n}"), ending(result));
            *seen.entry(ending(result)).or_default() += 1;
        }
    }
    for ending in [Ending::Resolved, Ending::Unknown, Ending::NotSent] {
        assert!(seen.contains_key(&ending), "nothing was {ending:?}: {seen:?}");
    }
    check(&server, &tracker).await;
    bus.disconnect().await;
}

/// Scenario 7: an event that was written and not answered is unknown, and not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_closed_after_an_event_was_read_makes_it_unknown_and_it_is_not_repeated() {
    let close = [Step::Close, Step::Close];
    let server = FakeServer::start(Script::new().on("XADD", close.clone()).on("EVALSHA", close)).await;
    let bus = ready(keeping(hasty(&server.url()))).await;
    for event_type in ["job", "quiet"] {
        let result = bus.publish(event_type, 1).await;
        assert_eq!(failed(&result, Outcome::Unknown).kind, ErrorKind::ConnectionLost);
        bus.wait_until_ready(None).await.unwrap();
    }
    assert_eq!((server.received("XADD").len(), server.received("EVALSHA").len()), (1, 1));
    bus.disconnect().await;
}

/// Scenario 9: who publishes an unknown event again, by the same id, stores it once, if that is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_event_published_again_is_a_duplicate() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = ready(keeping(json!({ "redis": { "url": proxy.url(), "commandTimeout": 2_000 } }))).await;
    for (event_type, stream, once, copies) in
        [("job.once", "jobs", true, 1), ("quiet.once", "quiet", true, 1), ("quiet.twice", "quiet", false, 2)]
    {
        let options = json!({ "id": event_type, "deduplicate": once });
        let connection = *proxy.open_connections().last().unwrap();
        proxy.freeze_replies(connection);
        let batch = bus.start_publish(&[Record::new(event_type, 1).with(options.clone())]);
        let count = || async { stored(&server, stream).await.iter().filter(|id| *id == event_type).count() };
        eventually(PATIENCE, "the server has stored it", || async { count().await == 1 }).await;
        proxy.cut(connection);
        failed(&batch.results().await[0], Outcome::Unknown);
        bus.wait_until_ready(None).await.unwrap();
        let again = bus.publish_with(event_type, 1, options).await.unwrap();
        assert_eq!(again.stored.unwrap().duplicate, once);
        assert_eq!(count().await, copies);
    }
    bus.disconnect().await;
}

/// Scenario 10: writes that are held up are stored once each when they go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_writes_are_stored_once() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url() }))).await;
    server.command(&["CLIENT", "PAUSE", "1500", "WRITE"]).await;
    let tracker = Tracker::new();
    let (results, took) = timed(bus.start_publish(&records(&tracker, 0, 400, 100)).results()).await;
    assert_between(took, 1_400, 1_500);
    for (n, result) in results.iter().enumerate() {
        result.as_ref().unwrap();
        tracker.resolved(format!("0-{n}"));
    }
    check(&server, &tracker).await;
    assert_eq!(bus.stats().counts.reconnections, 0);
    bus.disconnect().await;
}

/// Scenario 11: a server without memory refuses each event for itself, at once, and publishes none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_rejects_and_publishes_nothing() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url(), "persistence": { "ttl": 60_000 } }))).await;
    let plain = ready(keeping(json!({ "redis": server.url() }))).await;
    let inbox = Inbox::on(&plain, &["*"]).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let tracker = Tracker::new();
    for (round, bus) in [&bus, &plain].into_iter().enumerate() {
        let (results, took) = timed(bus.start_publish(&records(&tracker, round, 200, 10)).results()).await;
        assert_between(took, 0, 50);
        for (n, result) in results.iter().enumerate() {
            assert_eq!(failed(result, Outcome::Rejected).kind, ErrorKind::ServerOom);
            tracker.rejected(format!("{round}-{n}"));
        }
    }
    // Where live events are kept as well, they are not published without.
    let live = bus.publish("live", 1).await;
    assert_eq!(failed(&live, Outcome::Rejected).kind, ErrorKind::ServerOom);
    plain.publish_with("live", 1, json!({ "id": "live" })).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    for (round, bus) in [(2, &bus), (3, &plain)] {
        for (n, result) in
            bus.start_publish(&records(&tracker, round, 8, 10)).results().await.iter().enumerate()
        {
            result.as_ref().unwrap();
            tracker.resolved(format!("{round}-{n}"));
        }
        assert_eq!(bus.stats().counts.reconnections, 0);
    }
    check(&server, &tracker).await;
    // Three of four events are live; nothing that was refused is among them.
    inbox.wait_for_len(13).await;
    assert!(inbox.ids().iter().all(|id| id == "live" || id.starts_with(['2', '3'])), "{:?}", inbox.ids());
    bus.disconnect().await;
    plain.disconnect().await;
}

/// Scenario 15: a server that refuses for a while is waited for on the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_for_a_while_is_not_left() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url() }))).await;
    let mix = || [Record::new("job", 1), Record::new("quiet", 1), Record::new("job", 1).with_id("a")];
    let expect = |results: Vec<Published>, kind| {
        for result in results {
            assert_eq!(failed(&result, Outcome::Rejected).kind, kind);
        }
    };
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    expect(bus.start_publish(&mix()).results().await, ErrorKind::NotReplicated);
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;

    server.command(&["CONFIG", "SET", "busy-reply-threshold", "1"]).await;
    let (mut busy, mut killer) = (server.control().await.unwrap(), server.control().await.unwrap());
    let script = tokio::spawn(async move { busy.call(&["EVAL", "while true do end", "0"]).await });
    let refused =
        || async { matches!(bus.publish("job", 1).await, Err(error) if error.kind == ErrorKind::ServerBusy) };
    eventually(PATIENCE, "a busy server", refused).await;
    expect(bus.start_publish(&mix()).results().await, ErrorKind::ServerBusy);
    assert_eq!(killer.call(&["SCRIPT", "KILL"]).await.unwrap().text(), "OK");
    script.await.unwrap().unwrap();
    for result in bus.start_publish(&mix()).results().await {
        result.unwrap();
    }
    assert_eq!(bus.stats().counts.reconnections, 0);
    bus.disconnect().await;
}

/// A server that becomes a replica stores nothing more, and is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_server_is_left_at_the_first_event() {
    let (server, other) = (RedisServer::start().await, RedisServer::start().await);
    for (event_type, options) in
        [("job", json!({})), ("quiet", json!({})), ("job", json!({ "id": "a", "deduplicate": true }))]
    {
        let bus = ready(keeping(hasty(&server.url()))).await;
        server.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).await;
        let refused = bus.publish_with(event_type, 1, options.clone()).await;
        assert_eq!(failed(&refused, Outcome::Rejected).kind, ErrorKind::NotMaster);
        bus.wait_for_state(State::Reconnecting).await;
        server.command(&["REPLICAOF", "NO", "ONE"]).await;
        bus.wait_until_ready(Some(20_000)).await.unwrap();
        bus.publish_with(event_type, 1, options).await.unwrap();
        bus.disconnect().await;
    }
}

/// A server that forgets its scripts is given them again; nothing is lost, stored twice, or out of order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_scripts_are_sent_again() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url() }))).await;
    let live = Inbox::on(&bus, &["job"]).await;
    let tracker = Tracker::new();
    let mut ids = Vec::new();
    for round in 0..30 {
        if round % 3 == 0 {
            server.command(&["SCRIPT", "FLUSH"]).await;
        }
        let records: Vec<Record> = (0..200)
            .map(|n| {
                let id = format!("{round}-{n}");
                tracker.published(id.clone());
                ids.push(id.clone());
                let once = n % 50 == 49;
                Record::new("job", n).with(json!({ "id": id, "deduplicate": once }))
            })
            .collect();
        let batches: Vec<_> = records.chunks(20).map(|chunk| bus.start_publish(chunk)).collect();
        if round % 2 == 0 {
            for batch in batches {
                for result in batch.results().await {
                    result.unwrap();
                }
            }
        }
    }
    let all = || async { bus.stats().in_flight == 0 };
    eventually(PATIENCE, "all are settled", all).await;
    assert_eq!(bus.stats().counts.events_published, 6_000);
    assert!(stored(&server, "jobs").await == ids, "out of order");
    live.wait_for_len(6_000).await;
    assert!(live.ids() == ids, "out of order");
    // Ten times for the calls that were on their way.
    assert!((10..=300).contains(&server.calls("eval").await), "{}", server.calls("eval").await);
    assert_eq!(bus.stats().counts.reconnections, 0);
    bus.disconnect().await;
}

/// Events that share a call are cancelled and expire for themselves while it waits; the others are stored in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_of_a_call_is_cancelled() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = ready(keeping(json!({ "redis": { "url": proxy.url(), "commandTimeout": 10_000 } }))).await;
    proxy.refuse(true);
    proxy.cut_all();
    bus.wait_for_state(State::Reconnecting).await;
    let records: Vec<Record> = (0..100)
        .map(|n| {
            let timeout = if n == 40 { 100 } else { 10_000 };
            Record::new("job", n).with(json!({ "id": n.to_string(), "timeout": timeout }))
        })
        .collect();
    let batch = bus.start_publish(&records);
    let cancelled = [0, 1, 17, 39, 41, 63, 64, 65, 99];
    cancelled.iter().for_each(|index| bus.cancel(batch.number, *index));
    // All of a call at once, and some of it twice.
    let more = bus.start_publish(&vec![Record::new("job", "gone"); 10]);
    (0..10).rev().chain(0..10).for_each(|index| bus.cancel(more.number, index));
    for result in more.results().await {
        assert_eq!(failed(&result, Outcome::NotSent).kind, ErrorKind::Aborted);
    }
    let expired = || async { bus.stats().in_flight == 100 - cancelled.len() as u64 - 1 };
    eventually(PATIENCE, "one has expired", expired).await;
    proxy.refuse(false);
    let mut expected = Vec::new();
    for (n, result) in (0..).zip(batch.results().await) {
        if n == 40 {
            assert_eq!(failed(&result, Outcome::NotSent).kind, ErrorKind::PublishTimeout);
        } else if cancelled.contains(&n) {
            assert_eq!(failed(&result, Outcome::NotSent).kind, ErrorKind::Aborted);
        } else {
            result.unwrap();
            expected.push(n.to_string());
        }
    }
    assert_eq!(stored(&server, "jobs").await, expected);

    // Of a call that was sent the event may have been stored.
    let connection = *proxy.open_connections().last().unwrap();
    proxy.freeze_replies(connection);
    let batch = bus.start_publish(&vec![Record::new("job", 1); 3]);
    let there = || async { stored(&server, "jobs").await.len() == expected.len() + 3 };
    eventually(PATIENCE, "all three are stored", there).await;
    bus.cancel(batch.number, 1);
    proxy.thaw(connection);
    let results = batch.results().await;
    assert_eq!(failed(&results[1], Outcome::Unknown).kind, ErrorKind::Aborted);
    assert!(results[0].is_ok() && results[2].is_ok());
    bus.disconnect().await;
}

/// A channel that may not be published to does not keep an event from its stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_may_not_be_published_is_stored() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "resetchannels", "&job.open", "&broadcast"]).await;
    let bus = ready(keeping(hasty(&server.url()))).await;
    let records: Vec<Record> =
        (0..100).map(|n| Record::new(if n % 2 == 0 { "job.open" } else { "job.closed" }, n)).collect();
    for result in bus.start_publish(&records).results().await {
        assert!(result.unwrap().stored.is_some());
    }
    assert_eq!(stored(&server, "jobs").await.len(), 100);
    let told = || {
        let of = |notice: &Notice| match notice {
            Notice::Warning { code: "STORED_ONLY", message } => {
                assert!(message.contains("publish to the channel"), "{message}");
                message.split(' ').next()?.parse::<usize>().ok()
            }
            _ => None,
        };
        bus.notices().iter().filter_map(of).sum::<usize>()
    };
    eventually(PATIENCE, "all are told", || async { told() == 50 }).await;
    bus.disconnect().await;

    // Without scripts nothing can be stored and published; what is only stored needs none.
    server.command(&["ACL", "SETUSER", "default", "allchannels", "-@scripting"]).await;
    let bus = ready(keeping(hasty(&server.url()))).await;
    let refused = bus.publish("job", 1).await;
    assert_eq!(failed(&refused, Outcome::Rejected).kind, ErrorKind::PermissionDenied);
    bus.publish("quiet", 1).await.unwrap();
    bus.disconnect().await;
}

/// Scenario 25: an event that too few replicas have is stored, but not confirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_replicas_make_an_event_unknown() {
    let server = RedisServer::start().await;
    let replica = RedisServer::builder().replica_of(server.port()).start().await;
    replica.wait_for_replication(PATIENCE).await;
    let bus = ready(keeping(json!({ "redis": { "url": server.url(), "commandTimeout": 10_000 } }))).await;
    let replicated = |n: u64, count: u64, timeout: u64| {
        Record::new("job", n).with(json!({ "id": n.to_string(), "replicas": count, "timeout": timeout }))
    };
    // Beside others, which do not wait.
    let records: Vec<Record> = (0..200)
        .map(|n| {
            if n % 3 == 0 { Record::new("job", n).with_id(&n.to_string()) } else { replicated(n, 1, 10_000) }
        })
        .collect();
    for result in bus.start_publish(&records).results().await {
        assert!(result.unwrap().stored.is_some());
    }
    assert_eq!(stored(&replica, "jobs").await.len(), 200);
    assert!(bus.health().await["connections"]["replicated"]["status"] == "up");

    // One more than there are.
    let batch = bus.start_publish(&[replicated(1_000, 2, 500), replicated(1_001, 1, 10_000)]);
    let number = batch.number;
    let (results, took) = timed(batch.results()).await;
    assert_between(took, 500, 500);
    assert_eq!(failed(&results[0], Outcome::Unknown).kind, ErrorKind::NotReplicated);
    let id = bus.stored_nevertheless(number, 0).expect("its entry").to_string();
    let entry = server.command(&["XRANGE", "jobs", &id, &id]).await;
    assert_eq!(entry.items().len(), 1);
    results[1].as_ref().unwrap();

    replica.freeze();
    let mut batches = Vec::new();
    for n in 0..20 {
        batches.push((tokio::time::Instant::now(), bus.start_publish(&[replicated(2_000 + n, 1, 600)])));
        tokio::time::sleep(millis(20)).await;
    }
    let mut stored_nevertheless = 0;
    for (started, batch) in batches {
        let number = batch.number;
        let result = batch.results().await.remove(0);
        assert!(started.elapsed() <= millis(600) + seconds(1) + SLACK);
        match result.unwrap_err() {
            error if error.outcome == Some(Outcome::Unknown) => {
                assert_eq!(error.kind, ErrorKind::NotReplicated);
                assert!(bus.stored_nevertheless(number, 0).is_some());
                stored_nevertheless += 1;
            }
            // They waited behind the first ones, and are not stored later either.
            error => {
                assert_eq!((error.kind, error.outcome), (ErrorKind::PublishTimeout, Some(Outcome::NotSent)))
            }
        }
    }
    assert!(stored_nevertheless > 0);
    // What needs no replica does not wait.
    let (result, took) = timed(bus.publish("job", 1)).await;
    result.unwrap();
    assert_between(took, 0, 0);
    replica.thaw();
    bus.publish_raw(replicated(3_000, 1, 10_000)).await.unwrap();
    let all = 200 + 2 + stored_nevertheless + 2;
    assert_eq!(stored(&server, "jobs").await.len(), all);
    assert_eq!(bus.stats().in_flight, 0);
    bus.disconnect().await;
}

/// A client that closes settles what waits for replicas, and what it was about to hand on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_settles_what_waits_for_replicas() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": { "url": server.url(), "commandTimeout": 30_000 } }))).await;
    let record = Record::new("job", 1).with(json!({ "replicas": 1 }));
    let first = bus.start_publish(&[record.clone(), Record::new("job", 2)]);
    let stored_both = || async { stored(&server, "jobs").await.len() == 2 };
    eventually(PATIENCE, "both are stored", stored_both).await;
    let second = bus.start_publish(&vec![record; 100]);
    let number = first.number;
    bus.disconnect_within(Some(300)).await;
    let results = first.results().await;
    failed(&results[0], Outcome::Unknown);
    assert!(bus.stored_nevertheless(number, 0).is_some());
    results[1].as_ref().unwrap();
    for result in second.results().await {
        failed(&result, Outcome::NotSent);
    }
    assert_eq!((bus.stats().in_flight, stored(&server, "jobs").await.len()), (0, 2));
}

/// A store without live events: what no stream stores is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pubsub_nothing_is_published() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url(), "pubsub": false }))).await;
    for event_type in ["job", "quiet"] {
        bus.publish(event_type, 1).await.unwrap();
    }
    assert_eq!(failed(&bus.publish("live", 1).await, Outcome::NotSent).kind, ErrorKind::NoStream);
    let kept = bus.publish_with("live", 1, json!({ "stream": "quiet" })).await.unwrap();
    assert_eq!(kept.stored.unwrap().stream, "quiet");
    assert_eq!((server.calls("publish").await, server.calls("xadd").await), (0, 3));
    bus.disconnect().await;
}

/// With `persistence` every event is kept by its id and in the history, for its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_kept_by_their_id() {
    let server = RedisServer::start().await;
    let mut config = keeping(json!({ "redis": server.url(), "channelPrefix": "p:" }));
    config["persistence"] = json!({ "ttl": 60_000 });
    let bus = ready(config.clone()).await;
    let live = Inbox::on(&bus, &["*"]).await;
    let types = ["job", "quiet", "live", "job"];
    let records: Vec<Record> = (0..40)
        .map(|n: usize| {
            let once = n % 4 == 3;
            Record::new(types[n % 4], n).with(json!({ "id": format!("e-{n}"), "deduplicate": once }))
        })
        .collect();
    for (n, result) in bus.publish_many(records.clone()).await.into_iter().enumerate() {
        assert_eq!(result.unwrap().stored.is_some(), n % 4 != 2);
    }
    let ids: Vec<String> = (0..40).map(|n| format!("e-{n}")).collect();
    assert_eq!(stored(&server, "p:history").await, ids);
    for (n, id) in ids.iter().enumerate() {
        let key = format!("p:event:{id}");
        let event: Value = serde_json::from_str(&server.command(&["GET", &key]).await.text()).unwrap();
        assert_eq!(
            (&event["id"], &event["type"], &event["data"]),
            (&json!(id), &json!(types[n % 4]), &json!(n))
        );
        assert!((1..=60_000).contains(&server.command(&["PTTL", &key]).await.int()));
    }
    live.wait_for_len(30).await;
    // A duplicate is not kept again.
    server.command(&["DEL", "p:event:e-3"]).await;
    let again = bus.publish_raw(records[3].clone()).await.unwrap();
    assert!(again.stored.unwrap().duplicate);
    assert_eq!(server.command(&["EXISTS", "p:event:e-3"]).await.int(), 0);
    assert_eq!(stored(&server, "p:history").await.len(), 40);
    bus.disconnect().await;

    // The history is trimmed by time, though not at once.
    config["persistence"] = json!({ "ttl": 1, "history": true });
    let bus = ready(config).await;
    let trimmed = || async {
        bus.publish("live", 1).await.unwrap();
        stored(&server, "p:history").await.len() <= 200
    };
    for _ in 0..400 {
        trimmed().await;
    }
    eventually(PATIENCE, "the old ones are gone", trimmed).await;
    bus.disconnect().await;
}

/// Every entry has exactly the fields of the codec, whichever way it is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_ways_of_storing_write_the_same_fields() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url(), "serviceName": "api" }))).await;
    let given = json!({
        "id": "i", "timestamp": 0, "correlationId": "co", "causationId": "ca", "key": "k", "metadata": { "a": 1 },
    });
    let fields = |entry: &oxbus_testkit::Value| -> Vec<(String, String)> {
        let items = entry.items()[1].items();
        items.chunks(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
    };
    let mut seen = Vec::new();
    for (event_type, stream, once) in
        [("job", "jobs", false), ("job", "jobs", true), ("quiet", "quiet", false)]
    {
        let mut options = given.clone();
        options["deduplicate"] = json!(once);
        let receipt = bus.publish_with(event_type, json!({ "é": [1] }), options).await.unwrap();
        let id = receipt.message_id().to_owned();
        let entry = server.command(&["XRANGE", stream, &id, &id]).await;
        let mut all = fields(&entry.items()[0]);
        assert_eq!(all.remove(1), ("eventType".to_owned(), event_type.to_owned()));
        seen.push(all);
    }
    let names: Vec<&str> = seen[0].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["eventId", "timestamp", "source", "correlationId", "causationId", "data", "meta"]);
    assert_eq!(seen[0][5].1, "{\"é\":[1]}");
    assert!(seen[0] == seen[1] && seen[1] == seen[2], "{seen:?}");
    // In one call with others that have no cause.
    let records: Vec<Record> = (0..6)
        .map(|n| {
            let options = if n % 3 == 1 { json!({ "causationId": "c" }) } else { json!({ "key": "k" }) };
            Record::new("job.mixed", n).with(options)
        })
        .collect();
    let results = bus.publish_many(records).await;
    for (n, result) in results.into_iter().enumerate() {
        let id = result.unwrap().message_id().to_owned();
        let entry = server.command(&["XRANGE", "jobs", &id, &id]).await;
        let all = fields(&entry.items()[0]);
        assert_eq!(all.iter().any(|(name, value)| name == "causationId" && value == "c"), n % 3 == 1);
        assert_eq!(all[all.len() - 2], ("data".to_owned(), n.to_string()));
    }
    bus.disconnect().await;
}

/// Many publishers beside each other on one client: each keeps its order, in the stream and live.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_publishing_is_that_of_the_stream() {
    let server = RedisServer::start().await;
    let bus: Bus = ready(keeping(json!({ "redis": server.url() }))).await;
    let live = Inbox::on(&bus, &["job*"]).await;
    let mut expected = Vec::new();
    let mut batches = Vec::new();
    for n in 0..300 {
        let records: Vec<Record> = (0..n % 7 + 1)
            .map(|i| {
                let id = format!("{n}-{i}");
                let options = match (n + i) % 5 {
                    0 => json!({ "id": id, "deduplicate": true }),
                    1 => json!({ "id": id, "causationId": "c" }),
                    _ => json!({ "id": id }),
                };
                expected.push(id);
                Record::new("job", 1).with(options)
            })
            .collect();
        batches.push(bus.start_publish(&records));
    }
    for batch in batches {
        for result in batch.results().await {
            result.unwrap();
        }
    }
    assert!(stored(&server, "jobs").await == expected, "out of order");
    live.wait_for_len(expected.len()).await;
    assert!(live.ids() == expected, "out of order");
    bus.disconnect().await;
}
