//! Streams, groups and letters as an administrator sees them.

use oxbus_model::stream_store::{ScanCursor, StreamInfo};

use super::*;

#[tokio::test]
async fn a_group_is_made_where_it_is_missing() {
    let rig = Rig::start().await;
    let open = |group: &str, from, restarted| Request::EnsureGroup {
        stream: STREAM.into(),
        group: group.into(),
        from,
        restarted,
    };
    let opened = |created, position| Response::Ensured { created, position, recreated: false, entries: None };
    let again = |position, entries| {
        let (created, recreated, entries) = (true, false, Some(entries));
        Response::Ensured { created, position, recreated, entries }
    };
    assert_eq!(rig.done(open("a", Position::New, false)).await, opened(true, EntryId::MIN));
    let ids = rig.append(3).await;
    assert_eq!(rig.done(open("a", Position::New, false)).await, opened(false, EntryId::MIN));
    assert_eq!(rig.done(open("b", Position::New, false)).await, opened(true, ids[2]));
    assert_eq!(rig.done(open("c", Position::Beginning, true)).await, again(EntryId::MIN, ids[0]..=ids[2]));
    assert_eq!(rig.done(open("d", Position::After(ids[1]), true)).await, again(ids[1], ids[0]..=ids[2]));
    let there = Response::Ensured {
        created: false,
        position: ids[1],
        recreated: false,
        entries: Some(ids[0]..=ids[2]),
    };
    assert_eq!(rig.done(open("d", Position::New, true)).await, there);
    let beyond = Position::After(ids[2].next());
    assert_eq!(rig.done(open("e", beyond, true)).await, again(EntryId::MIN, ids[0]..=ids[2]));
    assert_eq!(rig.done(open("f", beyond, false)).await, opened(true, ids[2].next()));
    rig.server.command(&["DEL", STREAM]).await;
    assert_eq!(
        rig.done(open("a", Position::After(ids[1]), true)).await,
        again(EntryId::MIN, EntryId::MIN.next()..=EntryId::MIN)
    );
    rig.server.command(&["SET", "text", "x"]).await;
    let wrong = Request::EnsureGroup {
        stream: "text".into(),
        group: "a".into(),
        from: Position::New,
        restarted: false,
    };
    assert_eq!(rig.kind_of(wrong).await, ErrorKind::WrongType);
}

#[tokio::test]
async fn a_group_that_was_lost_goes_on_at_its_mark() {
    let rig = Rig::with_group().await;
    let ids = rig.append(4).await;
    let open = |from, restarted| Request::EnsureGroup {
        stream: STREAM.into(),
        group: GROUP.into(),
        from,
        restarted,
    };
    let recreated = |position| (true, position, true);
    let ensured = async |from, restarted| match rig.done(open(from, restarted)).await {
        Response::Ensured { created, position, recreated, .. } => (created, position, recreated),
        other => panic!("{other:?}"),
    };
    let destroy = async || drop(rig.server.command(&["XGROUP", "DESTROY", STREAM, GROUP]).await);
    // Of a group that was heard of, and has settled nothing, all is new.
    rig.done(beat("a", "i")).await;
    destroy().await;
    assert_eq!(ensured(Position::New, false).await, recreated(EntryId::MIN));
    let mut marked = beat("a", "i");
    if let Request::Heartbeat { mark, .. } = &mut marked {
        *mark = Some(ids[1]);
    }
    rig.done(marked).await;
    for (from, restarted, position) in [
        (Position::New, false, ids[1]),
        (Position::Beginning, true, ids[1]),
        (Position::After(ids[3]), true, ids[1]),
        (Position::After(ids[0]), true, ids[0]),
        (Position::After(ids[0]), false, ids[1]),
    ] {
        destroy().await;
        assert_eq!(ensured(from, restarted).await, recreated(position));
    }
    // The stream has started again.
    rig.server.command(&["DEL", STREAM]).await;
    assert_eq!(ensured(Position::New, false).await, recreated(EntryId::MIN));
    // One that was removed is a new one.
    let last = *rig.append(2).await.last().unwrap();
    rig.count(Request::RemoveGroup { stream: STREAM.into(), group: GROUP.into() }).await;
    assert_eq!(ensured(Position::New, false).await, (true, last, false));
}

