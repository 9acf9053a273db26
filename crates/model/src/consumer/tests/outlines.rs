//! What stands in entries that are not read for the first time is noted as well, for a host that builds objects by shapes.

use std::hash::RandomState;

use crate::codec::outline::Shapes;
use crate::config::DeadLetterConfig;
use crate::consumer::tests::members::member;
use crate::consumer::tests::world::*;

/// For each event that is handed out, whether it is known what stands in it.
fn outlined(client: &mut Client, world: &World) -> Vec<bool> {
    client.take(world).iter().map(|delivery| delivery.event.outlined.is_some()).collect()
}

fn by_shapes(mut client: Client, wanted: bool) -> Client {
    client.shapes = wanted.then(|| Shapes::new(RandomState::new()));
    client
}

#[test]
fn own_entries_of_before_a_restart() {
    for wanted in [true, false] {
        let mut b = Bench::new(&options());
        b.publish(3);
        b.world.now += 10_001;
        let restarted = Client::started("c", "again", &options(), DeadLetterConfig::default());
        b.client = by_shapes(restarted, wanted);
        b.client.add(1, "*", &options());
        b.run();
        b.client.consumer.connected(b.client.key);
        b.run();
        assert_eq!(outlined(&mut b.client, &b.world), [wanted; 3]);
    }
}

#[test]
fn entries_that_are_claimed_from_another_consumer() {
    for wanted in [true, false] {
        let mut b = Bench::new(&options());
        b.client = by_shapes(b.client, wanted);
        b.world.publish("s", "a.b", None);
        b.world.read_by_dead("dead");
        b.pass(LEASE + 1000);
        assert_eq!(outlined(&mut b.client, &b.world), [wanted]);
    }
}

#[test]
fn entries_that_the_group_has_read_past() {
    for wanted in [true, false] {
        let mut world = World::new();
        let mut client = by_shapes(member("c", &["a"], &mut world), wanted);
        world.publish("s", "b", None);
        let mut pass = |client: &mut Client| {
            let mut seen = Vec::new();
            for _ in 0..50 {
                client.run(&mut world);
                seen.extend(outlined(client, &world));
                world.now += 100;
            }
            seen
        };
        assert_eq!(pass(&mut client), [false; 0]);
        client.add(2, "b", &options());
        assert_eq!(pass(&mut client), [wanted]);
    }
}
