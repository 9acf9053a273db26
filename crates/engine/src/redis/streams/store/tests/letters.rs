//! Dead letters of a format of one's own: in a list, in a stream with fields of its own, and in both.

use oxbus_model::Outcome;
use oxbus_model::stream_store::{StreamInfo, keys};
use oxbus_testkit::cluster;

use super::*;
use crate::runtime::joined::join_all;

const LIST: &str = "dlq:orders";

fn wire(letters: serde_json::Value) -> serde_json::Value {
    let fields = json!({ "write": { "type": "type", "uid": "id", "payload": "data" } });
    let stream = json!({ "write": { "kind": "type", "body": "data", "uid": "id" } });
    json!({ "wire": { "fields": fields, "stream": stream, "deadLetters": letters } })
}

async fn rig(letters: serde_json::Value) -> Rig {
    let rig = Rig::of_config(wire(letters)).await;
    rig.open(Position::Beginning).await;
    rig
}

impl Rig {
    /// Adds so many events, which a consumer reads.
    async fn delivered(&self, count: usize) -> Vec<EntryId> {
        let mut ids = Vec::new();
        for n in 0..count {
            ids.push(
                self.append_to(STREAM, &["kind", "a", "body", &n.to_string(), "uid", &format!("e{n}")]).await,
            );
        }
        self.deliver("a", count).await;
        ids
    }

    /// How many letters had to go, as `ids` became some.
    async fn buried(&self, to: &str, max_len: u64, ids: &[EntryId]) -> u64 {
        match self.done(bury_in(to, max_len, ids)).await {
            Response::Fenced { not_owned, deleted, dropped }
                if not_owned.is_empty() && deleted.is_empty() =>
            {
                dropped
            }
            other => panic!("{other:?}"),
        }
    }

    async fn list(&self) -> Vec<String> {
        self.server.command(&["LRANGE", LIST, "0", "-1"]).await.items().iter().map(Value::text).collect()
    }

