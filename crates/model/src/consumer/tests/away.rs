//! Streams that cannot be reached while others can, as when a node of a Cluster is away.

use crate::consumer::tests::world::*;
use crate::options::subscribe::OrderBy;
use crate::stream_store::Request;

/// A group of two streams, `s` and `t`, whose reader is connected to anew while nothing pending of `s` can be asked for.
fn without_s(order: OrderBy) -> Bench {
    let mut b = Bench::new(&ordered(order));
    b.client.try_add(2, "*", "t", &ordered(order)).unwrap();
    b.run();
    let is_of_s = |request: &Request| matches!(request, Request::ClaimOwnPending { member, .. } if &*member.stream == "s");
    b.client.fault = Box::new(move |request| is_of_s(request).then_some(Fault::Mute));
    connected_anew(&mut b);
    b
}

fn connected_anew(b: &mut Bench) {
    b.client.consumer.disconnected(b.client.key);
    b.client.parked = None;
    b.client.consumer.connected(b.client.key);
    b.run();
}

fn read(b: &Bench) -> Vec<&str> {
    b.client.parked.iter().flat_map(|read| read.streams.iter().map(|stream| &**stream)).collect()
}

#[test]
fn a_stream_that_is_away_does_not_hold_up_the_others() {
    for order in [OrderBy::None, OrderBy::Key] {
        let mut b = without_s(order);
        assert_eq!(read(&b), ["t"]);
        b.world.publish("s", "a.b", None);
        b.world.publish("t", "a.b", None);
        b.run();
        assert_eq!(b.take_numbers().1, [2]);
        assert!(!b.client.consumer.is_outdated(b.client.key));
        // Once it is there, the read that waits is ended for it.
        b.client.fault = Box::new(|_| None);
        b.pass(100);
        assert!(b.client.consumer.is_outdated(b.client.key));
    }
}

#[test]
fn a_stream_that_was_away_for_long_is_read_as_soon_as_its_node_is_there() {
    let mut b = without_s(OrderBy::None);
    b.pass(20_000);
    b.world.publish("s", "a.b", None);
    b.client.fault = Box::new(|_| None);
    b.pass(50);
    assert_eq!(read(&b), ["t"], "it waits longer from failure to failure");
    connected_anew(&mut b);
    assert_eq!((b.take_numbers().1, read(&b)), (vec![1], vec!["s", "t"]));
}

#[test]
fn a_group_that_could_not_be_made_is_made_as_soon_as_the_store_is_there() {
    let mut client = Client::new("c", &options());
    let mut world = World::new();
    client.fault = Box::new(|request| matches!(request, Request::EnsureGroup { .. }).then_some(Fault::Mute));
    client.add(1, "*", &options());
    for _ in 0..6 {
        client.run(&mut world);
        world.now += 5_000;
    }
    client.run(&mut world);
    // The longest wait after a failure is longer than this.
    world.now += 1_500;
    client.run(&mut world);
    client.fault = Box::new(|_| None);
    client.run(&mut world);
    assert!(client.parked.is_none());
    client.consumer.connected(client.key);
    client.run(&mut world);
    assert!(client.parked.is_some());
}
