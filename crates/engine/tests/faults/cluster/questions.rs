//! Questions that several masters are asked: all at once, and the one that does not answer is named.

use oxbus_model::Outcome;
use oxbus_testkit::{ClusterSet, RedisServer, eventually};
use serde_json::{Value, json};

use super::{STREAMS, TYPES, of_set};
use crate::setup::{assert_between, ready, seconds, timed};
use crate::support::{Bus, PATIENCE};

/// Keys on one master that are no streams, so that it takes more steps of a scan than the others.
const OTHER_KEYS: &str = "for n = 1, 2500 do redis.call('SET', KEYS[1] .. ':' .. n, 'x') end";
/// Streams that no client is configured with, on all masters.
const FOREIGN: usize = 12;

/// Three masters that do not find out for as long as a test lasts that one of them is silent.
async fn three_masters() -> ClusterSet {
    ClusterSet::builder().replicas(0).node_timeout(seconds(60)).start().await
}

/// The master that is frozen, which is the first one in the order of addresses, and the others.
fn first_and_others(set: &ClusterSet) -> (&RedisServer, Vec<&RedisServer>) {
    let mut nodes: Vec<&RedisServer> = set.nodes().iter().collect();
    nodes.sort_by_key(|node| node.port());
    (nodes[0], nodes[1..].to_vec())
}

/// A configuration whose first stream is on the first master, while the registry is on another one.
async fn config(set: &ClusterSet, command_timeout: u64) -> Value {
    let (first, _) = first_and_others(set);
    let mut config = of_set(set);
    config["redis"]["commandTimeout"] = json!(command_timeout);
    // Nobody but the questions finds out that a master is silent.
    config["redis"]["heartbeat"] = json!(60_000);
    let mut prefix = 0;
    while set.master_of_key(&format!("p{prefix}:oxbus:streams")).await.port() == first.port() {
        prefix += 1;
    }
    config["channelPrefix"] = json!(format!("p{prefix}:"));
    let at = stream_on(set, first).await;
    config["streams"].as_array_mut().unwrap().swap(0, at);
    config
}

/// The index of the stream of [`STREAMS`] that a master has.
async fn stream_on(set: &ClusterSet, master: &RedisServer) -> usize {
    for (at, (stream, _)) in STREAMS.into_iter().enumerate() {
        if set.master_of_key(stream).await.port() == master.port() {
            return at;
        }
    }
    panic!("each master has a stream");
}

/// Two clients that only look on, so that nothing but a question asks a master: one with the streams, which have an event each,
/// and one that finds them. Both have asked all masters already.
async fn clients(set: &ClusterSet, config: Value) -> (Bus, Bus) {
    let publisher = ready(config.clone()).await;
    for event_type in TYPES {
        publisher.publish(event_type, 1).await.unwrap();
    }
    publisher.disconnect().await;
    for n in 0..FOREIGN {
        let name = format!("foreign-{n:02}");
        set.master_of_key(&name).await.command(&["XADD", &name, "*", "name", "value"]).await;
    }
    let crowded = STREAMS[stream_on(set, first_and_others(set).0).await].0;
    let key = format!("{{{crowded}}}:other");
    set.master_of_key(crowded).await.command(&["EVAL", OTHER_KEYS, "1", &key]).await;
    let mut watching = config;
    watching["observe"] = json!(true);
    let bus = ready(watching.clone()).await;
    watching.as_object_mut().unwrap().remove("streams");
    let observer = ready(watching).await;
    for (client, question, args, _) in questions(&bus, &observer) {
        client.request(question, args).await.unwrap();
    }
    (bus, observer)
}

/// Questions that are about streams on all masters, whom they are asked of, and a command by which it is seen that a master
/// was asked.
fn questions<'a>(bus: &'a Bus, observer: &'a Bus) -> [(&'a Bus, &'static str, Value, &'static str); 6] {
    [
        (bus, "streams.list", json!({}), "time"),
        (bus, "getHistory", json!({ "source": "redis" }), "xrange"),
        (bus, "deadLetters.list", json!({}), "xrange"),
        (bus, "deadLetters.count", json!({}), "xinfo|stream"),
        (observer, "streams.list", json!({ "scan": true }), "scan"),
        (observer, "getHistory", json!({}), "xrange"),
    ]
}

/// Whether a master has executed a command since its statistics were reset. Servers before 7 do not tell subcommands apart.
async fn has_executed(master: &RedisServer, command: &str) -> bool {
    let executed = master.info("commandstats").await;
    let whole = command.split('|').next().unwrap();
    [command, whole].iter().any(|name| executed.contains_key(&format!("cmdstat_{name}")))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|stream| stream["name"].as_str().unwrap()).collect()
}

