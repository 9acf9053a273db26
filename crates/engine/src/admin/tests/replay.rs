//! `replay.page`, `replay.group`.

use super::*;

/// All pages of a replay: the ids of their events, and whether any was truncated.
async fn pages(rig: &Rig, mut args: Value) -> (Vec<String>, bool) {
    let (mut ids, mut truncated) = (Vec::new(), false);
    loop {
        let page = rig.ok("replay.page", args.clone()).await;
        let events: Value = page["events"].as_array().unwrap().iter().map(|e| e["event"].clone()).collect();
        ids.extend(ids_of(&events));
        truncated |= page["truncated"].as_bool().unwrap();
        if page["done"] == json!(true) {
            return (ids, truncated);
        }
        args["after"] = page["last"].clone();
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn a_range_is_replayed_exactly() {
    let rig = Rig::new();
    let ids: Vec<_> = (0..50).map(|n| rig.store("orders", &n.to_string(), "order.a")).collect();
    let (id, ms) = (|n: usize| json!(ids[n].to_string()), |n: usize| json!(ids[n].ms));
    for (bounds, expected) in [
        (json!({}), 0..50),
        (json!({ "limit": 7 }), 0..50),
        (json!({ "limit": 50 }), 0..50),
        (json!({ "from": id(10), "to": id(20) }), 10..21),
        (json!({ "from": ms(10), "to": ms(20), "limit": 5 }), 10..21),
        (json!({ "from": oxbus_model::time::to_iso(ids[48].ms as i64) }), 48..50),
        (json!({ "from": id(20), "to": id(10) }), 0..0),
        (json!({ "from": "9999999999999-0" }), 0..0),
        (json!({ "to": 5 }), 0..0),
    ] {
        let mut args = bounds.clone();
        args["stream"] = "orders".into();
        assert_eq!(pages(&rig, args).await, (numbers(expected), false), "{bounds}");
    }
}

#[tokio::test]
async fn a_page_says_where_its_events_are_stored() {
    let rig = Rig::new();
    let id = rig.store("orders", "1", "order.a");
    rig.append("orders", &[("data", "1")]);
    let page = rig.ok("replay.page", json!({ "stream": "orders" })).await;
    let event = &page["events"][0];
    assert_eq!((&event["id"], &event["stream"]), (&json!(id.to_string()), &json!("orders")));
    assert_eq!((&page["undecodable"], &page["done"]), (&json!(1), &json!(true)));
    let empty = rig.ok("replay.page", json!({ "stream": "photos" })).await;
    let nothing = json!({ "events": [], "last": null, "truncated": false, "done": true, "undecodable": 0 });
    assert_eq!(empty, nothing);
}

#[tokio::test]
async fn a_pattern_is_replayed_over_streams_in_the_order_of_time() {
    let rig = Rig::new();
    for n in 0..60 {
        let (stream, event_type) =
            [("orders", "order.a"), ("photos", "photo.a"), ("photos", "order.photo")][n % 3];
        rig.store(stream, &n.to_string(), event_type);
    }
    let expected: Vec<String> = (0..60).filter(|n| n % 3 != 1).map(|n| n.to_string()).collect();
    for limit in [1, 7, 100] {
        let replayed = pages(&rig, json!({ "pattern": "order.*", "limit": limit })).await;
        assert_eq!(replayed, (expected.clone(), false), "{limit}");
    }
    assert_eq!(pages(&rig, json!({ "pattern": "*" })).await.0, numbers(0..60));
}

#[tokio::test]
async fn entries_of_one_moment_in_two_streams_are_neither_left_out_nor_repeated() {
    let rig = Rig::new();
    for n in 0..10 {
        for (stream, event_type) in [("orders", "order.a"), ("photos", "photo.a")] {
            let fields =
                [("eventId", format!("{stream}{n}")), ("eventType", event_type.into()), ("data", "1".into())];
            let fields =
                fields.into_iter().map(|(n, v): (&str, String)| (n.as_bytes().into(), v.into_bytes().into()));
            rig.act(|streams, now| streams.append(stream, fields.collect(), None, now));
        }
        rig.pass(1);
    }
    let expected: Vec<_> = (0..10).flat_map(|n| [format!("orders{n}"), format!("photos{n}")]).collect();
    for limit in [1, 3] {
        assert_eq!(pages(&rig, json!({ "pattern": "*", "limit": limit })).await.0, expected);
    }
}

#[tokio::test]
async fn a_replay_ends_though_events_go_on() {
    let rig = Rig::new();
    for n in 0..5 {
        rig.store("orders", &n.to_string(), "order.a");
    }
    let mut args = json!({ "stream": "orders", "limit": 2 });
    let mut seen = 0;
    loop {
        rig.store("orders", "more", "order.a");
        let page = rig.ok("replay.page", args.clone()).await;
        seen += page["events"].as_array().unwrap().len();
        args["after"] = page["last"].clone();
        if page["done"] == json!(true) {
            break;
        }
    }
    assert_eq!(seen, 6);
}

#[tokio::test]
async fn a_start_that_was_trimmed_is_told() {
    let rig = Rig::new();
    let ids: Vec<_> = (0..10).map(|n| rig.store("orders", &n.to_string(), "order.a")).collect();
    let page = |from: Value| {
        let mut args = json!({ "stream": "orders" });
        if !from.is_null() {
            args["from"] = from;
        }
        pages(&rig, args)
    };
    assert_eq!(page(json!(0)).await, (numbers(0..10), false));
    rig.ok("streams.trim", json!({ "name": "orders", "maxLength": 5 })).await;
    assert_eq!(page(Value::Null).await, (numbers(5..10), true));
    assert_eq!(page(json!(ids[4].to_string())).await, (numbers(5..10), true));
    assert_eq!(page(json!(ids[5].to_string())).await, (numbers(5..10), false));
    rig.ok("streams.trim", json!({ "name": "orders", "maxLength": 0 })).await;
    assert_eq!(page(json!(ids[3].to_string())).await, (vec![], true));
    assert_eq!(page(json!(ids[9].ms + 1)).await, (vec![], false));
}

#[tokio::test]
async fn what_is_trimmed_between_two_pages_is_told() {
    let rig = Rig::new();
    let ids: Vec<_> = (0..10).map(|n| rig.store("orders", &n.to_string(), "order.a")).collect();
    let first = rig.ok("replay.page", json!({ "stream": "orders", "limit": 5 })).await;
    let args = json!({ "stream": "orders", "limit": 5, "after": first["last"] });
    assert_eq!(rig.ok("replay.page", args.clone()).await["truncated"], json!(false));
    rig.ok("streams.trim", json!({ "name": "orders", "minId": ids[7].to_string() })).await;
    let second = rig.ok("replay.page", args).await;
    assert_eq!((&second["truncated"], second["events"].as_array().unwrap().len()), (&json!(true), 3));
}

#[tokio::test]
async fn a_range_is_delivered_to_one_group_once_more() {
    let rig = Rig::new();
    rig.group("orders", "g");
    let ids: Vec<_> = (0..5).map(|n| rig.store("orders", &n.to_string(), "order.a")).collect();
    rig.append("orders", &[("data", "no event")]);
    assert_eq!(rig.read("orders", "g", 100).len(), 6);
    let replay = |args: Value| {
        let mut args = args;
        (args["stream"], args["group"]) = ("orders".into(), "g".into());
        async {
            let mut page = rig.ok("replay.group", args).await;
            page["last"] = Value::Null;
            page
        }
    };
    let result = |replayed: u64, failed: u64, first: Option<usize>, last: Option<usize>| {
        let id = |n: Option<usize>| n.map(|n| ids[n].to_string());
        json!({
            "replayed": replayed, "failed": failed, "truncated": false, "firstId": id(first), "lastId": id(last),
            "last": null, "done": true,
        })
    };
    assert_eq!(replay(json!({})).await, result(5, 1, Some(0), Some(4)));
    assert_eq!(rig.read("orders", "g", 100).len(), 5);
    let range = json!({ "from": ids[1].to_string(), "to": ids[3].to_string() });
    assert_eq!(replay(range).await, result(3, 0, Some(1), Some(3)));
    let mut two = result(2, 0, Some(0), Some(1));
    two["done"] = json!(false);
    assert_eq!(replay(json!({ "limit": 2 })).await, two);
    assert_eq!(replay(json!({ "to": 5 })).await, result(0, 0, None, None));
    rig.fail(Some("Redeliver"));
    let args = json!({ "stream": "orders", "group": "g" });
    let (kind, message) = rig.refused("replay.group", args).await;
    assert_eq!((kind, &*message), (ErrorKind::ServerOom, "out of memory (after 0 were replayed)"));
}

/// All pages of a delivery to the group `g`: what each counted, and the error that ended them.
async fn delivered(rig: &Rig, mut args: Value) -> (Vec<u64>, Option<String>) {
    args["group"] = "g".into();
    let mut counts = Vec::new();
    loop {
        let page = match rig.call("replay.group", args.clone()).await {
            Ok(page) => page,
            Err(error) => return (counts, Some(error.message)),
        };
        counts.push(page["replayed"].as_u64().unwrap());
        if page["done"] == json!(true) {
            return (counts, None);
        }
        args["after"] = page["last"].clone();
        args["replayed"] = counts.iter().sum::<u64>().into();
    }
}

#[tokio::test]
async fn a_range_is_delivered_in_pages_and_ends() {
    let rig = Rig::new();
    for stream in ["orders", "photos"] {
        rig.group(stream, "g");
        for n in 0..5 {
            rig.store(stream, &format!("{stream}{n}"), "order.a");
        }
        rig.read(stream, "g", 100);
    }
    // What is appended is not replayed in its turn.
    assert_eq!(delivered(&rig, json!({ "stream": "orders", "limit": 2 })).await, (vec![2, 2, 1], None));
    assert_eq!(rig.read("orders", "g", 100).len(), 5);
    rig.pass(1);
    let (counts, error) = delivered(&rig, json!({ "pattern": "*", "limit": 4 })).await;
    assert_eq!((counts.iter().sum::<u64>(), error), (15, None));
}

#[tokio::test]
async fn a_delivery_that_stops_says_how_far_it_came() {
    let rig = Rig::new();
    rig.group("orders", "g");
    for n in 0..5 {
        rig.store("orders", &n.to_string(), "order.a");
    }
    let args = json!({ "stream": "orders", "group": "g", "limit": 2 });
    let first = rig.ok("replay.group", args.clone()).await;
    let mut args = args;
    (args["after"], args["replayed"]) = (first["last"].clone(), json!(2));
    rig.ok("streams.removeGroup", json!({ "name": "orders", "group": "g" })).await;
    let (kind, message) = rig.refused("replay.group", args).await;
    let expected = "there is no group \"g\" of the stream \"orders\" (after 2 were replayed)";
    assert_eq!((kind, &*message), (ErrorKind::NoGroup, expected));
}

#[tokio::test]
async fn a_group_of_none_of_the_streams_is_refused_by_their_names() {
    let rig = Rig::new();
    let (_, message) = rig.refused("replay.group", json!({ "pattern": "order.*", "group": "g" })).await;
    assert_eq!(message, "there is no group \"g\" of the streams \"orders\", \"photos\"");
}

#[tokio::test]
async fn a_pattern_is_delivered_where_the_group_is() {
    let rig = Rig::new();
    rig.group("photos", "g");
    rig.store("orders", "1", "order.a");
    rig.store("photos", "2", "order.photo");
    rig.store("photos", "3", "photo.a");
    rig.ok("streams.trim", json!({ "name": "orders", "maxLength": 0 })).await;
    let replayed = rig.ok("replay.group", json!({ "pattern": "order.*", "group": "g" })).await;
    assert_eq!((&replayed["replayed"], &replayed["truncated"]), (&json!(1), &json!(false)));
}
