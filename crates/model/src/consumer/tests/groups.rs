//! Groups: opened, lost, created again; the facts that their clients share.

use crate::BusError;
use crate::codec::Codec;
use crate::config::DeadLetterConfig;
use crate::consumer::tests::world::*;
use crate::consumer::{Announcement, Consumer, Joining, Source, Work};
use crate::delivery::Settlement;
use crate::error::ErrorKind;
use crate::options::subscribe::{MatchBy, OrderBy, SubscribeOptions};
use crate::stream_store::{EntryId, FACTS_FORMAT, GroupFacts, Position, Request, Response};

fn warnings(bench: &mut Bench) -> Vec<&'static str> {
    let code = |a| match a {
        Announcement::Warning { code, .. } => Some(code),
        _ => None,
    };
    bench.announced().into_iter().filter_map(code).collect()
}

#[test]
fn all_subscriptions_of_a_group_agree() {
    let mut b = Bench::new(&options());
    let error = b.client.try_add(2, "*", "s", &ordered(OrderBy::Key)).unwrap_err();
    assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidOptions, Some("orderBy")));
    let error = b.client.try_add(2, "*", "s", &durable(|d| d.consumer = Some("d".into()))).unwrap_err();
    assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidOptions, Some("consumer")));
    assert!(!b.client.consumer.contains(2));
    b.client.try_add(2, "*", "s", &durable(|d| d.consumer = Some("c".into()))).unwrap();
    assert_eq!(b.client.consumer.subscriptions(), 2);
}

#[test]
fn a_lost_group_is_created_again_at_its_low_water_mark() {
    let mut b = Bench::new(&options());
    let ids = b.publish(4);
    let out = b.take();
    b.settle(out[0].token, Settlement::Succeeded);
    b.settle(out[2].token, Settlement::Succeeded);
    let (stream, group) = (arc("s"), arc("g"));
    b.world.store.execute(Request::RemoveGroup { stream, group }, b.world.now).unwrap();
    b.announced();
    b.publish(1);
    b.pass(1000);
    let from = b.announced().into_iter().find_map(|a| match a {
        Announcement::GroupRecreated { from, .. } => Some(from),
        _ => None,
    });
    assert_eq!(from, Some(ids[0]), "behind what is settled");
    // What still runs is not run twice; one settled behind the mark may be.
    assert_eq!(b.take_numbers().1, [3, 5]);
    b.settle(out[1].token, Settlement::Succeeded);
    b.settle(out[3].token, Settlement::Succeeded);
    b.pass(LEASE);
    assert_eq!(b.pending().len(), 2);
    assert!(!b.announced().iter().any(|a| matches!(a, Announcement::ClaimLost { .. })));
}

#[test]
fn a_stream_that_starts_again_is_read_from_its_beginning() {
    let mut b = Bench::new(&options());
    b.publish(3);
    for d in b.take() {
        b.settle(d.token, Settlement::Succeeded);
    }
    b.pass(1000);
    b.world.store = crate::stream_store::Streams::new();
    b.world.now -= 500_000;
    b.publish(10);
    b.world.now += 500_000;
    b.pass(1001);
    assert_eq!(b.take().len(), 10, "ids below the mark");
}

#[test]
fn a_group_that_keeps_disappearing_is_not_created_in_a_hot_loop() {
    let mut b = Bench::new(&options());
    b.client.asked.clear();
    for _ in 0..100 {
        let (stream, group) = (arc("s"), arc("g"));
        b.world.store.execute(Request::RemoveGroup { stream, group }, b.world.now).unwrap();
        b.publish(1);
        for d in b.take() {
            b.settle(d.token, Settlement::Succeeded);
        }
        b.pass(100);
    }
    let opens = b.client.asked.iter().filter(|r| matches!(r, Request::EnsureGroup { .. })).count();
    assert!((5..=11).contains(&opens), "{opens}");
    assert!(b.client.asked.len() < 500, "{}", b.client.asked.len());
}

#[test]
fn a_start_for_a_group_that_exists_is_ignored_with_a_warning() {
    let mut b = Bench::new(&options());
    let source = Source { stream: "s".into(), from: Position::Beginning, given: true };
    let consumer = &mut b.client.consumer;
    consumer.add(b.client.key, 2, &["*".into()], std::slice::from_ref(&source), &options(), None).unwrap();
    b.run();
    assert_eq!(warnings(&mut b), ["START_IGNORED"]);
    // Another client finds it there.
    let mut peer = Client::new("p", &options());
    peer.consumer.add(peer.key, 1, &["*".into()], std::slice::from_ref(&source), &options(), None).unwrap();
    peer.consumer.add(peer.key, 2, &["x".into()], &[source], &options(), None).unwrap();
    peer.run(&mut b.world);
    let warning = |a: &Announcement| match a {
        Announcement::Warning { code, message } => Some((*code, message.contains("has the pattern already"))),
        _ => None,
    };
    let warned: Vec<_> = peer.announcements.iter().filter_map(warning).collect();
    // The second pattern is new, and what may have been read past before it cannot all be had.
    assert_eq!(warned, [("START_IGNORED", true), ("START_IGNORED", false)]);
}

