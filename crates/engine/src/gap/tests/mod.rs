//! Missed intervals and what fills them, over streams in memory and with a clock that the tests move.

mod rig;

use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::Request;

use super::missed_interval::Gap;
use crate::receive::seen::MAX_IDS;
use rig::Rig;

fn to(subscription: u32, ids: &[&str]) -> Vec<(u32, String)> {
    ids.iter().map(|id| (subscription, (*id).to_owned())).collect()
}

#[tokio::test]
async fn what_was_missed_is_delivered_and_what_came_is_not_again() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(60_000);
    rig.store("orders", "too old", "order.a", &[]);
    rig.pass(1_001);
    rig.heartbeat();
    rig.store("orders", "came", "order.a", &[]);
    rig.come("came", "order.a");
    rig.store("orders", "on its way", "order.b", &[]);
    rig.interrupt();
    rig.pass(60_000);
    rig.store("orders", "meanwhile", "order.a", &[]);
    rig.store("orders", "not live", "order.secret", &[]);
    rig.store("orders", "for a group", "order.a", &[("group", "g")]);
    rig.store("orders", "for a room", "order.a", &[("meta", r#"{"room":"1"}"#)]);
    rig.store("orders", "with more", "order.a", &[("meta", r#"{"tenant":{"room":1}}"#)]);
    rig.store("orders", "elsewhere", "photo.a", &[]);
    rig.store("photos", "another", "photo.a", &[]);
    assert_eq!(rig.delivered_to_one(), ["came"]);
    rig.resume();
    assert_eq!(rig.gap().await, (3, true));
    assert_eq!(rig.delivered_to_one(), ["meanwhile", "on its way", "with more"]);
}

#[tokio::test]
async fn each_subscription_gets_each_missed_event_once() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.a", "order.*", "*"]);
    rig.subscribe(2, &["order.a"]);
    rig.subscribe(3, &["*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.interrupt();
    rig.store("orders", "1", "order.a", &[]);
    rig.store("photos", "2", "photo.a", &[]);
    rig.resume();
    assert_eq!(rig.gap().await, (2, false), "'*' matches what is not stored");
    assert_eq!(rig.delivered(), [to(1, &["1", "2"]), to(2, &["1"]), to(3, &["1", "2"])].concat());
    // It was on its way when the subscriptions were confirmed.
    rig.come("1", "order.a");
    assert_eq!(rig.delivered(), []);
    // Another one of the same id, long after.
    rig.pass(10_000);
    rig.heartbeat();
    rig.come("1", "order.a");
    assert_eq!(rig.delivered(), [to(1, &["1"]), to(2, &["1"]), to(3, &["1"])].concat());
}

#[tokio::test]
async fn a_message_that_came_for_one_wire_only_is_recovered_for_the_other() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.a"]);
    rig.subscribe(2, &["order.*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.store("orders", "1", "order.a", &[]);
    let exact = [ServerSubscription::Channel(b"p:order.a".as_slice().into())];
    rig.come_for(&exact, "1", "order.a");
    assert_eq!(rig.delivered(), to(1, &["1"]));
    rig.interrupt();
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered(), to(2, &["1"]));
}

#[tokio::test]
async fn a_subscription_gets_nothing_from_before_it_was_made() {
    let mut rig = Rig::new();
    rig.pass(10_000);
    rig.heartbeat();
    rig.store("orders", "before", "order.a", &[]);
    rig.pass(10);
    rig.subscribe(1, &["order.*"]);
    rig.store("orders", "behind", "order.a", &[]);
    rig.interrupt();
    rig.store("photos", "before, too", "photo.a", &[]);
    rig.subscribe(2, &["photo.*"]);
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered(), to(1, &["behind"]));
}

#[tokio::test]
async fn connections_that_break_again_make_one_hole() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.interrupt();
    rig.pass(10_000);
    rig.continuity.opened(rig.now());
    rig.heartbeat();
    rig.interrupt();
    rig.pass(10_000);
    rig.store("orders", "1", "order.a", &[]);
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    // The next missed interval reaches back to this one, and then begins with this connection.
    rig.interrupt();
    rig.resume();
    assert_eq!(rig.gap().await, (0, true));
    rig.pass(10_000);
    rig.interrupt();
    rig.store("orders", "2", "order.a", &[]);
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered_to_one(), ["1", "2"]);
}

#[tokio::test]
async fn a_gap_is_complete_only_if_all_was_stored_and_read() {
    for (patterns, trimmed, expected) in [
        (&["order.*"][..], false, (2, true)),
        (&["order.*"], true, (1, false)),
        (&["order.a", "photo.x*"], false, (2, true)),
        (&["photo.*"], true, (0, true)),
        (&["o*"], false, (2, false)),
        (&["order.*", "user.a"], false, (2, false)),
        (&["user.a"], false, (0, false)),
        (&["order.*", "room:1"], false, (2, false)),
    ] {
        let mut rig = Rig::new();
        rig.subscribe(1, patterns);
        rig.pass(10_000);
        rig.heartbeat();
        let all = patterns.iter().map(|pattern| match pattern.contains('*') {
            true => ServerSubscription::Pattern(format!("p:{pattern}").into_bytes().into()),
            false => ServerSubscription::Channel(format!("p:{pattern}").into_bytes().into()),
        });
        let now = rig.now();
        rig.continuity.interrupted(all, now);
        rig.store("orders", "1", "order.a", &[]);
        rig.pass(1);
        rig.store("orders", "2", "order.a", &[]);
        if trimmed {
            let request = Request::Trim { stream: "orders".into(), max_len: Some(1), min_id: None };
            rig.memory.streams.lock().unwrap().execute(request, 0).unwrap();
        }
        rig.resume();
        assert_eq!(rig.gap().await, expected, "{patterns:?} {trimmed}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_reached_at_once_is_asked_again() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.interrupt();
    rig.store("orders", "1", "order.a", &[]);
    *rig.memory.fails.lock().unwrap() = 3;
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered_to_one(), ["1"]);
}

#[tokio::test]
async fn a_store_that_is_never_reached_is_given_up() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.interrupt();
    *rig.memory.fails.lock().unwrap() = u32::MAX;
    rig.resume();
    rig.pass(3_600_000);
    assert_eq!(rig.gap().await, (0, false));
}

#[tokio::test]
async fn when_too_much_came_to_remember_only_what_cannot_have_come_is_delivered() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.store("orders", "may have come", "order.a", &[]);
    for n in 0..=MAX_IDS {
        rig.come(&n.to_string(), "order.a");
        if n % 1_000 == 0 {
            rig.delivered();
        }
    }
    rig.delivered();
    rig.interrupt();
    rig.pass(60_000);
    rig.store("orders", "missed", "order.a", &[]);
    rig.pass(60_000);
    rig.store("orders", "may come", "order.a", &[]);
    rig.resume();
    assert_eq!(rig.gap().await, (1, false));
    assert_eq!(rig.delivered_to_one(), ["missed"]);
}

#[tokio::test]
async fn a_subscription_that_the_server_had_refused_gets_what_it_missed() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(10_000);
    rig.store("orders", "before", "order.a", &[]);
    rig.pass(1);
    let since = rig.now();
    rig.store("orders", "meanwhile", "order.a", &[]);
    rig.pass(10_000);
    let (server_subscription, now) = (rig.server_subscriptions()[0].clone(), rig.now());
    rig.continuity.regained(server_subscription, since, now, Gap { from: 1, to: 2, patterns: vec![] });
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered_to_one(), ["meanwhile"]);
}

#[tokio::test]
async fn who_unsubscribes_meanwhile_misses_nothing() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.subscribe(2, &["photo.*"]);
    rig.interrupt();
    let unused = rig.shared.remove_subscription(1);
    unused.iter().for_each(|server_subscription| rig.continuity.ended(server_subscription));
    rig.store("orders", "1", "order.a", &[]);
    rig.subscribe(1, &["order.*"]);
    rig.resume();
    assert_eq!(rig.gap().await, (0, true));
    assert_eq!(rig.delivered(), []);
}
