//! What the tests of all formats need.

use serde_json::Value;

use super::*;
use crate::codec::new_event::Metadata;
use crate::routing::server_subscription::ServerSubscription;
use crate::stream_store::EntryId;

/// An event without metadata.
pub(in crate::codec) fn event<'a>(event_type: &'a str, data: &'a str) -> NewEvent<'a> {
    NewEvent { id: "id-1", event_type, data, timestamp: "2026-11-21T03:04:05.678Z", metadata: None }
}

/// Calls `check` with an event that has all metadata.
pub(in crate::codec) fn with_all_metadata(check: impl Fn(&NewEvent<'_>)) {
    let extra = serde_json::json!({"tenant": {"a": [1, null]}, "q\"": "é"});
    let metadata = Metadata {
        source: Some("s \"q\""),
        correlation_id: Some("c\n"),
        causation_id: Some("p"),
        traceparent: Some("00-1-2-01"),
        tracestate: Some("k=v"),
        user_id: Some("u"),
        organization_id: Some("o"),
        room: Some("r"),
        except: &["m".to_owned()],
        to_user: Some("v"),
        key: Some("k"),
        extra: extra.as_object(),
    };
    check(&NewEvent { metadata: Some(&metadata), ..event("a.b", r#"{"x":[{"y":null}]}"#) });
}

/// A format under test.
pub(in crate::codec) struct Rig {
    format: Format,
    origin: Origin,
}

impl Rig {
    pub(in crate::codec) fn new(format: Format) -> Rig {
        Rig { format, origin: Origin::new("api", "i-1") }
    }

    pub(in crate::codec) fn written(&self, event: &NewEvent<'_>) -> String {
        String::from_utf8(self.bytes(event)).unwrap()
    }

    pub(in crate::codec) fn bytes(&self, event: &NewEvent<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.format.write_message(&mut out, &self.origin, event);
        out
    }

    fn read(&self, on: &str, message: &str) -> Result<(String, bool), Foreign> {
        self.read_bytes(on, message.as_bytes())
    }

    pub(in crate::codec) fn read_bytes(&self, on: &str, message: &[u8]) -> Result<(String, bool), Foreign> {
        let missing = || Missing { id: "new".into(), timestamp_ms: 1000 };
        let read = self.format.read_message(message, on.as_bytes(), missing, None)?;
        if let Some(parts) = &read.parts {
            let json: Value = serde_json::from_str(&read.json).unwrap();
            assert_eq!(parts.id.of(&read.json), json["id"]);
            assert_eq!(parts.event_type.of(&read.json), json["type"]);
            assert_eq!(serde_json::from_str::<Value>(parts.data.of(&read.json)).unwrap(), json["data"]);
        }
        Ok((read.json.into_owned(), read.parts.is_some()))
    }

    /// A message is read as this event.
    #[track_caller]
    pub(in crate::codec) fn reads(&self, message: &str, expected: &str) {
        self.reads_on("", message, expected);
    }

    #[track_caller]
    pub(in crate::codec) fn reads_on(&self, channel: &str, message: &str, expected: &str) {
        assert_eq!(self.read(channel, message).unwrap().0, expected);
    }

    /// A message is none of ours.
    #[track_caller]
    pub(in crate::codec) fn refuses(&self, message: &str) -> Foreign {
        self.read("", message).unwrap_err()
    }

    /// What is written is read as the wire of Oxbus reads what it writes.
    #[track_caller]
    pub(in crate::codec) fn reads_back(&self, event: &NewEvent<'_>) {
        let mut own = Vec::new();
        crate::codec::oxbus::message::write(&mut own, &self.origin, event);
        let (read, has_parts) = self.read_bytes("", &self.bytes(event)).unwrap();
        let expected: Value = serde_json::from_slice(&own).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), expected);
        assert!(has_parts || event.metadata.is_some() || event.data.contains('\\'));
    }

    pub(in crate::codec) fn check(&self, event: &NewEvent<'_>) -> Result<(), BusError> {
        self.format.check(&self.origin, event, true)
    }

    pub(in crate::codec) fn channels(&self, event: &NewEvent<'_>) -> Result<Vec<String>, BusError> {
        let mut all = Vec::new();
        let mut add = |channel: &str| all.push(channel.to_owned());
        self.format.channels().unwrap().write(&mut add, "", &self.origin, event)?;
        Ok(all)
    }

    /// What a pattern subscribes to: `C` a channel, `P` a pattern.
    pub(in crate::codec) fn subscriptions(&self, pattern: &str) -> Vec<String> {
        let wanted = self.format.channels().unwrap().server_subscriptions("", pattern);
        let shown = wanted.iter().map(|wanted| {
            let kind = if matches!(wanted, ServerSubscription::Channel(_)) { "C" } else { "P" };
            format!("{kind} {}", String::from_utf8_lossy(wanted.name()))
        });
        shown.collect()
    }

    pub(in crate::codec) fn fields(&self, event: &NewEvent<'_>) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut put = |name: &[u8], value: &[u8]| fields.push((text(name), text(value)));
        let written = self.format.write_entry(&mut put, &self.origin, event);
        assert!(written);
        fields
    }

    pub(in crate::codec) fn entry(&self, fields: &[(&str, &str)]) -> Result<String, String> {
        let pairs: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        self.entry_of_bytes(&pairs)
    }

    pub(in crate::codec) fn entry_of_bytes(&self, fields: &[(&str, &[u8])]) -> Result<String, String> {
        let pairs = fields.iter().map(|(name, value)| (name.as_bytes(), *value));
        let id = EntryId { ms: 1000, seq: 1 };
        let read = self.format.read_entry(pairs, ("orders", id), None)?;
        Ok(read.event.json.into_owned())
    }
}