#[tokio::test]
async fn without_a_group_everything_says_so() {
    let rig = Rig::start().await;
    let id = EntryId { ms: 5, seq: 0 };
    let requests = || {
        let (stream, group): (Arc<str>, Arc<str>) = (STREAM.into(), GROUP.into());
        [
            hold("a", &[id]),
            bury("a", &[id]),
            requeue("a", &[(id, 0)], false),
            Request::MarkStarted { member: member("a"), id },
            expired("a", 1, 1),
            claim("a", 0, &[id]),
            own("a", EntryId::MIN, 1, false),
            beat("a", "i"),
            Request::RemoveConsumer { member: member("a"), instance: "i".into() },
            Request::RemoveDeadConsumers { member: member("a"), pause: 0 },
            Request::Pending {
                stream: stream.clone(),
                group: group.clone(),
                from: id,
                limit: 1,
                min_idle: 0,
                consumer: None,
            },
            Request::SetPosition { stream, group, to: Position::New },
        ]
    };
    for round in ["no stream", "no group"] {
        for request in requests() {
            let shown = format!("{round}: {request:?}");
            assert_eq!(rig.kind_of(request).await, ErrorKind::NoGroup, "{shown}");
        }
        let acknowledge = Request::Acknowledge { member: member("a"), ids: vec![id] };
        assert_eq!(rig.done(acknowledge).await, Response::Done);
        let remove = Request::RemoveGroup { stream: STREAM.into(), group: GROUP.into() };
        assert_eq!(rig.count(remove).await, 0);
        rig.append(1).await;
    }
}

#[tokio::test]
async fn a_stream_is_described_as_it_is() {
    let rig = Rig::start().await;
    let describe = || Request::Describe { stream: STREAM.into() };
    assert_eq!(rig.done(describe()).await, Response::Stream(None));
    rig.open(Position::Beginning).await;
    let Response::Stream(Some(empty)) = rig.done(describe()).await else { panic!() };
    assert_eq!((empty.length, empty.first, empty.last, empty.groups.len()), (0, None, None, 1));
    let ids = rig.append(3).await;
    rig.deliver("a", 2).await;
    let Response::Stream(Some(facts)) = rig.done(describe()).await else { panic!() };
    let StreamInfo { length, first, last, last_generated, added, groups } = facts;
    assert_eq!((length, first, last, last_generated), (3, Some(ids[0]), Some(ids[2]), ids[2]));
    assert_eq!(added, Some(3));
    let group = &groups[0];
    assert_eq!((&*group.name, group.pending, group.lag), (GROUP, 2, Some(1)));
    assert_eq!((group.last_delivered, group.oldest_pending), (ids[1], Some(ids[0])));
    let consumer = &group.consumers[0];
    assert_eq!((&*consumer.name, consumer.pending, consumer.alive, group.lease), ("a", 2, Some(false), None));
    rig.done(beat("a", "i")).await;
    let Response::Stream(Some(facts)) = rig.done(describe()).await else { panic!() };
    assert_eq!(facts.groups[0].lease, Some(30_000));
    assert_eq!(facts.groups[0].consumers[0].alive, Some(true));

    for (consumer, expected) in [(None, 1), (Some("a"), 1), (Some("b"), 0)] {
        let pending = Request::Pending {
            stream: STREAM.into(),
            group: GROUP.into(),
            from: ids[1],
            limit: 5,
            min_idle: 0,
            consumer: consumer.map(Into::into),
        };
        let Response::Pending(rows) = rig.done(pending).await else { panic!() };
        let shown: Vec<_> = rows.iter().map(|row| (row.id, &*row.consumer, row.deliveries)).collect();
        assert_eq!(shown, vec![(ids[1], "a", 1); expected]);
    }
}

