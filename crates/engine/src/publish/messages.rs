//! The live messages of an event: one in each wire that its client writes, and the channels of each.

use oxbus_model::codec::Codec;
use oxbus_model::codec::new_event::{NewEvent, Origin};
use oxbus_model::codec::wires::{Wire, Wires};
use oxbus_model::options::publish::{PublishOptions, Recipients};
use oxbus_model::routing::channel::{BROADCAST, ROOM, USER};
use oxbus_model::{BusError, ErrorKind};

/// Behind what stands each channel where one message goes to several. No channel begins with it: prefixes, types and values of
/// templates have no control characters, and rooms have `room:` before them.
const SEPARATOR: char = '\0';
/// What the channels of several messages begin with.
const SEVERAL: char = '\u{1}';

/// The messages of the event at hand. The buffers are used again for each event.
pub(crate) struct Messages {
    /// The wires that publish live; of a client that publishes nothing live, the first.
    wires: Box<[Wire]>,
    /// One channel, or several each behind [`SEPARATOR`]. With several wires it begins with [`SEVERAL`], and each channel has
    /// before it, each with a space behind it: its own length, and where its message begins in the payload and how long it is.
    channel: String,
    /// The message, or one behind the other.
    payload: Vec<u8>,
    /// With several channels, or several wires: the first channel, and the length of its message.
    first: (String, usize),
    name: String,
}

impl Messages {
    pub(crate) fn new(wires: &Wires) -> Messages {
        let live = wires.write.iter().filter(|wire| wire.codec.traits().live).cloned();
        let mut live: Vec<Wire> = live.collect();
        if live.is_empty() {
            live.extend(wires.write.first().cloned());
        }
        Messages {
            wires: live.into(),
            channel: String::new(),
            payload: Vec::new(),
            first: (String::new(), 0),
            name: String::new(),
        }
    }

    /// One message.
    #[cfg(test)]
    pub(crate) fn of(channel: &str, payload: &[u8]) -> Messages {
        let wires = Wires::one(Codec::Oxbus, "");
        Messages { channel: channel.into(), payload: payload.into(), ..Messages::new(&wires) }
    }

    /// Writes the messages of an event.
    ///
    /// # Errors
    /// `INVALID_DATA` and `INVALID_OPTIONS` for what a wire cannot carry, `EVENT_TOO_LARGE` for a message of more bytes than
    /// `limit`.
    pub(crate) fn write(
        &mut self,
        origin: &Origin,
        event: &NewEvent<'_>,
        options: &PublishOptions,
        limit: usize,
    ) -> Result<(), BusError> {
        let to = &options.audience;
        let Messages { wires, channel, payload, first, name } = self;
        channel.clear();
        payload.clear();
        if let [wire @ Wire { codec, prefix }] = &**wires {
            codec.check(origin, event, false)?;
            codec.write_message(payload, origin, event);
            check_size(payload.len(), limit)?;
            if options.channels.is_none() && (codec.channels().is_none() || *to != Recipients::Subscribers) {
                channel.push_str(prefix);
                return write_name(channel, codec, event, to);
            }
            let mut count = 0;
            let mut add = |one: &str| {
                if count == 0 {
                    channel.push_str(one);
                } else {
                    if count == 1 {
                        first.0.clear();
                        first.0.push_str(channel);
                        channel.insert(0, SEPARATOR);
                    }
                    channel.push(SEPARATOR);
                    channel.push_str(one);
                }
                count += 1;
            };
            give_channels(&mut add, name, wire, origin, event, options)?;
            first.1 = payload.len();
            return Ok(());
        }
        channel.push(SEVERAL);
        for (index, wire) in wires.iter().enumerate() {
            wire.codec.check(origin, event, false)?;
            let from = payload.len();
            wire.codec.write_message(payload, origin, event);
            let length = payload.len() - from;
            check_size(length, limit)?;
            let mut taken = None;
            let mut add = |one: &str| {
                if channel.len() == SEVERAL.len_utf8() {
                    first.0.clear();
                    first.0.push_str(one);
                    first.1 = length;
                }
                if is_of_another(wires, index, one) {
                    taken.get_or_insert_with(|| one.to_owned());
                }
                channel.push_str(&format!("{} {from} {length} {one}", one.len()));
            };
            give_channels(&mut add, name, wire, origin, event, options)?;
            if let Some(channel) = taken {
                let message = format!("its channel {channel:?} would be one of another wire of this client");
                return Err(BusError::at(ErrorKind::InvalidData, "type", message));
            }
        }
        Ok(())
    }

