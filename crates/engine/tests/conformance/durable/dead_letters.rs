//! Dead letters: to look at, to send back, to throw away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oxbus_model::ErrorKind;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::eventually;
use serde_json::{Value, json};

use super::setup::{Group, dead_letters, event_in, member, numbered, sorted, store};
use crate::fixture::Fixture;
use crate::support::{Bus, Event, Inbox, PATIENCE};

suite! {
    with cluster;
    looking, back_to_the_group, back_to_the_stream, failing_again,
}

/// A client whose group `fragile` gives everything up until it is mended, and whose group `sturdy` does not.
struct Fragile {
    bus: Bus,
    mended: Arc<AtomicBool>,
    fragile: Inbox,
    sturdy: Inbox,
}

impl Fragile {
    /// With so many dead letters.
    async fn with(fixture: &Fixture, count: u64) -> Fragile {
        let bus = fixture.keeper().await;
        let (mended, fragile) = (Arc::new(AtomicBool::new(false)), Inbox::default());
        let (works, seen) = (mended.clone(), fragile.clone());
        let handler = move |event: Event| {
            if !works.load(Ordering::SeqCst) {
                return Settlement::Failed { retryable: false };
            }
            seen.put(event);
            Settlement::Succeeded
        };
        bus.subscribe(&["job"], member("fragile", json!({})), handler).await.unwrap();
        let sturdy = Inbox::with(&bus, &["job"], member("sturdy", json!({}))).await;
        store(&bus, numbered("job", 0..count)).await;
        let full = || async { dead_letters(&bus, &fixture.jobs()).await.len() as u64 == count };
        eventually(PATIENCE, "the dead letters", full).await;
        let all = Fragile { bus, mended, fragile, sturdy };
        all.settled(fixture).await;
        all
    }

    async fn settled(&self, fixture: &Fixture) {
        for group in ["fragile", "sturdy"] {
            Group::of(&self.bus, &fixture.jobs(), group).settled().await;
        }
    }

    async fn ask(&self, method: &str, args: Value) -> Value {
        self.bus.request(method, args).await.expect("an answer")
    }
}

/// Letters are listed, counted, found and removed.
async fn looking(fixture: &Fixture) {
    let all = Fragile::with(fixture, 5).await;
    let listed = dead_letters(&all.bus, &fixture.jobs()).await;
    let data: Vec<Value> =
        listed.iter().map(|dead_letter| event_in(&dead_letter["event"])["data"].clone()).collect();
    assert_eq!(data, (0..5).map(Value::from).collect::<Vec<_>>());
    let count = |args| all.ask("deadLetters.count", args);
    assert_eq!(count(json!({})).await, 5);
    assert_eq!(count(json!({ "stream": fixture.jobs() })).await, 5);
    assert_eq!(count(json!({ "stream": fixture.notes() })).await, 0);
    assert_eq!(Group::of(&all.bus, &fixture.jobs(), "fragile").stream().await["deadLetters"], 5);

    let pages = json!({ "limit": 2, "after": listed[1]["id"] });
    assert_eq!(all.ask("deadLetters.list", pages).await, json!([listed[2], listed[3]]));
    let id = json!({ "id": listed[3]["id"] });
    assert_eq!(all.ask("deadLetters.get", id.clone()).await, listed[3]);
    assert_eq!(all.ask("deadLetters.remove", id.clone()).await, json!(true));
    assert_eq!(all.ask("deadLetters.remove", id.clone()).await, json!(false));
    assert_eq!(all.ask("deadLetters.get", id.clone()).await, Value::Null);
    assert_eq!(all.ask("deadLetters.replay", id).await, Value::Null);
    assert_eq!(all.ask("deadLetters.purge", json!({ "stream": fixture.jobs() })).await, 4);
    assert_eq!(all.ask("deadLetters.list", json!({})).await, json!([]));
    // An entry that is no dead letter is not one.
    for id in ["1-1".to_owned(), format!("{}:1-1", fixture.jobs())] {
        assert_eq!(all.ask("deadLetters.get", json!({ "id": id })).await, Value::Null);
        assert_eq!(all.ask("deadLetters.remove", json!({ "id": id })).await, json!(false));
    }
    for (method, args, kind) in [
        ("deadLetters.get", json!({}), ErrorKind::InvalidOptions),
        ("deadLetters.list", json!({ "after": "1-1" }), ErrorKind::InvalidOptions),
        ("deadLetters.list", json!({ "stream": "nowhere" }), ErrorKind::NoStream),
        ("deadLetters.list", json!({ "limit": 0 }), ErrorKind::InvalidOptions),
        ("deadLetters.purge", json!({}), ErrorKind::InvalidOptions),
        ("deadLetters.replay", json!({ "id": listed[0]["id"], "to": "me" }), ErrorKind::InvalidOptions),
    ] {
        assert_eq!(all.bus.request(method, args).await.unwrap_err().kind, kind, "{method}");
    }
}

