//! What a server may answer on a bad day, given by a scripted one.

use oxbus_engine::State;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{FakeServer, Script, Step};
use serde_json::json;

use crate::setup::{FAR, assert_between, failed, hasty, ready, timed};
use crate::support::{Bus, Inbox, Record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_closed_after_a_publish_was_read_makes_it_unknown_and_it_is_not_repeated() {
    let server = FakeServer::start(Script::new().on("PUBLISH", [Step::Close, Step::int(1)])).await;
    let bus = ready(hasty(&server.url())).await;
    assert_eq!(failed(&bus.publish("a", 1).await, Outcome::Unknown).kind, ErrorKind::ConnectionLost);
    bus.wait_until_ready(None).await.unwrap();
    bus.publish("a", 2).await.unwrap();
    let sent = server.received("PUBLISH");
    let numbers: Vec<_> = sent.iter().map(|call| String::from_utf8_lossy(&call[2]).into_owned()).collect();
    assert!(numbers.len() == 2 && numbers[0].contains("\"data\":1") && numbers[1].contains("\"data\":2"));
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_publishes_have_the_code_of_the_refusal_and_keep_the_connection() {
    let refusals = [
        ("OOM command not allowed when used memory > 'maxmemory'.", ErrorKind::ServerOom),
        ("LOADING Redis is loading the dataset in memory", ErrorKind::ServerLoading),
        ("BUSY Redis is busy running a script.", ErrorKind::ServerBusy),
        ("MISCONF Redis is configured to save RDB snapshots", ErrorKind::ServerBusy),
        ("NOPERM no permissions to access a channel", ErrorKind::PermissionDenied),
        ("ERR something new", ErrorKind::ServerError),
        ("", ErrorKind::ServerError),
    ];
    let steps = refusals.iter().map(|(text, _)| Step::error(*text)).chain([Step::int(1)]);
    let server = FakeServer::start(Script::new().on("PUBLISH", steps)).await;
    let bus = ready(json!({ "redis": { "url": server.url(), "commandTimeout": FAR } })).await;
    let records = vec![Record::new("a", 1); refusals.len() + 1];
    let (mut results, took) = timed(bus.start_publish(&records).results()).await;
    assert_between(took, 0, 0);
    results.pop().unwrap().unwrap();
    for (result, (text, kind)) in results.iter().zip(refusals) {
        assert_eq!(failed(result, Outcome::Rejected).kind, kind, "{text}");
    }
    assert_eq!((server.connections(), server.received("PUBLISH").len()), (1, refusals.len() + 1));
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_it_is_read_only_is_left() {
    let step = Step::error("READONLY You can't write against a read only replica.");
    let server = FakeServer::start(Script::new().on("PUBLISH", [step, Step::int(1)])).await;
    let bus = ready(hasty(&server.url())).await;
    let results = bus.start_publish(&vec![Record::new("a", 1); 2]).results().await;
    assert_eq!(failed(&results[0], Outcome::Rejected).kind, ErrorKind::NotMaster);
    bus.publish("a", 1).await.unwrap();
    assert_eq!(server.connections(), 2);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_halves_of_replies_end_the_connection_and_nothing_else() {
    let steps = [
        Step::raw(*b":1").then(Step::Close),
        Step::raw(*b"\0\xff\r\nnonsense\r\n"),
        Step::raw(*b":1\r\n:1\r\n:1\r\n"),
        Step::raw(*b"$99999999999999\r\n").then(Step::Close),
        Step::raw(*b"*-7\r\n").then(Step::Close),
        Step::int(1),
    ];
    let server = FakeServer::start(Script::new().on("PUBLISH", steps.clone())).await;
    let bus = ready(hasty(&server.url())).await;
    for n in 0..steps.len() {
        let result = bus.publish_with("a", n, json!({ "timeout": 5_000 })).await;
        if n == 2 || n + 1 == steps.len() {
            // The first of too many replies answers the command; the next one ends the connection.
            result.unwrap();
        } else {
            failed(&result, Outcome::Unknown);
        }
        bus.wait_until_ready(Some(10_000)).await.unwrap();
    }
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_loads_its_data_is_waited_for() {
    let loading = || Step::error("LOADING Redis is loading the dataset in memory");
    let script = Script::new().on("PING", [loading(), loading(), loading(), Step::Default]);
    let server = FakeServer::start(script).await;
    let bus = Bus::with_config(json!({ "redis": server.url() }));
    bus.connect().await.unwrap();
    assert_eq!((server.connections(), bus.state()), (4, State::Ready));
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_survives_messages_and_confirmations_that_it_did_not_ask_for() {
    let server = FakeServer::start(Script::new().on("PUBLISH", [Step::int(0)])).await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    let event = r#"{"id":"1","type":"a","data":1}"#;
    for push in [
        ">3\r\n$7\r\nmessage\r\n$7\r\nunknown\r\n$1\r\nx\r\n".to_owned(),
        ">3\r\n$9\r\nsubscribe\r\n$5\r\nnever\r\n:2\r\n".to_owned(),
        ">3\r\n$11\r\nunsubscribe\r\n$5\r\nnever\r\n:1\r\n".to_owned(),
        ">2\r\n$10\r\ninvalidate\r\n_\r\n".to_owned(),
        ">0\r\n".to_owned(),
        format!(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n${}\r\n{event}\r\n", event.len()),
    ] {
        server.send(push);
    }
    inbox.wait_for_id("1").await;
    assert_eq!((inbox.len(), server.connections(), bus.stats().counts.reconnections), (1, 2, 0));
    bus.disconnect().await;
}
