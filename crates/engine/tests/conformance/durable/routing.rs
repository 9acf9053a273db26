//! Which events reach which subscriptions of which groups.

use oxbus_model::ErrorKind;
use oxbus_testkit::eventually;
use serde_json::{Value, json};

use super::setup::{
    Group, dead_letters, event_in, member, numbered, numbers, sorted, store, workers, workers_with,
};
use crate::fixture::Fixture;
use crate::support::{Inbox, PATIENCE, Record, dead_lettered};

suite! {
    with cluster;
    refusals, overlapping_patterns, filters, handlers_in_different_clients, unhandled, several_streams, configured_groups, where_events_are_stored,
}

/// What a durable subscription is refused for.
async fn refusals(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    for (patterns, options, kind) in [
        (&["order.*"][..], workers(), ErrorKind::NoStream),
        (&["order.created", "user.*"], workers(), ErrorKind::NoStream),
        (&["job"], workers_with(json!({ "streams": ["nowhere"] })), ErrorKind::NoStream),
        (&["job"], workers_with(json!({ "group": "" })), ErrorKind::InvalidOptions),
        (&["job"], workers_with(json!({ "group": "a\nb" })), ErrorKind::InvalidOptions),
        (&["job"], workers_with(json!({ "from": "yesterday" })), ErrorKind::InvalidOptions),
        (&["job"], workers_with(json!({ "orderBy": "age" })), ErrorKind::InvalidOptions),
        (&["job"], workers_with(json!({ "batch": { "size": 0 } })), ErrorKind::InvalidOptions),
        (&["job"], workers_with(json!({ "noEcho": true })), ErrorKind::InvalidOptions),
        (&["job"], workers_with(json!({ "filter": { "": 1 } })), ErrorKind::InvalidOptions),
        (&["job"], json!({ "orderBy": "key" }), ErrorKind::InvalidOptions),
        (&["job"], json!({ "consumer": "me" }), ErrorKind::InvalidOptions),
        (&[""], workers(), ErrorKind::InvalidPattern),
    ] {
        let result = bus.subscribe(patterns, options.clone(), Inbox::default().handler()).await;
        assert_eq!(result.unwrap_err().kind, kind, "{patterns:?} {options}");
    }
    assert_eq!(bus.stats().active_subscriptions, 0);
    // Nothing is left behind: no group was made.
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    store(&bus, numbered("job", 0..1)).await;
    inbox.wait_for(1).await;
    let stream = Group::workers(&bus, fixture).stream().await;
    assert_eq!(stream["groups"].as_array().unwrap().len(), 1);
    bus.disconnect().await;
    let closed = bus.subscribe(&["job"], workers(), Inbox::default().handler()).await.unwrap_err();
    assert_eq!(closed.kind, ErrorKind::Closed);
}

/// Each subscription is called once, however many of its patterns match; the first one counts.
async fn overlapping_patterns(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let overlapping = Inbox::with(&bus, &["note.x", "job.*", "*", "job.a"], workers()).await;
    let exact = Inbox::with(&bus, &["job.a"], workers()).await;
    let glob = Inbox::with(&bus, &["job.[ab]"], workers()).await;
    let types = ["job.a", "job.b", "job.c", "job", "note.x"];
    store(&bus, types.iter().map(|event_type| Record::new(*event_type, 0)).collect()).await;
    overlapping.wait_for(5).await;
    for stream in [fixture.jobs(), fixture.notes()] {
        Group::of(&bus, &stream, "workers").settled().await;
    }
    let mut seen: Vec<_> =
        overlapping.events().iter().map(|event| (event.event_type(), event.pattern)).collect();
    seen.sort();
    let expected = [("job", 2), ("job.a", 1), ("job.b", 1), ("job.c", 1), ("note.x", 0)];
    assert_eq!(seen, expected.map(|(event_type, pattern)| (event_type.to_owned(), pattern)));
    assert_eq!((exact.types(), glob.types()), (vec!["job.a".into()], vec!["job.a".into(), "job.b".into()]));
    assert_eq!(bus.stats().counts.events_skipped, 0);
}

