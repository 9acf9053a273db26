//! Who owns entries, and what becomes of them.

use super::*;

#[tokio::test]
async fn what_another_consumer_owns_is_lost() {
    let rig = Rig::with_group().await;
    let ids = rig.append(4).await;
    rig.deliver("a", 2).await;
    rig.deliver("b", 2).await;
    let before = rig.pending().await;
    let of_b = &ids[2..];

    assert_eq!(rig.lost(hold("a", &ids)).await, of_b);
    let counts = ids.iter().map(|id| (*id, Some(1.into()))).collect();
    assert_eq!(rig.lost(Request::ExtendLease { member: member("a"), items: counts }).await, of_b);
    let begin = Request::MarkStarted { member: member("a"), id: ids[3] };
    assert_eq!(rig.lost(begin).await, [ids[3]]);
    assert_eq!(rig.lost(bury("a", of_b)).await, of_b);
    let items: Vec<_> = of_b.iter().map(|id| (*id, 0)).collect();
    assert_eq!(rig.lost(requeue("a", &items, true)).await, of_b);
    assert_eq!(rig.pending().await, before);
    // The stream, and who is of the group.
    assert_eq!(rig.server.command(&["KEYS", "*"]).await.items().len(), 2);

    // An acknowledgement counts whoever owns the entry.
    let acknowledge = Request::Acknowledge { member: member("a"), ids: ids.clone() };
    assert_eq!(rig.done(acknowledge).await, Response::Done);
    assert_eq!(rig.pending().await, []);
    assert_eq!(rig.lost(hold("a", &ids)).await, ids);
}

#[tokio::test]
async fn many_entries_of_two_consumers_in_turn_are_told_apart() {
    let rig = Rig::with_group().await;
    let ids = rig.append(900).await;
    for _ in 0..90 {
        rig.deliver("a", 1).await;
        rig.deliver("b", 9).await;
    }
    let (of_a, of_b): (Vec<_>, Vec<_>) = ids.iter().enumerate().partition(|(i, _)| i % 10 == 0);
    let plain = |ids: Vec<(usize, &EntryId)>| ids.into_iter().map(|(_, id)| *id).collect::<Vec<_>>();
    let (of_a, of_b) = (plain(of_a), plain(of_b));
    assert_eq!(rig.lost(hold("a", &ids)).await, of_b);
    assert_eq!(rig.lost(hold("b", &ids)).await, of_a);
    // One of few entries between many others of the same consumer.
    assert_eq!(rig.lost(hold("b", &[of_b[0], of_b[800]])).await, []);
    assert_eq!(rig.lost(bury("b", &ids)).await, of_a);
    assert_eq!((rig.pending().await.len(), rig.length(LETTERS).await), (90, 810));
}

