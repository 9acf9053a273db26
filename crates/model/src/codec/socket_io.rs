//! The format of Socket.IO: packets for the connections of running servers, as the Redis adapter and the emitter publish them.

use crate::codec::framing::Framing;
use crate::codec::mapped::channels::ChannelRules;
use crate::codec::mapped::source::{Slot, Source};
use crate::codec::mapped::{Format, Parts, Traits};
use crate::routing::channel::Naming;

/// What stands before every channel: the key of the adapter, and the namespace.
const CHANNEL_PREFIX: &str = "socket.io#/";

/// A packet with the type as the name of the event and the data as its argument, for the namespace that the prefix names. What else
/// an event has, the id as `eventId`, is behind what a server reads. `None` for a prefix without a namespace.
pub(super) fn format(channel_prefix: &str) -> Option<Format> {
    let (key, namespace) = channel_prefix.split_once('#')?;
    if key.is_empty() || !namespace.starts_with('/') || namespace.contains('#') {
        return None;
    }
    let write = [("eventId", Source::Slot(Slot::Id)), ("", Source::OtherMetadata)];
    let read = [
        ("type", Source::Slot(Slot::Type)),
        ("data", Source::Slot(Slot::Data)),
        ("room", Source::Slot(Slot::Room)),
        ("except", Source::Metadata("except".into())),
        ("ours.eventId", Source::Slot(Slot::Id)),
        // It is what the packet says.
        ("ours.except", Source::Constant(Box::default())),
        ("ours", Source::OtherMetadata),
    ];
    let traits = Traits { channel_prefix: CHANNEL_PREFIX, naming: Naming::SocketIo, ..Traits::default() };
    // All events without a room go to all connections.
    let channels = ChannelRules::new(&[("*", &["#"])]).ok();
    let parts = Parts { name: "socket.io", write: &write, read: &read, channels, traits, ..Parts::default() };
    Some(Format::new(parts).framed(Framing::SocketIo { namespace: namespace.into() }))
}

/// The format with the usual prefix.
pub(super) fn usual() -> Option<Format> {
    format(CHANNEL_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::decoded::Foreign;
    use crate::codec::mapped::tests::{Rig, event, with_all_metadata};
    use crate::codec::new_event::{Metadata, NewEvent};

    /// What the emitter publishes for the sample, to a room: MessagePack but for its texts.
    const OF_EMITTER: &[u8] = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xacorder.placed\x82\xa7orderId\xa3o-1\xa5total\xcb\x40\x23\x00\x00\x00\x00\x00\x00\xa3nsp\xa1/\x83\xa5rooms\x91\xa1r\xa5flags\x80\xa6except\x90";

    fn sample() -> NewEvent<'static> {
        event("order.placed", r#"{"orderId":"o-1","total":9.5}"#)
    }

    fn rig() -> Rig {
        Rig::new(format("socket.io#/").unwrap())
    }

    #[test]
    fn a_packet_is_that_of_the_emitter_with_ours_behind_it() {
        let metadata = Metadata { room: Some("r"), ..Metadata::default() };
        let bytes = rig().bytes(&NewEvent { metadata: Some(&metadata), ..sample() });
        assert_eq!(bytes[1..OF_EMITTER.len()], OF_EMITTER[1..]);
        assert_eq!((bytes[0], OF_EMITTER[0]), (0x94, 0x93));
        assert_eq!(bytes[OF_EMITTER.len()..][..9], *b"\x86\xa7eventId");
    }

    #[test]
    fn users_and_exceptions_are_rooms() {
        let except = ["a".to_owned(), "b".to_owned()];
        let metadata = Metadata { to_user: Some("u"), except: &except, ..Metadata::default() };
        let bytes = rig().bytes(&NewEvent { metadata: Some(&metadata), ..sample() });
        let options = b"\x83\xa5rooms\x91\xa6user:u\xa5flags\x80\xa6except\x92\xa1a\xa1b";
        assert!(bytes.windows(options.len()).any(|part| part == options));
        let other = Rig::new(format("io#/admin").unwrap()).bytes(&sample());
        assert!(other.windows(11).any(|part| part == b"\xa3nsp\xa6/admin"));
    }

    #[test]
    fn what_is_written_is_read() {
        rig().reads_back(&sample());
        with_all_metadata(|event| rig().reads_back(event));
    }

    #[test]
    fn what_servers_and_the_emitter_publish_is_an_event() {
        let of = |data: &str, room: &str| {
            format!(
                r#"{{"id":"new","type":"order.placed","data":{data},"metadata":{{"timestamp":"1970-01-01T00:00:01.000Z","source":"unknown","correlationId":"new"{room}}}}}"#
            )
        };
        let room = r#","room":"r""#;
        let read = rig().read_bytes("#r#", OF_EMITTER).unwrap().0;
        assert_eq!(read, of(r#"{"orderId":"o-1","total":9.5}"#, room));
        for (bytes, data) in [
            (&b"\x92\xa1u\x82\xa4type\x05\xa4data\x91\xacorder.placed"[..], "null"),
            (b"\x92\xa1u\x82\xa4type\x02\xa4data\x93\xacorder.placed\x01\xc0", "[1,null]"),
        ] {
            assert_eq!(rig().read_bytes("#", bytes).unwrap().0, of(data, ""));
        }
    }

    #[test]
    fn what_is_no_event_is_foreign() {
        for (on, bytes, reason) in [
            ("#", OF_EMITTER, Foreign::ForRooms),
            ("#", b"{\"type\":\"a\"}", Foreign::Malformed),
            // What the streams adapter publishes there.
            ("#", b"\x82\xa4type\x09\xa4data\x80", Foreign::Malformed),
            ("#", &OF_EMITTER[..30], Foreign::Malformed),
            // Not an event, and an event without a name.
            ("#", b"\x92\xa1u\x82\xa4type\x01\xa4data\x91\xa1a", Foreign::NoType),
            ("#", b"\x92\xa1u\x82\xa4type\x02\xa4data\x91\x01", Foreign::NoType),
            ("#", b"\x92\xa1u\x81\xa4type\x02", Foreign::NoType),
        ] {
            assert_eq!(rig().read_bytes(on, bytes).unwrap_err(), reason, "{bytes:x?}");
        }
    }

    #[test]
    fn what_nests_deeper_than_peers_read_is_refused() {
        let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
        let error = rig().check(&event("a", &deep)).unwrap_err();
        assert_eq!((error.kind, error.path.as_deref()), (crate::ErrorKind::InvalidData, Some("data")));
        assert!(rig().check(&event("a", &deep[1..201])).is_ok());
    }

    #[test]
    fn a_prefix_names_the_key_and_the_namespace() {
        for bad in ["", "app:", "socket.io#", "#/", "socket.io#admin", "socket.io#/#"] {
            assert!(format(bad).is_none(), "{bad}");
        }
        assert_eq!(rig().subscriptions("order.*"), ["C #"]);
        assert_eq!(rig().channels(&sample()).unwrap(), ["#"]);
    }
}
