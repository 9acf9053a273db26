//! The format of photo: that of Oxbus, with the correlation also as `traceId`.

use crate::codec::mapped::source::{Slot, Source};
use crate::codec::mapped::{Format, Parts};

/// `{"id","type","data","metadata"}`.
pub(super) fn format() -> Format {
    let places = [
        ("id", Source::Slot(Slot::Id)),
        ("type", Source::Slot(Slot::Type)),
        ("data", Source::Slot(Slot::Data)),
        ("metadata.timestamp", Source::Slot(Slot::Timestamp)),
        ("metadata.source", Source::Slot(Slot::Source)),
        ("metadata.traceId", Source::Slot(Slot::CorrelationId)),
        ("metadata.correlationId", Source::Slot(Slot::CorrelationId)),
        ("metadata", Source::OtherMetadata),
    ];
    Format::new(Parts { name: "photo", write: &places, read: &places, ..Parts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::mapped::tests::{Rig, event};

    #[test]
    fn both_names_of_the_correlation_are_written_and_either_is_read() {
        let rig = Rig::new(format());
        assert_eq!(
            rig.written(&event("photo.uploaded", r#"{"photoId":"1"}"#)),
            r#"{"id":"id-1","type":"photo.uploaded","data":{"photoId":"1"},"metadata":{"timestamp":"2026-11-21T03:04:05.678Z","source":"api","traceId":"id-1","correlationId":"id-1","instanceId":"i-1"}}"#
        );
        rig.reads_back(&event("photo.uploaded", r#"{"photoId":"1"}"#));
        rig.reads(
            r#"{"id":"p1","type":"photo.deleted","data":null,"metadata":{"timestamp":"2025-01-02T03:04:05.000Z","source":"worker","traceId":"t1"}}"#,
            r#"{"id":"p1","type":"photo.deleted","data":null,"metadata":{"timestamp":"2025-01-02T03:04:05.000Z","source":"worker","correlationId":"t1"}}"#,
        );
        rig.refuses("[]");
    }
}
