use proptest::prelude::*;

use super::*;
use crate::routing::channel::Naming;
use crate::routing::pattern;

fn router() -> Router {
    Router::new(Channels::new("p:"))
}

fn channel(name: &str) -> ServerSubscription {
    ServerSubscription::Channel(name.as_bytes().into())
}

fn glob(name: &str) -> ServerSubscription {
    ServerSubscription::Pattern(name.as_bytes().into())
}

/// What a server would do: the message comes once for each server subscription that matches.
fn deliver(router: &Router, to: &str, event_type: &str) -> Vec<(u32, u32)> {
    let mut routes = Vec::new();
    let channels = router.by_channel.keys().map(|n| ServerSubscription::Channel(n.clone()));
    let patterns = router.by_pattern.keys().map(|n| ServerSubscription::Pattern(n.clone()));
    for server_subscription in channels.chain(patterns).filter(|w| w.matches(to.as_bytes())) {
        if router.route((&server_subscription).into(), to.as_bytes(), &mut routes) {
            router.route_listeners((&server_subscription).into(), to.as_bytes(), event_type, &mut routes);
        }
    }
    routes.sort_by_key(|r| (r.subscription, r.pattern));
    routes.into_iter().map(|r| (r.subscription, r.pattern)).collect()
}

/// The same without a server.
fn deliver_locally(router: &Router, to: &str, event_type: &str) -> Vec<(u32, u32)> {
    let mut routes = Vec::new();
    assert_eq!(router.route_local(to.as_bytes(), event_type, &[], &mut routes), 0);
    routes.sort_by_key(|r| (r.subscription, r.pattern));
    routes.into_iter().map(|r| (r.subscription, r.pattern)).collect()
}

/// Patterns of types, rooms, users and broadcasts.
fn addressed() -> impl Strategy<Value = String> {
    prop_oneof!["[ab*?.]{1,4}", "(room|user):[ab*]", Just("broadcast".to_owned())]
}

fn add(router: &mut Router, id: u32, patterns: &[&str]) -> Vec<ServerSubscription> {
    router.add(id, &patterns.iter().map(|p| p.to_string()).collect::<Vec<_>>(), false)
}

#[test]
fn exact_patterns_subscribe_and_globs_psubscribe_under_the_escaped_prefix() {
    let mut r = Router::new(Channels::new("a*:"));
    let server_subscriptions = r.add(1, &["photo.uploaded".into(), "photo.*".into()], false);
    assert_eq!(
        server_subscriptions,
        [channel("a*:photo.uploaded"), glob("a\\*:photo.*"), channel("a*:broadcast")]
    );
}

#[test]
fn overlapping_patterns_of_one_subscription_call_it_once() {
    let mut r = router();
    add(&mut r, 1, &["photo.*", "*", "photo.uploaded"]);
    add(&mut r, 2, &["photo.uploaded"]);
    add(&mut r, 3, &["photo.uploaded"]);
    assert_eq!(deliver(&r, "p:photo.uploaded", "photo.uploaded"), [(1, 0), (2, 0), (3, 0)]);
    assert_eq!(deliver(&r, "p:order", "order"), [(1, 1)]);
}

#[test]
fn type_patterns_never_see_rooms_and_see_broadcasts_of_their_types() {
    let mut r = router();
    add(&mut r, 1, &["*"]);
    add(&mut r, 2, &["room:*"]);
    add(&mut r, 3, &["photo.*"]);
    add(&mut r, 4, &["broadcast", "*"]);
    r.add(5, &["*".into()], true);
    assert_eq!(deliver(&r, "p:room:1", "photo.a"), [(2, 0), (5, 0)]);
    assert_eq!(deliver(&r, "p:broadcast", "photo.a"), [(1, 0), (3, 0), (4, 0), (5, 0)]);
    assert_eq!(deliver(&r, "p:broadcast", "order"), [(1, 0), (4, 0), (5, 0)]);
}

#[test]
fn an_event_of_a_room_leaves_out_whom_it_is_not_for() {
    let mut r = router();
    add(&mut r, 1, &["a"]);
    add(&mut r, 2, &["room:*"]);
    r.add_local(3, &["a".into()], false);
    r.join("room:x", &"m".into());
    let to = |except: &[&str]| {
        let except: Vec<String> = except.iter().map(|name| name.to_string()).collect();
        let mut routes = Vec::new();
        let left_out = r.route_local(b"p:room:x", "a", &except, &mut routes);
        let mut called: Vec<u32> = routes.iter().map(|r| r.subscription).collect();
        called.sort_unstable();
        (called, left_out)
    };
    assert_eq!(to(&[]), (vec![1, 2, 3], 0));
    assert_eq!(to(&["n"]), (vec![1, 2, 3], 0));
    assert_eq!(to(&["n", "m"]), (vec![2], 2));
}