#[test]
fn the_lease_is_that_of_the_group() {
    let mut b = Bench::new(&options());
    let mut consumer = crate::consumer::Consumer::new(
        DeadLetterConfig::default(),
        String::new(),
        "other".into(),
        Codec::Oxbus,
    );
    let key = consumer.join(Joining {
        group: "g".into(),
        consumer: "other".into(),
        instance: "other".into(),
        lease: 5000,
        foreign_lease: 600_000,
        order_by: OrderBy::None,
    });
    let mut other = Client::new("other", &options());
    (other.consumer, other.key) = (consumer, key);
    other.add(1, "*", &options());
    other.consumer.connected(key);
    b.client.parked = None;
    b.client.consumer.disconnected(b.client.key);
    other.run(&mut b.world);
    let warned = |a: &&Announcement| matches!(a, Announcement::Warning { code: "LEASE_DIFFERS", .. });
    assert_eq!(other.announcements.iter().filter(warned).count(), 1);
    b.world.now += 2000;
    other.run(&mut b.world);
    assert_eq!(other.announcements.iter().filter(warned).count(), 1, "once");
    let overdue = other.asked.iter().find_map(|r| match r {
        Request::ListExpired { min_idle, .. } => Some(min_idle.ours),
        _ => None,
    });
    // Those that expire before the next look are listed as well.
    assert_eq!(overdue, Some(LEASE - 500));
}

#[test]
fn a_newer_build_in_the_group_is_told_once() {
    let mut b = Bench::new(&options());
    let newer =
        |format| GroupFacts { format, lease: LEASE, patterns: vec!["*".into()], ..GroupFacts::default() };
    for (format, expected) in
        [(FACTS_FORMAT, 0), (FACTS_FORMAT + 1, 1), (FACTS_FORMAT + 1, 0), (FACTS_FORMAT, 0)]
    {
        b.client.consumer.remove(2, b.world.now);
        b.client.add(2, "a.*", &options());
        let work = b.client.consumer.work(b.world.now);
        let beat = work.into_iter().find_map(|work| match work {
            Work::Store(_, beat @ Request::Heartbeat { .. }) => Some(beat),
            _ => None,
        });
        let facts = Ok(Response::Facts(newer(format)));
        b.client.consumer.answered(b.client.key, beat.unwrap(), facts, b.world.now, longest_wait, None);
        b.world.now += 2_000;
        let told = b.client.consumer.take_announcements();
        let warned =
            |a: &&Announcement| matches!(a, Announcement::Warning { code: "NEWER_GROUP_FORMAT", .. });
        assert_eq!(told.iter().filter(warned).count(), expected, "{format}");
    }
}

#[test]
fn nothing_is_read_before_the_group_is_known_and_its_own_entries_are_found() {
    let mut world = World::new();
    let mut client = Client::new("c", &options());
    client.add(1, "*", &options());
    client.consumer.connected(client.key);
    client.fault = Box::new(|r| {
        matches!(r, Request::ClaimOwnPending { .. }).then_some(Fault::Refuse(ErrorKind::ServerBusy))
    });
    client.run(&mut world);
    assert!(client.parked.is_none());
    assert!(matches!(client.announcements[..], [Announcement::Confirmed { .. }]));
    client.fault = Box::new(|_| None);
    world.now += 200;
    client.run(&mut world);
    assert!(client.parked.is_some());
    let after = |r: &Request| matches!(r, Request::ClaimOwnPending { after: EntryId::MIN, raise: true, .. });
    assert!(client.asked.iter().any(after));
}

#[test]
fn a_stream_that_cannot_be_opened_refuses_its_subscriptions() {
    let mut world = World::new();
    let mut client = Client::new("c", &options());
    client.add(1, "*", &options());
    let kind = std::cell::Cell::new(ErrorKind::ServerOom);
    client.fault = Box::new(move |r| {
        matches!(r, Request::EnsureGroup { .. }).then(|| Fault::Refuse(kind.replace(ErrorKind::WrongType)))
    });
    client.run(&mut world);
    assert!(client.announcements.is_empty());
    assert_eq!(client.consumer.trouble(1).unwrap().kind, ErrorKind::ServerOom);
    world.now += 1000;
    client.run(&mut world);
    assert!(
        matches!(&client.announcements[..], [Announcement::Refused { error, .. }] if error.kind == ErrorKind::WrongType)
    );
}

