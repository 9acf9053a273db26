//! What a group has read past, where the clock of the server would have to go on for minutes: its record is made by hand.

use oxbus_model::stream_store::keys;

use super::*;

#[tokio::test]
async fn what_was_given_up_is_neither_taken_up_nor_counted_as_found() {
    let rig = Rig::with_group().await;
    let id = EntryId::first_of;
    rig.done(beat("a", "i")).await;
    for n in 1..=9 {
        rig.server.command(&["XADD", STREAM, &format!("{n}-0"), "eventType", "c"]).await;
    }
    rig.deliver("a", 9).await;
    // A backlog of an hour ago, and what was read past twenty minutes ago.
    for n in [1, 2, 3, 4, 6] {
        rig.server.command(&["XACK", STREAM, GROUP, &format!("{n}-0")]).await;
    }
    let Response::Time(now) = rig.done(Request::Time).await else { panic!() };
    let (hour, twenty) = (now / 60_000 - 60, now / 60_000 - 20);
    let record = format!("{hour} 1-0 3-0 3 b;{twenty} 4-0 6-0 2 n;");
    let (facts, skipped) = ("orders:group:billing", "orders:group:billing:skipped");
    rig.server.command(&["HSET", skipped, "c", &record]).await;
    for late in [[7, 9], [5, 8]] {
        let entries = late.map(|n| (id(n), "c".into())).to_vec();
        let answer = rig.done(Request::Skip { member: member("a"), version: 1, entries }).await;
        assert!(matches!(answer, Response::Skipped { done: true, .. }), "{answer:?}");
    }
    assert_eq!(rig.server.command(&["HGET", facts, "givenUp"]).await.text(), "6-0");
    let record = rig.server.command(&["HGET", skipped, "c"]).await.text();
    let slices: Vec<_> = record.split_terminator(';').map(|slice| slice.split_once(' ').unwrap().1).collect();
    assert_eq!(slices, ["1-0 3-0 3 b", "5-0 5-0 1 n", "7-0 9-0 3 n"]);

    rig.server.command(&["XTRIM", STREAM, "MINID", "3-0"]).await;
    let mut new = beat("b", "i");
    if let Request::Heartbeat { patterns, version, take_up, .. } = &mut new {
        (*patterns, *version) = (vec!["c".to_owned()], 1);
        take_up.push(("c".to_owned(), Position::Beginning));
    }
    let Response::Facts(facts) = rig.done(new).await else { panic!() };
    assert_eq!(facts.new_patterns, ["c"]);
    let tasks = facts.take_up.iter().map(|task| task.number).collect();
    let request = Request::TakeUp { member: member("b"), told: Vec::new(), tasks, limit: 100 };
    let Response::TakenUp { entries, gone, .. } = rig.done(request).await else { panic!() };
    assert_eq!(ids_of(&entries), [id(3), id(5), id(7), id(8), id(9)]);
    let gone: Vec<_> = gone.iter().map(|(_, missed)| (missed.count, missed.from, missed.to)).collect();
    assert_eq!(gone, [(2, id(1), id(3))]);
}

/// Takes up what the group of this rig has read past of a type, for a pattern that is new to it.
async fn taken_up(rig: &Rig, event_type: &str, skipped: &[u64]) -> (Vec<EntryId>, usize) {
    let entries = skipped.iter().map(|n| (EntryId::first_of(*n), event_type.into())).collect();
    let version = {
        let known = rig.server.command(&["HGET", "orders:group:billing", "version"]).await;
        known.text().parse().unwrap_or(0)
    };
    let answer = rig.done(Request::Skip { member: member("a"), version, entries }).await;
    assert!(matches!(answer, Response::Skipped { done: true, .. }), "{answer:?}");
    let mut new = beat("b", "i");
    if let Request::Heartbeat { patterns, version: known, take_up, .. } = &mut new {
        (*patterns, *known) = (vec![event_type.to_owned()], version + 1);
        take_up.push((event_type.to_owned(), Position::Beginning));
    }
    let Response::Facts(facts) = rig.done(new).await else { panic!() };
    let tasks = facts.take_up.iter().map(|task| task.number).collect();
    let request = Request::TakeUp { member: member("b"), told: Vec::new(), tasks, limit: 100 };
    let Response::TakenUp { entries, gone, done } = rig.done(request).await else { panic!() };
    assert_eq!(done.len(), 1);
    (ids_of(&entries), gone.len())
}

