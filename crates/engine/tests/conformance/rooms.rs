//! Rooms and users: who hears what, and who is there.

use std::time::Duration;

use oxbus_model::ErrorKind;
use oxbus_testkit::{eventually, seeded};
use rand::Rng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::support::{Bus, Inbox, PATIENCE, Record, barrier, to_room, to_user};

suite! {
    joined_rooms_are_heard_by_type, users, names_are_apart, except, overlapping_joins, racing_joins, ten_thousand_members, who_is_there, refused_joins, closing_leaves,
}

/// What came, without barriers, in order.
fn data(inbox: &Inbox) -> Vec<Value> {
    inbox.data().into_iter().filter(|data| !data.is_null()).collect()
}

/// Type patterns hear a room only while this client has joined it; patterns of channels hear it in any case.
async fn joined_rooms_are_heard_by_type(fixture: &Fixture) {
    let (publisher, bus) = (fixture.bus().await, fixture.bus().await);
    let all = Inbox::of(&bus, &["*"]).await;
    let chat = Inbox::of(&bus, &["chat.*", "chat.said"]).await;
    let other = Inbox::of(&bus, &["order.*"]).await;
    let rooms = Inbox::of(&bus, &["room:*"]).await;
    let room = Inbox::of(&bus, &["room:a", "chat.*"]).await;
    let step = async |n: u32| {
        for name in ["a", "b"] {
            let event = to_room(name, "chat.said", format!("{name}{n}"));
            publisher.publish_raw(event).await.unwrap();
        }
        barrier(&publisher, &bus).await;
    };
    step(1).await;
    assert!(bus.join_room("a", None).await.unwrap());
    step(2).await;
    assert!(bus.leave_room("a", None).await);
    step(3).await;
    assert_eq!((data(&all), data(&chat)), (vec![json!("a2")], vec![json!("a2")]));
    assert!(data(&other).is_empty());
    let both = ["a1", "b1", "a2", "b2", "a3", "b3"].map(Value::from);
    fixture.assert_came(data(&rooms), &both, "of both rooms");
    assert_eq!(data(&room), ["a1", "a2", "a3"]);
    let event = &all.events().into_iter().find(|e| e.event_type() == "chat.said").unwrap();
    assert_eq!(event.channel(), Some("room:a"));
    assert_eq!(event.json()["metadata"]["room"], "a");
}

/// A user's events reach those who have joined the user, and nobody else.
async fn users(fixture: &Fixture) {
    let (publisher, mine, other) = (fixture.bus().await, fixture.bus().await, fixture.bus().await);
    let (heard, not_heard) = (Inbox::of(&mine, &["*"]).await, Inbox::of(&other, &["*"]).await);
    assert!(mine.join_user("u1").await.unwrap());
    assert!(!mine.join_user("u1").await.unwrap());
    assert!(other.join_user("u2").await.unwrap());
    publisher.publish_raw(to_user("u1", "greeting", 1)).await.unwrap();
    barrier(&publisher, &mine).await;
    barrier(&publisher, &other).await;
    assert_eq!((data(&heard), data(&not_heard)), (vec![json!(1)], vec![]));
    assert!(mine.leave_user("u1").await && !mine.leave_user("u1").await);
    publisher.publish_raw(to_user("u1", "greeting", 2)).await.unwrap();
    barrier(&publisher, &mine).await;
    assert_eq!(data(&heard), [1]);
    // A user is no room of that name.
    assert_eq!(publisher.members("u1").await, [""; 0]);
}

/// Rooms of any names are kept apart.
async fn names_are_apart(fixture: &Fixture) {
    let (publisher, bus) = (fixture.bus().await, fixture.bus().await);
    let long = "x".repeat(1024);
    let names = [
        "a",
        "a:b",
        ":",
        "*",
        "a*",
        "?",
        "{a}",
        "[a]",
        "\\a",
        "a b",
        "a\0b",
        "\r\n",
        "é",
        "\u{1f600}",
        "room:a",
        &long,
    ];
    let heard = Inbox::of(&bus, &["*"]).await;
    for joined in names {
        bus.join_room(joined, Some(joined)).await.unwrap();
        for name in names {
            publisher.publish_raw(to_room(name, "said", name)).await.unwrap();
        }
        barrier(&publisher, &bus).await;
        assert_eq!(data(&heard), [joined], "joined {joined:?}");
        for name in names {
            let members = publisher.members(name).await;
            assert_eq!(
                members,
                if name == joined { vec![name] } else { vec![] },
                "{name:?}, joined {joined:?}"
            );
        }
        assert!(bus.leave_room(joined, None).await);
        heard.clear();
    }
}