#[test]
fn streams_are_read_together_and_each_subscription_sees_its_own() {
    let mut b = Bench::new(&options());
    b.client.try_add(2, "*", "t", &options()).unwrap();
    assert!(!b.client.consumer.is_outdated(b.client.key));
    b.run();
    assert!(b.client.consumer.is_outdated(b.client.key));
    b.client.parked = None;
    b.client.consumer.interrupted(
        b.client.key,
        &crate::BusError::new(ErrorKind::ConnectionLost, ""),
        b.world.now,
        longest_wait,
    );
    b.pass(200);
    b.world.publish("t", "a", None);
    b.world.publish("s", "a", None);
    b.run();
    let mut seen: Vec<_> =
        b.take().into_iter().map(|d| (d.subscription, d.stored.unwrap().stream.to_string())).collect();
    seen.sort();
    assert_eq!(seen, [(1, "s".to_owned()), (2, "t".to_owned())]);
    assert_eq!(b.client.parked.as_ref().map(|read| read.streams.len()), Some(2));
    assert!(!b.client.consumer.is_outdated(b.client.key));
}

#[test]
fn a_stream_in_trouble_does_not_hold_up_the_others() {
    let mut world = World::new();
    let mut client = Client::new("c", &options());
    client.try_add(1, "*", "s", &options()).unwrap();
    client.try_add(2, "*", "t", &options()).unwrap();
    client.consumer.connected(client.key);
    let refuse = |r: &Request| matches!(r, Request::EnsureGroup { stream, .. } if **stream == *"t");
    client.fault = Box::new(move |r| refuse(r).then_some(Fault::Refuse(ErrorKind::ServerOom)));
    client.run(&mut world);
    world.publish("s", "a", None);
    client.run(&mut world);
    assert_eq!(client.take(&world).len(), 1);
    assert!(client.consumer.trouble(2).is_some() && client.consumer.trouble(1).is_none());
    client.fault = Box::new(|_| None);
    world.now += 2000;
    client.run(&mut world);
    assert!(client.consumer.is_outdated(client.key));
}

#[test]
fn a_stream_that_the_server_refuses_does_not_hold_up_the_reads_of_the_others() {
    let mut world = World::new();
    let mut client = Client::new("c", &options());
    client.add(1, "*", &options());
    client.try_add(2, "*", "t", &options()).unwrap();
    client.consumer.connected(client.key);
    client.run(&mut world);
    assert_eq!(client.parked.take().unwrap().streams.len(), 2);
    let beat = |r: &Request| matches!(r, Request::Heartbeat { member, .. } if *member.stream == *"t");
    client.fault = Box::new(move |r| beat(r).then_some(Fault::Refuse(ErrorKind::WrongType)));
    world.now += 1000;
    client.run(&mut world);
    client.consumer.interrupted(
        client.key,
        &BusError::new(ErrorKind::WrongType, "refused"),
        world.now,
        longest_wait,
    );
    world.now += 1000;
    client.run(&mut world);
    assert_eq!(*client.parked.as_ref().unwrap().streams, [arc("s")]);
    client.fault = Box::new(|_| None);
    world.now += 1000;
    client.run(&mut world);
    assert!(client.consumer.is_outdated(client.key), "it is read again");
}

#[test]
fn an_event_that_another_client_wants_for_its_channel_is_left_to_it() {
    let by_channel = SubscribeOptions { by: MatchBy::Channel, ..options() };
    for (pattern, wanting) in [("room:*", options()), ("room:*", by_channel.clone()), ("*:1", by_channel)] {
        let mut world = World::new();
        let client = |name: &str| {
            let mut client = Client::new(name, &options());
            client.consumer =
                Consumer::new(DeadLetterConfig::default(), "p:".into(), name.into(), Codec::Oxbus);
            client.consumer.context.channel = Some("p:room:1");
            client.key = client.consumer.join(Joining {
                group: "g".into(),
                consumer: name.into(),
                instance: name.into(),
                lease: LEASE,
                foreign_lease: 600_000,
                order_by: OrderBy::None,
            });
            client
        };
        let (mut here, mut there) = (client("here"), client("there"));
        here.add(1, "other", &options());
        there.add(1, pattern, &wanting);
        there.run(&mut world);
        here.run(&mut world);
        world.publish("s", "a.b", None);
        world.read_by_dead("dead");
        world.now += LEASE;
        here.consumer.connected(here.key);
        here.run(&mut world);
        assert_eq!((here.tally.recovered, here.tally.skipped), (1, 0));
        there.consumer.connected(there.key);
        there.run(&mut world);
        assert_eq!(there.take(&world).len(), 1, "{pattern}");
    }
}