/// A filter decides before a handler is called; what no subscription wants is settled and counted.
async fn filters(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let only = |n: u64| workers_with(json!({ "filter": { "data.kind": n } }));
    let one = Inbox::with(&bus, &["job"], only(1)).await;
    let two = Inbox::with(&bus, &["job"], only(2)).await;
    let all = Inbox::with(&bus, &["job"], member("all", json!({}))).await;
    let record = |n: u64| Record::new("job", json!({ "kind": n % 5, "n": n }));
    store(&bus, (0..50).map(record).collect()).await;
    all.wait_for(50).await;
    Group::workers(&bus, fixture).settled().await;
    for (inbox, kind) in [(one, 1), (two, 2)] {
        assert_eq!(inbox.len(), 10);
        assert!(inbox.data().iter().all(|data| data["kind"] == kind));
    }
    assert!(bus.stats().counts.events_skipped >= 30);
}

/// Clients of a group with handlers for different types: each event finds the client that has one.
async fn handlers_in_different_clients(fixture: &Fixture) {
    let (one, two) = (fixture.keeper().await, fixture.keeper().await);
    let first = Inbox::with(&one, &["job.a"], workers()).await;
    let second = Inbox::with(&two, &["job.b"], workers()).await;
    let record = |n: u64| Record::new(if n.is_multiple_of(2) { "job.a" } else { "job.b" }, n);
    store(&one, (0..40).map(record).collect()).await;
    first.wait_for(20).await;
    second.wait_for(20).await;
    Group::workers(&one, fixture).settled().await;
    assert_eq!(sorted(&first), (0..20).map(|n| n * 2).collect::<Vec<_>>());
    assert_eq!(sorted(&second), (0..20).map(|n| n * 2 + 1).collect::<Vec<_>>());
    for event in [first.events(), second.events()].concat() {
        assert_eq!((event.attempt, event.deliveries()), (1, 1), "a hand-back does not count");
    }
    assert_eq!(dead_letters(&one, &fixture.jobs()).await, Vec::<Value>::new());
}

/// An event that the group wants and nobody handles becomes a dead letter in the end.
async fn unhandled(fixture: &Fixture) {
    let (one, two) = (fixture.hasty_keeper().await, fixture.hasty_keeper().await);
    let gone = one.subscribe(&["job.a"], workers(), Inbox::default().handler()).await.unwrap();
    let inbox = Inbox::with(&two, &["job.b"], workers()).await;
    assert!(one.unsubscribe(gone).await);
    let ids = store(&one, vec![Record::new("job.a", 0), Record::new("job.b", 1)]).await;
    inbox.wait_for(1).await;
    let told = two.notices.wait_to_find(dead_lettered).await;
    assert_eq!((told.reason.as_str(), &told.message_id), ("unhandled", &ids[0]));
    Group::workers(&two, fixture).settled().await;
    let dead_letters = dead_letters(&two, &fixture.jobs()).await;
    assert_eq!((dead_letters.len(), &dead_letters[0]["reason"]), (1, &json!("unhandled")));
    assert_eq!(event_in(&dead_letters[0]["event"])["type"], "job.a");
    assert_eq!((inbox.len(), two.stats().counts.events_dead_lettered), (1, 1));
}

/// One subscription reads all streams that hold what it wants, or those that it names.
async fn several_streams(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let all = Inbox::with(&bus, &["*"], member("all", json!({}))).await;
    let named = member("named", json!({ "streams": [fixture.notes()] }));
    let notes = Inbox::with(&bus, &["*"], named).await;
    let types = ["job", "note.x", "job.a", "note.y"];
    store(&bus, (0..40).map(|n| Record::new(types[n % 4], n)).collect()).await;
    all.wait_for(40).await;
    notes.wait_for(20).await;
    for (stream, group) in [(fixture.jobs(), "all"), (fixture.notes(), "all"), (fixture.notes(), "named")] {
        Group::of(&bus, &stream, group).settled().await;
    }
    assert_eq!(sorted(&all), (0..40).collect::<Vec<_>>());
    assert_eq!(numbers(&notes), (0..20).map(|n| n * 2 + 1).collect::<Vec<_>>());
    let of_stream = |event: &crate::support::Event| event.stored().stream.to_string();
    for event in all.events() {
        let is_note = event.event_type().starts_with("note");
        assert_eq!(of_stream(&event), if is_note { fixture.notes() } else { fixture.jobs() });
    }
    let jobs = Group::of(&bus, &fixture.jobs(), "named").facts().await;
    assert_eq!(jobs, Value::Null, "a group is made where it reads");
}