#[tokio::test]
async fn entries_are_listed_and_removed() {
    let rig = Rig::start().await;
    let stream = || -> Arc<str> { STREAM.into() };
    let ids = rig.append(6).await;
    let range = |from, to, limit, reverse| Request::Range { stream: stream(), from, to, limit, reverse };
    let listed = |response| match response {
        Response::Entries(entries) => ids_of(&entries),
        other => panic!("{other:?}"),
    };
    let all = listed(rig.done(range(EntryId::MIN, EntryId::MAX, 99, false)).await);
    assert_eq!(all, ids);
    assert_eq!(listed(rig.done(range(ids[1], ids[4], 2, false)).await), ids[1..3]);
    assert_eq!(listed(rig.done(range(ids[1], ids[4], 2, true)).await), [ids[4], ids[3]]);
    assert_eq!(listed(rig.done(range(ids[4], ids[1], 2, false)).await), []);
    assert_eq!(listed(rig.done(range(ids[1], ids[4], 0, false)).await), []);

    assert_eq!(rig.count(Request::Delete { stream: stream(), ids: vec![ids[5], ids[5].next()] }).await, 1);
    let trim = |max_len, min_id| Request::Trim { stream: stream(), max_len, min_id };
    assert_eq!(rig.count(trim(Some(3), None)).await, 2);
    assert_eq!(rig.count(trim(None, Some(ids[3]))).await, 1);
    assert_eq!(rig.count(trim(None, None)).await, 0);
    assert_eq!(rig.length(STREAM).await, 2);
}

#[tokio::test]
async fn groups_are_moved_and_removed() {
    let rig = Rig::with_group().await;
    let ids = rig.append(3).await;
    let to = |to| Request::SetPosition { stream: STREAM.into(), group: GROUP.into(), to };
    for (position, expected) in
        [(Position::New, ids[2]), (Position::After(ids[0]), ids[0]), (Position::Beginning, EntryId::MIN)]
    {
        assert_eq!(rig.done(to(position)).await, Response::Done);
        assert_eq!(rig.open(Position::New).await, (false, expected));
    }
    rig.deliver("a", 1).await;
    rig.done(beat("a", "i")).await;
    rig.lost(Request::MarkStarted { member: member("a"), id: ids[0] }).await;
    assert_eq!(rig.server.command(&["KEYS", "*"]).await.items().len(), 5);
    let remove = || Request::RemoveGroup { stream: STREAM.into(), group: GROUP.into() };
    assert_eq!(rig.count(remove()).await, 1);
    assert_eq!(rig.server.command(&["KEYS", "*"]).await.items().len(), 1);
    assert_eq!(rig.count(remove()).await, 0);
}

#[tokio::test]
async fn letters_come_back_for_all_or_for_their_group() {
    let rig = Rig::with_group().await;
    let appended = |response| match response {
        Response::Appended(id) => id,
        other => panic!("{other:?}"),
    };
    let mut letters = Vec::new();
    for _ in 0..2 {
        let id = rig.append_to(STREAM, &["eventType", "a", "group", "was"]).await;
        rig.deliver("a", 1).await;
        rig.lost(bury("a", &[id])).await;
        let Value::Array(last) = rig.server.command(&["XREVRANGE", LETTERS, "+", "-", "COUNT", "1"]).await
        else {
            panic!()
        };
        letters.push(last[0].items()[0].text().parse::<EntryId>().unwrap());
    }
    let fields_of = async |id: EntryId| -> Vec<String> {
        let id = id.to_string();
        let entry = rig.server.command(&["XRANGE", STREAM, &id, &id]).await;
        entry.items()[0].items()[1].items().iter().map(Value::text).collect()
    };
    let revive = |id, for_group| Request::RequeueDeadLetter { letters: LETTERS.into(), id, for_group };
    let id = appended(rig.done(revive(letters[0], false)).await).unwrap();
    assert_eq!(fields_of(id).await, ["eventType", "a"]);
    let id = appended(rig.done(revive(letters[1], true)).await).unwrap();
    assert_eq!(fields_of(id).await, ["eventType", "a", "group", GROUP]);
    assert_eq!(rig.length(LETTERS).await, 0);
    assert_eq!(appended(rig.done(revive(letters[1], true)).await), None);

    let redeliver = |id| Request::Redeliver { stream: STREAM.into(), group: "other".into(), id };
    let id = appended(rig.done(redeliver(id)).await).unwrap();
    assert_eq!(fields_of(id).await, ["eventType", "a", "group", "other"]);
    assert_eq!(appended(rig.done(redeliver(EntryId { ms: 1, seq: 1 })).await), None);
    // What is no letter stays where it is.
    let plain = Request::RequeueDeadLetter { letters: STREAM.into(), id, for_group: false };
    assert_eq!(appended(rig.done(plain).await), None);
}