#[test]
fn patterns_of_channels_are_told_from_those_of_types() {
    let mut r = router();
    add(&mut r, 1, &["*", "a", "room:1"]);
    for (server_subscription, expected) in
        [(glob("p:*"), false), (channel("p:a"), false), (channel("p:room:1"), true)]
    {
        assert_eq!(r.addresses_channels(&server_subscription), expected);
    }
    r.add(2, &["*".into()], true);
    assert!(r.addresses_channels(&glob("p:*")) && !r.addresses_channels(&channel("p:broadcast")));
}

#[test]
fn the_last_subscription_takes_its_server_subscriptions_along() {
    let mut r = router();
    add(&mut r, 1, &["a.*"]);
    add(&mut r, 2, &["a.*", "b"]);
    assert_eq!(r.remove(1), []);
    assert_eq!(r.remove(2), [glob("p:a.*"), channel("p:b"), channel("p:broadcast")]);
    assert_eq!(r.remove(2), []);
    assert_eq!(r.counts(), (0, 0));
    assert!(r.by_channel.is_empty() && r.by_pattern.is_empty());
}

#[test]
fn clearing_gives_every_wire_once() {
    let mut r = router();
    add(&mut r, 1, &["a.*", "b"]);
    add(&mut r, 2, &["a.*"]);
    r.add(3, &["b".into(), "room:1".into()], true);
    let mut server_subscriptions = r.clear();
    server_subscriptions.sort_by(|a, b| a.name().cmp(b.name()));
    assert_eq!(
        server_subscriptions,
        [glob("p:a.*"), channel("p:b"), channel("p:broadcast"), channel("p:room:1")]
    );
    assert_eq!((r.counts(), r.clear()), ((0, 0), vec![]));
    assert_eq!((deliver(&r, "p:b", "b"), deliver(&r, "p:broadcast", "b")), (vec![], vec![]));
    assert_eq!(add(&mut r, 1, &["b"]), [channel("p:b"), channel("p:broadcast")]);
    assert_eq!(deliver(&r, "p:b", "b"), [(1, 0)]);
}

#[test]
fn many_of_one_pattern_go_one_by_one() {
    const MANY: u32 = 100_000;
    let mut r = router();
    (0..MANY).for_each(|id| drop(add(&mut r, id, &["a.*"])));
    // From the end: each would move or look at all others if they were not left in place.
    for id in (1..MANY).rev() {
        assert_eq!(r.remove(id), []);
    }
    assert_eq!(deliver(&r, "p:a.x", "a.x"), [(0, 0)]);
    assert_eq!(r.patterns(&glob("p:a.*")).collect::<Vec<_>>(), ["a.*"]);
    assert_eq!(r.remove(0), [glob("p:a.*"), channel("p:broadcast")]);
}

proptest! {
    /// Numbers come again here, which a client's do only after 2^32 subscriptions.
    #[test]
    fn what_comes_and_goes_leaves_what_is_there(steps in prop::collection::vec((0u32..8, any::<bool>()), 1..80)) {
        let mut r = router();
        let mut there = BTreeSet::new();
        for (id, more) in steps {
            if more && there.insert(id) {
                add(&mut r, id, &["b", "a", "*"]);
            } else if there.remove(&id) {
                prop_assert_eq!(r.remove(id).is_empty(), !there.is_empty());
            }
            prop_assert_eq!(deliver(&r, "p:a", "a"), there.iter().map(|id| (*id, 1)).collect::<Vec<_>>());
            prop_assert_eq!(r.patterns(&channel("p:a")).count(), there.len());
            prop_assert_eq!(r.is_dispensable(&channel("p:a")), false);
            prop_assert!(r.is_dispensable(&channel("p:broadcast")));
        }
    }

    #[test]
    fn each_matching_subscription_is_called_exactly_once(
        subs in prop::collection::vec(prop::collection::vec("[ab*?.]{1,4}", 1..4), 1..5),
        event_type in "[ab.]{1,4}",
        broadcast: bool,
    ) {
        let mut r = router();
        for (id, patterns) in (0u32..).zip(&subs) {
            r.add(id, patterns, false);
        }
        let to = if broadcast { "p:broadcast".to_owned() } else { format!("p:{event_type}") };
        let delivered = deliver(&r, &to, &event_type);
        let called: Vec<u32> = delivered.iter().map(|(s, _)| *s).collect();
        let expected: Vec<u32> = (0u32..)
            .zip(&subs)
            .filter(|(_, ps)| ps.iter().any(|p| pattern::matches(p.as_bytes(), event_type.as_bytes())))
            .map(|(id, _)| id)
            .collect();
        prop_assert_eq!(called, expected);
        prop_assert_eq!(deliver_locally(&r, &to, &event_type), delivered);
    }

    /// What this client publishes reaches the same subscriptions with the server and without, through the same
    /// patterns; so it does those that hear nothing else.
    #[test]
    fn the_local_way_is_that_of_the_server(
        subs in prop::collection::vec((prop::collection::vec(addressed(), 1..4), any::<bool>()), 1..5),
        to in prop_oneof!["[ab.]{1,3}", "room:[ab]", "user:[ab]", Just("broadcast".to_owned())],
        event_type in "[ab.]{1,3}",
        joins in prop::collection::vec("(room|user):[ab]", 0..3),
    ) {
        let (mut heard, mut local) = (router(), router());
        let member: Arc<str> = "m".into();
        for name in &joins {
            heard.join(name, &member);
            local.join(name, &member);
        }
        for (id, (patterns, by_channel)) in (0u32..).zip(&subs) {
            heard.add(id, patterns, *by_channel);
            local.add_local(id, patterns, *by_channel);
        }
        let event_type = if to.contains(':') || to == "broadcast" { event_type } else { to.clone() };
        let to = format!("p:{to}");
        let expected = deliver(&heard, &to, &event_type);
        prop_assert_eq!(&deliver_locally(&heard, &to, &event_type), &expected);
        prop_assert_eq!(deliver_locally(&local, &to, &event_type), expected);
        prop_assert_eq!(deliver(&local, &to, &event_type), []);
        for id in 0..subs.len() as u32 {
            prop_assert_eq!(local.remove(id), []);
        }
        prop_assert_eq!(local.counts(), (0, 0));
    }
}