/// A dead letter goes back to the group that gave it up; the others settle it unseen.
async fn back_to_the_group(fixture: &Fixture) {
    let all = Fragile::with(fixture, 3).await;
    all.mended.store(true, Ordering::SeqCst);
    let listed = dead_letters(&all.bus, &fixture.jobs()).await;
    let replayed = all.ask("deadLetters.replay", json!({ "id": listed[1]["id"] })).await;
    all.fragile.wait_for(1).await;
    all.settled(fixture).await;
    let event = &all.fragile.events()[0];
    assert_eq!(json!(event.message_id()), replayed["messageId"]);
    assert_eq!((event.data(), event.attempt, event.deliveries()), (json!(1), 1, 1));
    assert_eq!(event.json(), event_in(&listed[1]["event"]));
    assert_eq!((all.sturdy.len(), dead_letters(&all.bus, &fixture.jobs()).await.len()), (3, 2));

    assert_eq!(all.ask("deadLetters.replayAll", json!({ "group": "sturdy" })).await, 0);
    assert_eq!(all.ask("deadLetters.replayAll", json!({ "reason": "crashed" })).await, 0);
    assert_eq!(
        all.ask("deadLetters.count", json!({ "reason": "not-retryable", "group": "fragile" })).await,
        2
    );
    let rest = json!({ "stream": fixture.jobs(), "reason": "not-retryable" });
    assert_eq!(all.ask("deadLetters.replayAll", rest).await, 2);
    all.fragile.wait_for(3).await;
    all.settled(fixture).await;
    assert_eq!((sorted(&all.fragile), all.sturdy.len()), (vec![0, 1, 2], 3));
    assert_eq!(dead_letters(&all.bus, &fixture.jobs()).await.len(), 0);
}

/// A dead letter goes back to its stream: all groups get it once more.
async fn back_to_the_stream(fixture: &Fixture) {
    let all = Fragile::with(fixture, 3).await;
    all.mended.store(true, Ordering::SeqCst);
    let id = dead_letters(&all.bus, &fixture.jobs()).await[0]["id"].clone();
    all.ask("deadLetters.replay", json!({ "id": id, "to": "stream" })).await;
    all.fragile.wait_for(1).await;
    all.sturdy.wait_for(4).await;
    let rest = json!({ "limit": 1, "to": "stream" });
    assert_eq!(all.ask("deadLetters.replayAll", rest).await, 1);
    all.fragile.wait_for(2).await;
    all.sturdy.wait_for(5).await;
    all.settled(fixture).await;
    assert_eq!((sorted(&all.fragile), sorted(&all.sturdy)), (vec![0, 1], vec![0, 0, 1, 1, 2]));
}

/// A dead letter that fails again is a dead letter again, and only once.
async fn failing_again(fixture: &Fixture) {
    let all = Fragile::with(fixture, 2).await;
    let first = dead_letters(&all.bus, &fixture.jobs()).await;
    assert_eq!(all.ask("deadLetters.replayAll", json!({})).await, 2);
    eventually(PATIENCE, "the dead letters again", || async {
        all.bus.stats().counts.events_dead_lettered == 4
    })
    .await;
    all.settled(fixture).await;
    let second = dead_letters(&all.bus, &fixture.jobs()).await;
    assert_eq!((second.len(), all.sturdy.len()), (2, 2));
    for (before, after) in first.iter().zip(&second) {
        assert_eq!(before["event"], after["event"]);
        assert_ne!((&before["id"], &before["messageId"]), (&after["id"], &after["messageId"]));
        assert_eq!((&after["group"], &after["attempts"]), (&json!("fragile"), &json!(1)));
    }
}