/// An event that leaves members out is not heard by a client that has joined for no other.
async fn except(fixture: &Fixture) {
    let (publisher, bus) = (fixture.bus().await, fixture.bus().await);
    let (types, channel) = (Inbox::of(&bus, &["*"]).await, Inbox::of(&bus, &["room:a"]).await);
    bus.join_room("a", Some("ann")).await.unwrap();
    let without = |except: &[&str], n: u32| {
        Record::new("said", n).with(json!({ "audience": { "room": "a", "except": except } }))
    };
    publisher.publish_raw(without(&["ann"], 1)).await.unwrap();
    publisher.publish_raw(without(&["bob", "an"], 2)).await.unwrap();
    // Who has joined counts when an event comes, not when it is published.
    barrier(&publisher, &bus).await;
    bus.join_room("a", Some("bob")).await.unwrap();
    publisher.publish_raw(without(&["ann"], 3)).await.unwrap();
    publisher.publish_raw(without(&["ann", "bob"], 4)).await.unwrap();
    publisher.publish_raw(without(&[], 5)).await.unwrap();
    barrier(&publisher, &bus).await;
    assert_eq!((data(&types), data(&channel).len()), (vec![json!(2), json!(3), json!(5)], 5));
    assert_eq!(bus.stats().counts.events_skipped, 2);
}

/// The last of several joins and subscriptions ends what the server sends, and not one before it.
async fn overlapping_joins(fixture: &Fixture) {
    let (publisher, bus) = (fixture.bus().await, fixture.bus().await);
    let heard = Inbox::of(&bus, &["said"]).await;
    let all = Inbox::of(&bus, &["room:*", "room:a", "said", "*"]).await;
    assert!(bus.join_room("a", Some("ann")).await.unwrap());
    assert!(!bus.join_room("a", Some("ann")).await.unwrap());
    assert!(bus.join_room("a", Some("bob")).await.unwrap());
    let say = async |n: u32| {
        publisher.publish_raw(to_room("a", "said", n)).await.unwrap();
        barrier(&publisher, &bus).await;
    };
    say(1).await;
    assert!(bus.leave_room("a", Some("ann")).await && !bus.leave_room("a", Some("ann")).await);
    say(2).await;
    assert!(bus.leave_room("a", None).await && !bus.leave_room("a", None).await);
    say(3).await;
    assert_eq!((data(&heard), data(&all)), (vec![json!(1), json!(2)], vec![json!(1), json!(2), json!(3)]));
}

/// Scenario 34: a thousand joins and leaves that race end with what was asked for last, heard and listed.
async fn racing_joins(fixture: &Fixture) {
    const ROOMS: usize = 10;
    const STEPS: usize = 1_000;
    let (publisher, bus) = (fixture.bus().await, fixture.bus().await);
    let heard = Inbox::of(&bus, &["said"]).await;
    let mut rng = seeded("racing_joins");
    let mut joined = [false; ROOMS];
    let mut pending = Vec::new();
    for _ in 0..STEPS {
        let room = rng.random_range(0..ROOMS);
        joined[room] = rng.random_bool(0.5);
        let name = format!("room {room}");
        // Each call is made in turn, and none waits for another.
        pending.push(if joined[room] { bus.start_join(&name, "m") } else { bus.start_leave(&name) });
    }
    pending.shuffle(&mut rng);
    for reply in pending {
        reply.await.unwrap();
    }
    for (room, is_joined) in joined.into_iter().enumerate() {
        let name = format!("room {room}");
        publisher.publish_raw(to_room(&name, "said", room)).await.unwrap();
        assert_eq!(publisher.members(&name).await, if is_joined { vec!["m"] } else { vec![] }, "{name}");
    }
    barrier(&publisher, &bus).await;
    let expected: Vec<Value> = (0..ROOMS).filter(|room| joined[*room]).map(Value::from).collect();
    fixture.assert_came(data(&heard), &expected, "of the rooms that are joined in the end");
    let before = heard.len();
    // A room that is joined while it is being left hears the very next event, which must have come before the
    // room is left again.
    for n in 0..100_usize {
        let leaving = bus.start_leave("quick");
        let joining = bus.start_join("quick", "m");
        joining.await.unwrap();
        publisher.publish_raw(to_room("quick", "said", 1_000 + n)).await.unwrap();
        leaving.await.unwrap();
        heard.wait_for(before + n + 1).await;
    }
    barrier(&publisher, &bus).await;
    assert_eq!(data(&heard)[expected.len()..], (1_000..1_100).map(Value::from).collect::<Vec<_>>());
}

