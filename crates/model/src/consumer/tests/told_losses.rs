//! What a group has read past, and is gone before a pattern takes it, is told whatever happens to answers and clients.

use crate::consumer::Announcement;
use crate::consumer::tests::members::member;
use crate::consumer::tests::world::*;
use crate::stream_store::{Position, Request, Response};

/// A group that has read past seven entries of the type `b`, which are gone.
fn gone() -> World {
    let mut world = World::new();
    let (stream, group) = (arc("s"), arc("g"));
    let ensure = Request::EnsureGroup { stream, group, from: Position::Beginning, restarted: false };
    world.store.execute(ensure, world.now).unwrap();
    for _ in 0..7 {
        world.publish("s", "b", None);
    }
    member("first", &["a"], &mut world);
    let trim = Request::Trim { stream: arc("s"), max_len: Some(0), min_id: None };
    assert_eq!(world.store.execute(trim, world.now), Ok(Response::Count(7)));
    world
}

/// How many entries a client has told to be lost, each time.
fn told(client: &Client) -> Vec<u64> {
    let lost = |a: &Announcement| match a {
        Announcement::MessagesLost { missed, .. } => Some(missed.count),
        _ => None,
    };
    client.announcements.iter().filter_map(lost).collect()
}

/// Does what is due, for a while.
fn pass(client: &mut Client, world: &mut World, ms: u64) {
    let end = world.now + ms;
    while let Some(due) = client.consumer.next_due(world.now).filter(|due| *due <= end) {
        world.now = due;
        client.run(world);
    }
    world.now = end;
    client.run(world);
}

/// Loses the answers to the requests that a closure chooses, so many of them.
fn mute(client: &mut Client, mut times: usize, of: fn(&Request) -> bool) {
    client.fault = Box::new(move |request| {
        let mutes = times > 0 && of(request);
        times -= usize::from(mutes);
        mutes.then_some(Fault::Mute)
    });
}

fn takes_up(request: &Request) -> bool {
    matches!(request, Request::TakeUp { tasks, .. } if !tasks.is_empty())
}

fn has_told(request: &Request) -> bool {
    matches!(request, Request::TakeUp { told, .. } if !told.is_empty())
}

#[test]
fn a_loss_is_told_once_though_answers_are_lost() {
    for of in [takes_up, has_told] {
        let mut world = gone();
        let mut late = Client::new("late", &options());
        mute(&mut late, 3, of);
        late.add(1, "b", &options());
        late.run(&mut world);
        late.consumer.connected(late.key);
        pass(&mut late, &mut world, 600_000);
        assert_eq!(told(&late), [7]);
        assert!(late.consumer.is_settled(None));
        let asked = late.asked.iter().filter(|r| matches!(r, Request::TakeUp { .. })).count();
        assert!(asked <= 6, "{asked}");
        // It is known to be told.
        let mut other = member("other", &["b"], &mut world);
        pass(&mut other, &mut world, 600_000);
        assert_eq!(told(&other), [0; 0]);
    }
}

#[test]
fn a_loss_is_told_by_another_client_when_the_first_has_died_with_it() {
    let mut world = gone();
    let mut dying = Client::new("dying", &options());
    mute(&mut dying, usize::MAX, takes_up);
    dying.add(1, "b", &options());
    dying.run(&mut world);
    dying.consumer.connected(dying.key);
    dying.run(&mut world);
    assert!(dying.asked.iter().any(takes_up));
    drop(dying);
    let mut other = member("other", &["b"], &mut world);
    // The first may be about to tell it.
    pass(&mut other, &mut world, 299_000);
    assert_eq!(told(&other), [0; 0]);
    pass(&mut other, &mut world, 600_000);
    assert_eq!(told(&other), [7]);
}

#[test]
fn a_client_that_stops_first_says_what_it_has_told() {
    let mut world = gone();
    let mut late = member("late", &["b"], &mut world);
    late.run(&mut world);
    assert_eq!(told(&late), [7]);
    // What a second one of a later subscription has found is said to be told, though nothing is read any more.
    for _ in 0..3 {
        world.publish("s", "c", None);
    }
    pass(&mut late, &mut world, 2_000);
    let trim = Request::Trim { stream: arc("s"), max_len: Some(0), min_id: None };
    world.store.execute(trim, world.now).unwrap();
    late.fault =
        Box::new(|request| has_told(request).then_some(Fault::Refuse(crate::ErrorKind::ConnectionLost)));
    late.add(2, "c", &options());
    pass(&mut late, &mut world, 2_000);
    assert_eq!(told(&late), [7, 3]);
    late.consumer.stop_reading(None, world.now);
    late.run(&mut world);
    assert!(!late.consumer.is_settled(None));
    late.fault = Box::new(|_| None);
    pass(&mut late, &mut world, 10_000);
    assert!(late.consumer.is_settled(None));
}