    /// What a publish is given: the channel, and the message. Where [`Messages::are_several`] says so, a script publishes them.
    pub(crate) fn all(&self) -> (&str, &[u8]) {
        (&self.channel, &self.payload)
    }

    /// Whether there are several channels.
    pub(crate) fn are_several(&self) -> bool {
        self.channel.starts_with([SEPARATOR, SEVERAL])
    }

    /// With one wire: the channels, on each of which the first message is published.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &str> {
        let several = self.channel.strip_prefix(SEPARATOR);
        several.unwrap_or(&self.channel).split(move |c| several.is_some() && c == SEPARATOR)
    }

    /// The first channel, and its message.
    pub(crate) fn first(&self) -> (&str, &[u8]) {
        if self.are_several() {
            let (channel, length) = &self.first;
            (channel, self.payload.get(..*length).unwrap_or(&self.payload))
        } else {
            (&self.channel, &self.payload)
        }
    }
}

/// Whether a channel of the wire `own` is under a longer prefix that another has.
fn is_of_another(wires: &[Wire], own: usize, channel: &str) -> bool {
    let length = wires.get(own).map_or(0, |wire| wire.prefix.len());
    wires.iter().any(|wire| wire.prefix.len() > length && channel.starts_with(&*wire.prefix))
}

/// Gives the channels of an event in a wire to `add`; `name` is a buffer.
fn give_channels(
    add: &mut impl FnMut(&str),
    name: &mut String,
    Wire { codec, prefix }: &Wire,
    origin: &Origin,
    event: &NewEvent<'_>,
    options: &PublishOptions,
) -> Result<(), BusError> {
    let to = &options.audience;
    match (&options.channels, codec.channels()) {
        (Some(_), _) if !codec.traits().names_type => {
            let message = "messages of this wire do not say their type: only the channel of the type does";
            return Err(BusError::at(ErrorKind::InvalidOptions, "channels", message));
        }
        (Some(channels), _) => {
            for one in channels {
                name.clear();
                name.extend([&**prefix, one]);
                add(name);
            }
        }
        (None, Some(rules)) if *to == Recipients::Subscribers => rules.write(add, prefix, origin, event)?,
        (None, _) => {
            name.clear();
            name.push_str(prefix);
            write_name(name, codec, event, to)?;
            add(name);
        }
    }
    Ok(())
}

/// Appends the name of the channel of an event without the prefix.
fn write_name(
    out: &mut String,
    codec: &Codec,
    event: &NewEvent<'_>,
    to: &Recipients,
) -> Result<(), BusError> {
    let (kind, name) = match to {
        Recipients::Subscribers => ("", event.event_type),
        Recipients::Everyone => ("", BROADCAST),
        Recipients::Room { room, .. } => (ROOM, &**room),
        Recipients::User(user) => (USER, &**user),
    };
    if *to != Recipients::Subscribers && !codec.traits().names_type {
        let message = "messages of this wire do not say their type: only the channel of the type does, so there are no rooms, users and broadcasts";
        return Err(BusError::new(ErrorKind::InvalidOptions, message));
    }
    codec.traits().naming.write(out, kind, name);
    Ok(())
}

fn check_size(size: usize, limit: usize) -> Result<(), BusError> {
    if size > limit { Err(too_large("the event", size, limit)) } else { Ok(()) }
}

/// Why an event is not sent.
pub(super) fn too_large(what: &str, size: usize, limit: usize) -> BusError {
    BusError::new(
        ErrorKind::EventTooLarge,
        format!("{what} has {size} bytes, more than the limit of {limit}"),
    )
}