/// A room with 10,000 members over 20 clients is listed whole, in order, by one question.
async fn ten_thousand_members(fixture: &Fixture) {
    const CLIENTS: usize = 20;
    const EACH: usize = 500;
    let mut clients = Vec::new();
    let mut expected = Vec::new();
    for client in 0..CLIENTS {
        let bus = fixture.bus().await;
        let names: Vec<String> = (0..EACH).map(|n| format!("member-{client:02}-{n:03}")).collect();
        let joining: Vec<_> = names.iter().map(|name| bus.start_join("hall", name)).collect();
        for reply in joining {
            reply.await.unwrap();
        }
        // One who is there twice is listed once.
        bus.join_room("hall", Some("everyone")).await.unwrap();
        expected.extend(names);
        clients.push(bus);
    }
    expected.push("everyone".into());
    expected.sort();
    if fixture.capabilities.open_to_others {
        fixture.command(&["CONFIG", "RESETSTAT"]).await;
    }
    assert!(clients[0].members("hall").await == expected);
    if fixture.capabilities.open_to_others {
        let stats = fixture.command(&["INFO", "commandstats"]).await.text();
        let asked = stats.lines().filter(|line| line.starts_with("cmdstat_eval")).collect::<Vec<_>>();
        assert!(asked.iter().any(|line| line.contains("calls=1,")) && asked.len() <= 2, "{stats}");
    }
    for bus in clients {
        bus.disconnect().await;
    }
    assert_eq!(fixture.bus().await.members("hall").await, [""; 0]);
}

/// Members are listed over all clients, each once, until the last client has left for them.
async fn who_is_there(fixture: &Fixture) {
    let service = |name: &str| fixture.bus_with(json!({ "serviceName": name }));
    let (api, web) = (service("api").await, service("web").await);
    api.join_room("a", None).await.unwrap();
    let own = format!("api:{}", api.client().instance_id());
    assert_eq!(web.members("a").await, [&*own]);
    for bus in [&api, &web] {
        bus.join_room("a", Some("zoe")).await.unwrap();
    }
    web.join_room("a", Some("Ann")).await.unwrap();
    assert_eq!(api.members("a").await, ["Ann", &own, "zoe"]);
    assert!(api.leave_room("a", Some("zoe")).await);
    assert_eq!(web.members("a").await, ["Ann", &own, "zoe"]);
    assert!(web.leave_room("a", None).await);
    assert_eq!(api.members("a").await, [own]);
    assert_eq!(api.members("b").await, [""; 0]);
}

/// What cannot be joined is refused at once.
async fn refused_joins(fixture: &Fixture) {
    let bus = fixture.bus().await;
    for (room, member, path) in
        [("", None, "room"), (&*"x".repeat(1025), None, "room"), ("a", Some(""), "member")]
    {
        let error = bus.join_room(room, member).await.unwrap_err();
        assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidOptions, Some(path)));
    }
    let error = bus.request("rooms.members", json!({ "room": "" })).await.unwrap_err();
    assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidOptions, Some("room")));
    let stored = fixture
        .bus_with(json!({ "pubsub": false, "streams": [{ "name": fixture.name("s"), "events": "*" }] }));
    assert_eq!(stored.await.join_room("a", None).await.unwrap_err().kind, ErrorKind::NoStream);
    bus.disconnect().await;
    assert_eq!(bus.join_room("a", None).await.unwrap_err().kind, ErrorKind::Closed);
    assert!(!bus.leave_room("a", None).await);
}

/// A client that disconnects is in no room any more, and one that is dropped soon is not.
async fn closing_leaves(fixture: &Fixture) {
    let (watcher, bus): (Bus, Bus) = (fixture.bus().await, fixture.bus().await);
    for room in 0..100 {
        bus.join_room(&format!("r{room}"), Some("m")).await.unwrap();
    }
    assert_eq!(watcher.members("r99").await, ["m"]);
    bus.disconnect().await;
    for room in 0..100 {
        assert_eq!(watcher.members(&format!("r{room}")).await, [""; 0]);
    }
    let dropped = fixture.bus().await;
    dropped.join_room("a", Some("m")).await.unwrap();
    drop(dropped);
    // On a server it expires, 30 s after it was told last.
    let limit = PATIENCE + Duration::from_secs(10);
    eventually(limit, "it has expired", || async { watcher.members("a").await.is_empty() }).await;
}
