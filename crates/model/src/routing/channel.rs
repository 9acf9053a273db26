//! Names of channels: where an event of a type, and a broadcast, is published.

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

/// The channels of a bus: those under its prefix, or under one of several prefixes where it has several wires.
#[derive(Clone, Debug)]
pub struct Channels {
    prefix: String,
    /// The prefixes of the channels that events come on, each once.
    live: Box<[Box<str>]>,
}

impl Channels {
    /// Channels under `prefix`, which may be empty.
    pub fn new(prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        Channels { live: [prefix.as_str().into()].into(), prefix }
    }

    /// Names under `prefix`, and events that come on channels under the prefixes `live`, one at least.
    pub fn under<'a>(prefix: impl Into<String>, live: impl Iterator<Item = &'a str>) -> Self {
        let mut all: Vec<Box<str>> = Vec::new();
        live.for_each(|prefix| {
            if !all.iter().any(|known| **known == *prefix) {
                all.push(prefix.into());
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
        self.live.iter().map(|prefix| &**prefix)
    }

    /// A name under the prefix.
    pub fn named(&self, name: &str) -> String {
        format!("{}{}", self.prefix, name)
    }

    /// The channels of an event type (or of a name such as `room:a`): one under each prefix.
    pub fn all_named(&self, name: &str) -> impl Iterator<Item = String> {
        self.live.iter().map(move |prefix| format!("{prefix}{name}"))
    }

    /// The index of the prefix that a channel is under, the longest, and its name without it; `None` for a channel of another
    /// bus.
    pub fn split<'a>(&self, channel: &'a [u8]) -> Option<(usize, &'a [u8])> {
        if let [prefix] = &*self.live {
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

    /// What `channel` is for; `None` for a channel of another bus.
    pub fn audience<'a>(&self, channel: &'a [u8]) -> Option<Audience<'a>> {
        self.name_of(channel).map(Channels::audience_of)
    }

    /// What the channel of a name without the prefix is for.
    pub fn audience_of(name: &[u8]) -> Audience<'_> {
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

#[cfg(test)]
mod tests {
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
    fn of_several_prefixes_a_channel_is_under_the_longest() {
        let c = Channels::under("keys:", ["", "ox:", ""].into_iter());
        assert_eq!(c.all_named("a").collect::<Vec<_>>(), ["a", "ox:a"]);
        assert_eq!((c.split(b"ox:a"), c.split(b"ox")), (Some((1, &b"a"[..])), Some((0, &b"ox"[..]))));
        assert_eq!(c.audience(b"ox:room:1"), Some(Audience::Room(b"1")));
        assert_eq!(c.named("x"), "keys:x");
        assert_eq!(Channels::under("", ["a:", "b:"].into_iter()).split(b"c:x"), None);
    }
}