#[tokio::test]
async fn what_was_read_past_is_found_in_every_format_that_is_read() {
    for formats in [["oxbus", "eventsource"], ["eventsource", "oxbus"], ["faststream", "eventsource"]] {
        let rig = Rig::reading(&formats).await;
        rig.done(beat("a", "i")).await;
        for (n, field) in [(1, "eventType"), (2, "event_type"), (3, "eventType"), (4, "event_type")] {
            let event_type = if n < 3 { "c" } else { "d" };
            rig.server.command(&["XADD", STREAM, &format!("{n}-0"), field, event_type]).await;
        }
        rig.deliver("a", 4).await;
        let found = taken_up(&rig, "c", &[1, 2]).await;
        assert_eq!(found, ([1, 2].map(EntryId::first_of).to_vec(), 0), "{formats:?}");
    }
}

#[tokio::test]
async fn what_was_read_past_is_found_where_no_field_tells_the_type() {
    let rig = Rig::reading(&["faststream", "oxbus"]).await;
    rig.done(beat("a", "i")).await;
    // The type of the second and of the last is the name of the stream.
    for (n, field, value) in [
        (1, "eventType", "c"),
        (2, "__data__", "{}"),
        (3, "event_type", "c"),
        (4, "no", "event"),
        (5, "__data__", r#"{"n":1}"#),
    ] {
        rig.server.command(&["XADD", STREAM, &format!("{n}-0"), field, value]).await;
    }
    rig.deliver("a", 5).await;
    let found = taken_up(&rig, STREAM, &[2, 5]).await;
    assert_eq!(found, ([2, 5].map(EntryId::first_of).to_vec(), 0));
}

#[tokio::test]
async fn types_in_messages_are_told_page_by_page() {
    let fields = json!({ "write": { "kind": "type", "payload": "data" } });
    let stream = json!({ "write": { "event": "message" } });
    let rig = Rig::of_config(json!({ "wire": { "fields": fields, "stream": stream } })).await;
    rig.open(Position::Beginning).await;
    let mut of_a = Vec::new();
    for n in 0..250 {
        let kind = if n % 3 == 0 { "a" } else { "b" };
        // Every fifth names its type in a field, as one of Oxbus does.
        let id = match n % 5 {
            0 => rig.append_to(STREAM, &["eventType", kind, "data", "1"]).await,
            _ => {
                let message = json!({ "kind": kind, "payload": n }).to_string();
                rig.append_to(STREAM, &["event", &message]).await
            }
        };
        if kind == "a" {
            of_a.push(id);
        }
    }
    rig.server.command(&["XGROUP", "SETID", STREAM, GROUP, "$"]).await;
    let (first, last) = (of_a[0], of_a[of_a.len() - 1]);
    let task = format!("0-1 {last} . {} {first} a", of_a.len());
    rig.server.command(&["HSET", &keys::tasks(STREAM, GROUP), "1", &task]).await;
    let take_up = || Request::TakeUp { member: member("a"), told: Vec::new(), tasks: vec![1], limit: 60 };
    let mut found = Vec::new();
    for expected in [vec![], vec![1]] {
        match rig.done(take_up()).await {
            Response::TakenUp { entries, done, gone } => {
                assert_eq!((done, gone), (expected, Vec::new()));
                found.extend(ids_of(&entries));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, of_a);
}