    async fn range(&self, from: EntryId, to: EntryId, limit: usize, reverse: bool) -> Vec<StoredEntry> {
        match self.done(Request::Range { stream: LIST.into(), from, to, limit, reverse }).await {
            Response::Entries(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    async fn revived(&self, letters: &str, id: EntryId, for_group: bool) -> Option<EntryId> {
        match self.done(Request::RequeueDeadLetter { letters: letters.into(), id, for_group }).await {
            Response::Appended(id) => id,
            other => panic!("{other:?}"),
        }
    }

    async fn fields(&self, stream: &str, id: &str) -> Vec<String> {
        let entry = self.server.command(&["XRANGE", stream, id, id, "COUNT", "1"]).await;
        entry.items()[0].items()[1].items().iter().map(Value::text).collect()
    }
}

fn bury_in(to: &str, max_len: u64, ids: &[EntryId]) -> Request {
    let letters = ids.iter().map(|id| letter(*id)).collect();
    Request::DeadLetter { member: member("a"), to: Some(to.into()), max_len, letters }
}

fn text_of(entry: &StoredEntry, name: &str) -> String {
    let value = entry.fields.iter().find(|(known, _)| **known == *name.as_bytes()).map(|(_, value)| value);
    value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_list_keeps_as_many_letters_as_it_may_and_tells_how_many_went() {
    for (push, newest) in [("left", 0), ("right", 2)] {
        let rig = rig(json!({ "list": "dlq:{stream}", "push": push })).await;
        let ids = rig.delivered(5).await;
        assert_eq!(rig.buried(LIST, 3, &ids[..2]).await, 0);
        assert_eq!(rig.buried(LIST, 3, &ids[2..]).await, 2);
        let list = rig.list().await;
        let json: serde_json::Value = serde_json::from_str(&list[newest]).unwrap();
        assert_eq!(json["originalMessage"], json!({ "type": "a", "uid": "e4", "payload": 4 }));
        assert_eq!((&json["error"]["message"], &json["retryCount"]), (&json!("no"), &json!(3)));
        assert_eq!((list.len(), rig.pending().await.len()), (3, 0));
        // What is not owned any more stays where it is.
        assert_eq!(rig.lost(bury_in(LIST, 3, &ids[..1])).await, ids[..1]);
        assert_eq!(rig.list().await, list);
    }
}

#[tokio::test]
async fn letters_of_a_list_are_found_removed_and_moved_back() {
    let rig = rig(json!({ "list": "dlq:{stream}" })).await;
    let ids = rig.delivered(70).await;
    let binary = rig.append_to(STREAM, &["kind", "a", "strange", "x"]).await;
    rig.deliver("a", 1).await;
    for id in ids.iter().chain([&binary]) {
        rig.buried(LIST, 100, &[*id]).await;
    }
    let all = rig.range(EntryId::MIN, EntryId::MAX, 100, false).await;
    assert_eq!(all.len(), 71);
    assert!(all.is_sorted_by_key(|entry| entry.id));
    let mut found: Vec<String> = all.iter().map(|entry| text_of(entry, "dlq-id")).collect();
    let mut given_up: Vec<String> = ids.iter().chain([&binary]).map(EntryId::to_string).collect();
    found.sort();
    given_up.sort();
    assert_eq!(found, given_up);
    // In pages, both ways.
    assert_eq!(rig.range(all[3].id, EntryId::MAX, 2, false).await, all[3..5]);
    assert_eq!(ids_of(&rig.range(EntryId::MIN, all[9].id, 2, true).await), [all[9].id, all[8].id]);
    assert_eq!(rig.range(all[3].id, all[3].id, 1, false).await, all[3..4]);
    let describe = Request::Describe { stream: LIST.into() };
    match rig.done(describe.clone()).await {
        Response::Stream(Some(StreamInfo { length: 71, last: Some(last), .. })) => {
            assert!(last >= all[70].id)
        }
        other => panic!("{other:?}"),
    }

    // A letter goes back with the fields that its entry had, once.
    let of = |id: EntryId| all.iter().find(|entry| text_of(entry, "dlq-id") == id.to_string()).unwrap().id;
    let again = rig.revived(LIST, of(ids[5]), true).await.unwrap().to_string();
    assert_eq!(rig.fields(STREAM, &again).await, ["kind", "a", "body", "5", "uid", "e5", "group", GROUP]);
    let again = rig.revived(LIST, of(binary), false).await.unwrap().to_string();
    assert_eq!(rig.fields(STREAM, &again).await, ["kind", "a", "strange", "x"]);
    assert_eq!(rig.revived(LIST, of(ids[5]), true).await, None);
    let delete = |id| Request::Delete { stream: LIST.into(), ids: vec![id] };
    assert_eq!((rig.count(delete(of(ids[6]))).await, rig.count(delete(of(ids[6]))).await), (1, 0));
    assert_eq!(rig.list().await.len(), 68);
    let purge = || Request::Trim { stream: LIST.into(), max_len: Some(0), min_id: None };
    assert_eq!((rig.count(purge()).await, rig.count(purge()).await), (68, 0));
    assert_eq!(rig.done(describe).await, Response::Stream(None));
}

#[tokio::test]
async fn a_letter_that_an_old_service_has_put_into_the_list_goes_back() {
    let rig = rig(json!({ "list": "dlq:{stream}" })).await;
    let theirs = r#"{"originalMessage":{"type":"a","uid":"old","payload":{"n":1}},"error":{"message":"no"},"retryCount":0}"#;
    for letter in [theirs, theirs, "no JSON"] {
        rig.server.command(&["LPUSH", LIST, letter]).await;
    }
    let all = rig.range(EntryId::MIN, EntryId::MAX, 10, false).await;
    // Two of the same bytes are one to who asks, and both are there.
    assert_eq!(all.len(), 2);
    let read = all.iter().find(|entry| text_of(entry, "uid") == "old").unwrap();
    assert_eq!((text_of(read, "dlq-attempts"), text_of(read, "dlq-stream")), ("1".to_owned(), String::new()));
    let again = rig.revived(LIST, read.id, false).await.unwrap().to_string();
    assert_eq!(rig.fields(STREAM, &again).await, ["body", r#"{"n":1}"#, "kind", "a", "uid", "old"]);
    assert_eq!(rig.list().await, ["no JSON", theirs]);
    let unreadable = all.iter().find(|entry| entry.id != read.id).unwrap().id;
    assert_eq!(rig.revived(LIST, unreadable, false).await, None);
    assert_eq!(rig.list().await.len(), 2);
}

#[tokio::test]
async fn a_stream_keeps_letters_with_more_fields_and_a_list_has_copies() {
    let fields =
        json!({ "original": "messageId", "tries": "retries", "why": "error.message", "of": "group" });
    let letters =
        json!({ "stream": "{stream}_dead", "fields": fields, "list": "dlq:{stream}", "maxLength": 2 });
    let rig = rig(letters).await;
    let ids = rig.delivered(3).await;
    // The copies have a bound of their own.
    assert_eq!(rig.buried("orders_dead", 1_000, &ids).await, 0);
    assert_eq!(
        (rig.length("orders_dead").await, rig.list().await.len(), rig.pending().await.len()),
        (3, 2, 0)
    );
    let last: serde_json::Value = serde_json::from_str(&rig.list().await[0]).unwrap();
    assert_eq!(last["originalMessage"]["uid"], "e2");
    let first = rig.server.command(&["XRANGE", "orders_dead", "-", "+", "COUNT", "1"]).await;
    let first = first.items()[0].items()[0].text();
    let written = rig.fields("orders_dead", &first).await;
    let value = |name: &str| written[written.iter().position(|known| known == name).unwrap() + 1].clone();
    assert_eq!(
        (value("original"), value("tries"), value("why")),
        (ids[0].to_string(), "3".to_owned(), "no".to_owned())
    );
    assert_eq!(value("dlq-group"), GROUP);
    // It goes back without them.
    let again = rig.revived("orders_dead", first.parse().unwrap(), false).await.unwrap().to_string();
    assert_eq!(rig.fields(STREAM, &again).await, ["kind", "a", "body", "0", "uid", "e0"]);
    // So does a letter of another program, which names no stream.
    let theirs = rig.append_to("orders_dead", &["kind", "a", "body", "7", "original", "1-1"]).await;
    let again = rig.revived("orders_dead", theirs, false).await.unwrap().to_string();
    assert_eq!(rig.fields(STREAM, &again).await, ["kind", "a", "body", "7"]);
    // One that names its group goes back to that alone.
    let theirs = rig.append_to("orders_dead", &["kind", "a", "body", "8", "of", GROUP]).await;
    let again = rig.revived("orders_dead", theirs, true).await.unwrap().to_string();
    assert_eq!(rig.fields(STREAM, &again).await, ["kind", "a", "body", "8", "group", GROUP]);
}

#[tokio::test]
async fn copies_are_in_the_slot_of_their_stream_in_a_cluster() {
    let server = cluster::one_server().await;
    let (transport, _) = transport_of(&json!({ "redis": server.url(), "wire": "campaign" }));
    let rig = Rig { server, transport };
    rig.open(Position::Beginning).await;
    let ids = rig.append(3).await;
    rig.deliver_to_foreign("a", 3).await;
    assert_eq!(rig.buried(LETTERS, 10, &ids).await, 0);
    let copies = rig.server.command(&["LLEN", "dlq:{orders}"]).await.int();
    assert_eq!((rig.length("{orders}:dlq").await, copies, rig.pending().await.len()), (3, 3, 0));
}

#[tokio::test]
async fn a_letter_that_names_no_stream_goes_back_to_its_own_in_a_cluster() {
    let server = cluster::one_server().await;
    let (transport, _) = transport_of(&json!({ "redis": server.url(), "wire": "eventsource" }));
    let rig = Rig { server, transport };
    rig.append_to("{tagged}", &["payload", "{}"]).await;
    for (letters, stream) in [("orders_dlq", "orders"), ("{tagged}_dlq", "{tagged}")] {
        let home = if stream == "orders" { "{orders}_dlq" } else { letters };
        let theirs = rig.append_to(home, &["payload", "{}", "retry_count", "1"]).await;
        let again = rig.revived(letters, theirs, false).await.unwrap().to_string();
        assert_eq!(rig.fields(stream, &again).await, ["payload", "{}"]);
    }
}

#[tokio::test]
async fn what_the_server_refuses_of_a_letter_leaves_the_entry_and_both_as_they_were() {
    for letters in
        [json!({ "list": "dlq:{stream}" }), json!({ "stream": "{stream}_dead", "list": "dlq:{stream}" })]
    {
        let in_stream = letters.get("stream").is_some();
        let rig = rig(letters).await;
        let to = if in_stream { "orders_dead" } else { LIST };
        let ids = rig.delivered(3).await;
        rig.server.command(&["SET", LIST, "in the way"]).await;
        assert_eq!(rig.kind_of(bury_in(to, 10, &ids)).await, ErrorKind::WrongType);
        assert_eq!((rig.length("orders_dead").await, rig.pending().await.len()), (0, 3));
        rig.server.command(&["DEL", LIST]).await;
        rig.out_of_memory(true).await;
        assert_eq!(rig.kind_of(bury_in(to, 10, &ids)).await, ErrorKind::ServerOom);
        rig.out_of_memory(false).await;
        assert_eq!((rig.list().await.len(), rig.pending().await.len()), (0, 3));
        rig.buried(to, 10, &ids).await;
        assert_eq!((rig.list().await.len(), rig.pending().await.len()), (3, 0));
        // A letter whose stream does not take it back stays.
        let letter = rig.list().await[0].clone();
        rig.server.command(&["DEL", STREAM]).await;
        rig.server.command(&["SET", STREAM, "in the way"]).await;
        if !in_stream {
            let id = rig.range(EntryId::MIN, EntryId::MAX, 10, true).await[0].id;
            let revive = Request::RequeueDeadLetter { letters: LIST.into(), id, for_group: false };
            assert_eq!(rig.kind_of(revive).await, ErrorKind::WrongType);
        }
        assert!(rig.list().await.contains(&letter));
    }
}

#[tokio::test]
async fn what_no_right_is_given_for_leaves_all_as_it_was() {
    for (push, copies) in [("left", false), ("right", false), ("left", true), ("right", true)] {
        let mut letters = json!({ "list": "dlq:{stream}", "push": push, "maxLength": 2 });
        if copies {
            letters["stream"] = "{stream}_dead".into();
        }
        let rig = rig(letters).await;
        let (to, most) = if copies { ("orders_dead", 10) } else { (LIST, 2) };
        let ids = rig.delivered(4).await;
        rig.buried(to, most, &ids[..2]).await;
        let kept = rig.list().await;
        rig.server.command(&["ACL", "SETUSER", "default", "-ltrim"]).await;
        for _ in 0..2 {
            rig.kind_of(bury_in(to, most, &ids[2..])).await;
            let in_stream = if copies { 2 } else { 0 };
            assert_eq!((rig.list().await, rig.pending().await.len()), (kept.clone(), 2));
            assert_eq!(rig.length("orders_dead").await, in_stream);
        }
        rig.server.command(&["ACL", "SETUSER", "default", "+ltrim"]).await;
        assert_eq!(rig.buried(to, most, &ids[2..]).await, if copies { 0 } else { 2 });
        assert_eq!((rig.list().await.len(), rig.pending().await.len()), (2, 0));
    }
}

#[tokio::test]
async fn copies_need_no_more_rights_than_an_old_service_has() {
    for push in ["left", "right"] {
        let letters = json!({
            "stream": "{stream}_dead", "list": "dlq:{stream}", "maxLength": 2, "push": push,
        });
        let rig = rig(letters).await;
        let rights = ["ACL", "SETUSER", "default", "-@list", "+lpush", "+rpush", "+ltrim"];
        let ids = rig.delivered(6).await;
        rig.server.command(&rights).await;
        let copies = async || {
            rig.server.command(&["ACL", "SETUSER", "default", "+lrange"]).await;
            let list = rig.list().await;
            rig.server.command(&["ACL", "SETUSER", "default", "-lrange"]).await;
            list
        };
        rig.server.command(&["SET", "orders_dead", "in the way"]).await;
        assert_eq!(rig.kind_of(bury_in("orders_dead", 10, &ids[..2])).await, ErrorKind::WrongType);
        assert_eq!((copies().await.len(), rig.pending().await.len()), (0, 6));
        rig.server.command(&["DEL", "orders_dead"]).await;
        rig.buried("orders_dead", 10, &ids[..3]).await;
        let kept = copies().await;
        assert_eq!((kept.len(), rig.length("orders_dead").await), (2, 3));
        rig.server.command(&["RENAME", "orders_dead", "aside"]).await;
        rig.server.command(&["SET", "orders_dead", "in the way"]).await;
        assert_eq!(rig.kind_of(bury_in("orders_dead", 10, &ids[3..])).await, ErrorKind::WrongType);
        assert_eq!((copies().await, rig.pending().await.len()), (kept, 3));
    }
}

#[tokio::test]
async fn no_letter_goes_for_one_that_is_refused() {
    let rig = rig(json!({ "stream": "{stream}_dead", "list": "dlq:{stream}" })).await;
    rig.server.command(&["CONFIG", "SET", "stream-node-max-entries", "1"]).await;
    let ids = rig.delivered(4).await;
    assert_eq!(rig.buried("orders_dead", 3, &ids[..3]).await, 0);
    rig.server.command(&["RENAME", LIST, "aside"]).await;
    rig.server.command(&["SET", LIST, "in the way"]).await;
    assert_eq!(rig.kind_of(bury_in("orders_dead", 3, &ids[3..])).await, ErrorKind::WrongType);
    assert_eq!((rig.length("orders_dead").await, rig.pending().await.len()), (3, 1));
    rig.server.command(&["DEL", LIST]).await;
    // Then the oldest one goes, and is counted.
    assert_eq!(rig.buried("orders_dead", 3, &ids[3..]).await, 1);
    assert_eq!(rig.length("orders_dead").await, 3);
}

#[tokio::test]
async fn letters_that_move_back_at_once_do_not_hide_each_other() {
    for push in ["left", "right"] {
        let rig = rig(json!({ "list": "dlq:{stream}", "push": push })).await;
        let ids = rig.delivered(150).await;
        rig.buried(LIST, 1_000, &ids).await;
        let all = rig.range(EntryId::MIN, EntryId::MAX, 200, false).await;
        assert_eq!(all.len(), 150);
        let revived = join_all(all.iter().map(|letter| rig.revived(LIST, letter.id, false))).await;
        assert_eq!((revived.iter().flatten().count(), rig.list().await.len()), (150, 0));
    }
}

#[tokio::test]
async fn large_letters_go_few_at_once_and_an_error_between_them_says_that_some_may_have_gone() {
    let rig = rig(json!({ "list": "dlq:{stream}" })).await;
    let large = serde_json::to_string(&"x".repeat(1 << 20)).unwrap();
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(rig.append_to(STREAM, &["kind", "a", "body", &large, "uid", &format!("e{n}")]).await);
    }
    rig.deliver("a", 6).await;
    let info = rig.server.command(&["INFO", "memory"]).await.text();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let room = used.trim().parse::<u64>().unwrap() + (6 << 20);
    rig.server.command(&["CONFIG", "SET", "maxmemory", &room.to_string()]).await;
    let error = rig.ask(bury_in(LIST, 10, &ids)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::ServerOom, Some(Outcome::Unknown)));
    let moved = rig.list().await.len();
    assert!(moved > 0 && moved < 6, "{moved}");
    assert_eq!(rig.pending().await.len(), 6 - moved);
    rig.server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(rig.lost(bury_in(LIST, 10, &ids)).await, ids[..moved]);
    assert_eq!((rig.list().await.len(), rig.pending().await.len()), (6, 0));
}

#[tokio::test]
async fn a_group_takes_up_entries_whose_type_stands_in_a_message() {
    let fields = json!({ "write": { "head.kind": "type", "uid": "id", "payload": "data" } });
    let stream = json!({ "write": { "event": "message" } });
    let rig = Rig::of_config(json!({ "wire": { "fields": fields, "stream": stream } })).await;
    rig.open(Position::Beginning).await;
    let message = |kind: &str| format!(r#"{{"head":{{"kind":"{kind}"}},"payload":1}}"#);
    let mut ids = Vec::new();
    for fields in [
        ["event".to_owned(), message("a")],
        ["event".to_owned(), message("b")],
        ["event".to_owned(), "no JSON".to_owned()],
        ["eventType".to_owned(), "a".to_owned()],
        ["event".to_owned(), message("a")],
    ] {
        ids.push(rig.append_to(STREAM, &[&fields[0], &fields[1]]).await);
    }
    rig.server.command(&["XGROUP", "SETID", STREAM, GROUP, "$"]).await;
    let task = format!("0-1 {} . 3 {} a", ids[4], ids[0]);
    rig.server.command(&["HSET", &keys::tasks(STREAM, GROUP), "1", &task]).await;
    let take_up = Request::TakeUp { member: member("a"), told: Vec::new(), tasks: vec![1], limit: 10 };
    match rig.done(take_up).await {
        Response::TakenUp { entries, done, gone } => {
            assert_eq!((ids_of(&entries), done, gone), (vec![ids[0], ids[3], ids[4]], vec![1], Vec::new()));
        }
        other => panic!("{other:?}"),
    }
}
