//! The format of eventsource, a Python library: domain events in a stream, and nothing live.

use crate::codec::mapped::letters::LetterFormat;
use crate::codec::mapped::source::{Slot, Source};
use crate::codec::mapped::{Format, Parts, Traits};

/// The name of the field that names the type.
const EVENT_TYPE: &str = "event_type";

/// A domain event as JSON, with the members of the data among its own. Its aggregate is the key.
pub(super) fn format() -> Format {
    let metadata = |name: &str| Source::Metadata(name.into());
    let places = [
        ("event_id", Source::Slot(Slot::Id)),
        (EVENT_TYPE, Source::Slot(Slot::Type)),
        ("event_version", metadata("eventVersion")),
        ("occurred_at", Source::Slot(Slot::Timestamp)),
        ("aggregate_id", Source::Slot(Slot::Key)),
        ("aggregate_type", metadata("aggregateType")),
        ("aggregate_version", metadata("aggregateVersion")),
        ("tenant_id", metadata("tenantId")),
        ("actor_id", metadata("actorId")),
        ("correlation_id", Source::Slot(Slot::CorrelationId)),
        ("causation_id", Source::Slot(Slot::CausationId)),
        ("metadata", Source::OtherMetadata),
        ("", Source::DataMembers),
    ];
    let write = [
        ("event_id", Some(Source::Slot(Slot::Id))),
        (EVENT_TYPE, Some(Source::Slot(Slot::Type))),
        ("aggregate_id", Some(Source::Slot(Slot::Key))),
        ("aggregate_type", Some(metadata("aggregateType"))),
        ("tenant_id", Some(metadata("tenantId"))),
        ("occurred_at", Some(Source::Slot(Slot::Timestamp))),
        ("payload", None),
    ];
    // The payload says what the other fields say, and counts.
    let in_payload = places.iter().map(|(path, source)| (format!("payload.{path}"), source.clone()));
    let in_payload: Vec<(String, Source)> = in_payload.collect();
    let mut read = vec![("event_id", Source::Slot(Slot::Id)), (EVENT_TYPE, Source::Slot(Slot::Type))];
    read.extend(in_payload.iter().map(|(path, source)| (&**path, source.clone())));
    let traits = Traits { live: false, dead_letter_suffix: Some("_dlq"), ..Traits::default() };
    Format::new(Parts { name: "eventsource", write: &places, read: &places, traits, ..Parts::default() })
        .with_keyed_entries(&write, &read)
        .with_letters(Some(LetterFormat::of_eventsource()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::mapped::tests::{Rig, event};
    use crate::codec::new_event::{Metadata, NewEvent};

    const ORDER: &str = "1d7b0f4e-31c5-4f43-9f6c-6f8a0d2b7c11";

    fn stored(metadata: &Metadata<'_>) -> Vec<(String, String)> {
        let placed = event("OrderCreated", r#"{"customer_id":"c","total":9.5}"#);
        Rig::new(format()).fields(&NewEvent { metadata: Some(metadata), ..placed })
    }

    #[test]
    fn an_entry_has_the_fields_of_the_library() {
        let extra = serde_json::json!({"aggregateType": "Order", "aggregateVersion": 2, "note": "n"});
        let fields = stored(&Metadata { key: Some(ORDER), extra: extra.as_object(), ..Metadata::default() });
        let expected = [
            ("event_id", "id-1"),
            ("event_type", "OrderCreated"),
            ("aggregate_id", ORDER),
            ("aggregate_type", "Order"),
            ("tenant_id", ""),
            ("occurred_at", "2026-11-21T03:04:05.678Z"),
            (
                "payload",
                r#"{"event_id":"id-1","event_type":"OrderCreated","occurred_at":"2026-11-21T03:04:05.678Z","aggregate_id":"1d7b0f4e-31c5-4f43-9f6c-6f8a0d2b7c11","aggregate_type":"Order","aggregate_version":2,"correlation_id":"id-1","metadata":{"source":"api","instanceId":"i-1","note":"n"},"customer_id":"c","total":9.5}"#,
            ),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let rig = Rig::new(format());
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(
            rig.entry(&pairs).unwrap(),
            r#"{"id":"id-1","type":"OrderCreated","data":{"customer_id":"c","total":9.5},"metadata":{"timestamp":"2026-11-21T03:04:05.678Z","source":"api","instanceId":"i-1","correlationId":"id-1","key":"1d7b0f4e-31c5-4f43-9f6c-6f8a0d2b7c11","aggregateType":"Order","aggregateVersion":2,"note":"n"}}"#
        );
    }

    #[test]
    fn what_the_library_stores_is_an_event() {
        let payload = r#"{"event_id": "e1", "event_type": "OrderCreated", "event_version": 1, "occurred_at": "2026-11-27T22:42:16.674477Z", "aggregate_id": "a1", "aggregate_type": "Order", "aggregate_version": 1, "tenant_id": null, "actor_id": null, "correlation_id": "c1", "causation_id": null, "metadata": {}, "orderId": "o-1", "total": 9.5}"#;
        let rig = Rig::new(format());
        let fields = [
            ("event_id", "e1"),
            ("event_type", "OrderCreated"),
            ("tenant_id", ""),
            ("occurred_at", "x"),
            ("payload", payload),
        ];
        let expected = r#"{"id":"e1","type":"OrderCreated","data":{"orderId":"o-1","total":9.5},"metadata":{"timestamp":"2026-11-27T22:42:16.674Z","source":"unknown","correlationId":"c1","key":"a1","eventVersion":1,"aggregateType":"Order","aggregateVersion":1}}"#;
        assert_eq!(rig.entry(&fields).unwrap(), expected);
        assert_eq!(rig.entry(&fields[..4]).unwrap_err(), "the field payload is missing");
        assert!(rig.entry(&[("event_type", "A"), ("payload", "{")]).is_err());
        assert!(rig.entry(&[("payload", r#"{"aggregate_id":"a"}"#)]).is_err());
    }

    #[test]
    fn entries_of_oxbus_on_the_same_stream_are_read() {
        let fields = [("eventId", "1"), ("eventType", "a"), ("data", "{\"x\":1}"), ("group", "g")];
        assert!(
            Rig::new(format()).entry(&fields).unwrap().starts_with(r#"{"id":"1","type":"a","data":{"x":1}"#)
        );
    }

    #[test]
    fn an_event_without_an_aggregate_is_refused() {
        let rig = Rig::new(format());
        let error = rig.check(&event("OrderCreated", "{}")).unwrap_err();
        assert_eq!((error.kind, error.path.as_deref()), (crate::ErrorKind::InvalidData, Some("key")));
        let keyed = Metadata { key: Some(ORDER), ..Metadata::default() };
        let of = |data| rig.check(&NewEvent { metadata: Some(&keyed), ..event("OrderCreated", data) });
        assert!(of("{}").is_ok() && of(r#"{"total":1}"#).is_ok());
        for (data, path) in
            [("1", "data"), ("[]", "data"), ("null", "data"), (r#"{"event_type":"x"}"#, "data.event_type")]
        {
            assert_eq!(of(data).unwrap_err().path.as_deref(), Some(path), "{data}");
        }
    }
}
