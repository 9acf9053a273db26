//! The format of `@nestjs/microservices` with its Redis transport: events of `emit` and `@EventPattern`.

use crate::codec::decoded::Foreign;
use crate::codec::mapped::source::{Slot, Source};
use crate::codec::mapped::{Format, Parts};

/// `{"pattern","data"}`, and `metadata` with what else Oxbus has, the id as `eventId`: a member `id` would make a request of
/// the message, which every handler answers. Requests and answers of others are left alone.
pub(super) fn format() -> Format {
    let places = [
        ("pattern", Source::Slot(Slot::Type)),
        ("data", Source::Slot(Slot::Data)),
        ("metadata.eventId", Source::Slot(Slot::Id)),
        ("metadata.timestamp", Source::Slot(Slot::Timestamp)),
        ("metadata.source", Source::Slot(Slot::Source)),
        ("metadata.correlationId", Source::Slot(Slot::CorrelationId)),
        ("metadata", Source::OtherMetadata),
    ];
    let mut read: Vec<_> = places.to_vec();
    read.push(("id", Source::Refused(Foreign::Request)));
    for answers in ["isDisposed", "response", "err"] {
        read.push((answers, Source::Refused(Foreign::Answer)));
    }
    Format::new(Parts {
        name: "nestjs",
        write: &places,
        read: &read,
        type_from_channel: true,
        ..Parts::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::mapped::tests::{Rig, event, with_all_metadata};

    #[test]
    fn an_event_has_no_id_at_its_top() {
        let rig = Rig::new(format());
        assert_eq!(
            rig.written(&event("order.placed", r#"{"orderId":"o-1"}"#)),
            r#"{"pattern":"order.placed","data":{"orderId":"o-1"},"metadata":{"eventId":"id-1","timestamp":"2026-11-21T03:04:05.678Z","source":"api","correlationId":"id-1","instanceId":"i-1"}}"#
        );
        rig.reads_back(&event("order.placed", r#"{"orderId":"o-1"}"#));
        with_all_metadata(|event| rig.reads_back(event));
    }

    #[test]
    fn what_emit_writes_is_an_event() {
        let rig = Rig::new(format());
        let expected = r#"{"id":"new","type":"order.placed","data":{"total":9.5},"metadata":{"timestamp":"1970-01-01T00:00:01.000Z","source":"unknown","correlationId":"new"}}"#;
        rig.reads(r#"{"pattern":"order.placed","data":{"total":9.5}}"#, expected);
        rig.reads_on("order.placed", r#"{"data":{"total":9.5}}"#, expected);
    }

    #[test]
    fn requests_and_answers_are_left_alone() {
        let rig = Rig::new(format());
        assert_eq!(rig.refuses(r#"{"pattern":"sum","data":{"x":1},"id":"b29af"}"#), Foreign::Request);
        assert_eq!(rig.refuses(r#"{"isDisposed":true,"id":"b29af"}"#), Foreign::Answer);
        assert_eq!(rig.refuses(r#"{"id":"1","err":"x","isDisposed":true}"#), Foreign::Answer);
    }
}