#[tokio::test]
async fn renewing_keeps_the_count_and_a_retry_sets_it() {
    let rig = Rig::with_group().await;
    let ids = rig.append(2).await;
    rig.deliver("a", 2).await;
    for id in &ids {
        let idle = ["XCLAIM", STREAM, GROUP, "a", "0", &id.to_string(), "IDLE", "90000", "JUSTID"];
        rig.server.command(&idle).await;
    }
    let overdue = expired("b", 60_000, 10);
    let listed = async || match rig.done(overdue.clone()).await {
        Response::Expired { entries, next_due_in: None, .. } => entries.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(listed().await, 2);
    assert_eq!(rig.lost(Request::MarkStarted { member: member("a"), id: ids[1] }).await, []);
    let items = vec![(ids[0], None), (ids[1], Some(7.into()))];
    assert_eq!(rig.lost(Request::ExtendLease { member: member("a"), items }).await, []);
    assert_eq!(listed().await, 0);
    let (entries, _) = rig.claimed(own("a", EntryId::MIN, 10, false)).await;
    let seen: Vec<_> = entries.iter().map(|entry| (entry.deliveries, entry.started)).collect();
    // The call that had begun has ended.
    assert_eq!(seen, [(1, false), (7, false)]);
}

#[tokio::test]
async fn what_is_handed_back_can_be_claimed_at_once() {
    let rig = Rig::with_group().await;
    let ids = rig.append(2).await;
    rig.deliver("a", 2).await;
    assert_eq!(rig.claimed(claim("b", 30_000, &ids)).await, (Vec::new(), Vec::new()));
    rig.lost(Request::MarkStarted { member: member("a"), id: ids[0] }).await;
    for unhandled in [true, true] {
        let items: Vec<_> = ids.iter().map(|id| (*id, 0)).collect();
        assert_eq!(rig.lost(requeue("a", &items, unhandled)).await, []);
    }
    let (entries, deleted) = rig.claimed(claim("b", 30_000, &ids)).await;
    assert_eq!((ids_of(&entries), deleted), (ids.clone(), Vec::new()));
    assert!(entries.iter().all(|e| e.deliveries == 1 && !e.started && e.unhandled_since.is_some()));
    assert_eq!(entries[1].fields, [(Box::from(*b"n"), Box::from(*b"1"))]);
    assert_eq!(rig.lost(hold("a", &ids)).await, ids);

    // What was started, and its process is dead.
    rig.lost(Request::MarkStarted { member: member("b"), id: ids[1] }).await;
    let (entries, _) = rig.claimed(claim("c", 0, &ids[1..])).await;
    assert_eq!((entries[0].deliveries, entries[0].started), (2, true));
    // Whoever acknowledges it, the notes go with the next sweep.
    rig.done(Request::Acknowledge { member: member("c"), ids: ids.clone() }).await;
    rig.done(Request::RemoveDeadConsumers { member: member("c"), pause: 0 }).await;
    assert_eq!(rig.server.command(&["EXISTS", "orders:group:billing:notes"]).await.int(), 0);
}

#[tokio::test]
async fn notes_on_what_is_settled_go_however_many_there_are() {
    let rig = Rig::with_group().await;
    let ids = rig.append(4_000).await;
    rig.deliver("a", 4_000).await;
    let items: Vec<_> = ids.iter().map(|id| (*id, 0)).collect();
    assert_eq!(rig.lost(requeue("a", &items, true)).await, []);
    // Only the notes on one in forty are of no use any more.
    let settled: Vec<_> = ids.iter().step_by(40).copied().collect();
    rig.done(Request::Acknowledge { member: member("b"), ids: settled }).await;
    let noted = async || rig.server.command(&["HLEN", "orders:group:billing:notes"]).await.int();
    assert_eq!(noted().await, 4_000);
    for _ in 0..5 {
        rig.done(Request::RemoveDeadConsumers { member: member("b"), pause: 0 }).await;
    }
    assert_eq!(noted().await, 3_900);
}

#[tokio::test]
async fn who_renews_an_entry_or_hands_it_back_with_a_handler_ends_the_time_without_one() {
    let rig = Rig::with_group().await;
    let ids = rig.append(2).await;
    rig.deliver("a", 2).await;
    let both: Vec<_> = ids.iter().map(|id| (*id, 0)).collect();
    assert_eq!(rig.lost(requeue("a", &both, true)).await, []);
    let (entries, _) = rig.claimed(claim("b", 30_000, &ids)).await;
    assert!(entries.iter().all(|entry| entry.unhandled_since.is_some()));
    assert_eq!(rig.lost(hold("b", &ids[..1])).await, []);
    assert_eq!(rig.lost(requeue("b", &both[1..], false)).await, []);
    let (entries, _) = rig.claimed(claim("c", 0, &ids)).await;
    assert!(entries.len() == 2 && entries.iter().all(|entry| entry.unhandled_since.is_none()));
}

#[tokio::test]
async fn own_entries_are_read_again_without_raising_their_counts() {
    let rig = Rig::with_group().await;
    let ids = rig.append(5).await;
    rig.deliver("a", 4).await;
    rig.deliver("b", 1).await;
    let (entries, _) = rig.claimed(own("a", EntryId::MIN, 3, false)).await;
    assert_eq!(ids_of(&entries), ids[..3]);
    let (entries, _) = rig.claimed(own("a", ids[2], 3, false)).await;
    assert_eq!(ids_of(&entries), ids[3..4]);
    assert!(entries.iter().all(|entry| entry.deliveries == 1));
    assert_eq!(rig.claimed(own("a", ids[3], 3, false)).await, (Vec::new(), Vec::new()));
    assert_eq!(rig.claimed(own("a", EntryId::MAX, 3, false)).await, (Vec::new(), Vec::new()));
    let (entries, _) = rig.claimed(own("a", EntryId::MIN, 9, true)).await;
    assert!(entries.len() == 4 && entries.iter().all(|entry| entry.deliveries == 2));
}

#[tokio::test]
async fn an_answer_with_large_entries_ends_early() {
    let rig = Rig::with_group().await;
    let large = "x".repeat(700_000);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(rig.append_to(STREAM, &["data", &large]).await);
    }
    rig.deliver("a", 3).await;
    let (entries, _) = rig.claimed(own("a", EntryId::MIN, 9, false)).await;
    assert_eq!(ids_of(&entries), ids[..2]);
    let (entries, _) = rig.claimed(own("a", ids[1], 9, false)).await;
    assert_eq!(ids_of(&entries), ids[2..]);
    let (entries, _) = rig.claimed(claim("b", 0, &ids)).await;
    assert_eq!(ids_of(&entries), ids[..2]);
    assert_eq!(rig.pending().await[2], (ids[2], "a".to_owned(), 1));
}