/// A router where events go to the channels of rules.
fn ruled(rules: &str) -> Router {
    let wire = format!(
        r#"{{"redis":"redis://h","channelPrefix":"p:","wire":{{"fields":{{"write":{{"type":"type","id":"id","data":"data"}}}},"channels":{rules}}}}}"#
    );
    let config = crate::config::Config::resolve(&wire, &crate::config::Environment::default()).unwrap();
    Router::with_wires(Channels::new("p:"), &config.wires)
}

#[test]
fn rules_say_what_a_pattern_subscribes_to() {
    let mut r = ruled(
        r#"[{"events":"a.*","to":["a:{data.x}","a:{data.x}:{type}"]},{"events":"b","to":"b*:all"},{"events":"c.*","to":"c/{type}"}]"#,
    );
    assert_eq!(add(&mut r, 1, &["a.x"]), [glob("p:a:*"), glob("p:a:*:a.x"), channel("p:broadcast")]);
    assert_eq!(add(&mut r, 2, &["b"]), [channel("p:b*:all"), channel("p:broadcast")]);
    assert_eq!(
        add(&mut r, 3, &["c.d", "c.e*"]),
        [channel("p:c/c.d"), glob("p:c/c.e*"), channel("p:broadcast")]
    );
    assert_eq!(add(&mut r, 4, &["other"]), [channel("p:other"), channel("p:broadcast")]);
    assert_eq!(add(&mut r, 5, &["room:1"]), [channel("p:room:1")]);
    let all = ["p:a:*", "p:a:*:*", "p:c/*", "p:*"].map(glob);
    let wanted = add(&mut r, 6, &["*"]);
    assert!(
        all.iter().all(|one| wanted.contains(one)) && wanted.contains(&channel("p:b*:all")),
        "{wanted:?}"
    );
    assert!(!r.addresses_channels(&glob("p:a:*")), "its messages are those of types");
    let patterns: Vec<&str> = r.patterns(&glob("p:a:*")).collect();
    assert_eq!(patterns, ["a.x", "*"]);

    assert_eq!(r.remove(1), [glob("p:a:*:a.x")]);
    for subscription in 2..=6 {
        r.remove(subscription);
    }
    assert!(r.by_channel.is_empty() && r.by_pattern.is_empty());
}

