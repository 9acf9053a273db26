//! Names of channels: where an event of a type, and a broadcast, is published.

use std::borrow::Cow;

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

/// The channels of a bus: those under its prefix, or under one of several prefixes where it has several wires.
#[derive(Clone, Debug)]
pub struct Channels {
    prefix: String,
    /// The prefixes of the channels that events come on, each once.
    live: Box<[(Box<str>, Naming)]>,
}

impl Naming {
    /// Appends the name of a channel, which is given in two parts, such as `room:` and `a`.
    pub fn write(self, out: &mut String, kind: &str, name: &str) {
        if self == Naming::Plain {
            return out.extend([kind, name]);
        }
        match kind.strip_prefix(ROOM) {
            Some(room) => out.extend(["#", room, name, "#"]),
            None if kind.starts_with(USER) => out.extend(["#", kind, name, "#"]),
            None if (kind, name) == (BROADCAST, "") || (kind, name) == ("", BROADCAST) => out.push('#'),
            None => out.extend([kind, name]),
        }
    }

    /// The name of a channel under a prefix.
    fn under(self, prefix: &str, name: &str) -> String {
        let mut channel = prefix.to_owned();
        self.write(&mut channel, name, "");
        channel
    }
}

impl Channels {
    /// Channels under `prefix`, which may be empty.
    pub fn new(prefix: impl Into<String>) -> Self {
        Channels::with_naming(prefix, Naming::Plain)
    }

    /// The same with another naming.
    pub fn with_naming(prefix: impl Into<String>, naming: Naming) -> Self {
        let prefix = prefix.into();
        Channels { live: [(prefix.as_str().into(), naming)].into(), prefix }
    }

    /// Names under `prefix`, and events that come on channels under the prefixes `live`, one at least.
    pub fn under<'a>(prefix: impl Into<String>, live: impl Iterator<Item = (&'a str, Naming)>) -> Self {
        let mut all: Vec<(Box<str>, Naming)> = Vec::new();
        live.for_each(|(prefix, naming)| {
            if !all.iter().any(|(known, _)| **known == *prefix) {
                all.push((prefix.into(), naming));
            }
        });
        Channels { prefix: prefix.into(), live: all.into() }
    }

    /// The prefix of all names but those of the channels of events.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The prefixes of the channels that events come on.
    pub fn live(&self) -> impl Iterator<Item = &str> {
        self.live.iter().map(|(prefix, _)| &**prefix)
    }

    /// A name under the prefix.
    pub fn named(&self, name: &str) -> String {
        format!("{}{}", self.prefix, name)
    }

    /// The channels of an event type (or of a name such as `room:a`): one under each prefix.
    pub fn all_named(&self, name: &str) -> impl Iterator<Item = String> {
        self.live.iter().map(move |(prefix, naming)| naming.under(prefix, name))
    }

    /// What brings the messages on all channels that a pattern of names matches: one under each prefix.
    pub fn server_subscriptions(&self, pattern_text: &str) -> impl Iterator<Item = ServerSubscription> {
        self.live.iter().map(move |(prefix, naming)| {
            if *naming == Naming::Plain || !Channels::addresses_channels(pattern_text) {
                return ServerSubscription::under(prefix, pattern_text);
            }
            ServerSubscription::under(prefix, &naming.under("", pattern_text))
        })
    }

    /// The index of the prefix that a channel is under, the longest, and its name without it; `None` for a channel of another
    /// bus.
    pub fn split<'a>(&self, channel: &'a [u8]) -> Option<(usize, &'a [u8])> {
        if let [(prefix, _)] = &*self.live {
            // Comparing with an empty prefix would hand memcmp a dangling pointer with length 0, which costs
            // its AVX-512 version a fault-suppressed load: 80 ns, three times per message.
            let name =
                if prefix.is_empty() { Some(channel) } else { channel.strip_prefix(prefix.as_bytes()) };
            return name.map(|name| (0, name));
        }
        let under = |(index, prefix): (usize, &str)| Some((index, channel.strip_prefix(prefix.as_bytes())?));
        self.live().enumerate().filter_map(under).min_by_key(|(_, name)| name.len())
    }

    /// The name of `channel` without the prefix; `None` for a channel of another bus.
    pub fn name_of<'a>(&self, channel: &'a [u8]) -> Option<&'a [u8]> {
        self.split(channel).map(|(_, name)| name)
    }

    /// The same, in which rooms and users are `room:a` and `user:b` however their channels are named.
    pub fn addressed_by<'a>(&self, channel: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let (under, name) = self.split(channel)?;
        if !self.is_of_socket_io(under) {
            return Some(name.into());
        }
        Some(match audience_between_hashes(name) {
            Audience::Room(room) => [ROOM.as_bytes(), room].concat().into(),
            Audience::User(user) => [USER.as_bytes(), user].concat().into(),
            Audience::Type(_) | Audience::Everyone => name.into(),
        })
    }

    fn is_of_socket_io(&self, under: usize) -> bool {
        self.live.get(under).is_some_and(|(_, naming)| *naming == Naming::SocketIo)
    }

    /// What `channel` is for; `None` for a channel of another bus.
    pub fn audience<'a>(&self, channel: &'a [u8]) -> Option<Audience<'a>> {
        self.split(channel).map(|(under, name)| self.audience_of(under, name))
    }

    /// What the channel of a name under the prefix of this index is for.
    pub fn audience_of<'a>(&self, under: usize, name: &'a [u8]) -> Audience<'a> {
        if self.is_of_socket_io(under) {
            return audience_between_hashes(name);
        }
        // Most channels are event types; the first byte settles it for nearly all of them.
        match name.first() {
            Some(b'b') if name == BROADCAST.as_bytes() => Audience::Everyone,
            Some(b'r') => name.strip_prefix(ROOM.as_bytes()).map_or(Audience::Type(name), Audience::Room),
            Some(b'u') => name.strip_prefix(USER.as_bytes()).map_or(Audience::Type(name), Audience::User),
            _ => Audience::Type(name),
        }
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
            assert_eq!(c.all_named(name).collect::<Vec<_>>(), [channel]);
            assert_eq!(c.audience(channel.as_bytes()), Some(audience));
        }
        let bytes = |text: &str| Arc::from(text.as_bytes());
        let subscription = |pattern| c.server_subscriptions(pattern).next().unwrap();
        let all_rooms = ServerSubscription::Pattern(bytes("socket.io#/#*#"));
        assert_eq!(subscription("room:*"), all_rooms);
        assert_eq!(subscription("user:u"), ServerSubscription::Channel(bytes("socket.io#/#user:u#")));
        assert_eq!(subscription("a.b"), ServerSubscription::Channel(bytes("socket.io#/a.b")));
    }

    #[test]
    fn of_several_prefixes_a_channel_is_under_the_longest() {
        let c = Channels::under("keys:", ["", "ox:", ""].map(|prefix| (prefix, Naming::Plain)).into_iter());
        assert_eq!(c.all_named("a").collect::<Vec<_>>(), ["a", "ox:a"]);
        assert_eq!((c.split(b"ox:a"), c.split(b"ox")), (Some((1, &b"a"[..])), Some((0, &b"ox"[..]))));
        assert_eq!(c.audience(b"ox:room:1"), Some(Audience::Room(b"1")));
        assert_eq!(c.named("x"), "keys:x");
        assert_eq!(
            Channels::under("", ["a:", "b:"].map(|prefix| (prefix, Naming::Plain)).into_iter()).split(b"c:x"),
            None
        );
    }
}