#[tokio::test]
async fn deleted_entries_reach_nobody() {
    let rig = Rig::with_group().await;
    let ids = rig.append(6).await;
    rig.deliver("a", 6).await;
    let delete = Request::Delete { stream: STREAM.into(), ids: ids[..5].to_vec() };
    assert_eq!(rig.count(delete).await, 5);

    let (entries, deleted) = rig.claimed(own("a", EntryId::MIN, 1, false)).await;
    assert_eq!((entries.len(), deleted), (0, ids[..1].to_vec()));
    assert_eq!(rig.claimed(claim("b", 0, &ids[1..2])).await, (Vec::new(), ids[1..2].to_vec()));
    assert_eq!(rig.lost(bury("a", &ids[2..3])).await, ids[2..3]);
    assert_eq!(rig.lost(hold("a", &ids[3..])).await, ids[3..5]);
    assert_eq!(rig.pending().await, [(ids[5], "a".to_owned(), 1)]);
    assert_eq!(rig.length(LETTERS).await, 0);
}

#[tokio::test]
async fn a_dead_letter_has_the_fields_of_its_entry_and_why() {
    let rig = Rig::with_group().await;
    let id = rig.append_to(STREAM, &["eventType", "order.created", "data", "{}"]).await;
    let other = rig.append_to(STREAM, &["eventType", "order.deleted"]).await;
    rig.deliver("a", 9).await;
    assert_eq!(rig.lost(bury("a", &[id])).await, []);
    let Value::Array(letters) = rig.server.command(&["XRANGE", LETTERS, "-", "+"]).await else { panic!() };
    let fields: Vec<String> = letters[0].items()[1].items().iter().map(Value::text).collect();
    let (fields, time) = fields.split_at(fields.len() - 1);
    let id = id.to_string();
    assert_eq!(
        fields,
        [
            "eventType",
            "order.created",
            "data",
            "{}",
            "dlq-id",
            &id,
            "dlq-stream",
            STREAM,
            "dlq-group",
            GROUP,
            "dlq-consumer",
            "a",
            "dlq-attempts",
            "4",
            "dlq-error",
            r#"{"name":"Error","message":"no"}"#,
            "dlq-reason",
            "failed",
            "dlq-time",
        ]
    );
    assert!(time[0].parse::<u64>().is_ok());

    let without =
        Request::DeadLetter { member: member("a"), to: None, max_len: 1, letters: vec![letter(other)] };
    assert_eq!(rig.lost(without).await, []);
    assert_eq!((rig.pending().await.len(), rig.length(LETTERS).await, rig.length(STREAM).await), (0, 1, 2));
}

#[tokio::test]
async fn a_full_server_keeps_what_cannot_be_buried_and_goes_on_otherwise() {
    let rig = Rig::with_group().await;
    let ids = rig.append(4).await;
    rig.deliver("a", 4).await;
    rig.done(beat("a", "i")).await;
    rig.out_of_memory(true).await;
    assert_eq!(rig.kind_of(bury("a", &ids)).await, ErrorKind::ServerOom);
    assert_eq!((rig.pending().await.len(), rig.length(LETTERS).await), (4, 0));

    assert_eq!(rig.lost(hold("a", &ids)).await, []);
    assert_eq!(rig.lost(Request::MarkStarted { member: member("a"), id: ids[0] }).await, []);
    let release = requeue("a", &[(ids[0], 1)], true);
    assert_eq!(rig.lost(release).await, []);
    assert_eq!(rig.claimed(claim("b", 30_000, &ids)).await.0.len(), 1);
    assert_eq!(rig.claimed(own("a", EntryId::MIN, 9, false)).await.0.len(), 3);
    assert!(matches!(rig.done(beat("a", "i")).await, Response::Facts(_)));
    rig.done(Request::Acknowledge { member: member("a"), ids: ids[3..].to_vec() }).await;
    assert_eq!(rig.open(Position::New).await, (false, ids[3]));
    let other = Request::EnsureGroup {
        stream: STREAM.into(),
        group: "other".into(),
        from: Position::New,
        restarted: false,
    };
    assert_eq!(rig.kind_of(other).await, ErrorKind::ServerOom);
    let retain = Request::ApplyRetention {
        stream: STREAM.into(),
        instance: "i".into(),
        max_len: Some(1),
        max_age: None,
        safe: false,
    };
    assert_eq!(rig.count(retain).await, 3);

    rig.out_of_memory(false).await;
    // Of the two that are left here one was trimmed.
    assert_eq!(rig.lost(bury("a", &ids[1..3])).await, ids[1..3]);
}

#[tokio::test]
async fn letters_are_moved_all_or_none() {
    let rig = Rig::with_group().await;
    let ids = rig.append(2).await;
    rig.deliver("a", 2).await;
    rig.server.command(&["SET", LETTERS, "of another program"]).await;
    assert_eq!(rig.kind_of(bury("a", &ids)).await, ErrorKind::WrongType);
    assert_eq!(rig.pending().await.len(), 2);
}