/// Groups of the configuration exist from the start, so that nothing is missed before the first subscription.
async fn configured_groups(fixture: &Fixture) {
    let streams = json!([{
        "name": fixture.jobs(), "events": ["job"],
        "consumerGroups": ["early", { "name": "all", "from": "beginning" }],
    }]);
    let before = fixture.keeper().await;
    store(&before, numbered("job", 0..3)).await;
    let bus = fixture.bus_with(json!({ "streams": streams })).await;
    store(&bus, numbered("job", 3..6)).await;
    let early = Inbox::with(&bus, &["job"], member("early", json!({}))).await;
    let all = Inbox::with(&bus, &["job"], member("all", json!({ "from": "new" }))).await;
    early.wait_for(3).await;
    all.wait_for(6).await;
    assert_eq!((numbers(&early), numbers(&all)), ((3..6).collect(), (0..6).collect()));
    // It was told to start elsewhere, which an existing group does not.
    let ignored = |notice: &_| crate::support::is_warning(notice, "START_IGNORED");
    bus.notices.wait_for(ignored).await;
    assert_eq!(bus.notices.all().iter().filter(|notice| ignored(notice)).count(), 1);
}

/// An event goes where it is told to: to another stream, or to none; and live as well, or not.
async fn where_events_are_stored(fixture: &Fixture) {
    let quiet = fixture.name("quiet");
    let bus = fixture.keeper_with(json!({ "streams": [
        { "name": fixture.jobs(), "events": ["job", "job.*"], "realtime": ["job", "*.live"] },
        { "name": quiet, "events": ["job.*", "quiet.*"], "realtime": false },
    ] }));
    let bus = bus.await;
    let live = Inbox::of(&bus, &["*"]).await;
    let jobs = Inbox::with(&bus, &["*"], member("jobs", json!({ "streams": [fixture.jobs()] }))).await;
    let silent = Inbox::with(&bus, &["*"], member("quiet", json!({ "streams": [quiet] }))).await;
    let (into_jobs, into_quiet) = (Some(fixture.jobs()), Some(quiet.clone()));
    for (event_type, options, stream, receivers) in [
        ("job", json!({}), &into_jobs, 1),
        ("job.a", json!({}), &into_jobs, 0),
        ("job.live", json!({}), &into_jobs, 1),
        ("quiet.a", json!({}), &into_quiet, 0),
        ("job", json!({ "stream": quiet }), &into_quiet, 0),
        ("other", json!({ "stream": quiet }), &into_quiet, 0),
        ("job", json!({ "stream": false }), &None, 1),
        ("other", json!({}), &None, 1),
    ] {
        let receipt = bus.publish_with(event_type, 1, options.clone()).await.unwrap();
        let stored = receipt.stored.map(|stored| stored.stream);
        assert_eq!(&stored, stream, "{event_type} {options}");
        let told = receipt.receivers;
        assert!(fixture.are_received(told, receivers), "{event_type} {options}: {told} received");
    }
    silent.wait_for(3).await;
    jobs.wait_for(3).await;
    eventually(PATIENCE, "live events", || async { live.len() >= 4 }).await;
    assert_eq!(jobs.types(), ["job", "job.a", "job.live"]);
    assert_eq!(silent.types(), ["quiet.a", "job", "other"]);
    let (mut of_all, mut expected) = (live.types(), ["job", "job.live", "job", "other"]);
    if !fixture.capabilities.orders_across_streams {
        of_all.sort();
        expected.sort_unstable();
    }
    assert_eq!(of_all, expected);
    let unknown = bus.publish_with("job", 1, json!({ "stream": "nowhere" })).await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::NoStream);
}
