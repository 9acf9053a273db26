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

/// The channels of a bus with a prefix.
#[derive(Clone, Debug)]
pub struct Channels {
    prefix: String,
}

impl Channels {
    /// Channels under `prefix`, which may be empty.
    pub fn new(prefix: impl Into<String>) -> Self {
        Channels { prefix: prefix.into() }
    }

    /// The prefix of all channels.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The channel of an event type (or of a name under the prefix, such as `room:a`).
    pub fn named(&self, name: &str) -> String {
        format!("{}{}", self.prefix, name)
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
}
