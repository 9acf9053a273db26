//! The format of platform: flat events, whose payload is their `metadata`.

use crate::codec::mapped::source::{Slot, Source};
use crate::codec::mapped::{Format, Parts};

/// `{"type","userId","organizationId","timestamp","correlationId","metadata"}`, and what Oxbus needs besides: `id`, `source`,
/// and in `meta` what else the metadata of Oxbus has. Handlers of platform do not look at those.
pub(super) fn format() -> Format {
    let places = [
        ("type", Source::Slot(Slot::Type)),
        ("userId", Source::Metadata("userId".into())),
        ("organizationId", Source::Metadata("organizationId".into())),
        ("timestamp", Source::Slot(Slot::Timestamp)),
        ("correlationId", Source::Slot(Slot::CorrelationId)),
        ("metadata", Source::Slot(Slot::Data)),
        ("id", Source::Slot(Slot::Id)),
        ("source", Source::Slot(Slot::Source)),
        ("meta", Source::OtherMetadata),
    ];
    Format::new(Parts { name: "platform", write: &places, read: &places, ..Parts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::mapped::tests::{Rig, event, with_all_metadata};

    #[test]
    fn an_event_is_flat() {
        let rig = Rig::new(format());
        assert_eq!(
            rig.written(&event("booking.created", r#"{"bookingId":"7"}"#)),
            r#"{"type":"booking.created","timestamp":"2026-11-21T03:04:05.678Z","correlationId":"id-1","metadata":{"bookingId":"7"},"id":"id-1","source":"api","meta":{"instanceId":"i-1"}}"#
        );
        rig.reads_back(&event("booking.created", r#"{"bookingId":"é \" \\"}"#));
        with_all_metadata(|event| rig.reads_back(event));
    }

    #[test]
    fn what_platform_publishes_is_an_event() {
        let rig = Rig::new(format());
        rig.reads(
            r#"{"type":"booking.created","userId":"u","organizationId":null,"timestamp":"2025-01-02T03:04:05.000Z","correlationId":"c","metadata":{"bookingId":"7"}}"#,
            r#"{"id":"new","type":"booking.created","data":{"bookingId":"7"},"metadata":{"timestamp":"2025-01-02T03:04:05.000Z","source":"unknown","correlationId":"c","userId":"u"}}"#,
        );
        rig.reads(
            r#"{"type":"user.login"}"#,
            r#"{"id":"new","type":"user.login","data":null,"metadata":{"timestamp":"1970-01-01T00:00:01.000Z","source":"unknown","correlationId":"new"}}"#,
        );
        rig.refuses(r#"{"type":"a","payload":{}}"#);
        rig.refuses(r#"{"metadata":{}}"#);
    }
}
