//! CloudEvents 1.0 as structured JSON.

use crate::codec::mapped::source::{Slot, Source};
use crate::codec::mapped::{Format, Parts};

/// `{"specversion":"1.0","id","source","type","time","datacontenttype","data"}`, `subject` for the key, and extension
/// attributes for the rest, whose names have lower-case letters and digits only.
pub(super) fn format() -> Format {
    let metadata = |name: &str| Source::Metadata(name.into());
    let constant = |json: &str| Source::Constant(json.into());
    let places = [
        ("specversion", constant("\"1.0\"")),
        ("id", Source::Slot(Slot::Id)),
        ("source", Source::Slot(Slot::Source)),
        ("type", Source::Slot(Slot::Type)),
        ("time", Source::Slot(Slot::Timestamp)),
        ("subject", Source::Slot(Slot::Key)),
        ("datacontenttype", constant("\"application/json\"")),
        ("correlationid", Source::Slot(Slot::CorrelationId)),
        ("causationid", Source::Slot(Slot::CausationId)),
        ("traceparent", metadata("traceparent")),
        ("tracestate", metadata("tracestate")),
        ("userid", metadata("userId")),
        ("organizationid", metadata("organizationId")),
        ("room", Source::Slot(Slot::Room)),
        ("touser", metadata("toUser")),
        ("instanceid", Source::Slot(Slot::InstanceId)),
        ("data", Source::Slot(Slot::Data)),
    ];
    // Other extensions are metadata under their own names.
    let mut read: Vec<_> = places.to_vec();
    read.push(("", Source::OtherMetadata));
    Format::new(Parts { name: "cloudevents", write: &places, read: &read, ..Parts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::mapped::tests::{Rig, event};

    #[test]
    fn an_event_has_the_required_attributes() {
        let rig = Rig::new(format());
        assert_eq!(
            rig.written(&event("order.placed", r#"{"orderId":"o-1"}"#)),
            r#"{"specversion":"1.0","id":"id-1","source":"api","type":"order.placed","time":"2026-11-21T03:04:05.678Z","datacontenttype":"application/json","correlationid":"id-1","instanceid":"i-1","data":{"orderId":"o-1"}}"#
        );
        rig.reads_back(&event("order.placed", r#"{"orderId":"o-1"}"#));
    }

    #[test]
    fn what_others_write_is_an_event() {
        let rig = Rig::new(format());
        rig.reads(
            r#"{"specversion":"1.0","type":"com.example.a","source":"/shop","subject":"123","id":"A-1","time":"2018-04-05T17:31:00Z","comexampleextension":"v","datacontenttype":"application/json","data":{"a":1}}"#,
            r#"{"id":"A-1","type":"com.example.a","data":{"a":1},"metadata":{"timestamp":"2018-04-05T17:31:00.000Z","source":"/shop","correlationId":"A-1","key":"123","comexampleextension":"v"}}"#,
        );
        rig.refuses(r#"{"specversion":"1.0","source":"/shop","id":"A-1"}"#);
    }
}