/// The first master is silent until the others have been asked as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_master_waits_for_the_answer_of_another_one() {
    let set = three_masters().await;
    let (first, others) = first_and_others(&set);
    let (bus, observer) = clients(&set, config(&set, 30_000).await).await;
    for (client, question, args, command) in questions(&bus, &observer) {
        for other in &others {
            other.command(&["CONFIG", "RESETSTAT"]).await;
        }
        set.freeze(first);
        let seen = async {
            eventually(seconds(10), &format!("{question} asks all masters"), || async {
                let mut all = true;
                for other in &others {
                    all &= has_executed(other, command).await;
                }
                all
            })
            .await;
            set.thaw(first);
        };
        let (answer, ()) = tokio::join!(client.request(question, args), seen);
        answer.unwrap();
    }
    // What each master has, also where one of them has many keys more than the others.
    let list = observer.request("streams.list", json!({ "scan": true })).await.unwrap();
    let mut expected: Vec<String> = (0..FOREIGN).map(|n| format!("foreign-{n:02}")).collect();
    expected.extend(STREAMS.map(|(stream, _)| stream.to_owned()));
    assert_eq!(names(&list), expected);
    let list = bus.request("streams.list", json!({})).await.unwrap();
    assert_eq!(names(&list)[0], STREAMS[stream_on(&set, first).await].0, "in the order of the configuration");
    bus.disconnect().await;
    observer.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_does_not_answer_is_named_within_one_timeout() {
    let set = three_masters().await;
    let (first, _) = first_and_others(&set);
    let (bus, observer) = clients(&set, config(&set, 1_500).await).await;
    let (silent, address) = (STREAMS[stream_on(&set, first).await].0, first.addr().to_string());
    set.freeze(first);
    let (health, took) = timed(bus.health()).await;
    assert_between(took, 0, 1_000);
    assert_eq!(health["status"], "degraded", "{health}");
    // The other ones say what they are.
    assert_eq!(health["redis"]["connected"], true, "{health}");
    let warnings = health["warnings"].as_array().unwrap();
    let unanswered = warnings.iter().find(|warning| warning["code"] == "NO_ANSWER").expect("a warning");
    assert!(unanswered["message"].as_str().unwrap().starts_with(&address), "{health}");
    for node in set.nodes() {
        let link = &health["connections"][format!("consumer@{}", node.addr())];
        let expected = if node.port() == first.port() { "stale" } else { "up" };
        assert_eq!(link["status"], expected, "{health}");
    }
    for (stream, _) in STREAMS {
        let report = &health["streams"][stream];
        if stream == silent {
            let message = report["error"]["message"].as_str().unwrap();
            assert!(message.starts_with(&format!("{address}: ")), "{health}");
        } else {
            assert_eq!((&report["length"], &report["error"]), (&json!(1), &Value::Null), "{health}");
        }
    }
    for (stream, _) in STREAMS.into_iter().filter(|(stream, _)| *stream != silent) {
        // What is about one stream is asked of its master alone.
        bus.request("streams.info", json!({ "name": stream })).await.unwrap();
    }
    let of_one = (&bus, "streams.info", json!({ "name": silent }), "xinfo|stream");
    for (client, question, args, _) in questions(&bus, &observer).into_iter().chain([of_one]) {
        let (answer, took) = timed(client.request(question, args)).await;
        let error = answer.expect_err("an answer of two masters is not one of three");
        assert!(error.message.contains(&address), "{question}: {error}");
        assert_ne!(error.outcome, Some(Outcome::Rejected), "{question}: {error}");
        assert_between(took, 0, 1_500);
    }
    set.thaw(first);
    eventually(PATIENCE, "all masters answer again", || async {
        bus.request("streams.list", json!({})).await.is_ok_and(|list| names(&list).len() == 3)
    })
    .await;
    bus.disconnect().await;
    observer.disconnect().await;
}

/// Dead letters are moved back, and what was left alone is recovered, on the masters that answer; the error says which one does
/// not, and how much was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_on_several_masters_is_done_on_those_that_answer() {
    let set = three_masters().await;
    let (first, _) = first_and_others(&set);
    let (bus, observer) = clients(&set, config(&set, 1_500).await).await;
    observer.disconnect().await;
    let (silent, address) = (STREAMS[stream_on(&set, first).await].0, first.addr().to_string());
    for (stream, _) in STREAMS {
        let node = set.master_of_key(stream).await;
        let letters = format!("{{{stream}}}:dlq");
        let fields = ["dlq-stream", stream, "dlq-group", "workers", "eventId", "x", "eventType", "o.a"];
        let add = [&["XADD", &letters, "*"], &fields[..]].concat();
        node.command(&add).await;
        node.command(&["XGROUP", "CREATE", stream, "workers", "0"]).await;
        let read = ["XREADGROUP", "GROUP", "workers", "gone", "STREAMS", stream, ">"];
        let read = node.command(&read).await;
        let id = read.items()[0].items()[1].items()[0].items()[0].text();
        // As if it had been left alone for an hour.
        node.command(&["XCLAIM", stream, "workers", "gone", "0", &id, "IDLE", "3600000"]).await;
    }
    let holder = async |stream: &str| {
        let node = set.on(set.master_of_key(stream).await.port());
        let pending = node.command(&["XPENDING", stream, "workers", "-", "+", "9"]).await;
        pending.items()[0].items()[1].text()
    };
    set.freeze(first);
    for (question, args, done) in [
        ("deadLetters.replayAll", json!({ "to": "stream" }), "(after 2 were replayed)"),
        ("streams.recover", json!({}), "(after 2 were claimed)"),
    ] {
        let (answer, took) = timed(bus.request(question, args)).await;
        let error = answer.expect_err("a master is silent");
        assert!(error.message.contains(&address), "{question}: {error}");
        assert!(error.message.ends_with(done), "{question}: {error}");
        assert_between(took, 0, 1_500);
    }
    set.thaw(first);
    let again = || async { bus.request("deadLetters.replayAll", json!({ "to": "stream" })).await };
    eventually(PATIENCE, "the master answers again", || async { again().await.is_ok() }).await;
    assert_eq!(bus.request("deadLetters.count", json!({})).await.unwrap(), json!(0));
    for (stream, _) in STREAMS.into_iter().filter(|(stream, _)| *stream != silent) {
        assert_ne!(holder(stream).await, "gone", "{stream}");
    }
    let recovered = bus.request("streams.recover", json!({})).await.unwrap();
    assert_eq!(recovered["claimed"], json!(1), "{recovered}");
    bus.disconnect().await;
}
