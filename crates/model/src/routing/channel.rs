//! Names of channels: where an event of a type, and a broadcast, is published.

use crate::routing::server_subscription::ServerSubscription;

/// The channel name of a broadcast, without the prefix.
pub const BROADCAST: &str = "broadcast";
/// What the name of a room's channel starts with, without the prefix.
pub const ROOM: &str = "room:";
/// What the name of a user's channel starts with, without the prefix.
pub const USER: &str = "user:";

/// The name of the channel on which clients tell each other of entries that they have handed back to a group, without the
/// prefix. A message is the stream, a line break, and the group.
pub const HANDED_BACK: &str = "oxbus:handed-back";

/// Who an event is for, as its channel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<'a> {
    /// Subscribers of this event type.
    Type(&'a [u8]),
    /// Members of this room.
    Room(&'a [u8]),
    /// Connections of this user.
    User(&'a [u8]),
    /// Everyone who subscribes to the event's type.
    Everyone,
}

/// How the channels of rooms, users and broadcasts are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// `broadcast`, `room:a` and `user:b`.
    #[default]
    Plain,
    /// As the Redis adapter of Socket.IO names them: `#`, `#a#` and `#user:b#`. On these nothing but its packets may be published,
    /// and every other name is one that it does not hear.
    SocketIo,
}

/// The channels of a bus with a prefix.
#[derive(Clone, Debug)]
pub struct Channels {
    prefix: String,
    naming: Naming,
}

impl Channels {
    /// Channels under `prefix`, which may be empty.
    pub fn new(prefix: impl Into<String>) -> Self {
        Channels::with_naming(prefix, Naming::Plain)
    }

    /// The same with another naming.
    pub fn with_naming(prefix: impl Into<String>, naming: Naming) -> Self {
        Channels { prefix: prefix.into(), naming }
    }

    /// The prefix of all channels.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The channel of an event type (or of a name under the prefix, such as `room:a`).
    pub fn named(&self, name: &str) -> String {
        let mut channel = String::new();
        self.write(&mut channel, name, "");
        channel
    }

    /// Appends the channel of a name that is given in two parts, such as `room:` and `a`.
    pub fn write(&self, out: &mut String, kind: &str, name: &str) {
        out.push_str(&self.prefix);
        if self.naming == Naming::Plain {
            return out.extend([kind, name]);
        }
        match kind.strip_prefix(ROOM) {
            Some(room) => out.extend(["#", room, name, "#"]),
            None if kind.starts_with(USER) => out.extend(["#", kind, name, "#"]),
            None if (kind, name) == (BROADCAST, "") || (kind, name) == ("", BROADCAST) => out.push('#'),
            None => out.extend([kind, name]),
        }
    }

    /// What brings the messages on all channels that a pattern of names matches.
    pub fn server_subscription(&self, pattern_text: &str) -> ServerSubscription {
        if self.naming == Naming::Plain || !Channels::addresses_channels(pattern_text) {
            return ServerSubscription::under(&self.prefix, pattern_text);
        }
        let bare = Channels::with_naming("", self.naming);
        ServerSubscription::under(&self.prefix, &bare.named(pattern_text))
    }

    /// The name of `channel` without the prefix; `None` for a channel of another bus.
    pub fn name_of<'a>(&self, channel: &'a [u8]) -> Option<&'a [u8]> {
        // Comparing with an empty prefix would hand memcmp a dangling pointer with length 0, which costs
        // its AVX-512 version a fault-suppressed load: 80 ns, three times per message.
        if self.prefix.is_empty() { Some(channel) } else { channel.strip_prefix(self.prefix.as_bytes()) }
    }

    /// What `channel` is for; `None` for a channel of another bus.
    pub fn audience<'a>(&self, channel: &'a [u8]) -> Option<Audience<'a>> {
        let name = self.name_of(channel)?;
        if self.naming == Naming::SocketIo {
            return Some(audience_between_hashes(name));
        }
        // Most channels are event types; the first byte settles it for nearly all of them.
        Some(match name.first() {
            Some(b'b') if name == BROADCAST.as_bytes() => Audience::Everyone,
            Some(b'r') => name.strip_prefix(ROOM.as_bytes()).map_or(Audience::Type(name), Audience::Room),
            Some(b'u') => name.strip_prefix(USER.as_bytes()).map_or(Audience::Type(name), Audience::User),
            _ => Audience::Type(name),
        })
    }

    /// Whether a pattern addresses channels by itself, whatever the subscription says.
    pub fn addresses_channels(pattern: &str) -> bool {
        pattern == BROADCAST || pattern.starts_with(ROOM) || pattern.starts_with(USER)
    }
}

/// What a channel is for by the names of Socket.IO.
fn audience_between_hashes(name: &[u8]) -> Audience<'_> {
    match name {
        b"#" => Audience::Everyone,
        [b'#', room @ .., b'#'] => {
            room.strip_prefix(USER.as_bytes()).map_or(Audience::Room(room), Audience::User)
        }
        _ => Audience::Type(name),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_audience_follows_the_name() {
        let c = Channels::new("app:");
        assert_eq!(c.audience(b"app:photo.uploaded"), Some(Audience::Type(b"photo.uploaded")));
        assert_eq!(c.audience(b"app:room:1"), Some(Audience::Room(b"1")));
        assert_eq!(c.audience(b"app:user:1"), Some(Audience::User(b"1")));
        assert_eq!(c.audience(b"app:broadcast"), Some(Audience::Everyone));
        assert_eq!(c.audience(b"app:broadcasts"), Some(Audience::Type(b"broadcasts")));
        assert_eq!(c.audience(b"app:rooms"), Some(Audience::Type(b"rooms")));
        assert_eq!(c.audience(b"other:photo"), None);
        assert_eq!(c.named("photo"), "app:photo");
    }

    #[test]
    fn the_names_of_socket_io_stand_between_hashes() {
        let c = Channels::with_naming("socket.io#/", Naming::SocketIo);
        for (name, channel, audience) in [
            ("broadcast", "socket.io#/#", Audience::Everyone),
            ("room:a#b", "socket.io#/#a#b#", Audience::Room(b"a#b")),
            ("user:u", "socket.io#/#user:u#", Audience::User(b"u")),
            ("order.placed", "socket.io#/order.placed", Audience::Type(b"order.placed")),
            (HANDED_BACK, "socket.io#/oxbus:handed-back", Audience::Type(HANDED_BACK.as_bytes())),
        ] {
            assert_eq!(c.named(name), channel);
            assert_eq!(c.audience(channel.as_bytes()), Some(audience));
        }
        let bytes = |text: &str| Arc::from(text.as_bytes());
        let all_rooms = ServerSubscription::Pattern(bytes("socket.io#/#*#"));
        assert_eq!(c.server_subscription("room:*"), all_rooms);
        assert_eq!(
            c.server_subscription("user:u"),
            ServerSubscription::Channel(bytes("socket.io#/#user:u#"))
        );
        assert_eq!(c.server_subscription("a.b"), ServerSubscription::Channel(bytes("socket.io#/a.b")));
    }
}
