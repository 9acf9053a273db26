//! The format of spine: envelopes with a `payload` and a time in milliseconds.

use crate::codec::mapped::source::{Slot, Source};
use crate::codec::mapped::{Format, Parts, Traits};

/// `{"id","type","payload","timestamp"}`, and what Oxbus needs besides: `source`, and in `meta` the other metadata.
pub(super) fn format() -> Format {
    let places = [
        ("id", Source::Slot(Slot::Id)),
        ("type", Source::Slot(Slot::Type)),
        ("payload", Source::Slot(Slot::Data)),
        ("timestamp", Source::Milliseconds),
        ("source", Source::Slot(Slot::Source)),
        ("meta.correlationId", Source::Slot(Slot::CorrelationId)),
        ("meta", Source::OtherMetadata),
    ];
    let traits = Traits { channel_prefix: "dreamnet:events:", ..Traits::default() };
    Format::new(Parts { name: "spine", write: &places, read: &places, traits, ..Parts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::mapped::tests::{Rig, event, with_all_metadata};

    #[test]
    fn an_envelope_has_a_payload_and_milliseconds() {
        let rig = Rig::new(format());
        assert_eq!(
            rig.written(&event("dream.created", r#"{"dreamId":"d"}"#)),
            r#"{"id":"id-1","type":"dream.created","payload":{"dreamId":"d"},"timestamp":1795230245678,"source":"api","meta":{"correlationId":"id-1","instanceId":"i-1"}}"#
        );
        rig.reads_back(&event("dream.created", r#"{"dreamId":"d"}"#));
        with_all_metadata(|event| rig.reads_back(event));
    }

    #[test]
    fn what_spine_publishes_is_an_event() {
        let rig = Rig::new(format());
        rig.reads(
            r#"{"id":"event-123","type":"dream.created","payload":{"dreamId":"d"},"timestamp":1737936000000}"#,
            r#"{"id":"event-123","type":"dream.created","data":{"dreamId":"d"},"metadata":{"timestamp":"2025-01-27T00:00:00.000Z","source":"unknown","correlationId":"event-123"}}"#,
        );
        rig.refuses(r#"{"id":"1","type":"a","data":{}}"#);
    }
}
