//! A packet of Socket.IO as its Redis adapter and its emitter publish it: `[uid, packet, options]` in MessagePack.
//!
//! Nothing else may go to these channels: a Socket.IO server throws an error at its process for what is no MessagePack. A
//! fourth item holds what Oxbus has besides; servers read three.

use super::msgpack::{
    MAX_DEPTH, Reader, Unreadable, depth, write_array, write_json, write_map, write_small, write_text,
};
use crate::codec::decoded::Foreign;
use crate::codec::new_event::NewEvent;
use crate::routing::channel::USER;
use crate::{BusError, ErrorKind};

/// Whose packet it is. A server drops packets with its own name, which has six letters.
const UID: &str = "emitter";
/// The types of packets: an event, and one with binary data.
const EVENTS: [&str; 2] = ["2", "5"];
/// The name, behind the prefix, of the channel of all connections of a namespace.
const EVERYONE: &[u8] = b"#";

/// Accepts an event.
///
/// # Errors
/// `INVALID_DATA` for what nests deeper than the readers of peers stand.
pub(super) fn check(event: &NewEvent<'_>, ours: &str) -> Result<(), BusError> {
    for (path, json) in [("data", event.data), ("metadata", ours)] {
        if depth(json) > MAX_DEPTH {
            let message = format!("nests deeper than {MAX_DEPTH} levels, which this wire does not carry");
            return Err(BusError::at(ErrorKind::InvalidData, path, message));
        }
    }
    Ok(())
}

/// Appends a packet for the room or user that the event is for, or for all connections of the namespace.
pub(super) fn write(out: &mut Vec<u8>, namespace: &str, event: &NewEvent<'_>, ours: &str) {
    out.reserve(event.data.len() + ours.len() + 160);
    write_array(out, 4);
    write_text(out, UID);

    write_map(out, 3);
    write_text(out, "type");
    write_small(out, 2);
    write_text(out, "data");
    write_array(out, 2);
    write_text(out, event.event_type);
    write_json(out, event.data);
    write_text(out, "nsp");
    write_text(out, namespace);

    let metadata = event.metadata;
    let of_user = metadata.and_then(|m| m.to_user).map(|user| format!("{USER}{user}"));
    let room = metadata.and_then(|m| m.room).or(of_user.as_deref());
    let except = metadata.map(|m| m.except).unwrap_or_default();
    write_map(out, 3);
    write_text(out, "rooms");
    write_array(out, room.is_some().into());
    if let Some(room) = room {
        write_text(out, room);
    }
    write_text(out, "flags");
    write_map(out, 0);
    write_text(out, "except");
    write_array(out, u32::try_from(except.len()).unwrap_or_default());
    for room in except {
        write_text(out, room);
    }

    write_json(out, ours);
}

/// What a packet says: `{"type","data","room","except","ours"}`.
pub(super) fn open(message: &[u8], on: &[u8]) -> Result<String, Foreign> {
    let packet = Packet::read(message).map_err(|Unreadable| Foreign::Malformed)?;
    let Packet { kind, event_type: Some(event_type), mut arguments, rooms, except, ours } = packet else {
        return Err(Foreign::NoType);
    };
    if !EVENTS.contains(&&*kind) || !event_type.starts_with('"') {
        return Err(Foreign::NoType);
    }
    // What is for several rooms comes on the channel of all connections, where nothing says who has joined them.
    if !rooms.is_empty() && on == EVERYONE {
        return Err(Foreign::ForRooms);
    }
    let data = match arguments.len() {
        0 => "null".to_owned(),
        1 => arguments.remove(0),
        _ => format!("[{}]", arguments.join(",")),
    };
    let mut json = format!("{{\"type\":{event_type},\"data\":{data}");
    // One of a user is no room for a client of Oxbus.
    if let [room] = &*rooms
        && room.starts_with('"')
        && !room[1..].starts_with(USER)
    {
        json.extend([",\"room\":", room]);
    }
    if let Some(except) = except {
        json.extend([",\"except\":", &except]);
    }
    if let Some(ours) = ours {
        json.extend([",\"ours\":", &ours]);
    }
    json.push('}');
    Ok(json)
}

/// What is looked at in a packet, as JSON.
#[derive(Default)]
struct Packet {
    kind: String,
    event_type: Option<String>,
    arguments: Vec<String>,
    /// The rooms that it is for; none: all connections of the namespace.
    rooms: Vec<String>,
    /// The rooms that it is not for, where there are any.
    except: Option<String>,
    ours: Option<String>,
}

impl Packet {
    fn read(message: &[u8]) -> Result<Packet, Unreadable> {
        let mut reader = Reader::new(message);
        let items = reader.array()?;
        if items < 2 {
            return Err(Unreadable);
        }
        let mut packet = Packet::default();
        reader.json()?;
        members(&mut reader, |reader, name| packet.member(reader, name))?;
        if items > 2 {
            members(&mut reader, |reader, name| packet.option(reader, name))?;
        }
        for item in 3..items {
            let json = reader.json()?;
            if item == 3 && json.starts_with('{') {
                packet.ours = Some(json);
            }
        }
        if reader.is_at_end() { Ok(packet) } else { Err(Unreadable) }
    }

    /// A member of the packet itself.
    fn member(&mut self, reader: &mut Reader<'_>, name: &str) -> Result<(), Unreadable> {
        match name {
            "\"type\"" => self.kind = reader.json()?,
            "\"data\"" => {
                let items = reader.array()?;
                if items > 0 {
                    self.event_type = Some(reader.json()?);
                }
                for _ in 1..items {
                    self.arguments.push(reader.json()?);
                }
            }
            _ => drop(reader.json()?),
        }
        Ok(())
    }

    /// A member of its options.
    fn option(&mut self, reader: &mut Reader<'_>, name: &str) -> Result<(), Unreadable> {
        match name {
            "\"rooms\"" => {
                for _ in 0..reader.array()? {
                    self.rooms.push(reader.json()?);
                }
            }
            "\"except\"" => self.except = Some(reader.json()?).filter(|json| json != "[]" && json != "null"),
            _ => drop(reader.json()?),
        }
        Ok(())
    }
}

/// Reads a map: `member` is called with each name as JSON, and reads its value.
fn members<'a>(
    reader: &mut Reader<'a>,
    mut member: impl FnMut(&mut Reader<'a>, &str) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    for _ in 0..reader.map()? {
        let name = reader.json()?;
        member(reader, &name)?;
    }
    Ok(())
}
