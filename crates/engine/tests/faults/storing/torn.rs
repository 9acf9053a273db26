//! Append-only files that a crash of the server cut within a transaction, as which a script that writes twice is kept.

use oxbus_testkit::{RedisServer, Tracker, Value, eventually_some};
use serde_json::json;

use super::{confirmed, ids, keeping, stored};
use crate::setup::ready;
use crate::support::{Bus, PATIENCE};

async fn durable_server() -> RedisServer {
    RedisServer::builder().arg("appendonly", "yes").arg("appendfsync", "always").start().await
}

/// The server crashes while it writes: the last transaction is not whole.
async fn crash(server: &RedisServer, bus: &Bus) {
    bus.loses(&["publisher"], async {
        server.kill();
        // The end of `EXEC`, which takes 14 bytes, and of the command before it.
        server.cut_append_only_file(30);
        server.restart().await;
    })
    .await;
    bus.wait_until_ready(Some(20_000)).await.unwrap();
}

/// When a client registered the stream, which it does after each login, as soon as that is another time than `before`.
async fn registered_since(server: &RedisServer, stream: &str, before: Option<Value>) -> Value {
    let look = async || match server.command(&["HGET", "oxbus:streams", stream]).await {
        Value::Nil => None,
        found => Some(found).filter(|found| before.as_ref() != Some(found)),
    };
    eventually_some(PATIENCE, &format!("{stream} is registered since {before:?}"), look).await
}

/// A crash of the server can cut its append-only file within the transaction that a script is written as. Most versions
/// then bring the first part of that back, at the start after the next, beside what was stored in between. That pushes
/// nothing out, whichever way events are stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_cut_within_a_transaction_costs_nothing_that_was_confirmed() {
    let deduplicated = json!({ "deduplicate": true });
    // How the last event before the crash is stored, and those after it, in the same stream.
    for (event_type, torn, afterwards) in [
        ("job", json!({}), json!({})),
        ("job", json!({}), deduplicated.clone()),
        ("quiet", deduplicated.clone(), json!({})),
        ("quiet", deduplicated.clone(), deduplicated.clone()),
    ] {
        let server = durable_server().await;
        let bus = ready(keeping(json!({ "redis": server.url() }))).await;
        let stream = if event_type == "job" { "jobs" } else { "quiet" };
        let (tracker, registered) = (Tracker::new(), registered_since(&server, stream, None).await);
        confirmed(&bus, &tracker, event_type, &ids("before", 20), &afterwards).await;
        // A write that a crash cut was never confirmed; here the crash comes later, and the test forgets these.
        let cut = Tracker::new();
        confirmed(&bus, &cut, event_type, &ids("cut", if torn == json!({}) { 8 } else { 1 }), &torn).await;
        crash(&server, &bus).await;
        confirmed(&bus, &tracker, event_type, &ids("after", 120), &afterwards).await;
        registered_since(&server, stream, Some(registered)).await;
        server.restart().await;
        let kept = stored(&server, stream).await;
        for id in kept.iter().filter(|id| !id.starts_with("cut-")) {
            tracker.received(id.clone());
        }
        tracker.assert_resolved_received();
        tracker.assert_no_duplicates();
        bus.disconnect().await;
    }
}

/// Without the end of a transaction behind the one that was cut, most versions drop all that was stored since the crash when
/// they start again. A client that connects writes one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_after_a_crash_outlives_the_next() {
    let server = durable_server().await;
    let streams = json!([{ "name": "quiet", "events": "quiet", "realtime": false, "consumerGroups": [] }]);
    let bus = ready(json!({ "redis": server.url(), "streams": streams })).await;
    let registered = registered_since(&server, "quiet", None).await;
    let (cut, tracker) = (Tracker::new(), Tracker::new());
    confirmed(&bus, &cut, "quiet", &ids("cut", 1), &json!({ "deduplicate": true })).await;
    crash(&server, &bus).await;
    confirmed(&bus, &tracker, "quiet", &ids("after", 10), &json!({})).await;
    registered_since(&server, "quiet", Some(registered)).await;
    server.restart().await;
    let kept = stored(&server, "quiet").await;
    kept.into_iter().filter(|id| !id.starts_with("cut-")).for_each(|id| tracker.received(id));
    tracker.assert_resolved_received();
    bus.disconnect().await;
}