#[tokio::test]
async fn kept_events_are_found_by_their_ids() {
    let rig = Rig::start().await;
    let event = || Request::Event { key: "event:1".into() };
    assert_eq!(rig.done(event()).await, Response::Event(None));
    rig.server.command(&["SET", "event:1", "{}"]).await;
    assert_eq!(rig.done(event()).await, Response::Event(Some(Box::from(*b"{}"))));
}

#[tokio::test]
async fn streams_are_registered_with_their_patterns_and_the_newest_stay() {
    let rig = Rig::start().await;
    let key = || -> Arc<str> { "p:oxbus:streams".into() };
    let registered = async || match rig.done(Request::ListRegistered { key: key() }).await {
        Response::Registered(mut streams) => {
            streams.sort_by(|a, b| a.name.cmp(&b.name));
            streams
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(registered().await, []);
    let register = |streams: &[(&str, &str)]| Request::RegisterStreams {
        key: key(),
        streams: streams.iter().map(|(name, event)| ((*name).into(), vec![(*event).into()])).collect(),
    };
    assert_eq!(rig.done(register(&[("b", "b.*"), ("a", "é \"")])).await, Response::Done);
    let first = registered().await;
    let shown: Vec<_> = first.iter().map(|stream| (&*stream.name, stream.events.concat())).collect();
    assert_eq!(shown, [("a", "é \"".to_owned()), ("b", "b.*".to_owned())]);
    assert!(first[0].time > 1_600_000_000_000 && first[0].time == first[1].time);
    rig.done(register(&[("b", "c.*")])).await;
    assert_eq!(registered().await[1].events, ["c.*"]);

    // Older ones, as many as fit, and what another program has left there.
    let mut fill = vec!["HSET".to_owned(), "p:oxbus:streams".to_owned()];
    fill.extend((0..10_000).flat_map(|n| [format!("old-{n:05}"), format!("{} []", n + 1)]));
    fill.extend(["strange".to_owned(), "no time".to_owned()]);
    rig.server.command(&fill).await;
    rig.done(register(&[("c", "c")])).await;
    let names: Vec<String> = registered().await.into_iter().map(|stream| stream.name).collect();
    assert_eq!(names.len(), 10_000);
    assert_eq!(&names[..3], ["a", "b", "c"]);
    assert_eq!(&names[3], "old-00003");
    assert!(!names.contains(&"strange".to_owned()));
}

#[tokio::test]
async fn a_scan_steps_through_all_keys() {
    let rig = Rig::start().await;
    for n in 0..3_000 {
        rig.server.command(&["SET", &format!("text-{n}"), "x"]).await;
    }
    for n in 0..20 {
        rig.append_to(&format!("stream-{n:02}"), &["a", "b"]).await;
    }
    let (mut cursor, mut names, mut steps) = (Some(ScanCursor::default()), Vec::new(), 0);
    while let Some(at) = cursor.take() {
        match rig.done(Request::ScanStreams { cursor: at }).await {
            Response::Scanned { next, names: found } => {
                names.extend(found);
                steps += 1;
                cursor = next;
            }
            other => panic!("{other:?}"),
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names, (0..20).map(|n| format!("stream-{n:02}")).collect::<Vec<_>>());
    assert!((2..10).contains(&steps), "{steps}");
    let exists = |name: &str| Request::Exists { stream: name.into() };
    assert_eq!((rig.count(exists("stream-00")).await, rig.count(exists("none")).await), (1, 0));
    assert_eq!(rig.ask(exists("text-1")).await.unwrap_err().kind, ErrorKind::WrongType);
}
