//! Clients that are members of a group when a test begins with them.

use crate::consumer::tests::world::*;

/// The client has joined its group and has read everything.
pub(super) fn connected(mut client: Client, world: &mut World) -> Client {
    client.run(world);
    client.consumer.connected(client.key);
    client.run(world);
    client
}

/// A client with a subscription to each pattern, which has read everything.
pub(super) fn member(name: &str, patterns: &[&str], world: &mut World) -> Client {
    let mut client = Client::new(name, &options());
    for (n, pattern) in (1..).zip(patterns) {
        client.add(n, pattern, &options());
    }
    connected(client, world)
}
