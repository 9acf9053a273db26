//! Odd payloads: too large for the server, full of strange characters, or no events at all.

use oxbus_model::delivery::Settlement;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, eventually, seeded};
use rand::Rng;
use serde_json::{Value, json};

use crate::setup::{assert_between, failed, hasty, ready, timed};
use crate::support::{Inbox, PATIENCE, Record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_too_large_for_the_server_is_rejected_and_the_connection_replaced() {
    let server = RedisServer::builder().arg("proto-max-bulk-len", "1mb").start().await;
    let limits = json!({ "maxEventBytes": 4 << 20, "maxDataBytes": 3 << 20 });
    let bus = ready(json!({ "redis": server.url(), "validation": limits })).await;
    for round in 0..5 {
        let mut records: Vec<Record> = (0..20).map(|n| Record::new("a", n)).collect();
        records.insert(10, Record::new("a", "x".repeat(2 << 20)));
        let results = bus.start_publish(&records).results().await;
        let error = failed(&results[10], Outcome::Rejected);
        assert_eq!(error.kind, ErrorKind::ServerError, "round {round}: {error}");
        for (n, result) in results.iter().enumerate().filter(|(n, _)| *n != 10) {
            // Publishes before it were answered. Publishes after it were written behind it, or go to the next
            // connection.
            assert!(result.is_ok() || (n > 10 && failed(result, Outcome::Unknown).outcome.is_some()));
        }
        let (published, took) = timed(bus.publish("a", 1)).await;
        published.unwrap();
        assert_between(took, 0, 1_000);
    }
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_are_checked_at_the_limit_and_before_any_io() {
    let server = RedisServer::start().await;
    let limits = json!({ "maxEventBytes": 10_000, "maxDataBytes": 1_000 });
    let bus = ready(json!({ "redis": server.url(), "validation": limits })).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    // Two of the bytes are quotes.
    for size in [0, 997, 998] {
        bus.publish("a", "x".repeat(size)).await.unwrap();
    }
    let before = server.calls("publish").await;
    let error = bus.publish("a", "x".repeat(999)).await;
    assert_eq!(failed(&error, Outcome::NotSent).kind, ErrorKind::EventTooLarge);
    let large = json!({ "metadata": { "note": "y".repeat(10_000) } });
    let error = bus.publish_with("a", "x", large).await;
    assert_eq!(failed(&error, Outcome::NotSent).kind, ErrorKind::EventTooLarge);
    assert_eq!(server.calls("publish").await, before);
    inbox.wait_for(3).await;
    bus.disconnect().await;
}

fn random_text(random: &mut impl Rng) -> String {
    let length = random.random_range(0..200);
    let mut text = String::new();
    for _ in 0..length {
        text.push(match random.random_range(0..4) {
            0 => char::from(random.random_range(0u8..128)),
            1 => ['\0', '\r', '\n', '"', '\\', '\u{7f}', '\u{2028}', '\u{feff}'][random.random_range(0..8)],
            2 => random.random_range('\u{80}'..='\u{ff}'),
            _ => random.random::<char>(),
        });
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_arrives_byte_for_byte() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    let mut random = seeded("data_arrives_byte_for_byte");
    // JSON text as it is, spaces and escapes included; lone surrogates are legal in JavaScript's JSON.
    let mut texts: Vec<String> = [
        r#""\ud800""#,
        r#""\udc00 \u0000 \u00ff""#,
        "null",
        "0",
        "-0",
        "1e400",
        "123456789012345678901234567890",
        "[]",
        "{}",
        r#"{"a":1,"a":2}"#,
        " { \"b\" :\t[ 1 ,2 ] } ",
        r#""\r\n$5\r\n""#,
        "true",
        "1.0",
        r#"{"type":"b","id":"x","metadata":{}}"#,
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend((0..300).map(|_| json!({ "text": random_text(&mut random) }).to_string()));
    texts.extend((0..100).map(|_| Value::from(random_text(&mut random)).to_string()));
    let records: Vec<Record> = texts
        .iter()
        .map(|data| Record { event_type: "a".into(), options: String::new(), data: data.clone() })
        .collect();
    for result in bus.start_publish(&records).results().await {
        result.unwrap();
    }
    inbox.wait_for(texts.len()).await;
    for (event, data) in inbox.events().iter().zip(&texts) {
        let after = event.text().split_once("\"data\":").unwrap().1;
        let got = after.rsplit_once(",\"metadata\":").unwrap().0;
        // Behind a space is what a caller gave as text. White space around it is no part of it.
        let given = data.strip_prefix(' ').map_or(data.as_str(), str::trim_end);
        assert_eq!(got, given);
    }
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_not_events_are_counted_and_harm_nothing() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let inbox = Inbox::of(&bus, &["odd", "good"]).await;
    let mut random = seeded("messages_that_are_not_events");
    let mut control = server.control().await.unwrap();
    let foreign: [&[u8]; 9] = [
        b"",
        b"\0",
        b"\xff\xfe\x00",
        b"\r\n",
        b"null",
        b"[]",
        b"{",
        br#"{"type":1}"#,
        br#"{"id":"a","data":1}"#,
    ];
    let mut sent: u64 = 0;
    for message in foreign {
        control.call(&[b"PUBLISH", &b"odd"[..], message]).await.unwrap();
        sent += 1;
    }
    for _ in 0..500 {
        let length = random.random_range(0..60);
        let message: Vec<u8> = (0..length).map(|_| random.random()).collect();
        control.call(&[b"PUBLISH", &b"odd"[..], &message]).await.unwrap();
        sent += 1;
    }
    let deep = "[".repeat(100_000);
    control.call(&[b"PUBLISH", &b"odd"[..], deep.as_bytes()]).await.unwrap();
    let minimal = r#"{"type":"odd","data":1}"#;
    control.call(&["PUBLISH", "odd", minimal]).await.unwrap();
    bus.publish_with("good", 1, json!({ "id": "good" })).await.unwrap();
    inbox.wait_for_id("good").await;
    let counted = || async {
        let foreign = bus.stats().counts.events_foreign;
        foreign == sent + 1
    };
    eventually(PATIENCE, "foreign messages are counted", counted).await;
    assert!(inbox.events().iter().any(|event| event.data() == 1 && event.event_type() == "odd"));
    assert_eq!(bus.stats().counts.reconnections, 0);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_types_and_options_are_refused_alone_and_nothing_is_sent() {
    let server = RedisServer::start().await;
    let bus = ready(hasty(&server.url())).await;
    let long = "t".repeat(257);
    let types =
        ["", "a b", "a*", "a?", "[a]", "a\\", "a\0b", "a\r", "é", "room:1", "user:1", "broadcast", &long];
    let mut records: Vec<Record> = types.iter().map(|t| Record::new(*t, 1)).collect();
    let bad_options = [
        "x",
        "[]",
        "1",
        "\"a\"",
        "{",
        r#"{"nope":1}"#,
        r#"{"id":""}"#,
        r#"{"id":1}"#,
        r#"{"id":null}"#,
        r#"{"id":"a\u0000"}"#,
        r#"{"timeout":0}"#,
        r#"{"timeout":-1}"#,
        r#"{"timeout":1e99}"#,
        r#"{"timestamp":"yesterday"}"#,
        r#"{"metadata":[]}"#,
        r#"{"metadata":{"instanceId":"x"}}"#,
        r#"{"key":""}"#,
        r#"{"audience":"room"}"#,
        r#"{"stream":true}"#,
        r#"{"deduplicate":true}"#,
        r#"{"replicas":1}"#,
    ];
    let of_options = |options: &str| Record { options: options.into(), ..Record::new("a", 1) };
    records.extend(bad_options.map(of_options));
    let first_of_options = types.len();
    records.push(Record::new("good", 1));
    let mut results = bus.start_publish(&records).results().await;
    results.pop().unwrap().unwrap();
    for (n, result) in results.iter().enumerate() {
        let expected = if n < first_of_options { ErrorKind::InvalidType } else { ErrorKind::InvalidOptions };
        assert_eq!(failed(result, Outcome::NotSent).kind, expected, "{:?}", records[n]);
    }
    assert_eq!(server.calls("publish").await, 1);

    let subscribe = async |patterns: &[&str], options: &str| {
        let options: Value = serde_json::from_str(options).unwrap();
        bus.subscribe(patterns, options, |_| -> Settlement { panic!("never called") }).await.unwrap_err().kind
    };
    let (huge, many) = ("p".repeat(1025), vec!["p"; 1025]);
    assert_eq!(subscribe(&[], "{}").await, ErrorKind::InvalidPattern);
    assert_eq!(subscribe(&[""], "{}").await, ErrorKind::InvalidPattern);
    assert_eq!(subscribe(&[&huge], "{}").await, ErrorKind::InvalidPattern);
    assert_eq!(subscribe(&many, "{}").await, ErrorKind::InvalidPattern);
    for options in [
        r#"{"nope":1}"#,
        r#"{"concurrency":0}"#,
        r#"{"queue":1}"#,
        r#"{"group":""}"#,
        r#"{"filter":[]}"#,
        "[]",
    ] {
        assert_eq!(subscribe(&["a"], options).await, ErrorKind::InvalidOptions, "{options}");
    }
    assert_eq!(bus.stats().active_subscriptions, 0);
    bus.disconnect().await;
}
