//! The format of FastStream, a Python library: frames of bytes on channels and in streams.

use crate::codec::framing::Framing;
use crate::codec::mapped::source::{Slot, Source};
use crate::codec::mapped::{Format, Parts};

/// The data behind headers: the id, the type, the correlation id, and one of ours for the rest. The channel or the stream is the type
/// where no header tells it, and other headers are metadata.
pub(super) fn format() -> Format {
    let write = [
        ("timestamp", Source::Slot(Slot::Timestamp)),
        ("source", Source::Slot(Slot::Source)),
        ("instanceId", Source::Slot(Slot::InstanceId)),
        ("", Source::OtherMetadata),
    ];
    let read = [
        ("id", Source::Slot(Slot::Id)),
        ("type", Source::Slot(Slot::Type)),
        ("correlationId", Source::Slot(Slot::CorrelationId)),
        ("data", Source::Slot(Slot::Data)),
        ("headers", Source::OtherMetadata),
        ("ours", Source::OtherMetadata),
    ];
    let parts =
        Parts { name: "faststream", write: &write, read: &read, type_from_channel: true, ..Parts::default() };
    Format::new(parts).framed(Framing::FastStream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::decoded::Foreign;
    use crate::codec::mapped::tests::{Rig, event, with_all_metadata};
    use crate::codec::new_event::{Metadata, NewEvent};

    const HEAD: &[u8] = b"\x89BIN\r\n\x1a\n\x00\x01\x00\x00\x00\x12";
    /// What the library publishes for the sample.
    const PUBLISHED: &[u8] = b"\x89BIN\r\n\x1a\n\x00\x01\x00\x00\x00\x12\x00\x00\x00\x48\x00\x02\x00\x0ecorrelation_id\x00\x02c1\x00\x0ccontent-type\x00\x10application/json{\"orderId\":\"o-1\",\"total\":9.5}";

    fn rig() -> Rig {
        Rig::new(format())
    }

    fn of(data: &str, more: &str) -> String {
        format!(
            r#"{{"id":"new","type":"order.placed","data":{data},"metadata":{{"timestamp":"1970-01-01T00:00:01.000Z","source":"unknown","correlationId":{more}}}}}"#
        )
    }

    #[test]
    fn a_message_is_a_frame_with_headers() {
        let bytes = rig().bytes(&event("order.placed", r#"{"orderId":"o-1"}"#));
        assert!(bytes.starts_with(HEAD));
        let data_at = usize::try_from(u32::from_be_bytes(bytes[14..18].try_into().unwrap())).unwrap();
        assert_eq!(&bytes[data_at..], br#"{"orderId":"o-1"}"#);
        let headers = b"\x00\x05\x00\x0ecorrelation_id\x00\x04id-1\x00\x0ccontent-type\x00\x10application/json\x00\x0amessage_id\x00\x04id-1\x00\x0aevent_type\x00\x0corder.placed\x00\x05oxbus\x00";
        assert!(bytes[18..].starts_with(headers), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_is_written_is_read() {
        rig().reads_back(&event("order.placed", r#"{"x":"ключ 鍵 😀"}"#));
        with_all_metadata(|event| rig().reads_back(event));
    }

    #[test]
    fn what_the_library_publishes_is_an_event_of_its_channel() {
        let read = |bytes: &[u8]| rig().read_bytes("order.placed", bytes).unwrap().0;
        assert_eq!(read(PUBLISHED), of(r#"{"orderId":"o-1","total":9.5}"#, r#""c1""#));
        let text = b"\x89BIN\r\n\x1a\n\x00\x01\x00\x00\x00\x12\x00\x00\x00\x34\x00\x02\x00\x0ccontent-type\x00\x0atext/plain\x00\x01k\x00\x01v{\"a\":1}";
        assert_eq!(read(text), of(r#""{\"a\":1}""#, r#""new","k":"v""#));
    }

    #[test]
    fn what_others_may_send_it_is_an_event() {
        let rig = rig();
        for (message, data, more) in [
            (r#" {"orderId":"o-1"} "#, r#"{"orderId":"o-1"}"#, r#""new""#),
            ("no JSON", r#""no JSON""#, r#""new""#),
            ("null", "null", r#""new""#),
            (
                r#"{"data":"{\"a\":1}","headers":{"content-type":"application/json","correlation_id":"c1","k":"v"}}"#,
                r#"{"a":1}"#,
                r#""c1","k":"v""#,
            ),
            (r#"{"data":"1","headers":{"content-type":"text/plain"}}"#, r#""1""#, r#""new""#),
            (r#"{"data":1,"headers":{}}"#, r#"{"data":1,"headers":{}}"#, r#""new""#),
        ] {
            rig.reads_on("order.placed", message, &of(data, more));
        }
        assert_eq!(rig.refuses("1"), Foreign::NoType);
        assert_eq!(rig.read_bytes("a", b"\xff").unwrap_err(), Foreign::NotText);
    }

    #[test]
    fn a_frame_with_letters_counted_for_bytes_has_its_data() {
        // A header of two letters of two bytes each, as the library writes it, and one behind it.
        let frame = "\u{0}\u{1}k\u{0}\u{2}éé\u{0}\u{1}l\u{0}\u{1}v{\"a\":1}".as_bytes();
        let data_at = 20 + u32::try_from(frame.len() - 7).unwrap();
        let mut bytes = HEAD.to_vec();
        bytes.extend_from_slice(&data_at.to_be_bytes());
        bytes.extend_from_slice(&[0, 2]);
        bytes.extend_from_slice(frame);
        let read = rig().read_bytes("order.placed", &bytes).unwrap().0;
        assert!(read.contains(r#""data":{"a":1}"#), "{read}");
    }

    #[test]
    fn a_broken_frame_is_foreign() {
        let with = |at: usize, byte: u8| {
            let mut bytes = PUBLISHED.to_vec();
            bytes[at] = byte;
            bytes
        };
        for bytes in [
            &with(9, 2),
            &with(10, 255),
            &with(14, 255),
            &with(17, 19),
            &with(13, 3),
            &PUBLISHED[..17].to_vec(),
        ] {
            assert_eq!(rig().read_bytes("a", bytes).unwrap_err(), Foreign::Malformed);
        }
    }

    #[test]
    fn an_entry_is_a_frame_with_the_type_beside_it() {
        let mut fields = Vec::new();
        let mut put = |name: &[u8], value: &[u8]| fields.push((name.to_vec(), value.to_vec()));
        let origin = crate::codec::new_event::Origin::new("api", "i-1");
        let event = event("order.placed", r#"{"orderId":"o-1"}"#);
        assert!(format().write_entry(&mut put, &origin, &event));
        assert_eq!(fields[0], (b"event_type".to_vec(), b"order.placed".to_vec()));
        assert_eq!((&*fields[1].0, &fields[1].1), (&b"__data__"[..], &rig().bytes(&event)));
        let read = rig().entry_of_bytes(&[("__data__", &fields[1].1)]).unwrap();
        assert!(read.starts_with(r#"{"id":"id-1","type":"order.placed","data":{"orderId":"o-1"}"#), "{read}");
    }

    #[test]
    fn entries_of_the_library_and_of_oxbus_are_read() {
        let read = rig().entry_of_bytes(&[("__data__", PUBLISHED)]).unwrap();
        assert!(
            read.starts_with(r#"{"id":"1000-1","type":"orders","data":{"orderId":"o-1","total":9.5}"#),
            "{read}"
        );
        let fields = [("eventId", "1"), ("eventType", "a"), ("data", "{\"x\":1}")];
        assert!(rig().entry(&fields).unwrap().starts_with(r#"{"id":"1","type":"a","data":{"x":1}"#));
        assert_eq!(rig().entry(&[("type", "a")]).unwrap_err(), "the field __data__ is missing");
    }

    #[test]
    fn metadata_that_no_header_holds_is_refused() {
        let extra = serde_json::json!({ "note": "x".repeat(65_536) });
        let metadata = Metadata { extra: extra.as_object(), ..Metadata::default() };
        let error = rig().check(&NewEvent { metadata: Some(&metadata), ..event("a", "1") }).unwrap_err();
        assert_eq!((error.kind, error.path.as_deref()), (crate::ErrorKind::InvalidData, Some("metadata")));
    }
}
