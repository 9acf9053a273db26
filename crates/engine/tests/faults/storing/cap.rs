//! The cap of a stream: what publishers trim.

use oxbus_model::Outcome;
use oxbus_testkit::{RedisServer, Tracker};
use serde_json::json;

use super::{confirmed, ids, keeping};
use crate::setup::{failed, ready};
use crate::support::is_warning;

/// Whichever way events are stored, a stream does not grow far beyond its cap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_kept_about_at_its_cap() {
    let server = RedisServer::start().await;
    let streams = json!([
        { "name": "jobs", "events": "job", "maxLength": 500, "safeTrim": false },
        { "name": "quiet", "events": "quiet", "maxLength": 500, "safeTrim": false, "realtime": false },
    ]);
    let bus = ready(json!({ "redis": server.url(), "streams": streams })).await;
    for (event_type, stream, options) in [
        ("job", "jobs", json!({})),
        ("job", "jobs", json!({ "deduplicate": true })),
        ("quiet", "quiet", json!({})),
        ("quiet", "quiet", json!({ "deduplicate": true })),
    ] {
        server.command(&["DEL", stream]).await;
        let tracker = Tracker::new();
        for round in 0..20 {
            confirmed(
                &bus,
                &tracker,
                event_type,
                &ids(&format!("{event_type}{options}{round}"), 100),
                &options,
            )
            .await;
        }
        // A node of 100 entries is removed as a whole, and single events are trimmed after every hundredth.
        let length = server.command(&["XLEN", stream]).await.int();
        assert!((500..=700).contains(&length), "{event_type} {options}: {length}");
    }
    bus.disconnect().await;
}

/// A publisher that may not trim stores all the same, near the cap, and the host is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_may_not_trim_says_so() {
    const STORED_ONLY: &str = "STORED_ONLY";
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "-xtrim"]).await;
    let streams = json!([{ "name": "quiet", "events": "quiet", "maxLength": 500, "safeTrim": false, "realtime": false }]);
    let bus = ready(json!({ "redis": server.url(), "streams": streams })).await;
    let tracker = Tracker::new();
    for round in 0..20 {
        confirmed(&bus, &tracker, "quiet", &ids(&round.to_string(), 100), &json!({})).await;
    }
    let length = server.command(&["XLEN", "quiet"]).await.int();
    assert!((500..=700).contains(&length), "{length}");
    bus.notices.wait_for(|notice| is_warning(notice, STORED_ONLY)).await;
    bus.disconnect().await;
    assert_eq!(bus.notices.all().iter().filter(|notice| is_warning(notice, STORED_ONLY)).count(), 1);
    // Where the event itself is refused, nothing was stored of which that could be said.
    server.command(&["ACL", "SETUSER", "default", "-xadd"]).await;
    let bus = ready(keeping(json!({ "redis": server.url() }))).await;
    failed(&bus.publish("quiet", 1).await, Outcome::Rejected);
    // It is answered behind what was to follow the event.
    bus.publish("live", 1).await.unwrap();
    assert!(!bus.notices.all().iter().any(|notice| is_warning(notice, STORED_ONLY)));
    bus.disconnect().await;
}