#[test]
fn by_rules_a_message_goes_to_each_subscription_of_its_type_once_per_channel() {
    let mut r = ruled(
        r#"[{"events":"a.*","to":["a:{data.x}","a:{data.x}:more"]},{"events":"b","to":"a:{data.y}:more"}]"#,
    );
    add(&mut r, 1, &["a.x", "a.*"]);
    add(&mut r, 2, &["*"]);
    add(&mut r, 3, &["b"]);
    add(&mut r, 4, &["room:1", "a.y"]);
    r.add(5, &["a:*".into(), "*".into()], true);
    r.add_local(6, &["a.*".into()], false);
    r.join("room:2", &"m".into());
    assert_eq!(deliver(&r, "p:a:7", "a.x"), [(1, 0), (2, 0), (5, 0)]);
    assert_eq!(deliver(&r, "p:a:7:more", "a.y"), [(1, 1), (2, 0), (4, 1), (5, 0)]);
    assert_eq!(deliver(&r, "p:a:7:more", "b"), [(2, 0), (3, 0), (5, 0)]);
    assert_eq!(deliver(&r, "p:a:7", "c"), [(2, 0), (5, 0)]);
    assert_eq!(deliver(&r, "p:c", "c"), [(2, 0), (5, 1)]);
    assert_eq!(deliver(&r, "p:room:1", "a.y"), [(4, 0), (5, 1)]);
    assert_eq!(deliver(&r, "p:room:2", "a.y"), [(1, 1), (2, 0), (4, 1), (5, 1)]);
    assert_eq!(deliver(&r, "p:broadcast", "b"), [(2, 0), (3, 0), (5, 1)]);
    assert_eq!(deliver_locally(&r, "p:a:7", "a.x"), [(1, 0), (2, 0), (5, 0), (6, 0)]);
    assert_eq!(deliver_locally(&r, "p:room:1", "a.y"), [(4, 0), (5, 1)]);
}

#[test]
fn with_several_wires_a_channel_is_of_one_of_them() {
    let wire = r#"{"redis":"redis://h","wire":{"read":["photo",{"format":"oxbus","channelPrefix":"ox:"}],"write":["photo"]}}"#;
    let config = crate::config::Config::resolve(wire, &crate::config::Environment::default()).unwrap();
    let mut r = Router::with_wires(
        Channels::under("", ["", "ox:"].map(|prefix| (prefix, Naming::Plain)).into_iter()),
        &config.wires,
    );
    let both = |name: &str| [channel(name), channel(&format!("ox:{name}"))];
    assert_eq!(add(&mut r, 1, &["a"]), [both("a"), both("broadcast")].concat());
    assert_eq!(add(&mut r, 2, &["*"]), [vec![glob("*"), glob("ox:*")], both("broadcast").to_vec()].concat());
    r.add(3, &["*".into()], true);
    assert_eq!(r.join("room:1", &"m".into()).0, both("room:1"));
    for on in ["a", "ox:a"] {
        assert_eq!(
            deliver(&r, on, "a"),
            [(1, 0), (2, 0), (3, 0)],
            "{on}: once, though two patterns match it"
        );
    }
    assert_eq!(deliver(&r, "ox:room:1", "a"), [(1, 0), (2, 0), (3, 0)]);
    assert_eq!(deliver(&r, "ox:broadcast", "b"), [(2, 0), (3, 0)]);
    assert_eq!(r.members("room:1").len(), 1);
    assert_eq!(r.leave("room:1", None), (1, both("room:1").to_vec()));
    assert_eq!(r.remove(1), both("a"));
    r.remove(2);
    r.remove(3);
    assert!(r.by_channel.is_empty() && r.by_pattern.is_empty());
}

#[test]
fn rooms_are_joined_whatever_their_channels_are_called() {
    let mut r = Router::new(Channels::with_naming("socket.io#/", Naming::SocketIo));
    r.add(1, &["a".into()], false);
    for name in ["room:1", "user:u"] {
        r.join(name, &"m".into());
    }
    assert_eq!(deliver(&r, "socket.io#/#1#", "a"), [(1, 0)]);
    assert_eq!(deliver(&r, "socket.io#/#user:u#", "a"), [(1, 0)]);
    assert_eq!(deliver(&r, "socket.io#/#2#", "a"), []);
    assert!(
        r.leaves_out(b"socket.io#/#1#", &["m".into()]) && !r.leaves_out(b"socket.io#/#2#", &["m".into()])
    );
    assert_eq!(r.leave("room:1", None).0, 1);
    assert_eq!(deliver(&r, "socket.io#/#1#", "a"), []);
}

#[test]
fn a_stored_event_goes_to_those_who_would_hear_its_type_once() {
    let mut router = Router::new(Channels::new("p:"));
    let patterns = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    router.add(1, &patterns(&["order.*", "order.paid"]), false);
    router.add(2, &patterns(&["order.paid"]), false);
    router.add(3, &patterns(&["user.*"]), false);
    router.add(4, &patterns(&["room:*"]), false);
    router.add_local(5, &patterns(&["*"]), false);
    let mut routes = vec![Route { subscription: 9, pattern: 9 }];
    router.route_stored("order.paid", &mut routes);
    let routes: Vec<(u32, u32)> = routes.iter().map(|route| (route.subscription, route.pattern)).collect();
    assert_eq!(routes, [(9, 9), (1, 0), (2, 0)]);
    let mut heard: Vec<&str> = router.heard_patterns().collect();
    heard.sort_unstable();
    assert_eq!(heard, ["order.*", "order.paid", "order.paid", "room:*", "user.*"]);
}
