//! The options of one publish. They are read for every event that has any, so the text is gone
//! through once, without building a tree of it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::config::reader::NOT_AVAILABLE;
use crate::error::{BusError, ErrorKind};
use crate::names::check_identifier;
use crate::time;

const KIND: ErrorKind = ErrorKind::InvalidOptions;
/// The longest a publish may take, in milliseconds: one hour.
const MAX_TIMEOUT: u64 = 3_600_000;
/// The times whose ISO form has a year of four digits, in milliseconds since the Unix epoch.
const TIMES: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;
/// The members of an event's metadata that Oxbus writes.
const RESERVED: [&str; 11] = [
    "timestamp",
    "source",
    "instanceId",
    "correlationId",
    "causationId",
    "traceparent",
    "tracestate",
    "userId",
    "organizationId",
    "room",
    "key",
];

/// The options of one publish; what was not given is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishOptions {
    /// The event's id.
    pub id: Option<String>,
    /// The event's time, in the form of [`time::to_iso`].
    pub timestamp: Option<String>,
    /// Instead of the service name.
    pub source: Option<String>,
    /// What the event belongs to.
    pub correlation_id: Option<String>,
    /// The id of the event that caused this one.
    pub causation_id: Option<String>,
    /// On whose behalf.
    pub user_id: Option<String>,
    /// For which organisation.
    pub organization_id: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// W3C trace state.
    pub tracestate: Option<String>,
    /// The key for ordering and for `latest-per-key`.
    pub key: Option<String>,
    /// The caller's own members of the metadata; has none of the reserved names.
    pub metadata: Option<Map<String, Value>>,
    /// The milliseconds for the whole call. 1–3 600 000; default: the command timeout.
    pub timeout: Option<u64>,
    /// Whether the event goes to everyone (`audience`, set by the client itself).
    pub broadcast: bool,
}

impl PublishOptions {
    /// Reads options, empty text for none.
    ///
    /// # Errors
    /// `INVALID_OPTIONS` with the path of the bad option, an unknown one and one of a later release
    /// included.
    pub fn parse(json: &str) -> Result<PublishOptions, BusError> {
        let mut options = PublishOptions::default();
        if json.is_empty() {
            return Ok(options);
        }
        if !json.trim_start().starts_with('{') {
            return Err(BusError::new(
                KIND,
                format!("the options must be an object, not {}", describe(json)),
            ));
        }
        let fields: Fields<'_> = serde_json::from_str(json)
            .map_err(|e| BusError::new(KIND, format!("the options cannot be read as JSON: {e}")))?;
        for (field, raw) in fields.0 {
            options.set(field, raw.get())?;
        }
        Ok(options)
    }

    fn set(&mut self, field: Field, raw: &str) -> Result<(), BusError> {
        match field {
            Field::Id => self.id = Some(identifier("id", raw)?),
            Field::Timestamp => self.timestamp = Some(timestamp(raw)?),
            Field::Source => self.source = Some(identifier("source", raw)?),
            Field::CorrelationId => self.correlation_id = Some(identifier("correlationId", raw)?),
            Field::CausationId => self.causation_id = Some(identifier("causationId", raw)?),
            Field::UserId => self.user_id = Some(identifier("userId", raw)?),
            Field::OrganizationId => self.organization_id = Some(identifier("organizationId", raw)?),
            Field::Traceparent => self.traceparent = Some(identifier("traceparent", raw)?),
            Field::Tracestate => self.tracestate = Some(identifier("tracestate", raw)?),
            Field::Key => self.key = Some(identifier("key", raw)?),
            Field::Metadata => self.metadata = Some(metadata(raw)?),
            Field::Timeout => self.timeout = Some(timeout(raw)?),
            Field::Audience => match raw {
                "\"broadcast\"" => self.broadcast = true,
                _ => return Err(BusError::at(KIND, "audience", "expected 'broadcast'")),
            },
            Field::Stream if raw == "false" => {}
            Field::Stream => return Err(BusError::at(KIND, "stream", NOT_AVAILABLE)),
            Field::LocalOnly => unavailable_flag("localOnly", raw)?,
            Field::RedisOnly => unavailable_flag("redisOnly", raw)?,
            Field::Deduplicate => unavailable_flag("deduplicate", raw)?,
            Field::Replicas => return Err(BusError::at(KIND, "replicas", NOT_AVAILABLE)),
            Field::Other(name) => return Err(BusError::at(KIND, name, "unknown key")),
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Id,
    Timestamp,
    Source,
    CorrelationId,
    CausationId,
    UserId,
    OrganizationId,
    Traceparent,
    Tracestate,
    Key,
    Metadata,
    Timeout,
    Audience,
    Stream,
    LocalOnly,
    RedisOnly,
    Deduplicate,
    Replicas,
    Other(String),
}

/// The members of the object with their values still as text, so that each error can name its field.
struct Fields<'a>(Vec<(Field, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(4);
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// The type of the JSON value that `raw` begins with, in words.
fn describe(raw: &str) -> &'static str {
    match raw.trim_start().bytes().next() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn mismatch(name: &str, expected: &str, raw: &str) -> BusError {
    BusError::at(KIND, name, format_args!("expected {expected}, got {}", describe(raw)))
}

fn text(name: &str, raw: &str, expected: &str) -> Result<String, BusError> {
    if !raw.starts_with('"') {
        return Err(mismatch(name, expected, raw));
    }
    // The text is valid JSON by now; what remains is half of a surrogate pair.
    serde_json::from_str(raw).map_err(|_| BusError::at(KIND, name, "is not valid Unicode"))
}

fn identifier(name: &str, raw: &str) -> Result<String, BusError> {
    let text = text(name, raw, "a string")?;
    check_identifier(name, &text, KIND)?;
    Ok(text)
}

fn timestamp(raw: &str) -> Result<String, BusError> {
    const NAME: &str = "timestamp";
    const EXPECTED: &str = "an ISO 8601 text with a time zone, or milliseconds";
    let ms = match serde_json::from_str::<f64>(raw) {
        // The range is checked below; a cast of anything beyond it saturates.
        Ok(ms) => Some(ms.floor() as i64),
        Err(_) => time::from_iso(&text(NAME, raw, EXPECTED)?),
    };
    let ms = ms.ok_or_else(|| BusError::at(KIND, NAME, format_args!("expected {EXPECTED}")))?;
    if !TIMES.contains(&ms) {
        return Err(BusError::at(KIND, NAME, "is not in the years 0 to 9999"));
    }
    Ok(time::to_iso(ms))
}

fn timeout(raw: &str) -> Result<u64, BusError> {
    let ms = serde_json::from_str(raw).ok().filter(|ms| (1..=MAX_TIMEOUT).contains(ms));
    ms.ok_or_else(|| {
        BusError::at(
            KIND,
            "timeout",
            format_args!("expected an integer from 1 to {MAX_TIMEOUT} (milliseconds)"),
        )
    })
}

fn metadata(raw: &str) -> Result<Map<String, Value>, BusError> {
    const NAME: &str = "metadata";
    if !raw.starts_with('{') {
        return Err(mismatch(NAME, "an object", raw));
    }
    let members: Map<String, Value> =
        serde_json::from_str(raw).map_err(|_| BusError::at(KIND, NAME, "is not valid Unicode"))?;
    match RESERVED.iter().find(|name| members.contains_key(**name)) {
        Some(name) => {
            let message = "is set by Oxbus or by an option of its own";
            Err(BusError::at(KIND, format!("{NAME}.{name}"), message))
        }
        None => Ok(members),
    }
}

/// An option of a later release that `false` leaves as it is.
fn unavailable_flag(name: &str, raw: &str) -> Result<(), BusError> {
    if raw == "false" { Ok(()) } else { Err(BusError::at(KIND, name, NOT_AVAILABLE)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_given_means_nothing_set() {
        for json in ["", "{}", r#"{"stream":false,"localOnly":false,"redisOnly":false,"deduplicate":false}"#]
        {
            assert_eq!(PublishOptions::parse(json), Ok(PublishOptions::default()), "{json}");
        }
    }

    #[test]
    fn every_option_is_read() {
        let json = json!({
            "id": "i\"é", "timestamp": 5, "source": "s", "correlationId": "co", "causationId": "ca",
            "userId": "u", "organizationId": "o", "traceparent": "tp", "tracestate": "ts", "key": "k",
            "metadata": {"own": [1.5]}, "timeout": 3_600_000, "audience": "broadcast",
        });
        let some = |text: &str| Some(text.to_owned());
        let expected = PublishOptions {
            id: some("i\"é"),
            timestamp: some("1970-01-01T00:00:00.005Z"),
            source: some("s"),
            correlation_id: some("co"),
            causation_id: some("ca"),
            user_id: some("u"),
            organization_id: some("o"),
            traceparent: some("tp"),
            tracestate: some("ts"),
            key: some("k"),
            metadata: json!({"own": [1.5]}).as_object().cloned(),
            timeout: Some(3_600_000),
            broadcast: true,
        };
        assert_eq!(PublishOptions::parse(&json.to_string()), Ok(expected));
    }

    #[test]
    fn timestamps_are_brought_into_one_form() {
        for (given, expected) in [
            ("\"2026-11-21T03:04:05.678Z\"", "2026-11-21T03:04:05.678Z"),
            ("\"2026-11-21T04:04:05+01:00\"", "2026-11-21T03:04:05.000Z"),
            ("1.9", "1970-01-01T00:00:00.001Z"),
            ("-1", "1969-12-31T23:59:59.999Z"),
            ("-62167219200000", "0000-01-01T00:00:00.000Z"),
            ("253402300799999", "9999-12-31T23:59:59.999Z"),
        ] {
            let options = PublishOptions::parse(&format!("{{\"timestamp\":{given}}}")).unwrap();
            assert_eq!(options.timestamp.as_deref(), Some(expected));
        }
    }

    #[test]
    fn bad_options_are_named() {
        let long = format!("{{\"id\":\"{}\"}}", "x".repeat(513));
        for (json, message) in [
            ("[]", "the options must be an object, not an array"),
            ("null", "the options must be an object, not null"),
            (r#"{"colour":1}"#, "colour: unknown key"),
            (r#"{"id":""}"#, "id: must not be empty"),
            (&long, "id: has at most 512 characters, not 513"),
            (r#"{"id":"a\nb"}"#, "id: must not hold control characters"),
            (r#"{"id":"\ud800"}"#, "id: is not valid Unicode"),
            (r#"{"userId":7}"#, "userId: expected a string, got a number"),
            (r#"{"source":null}"#, "source: expected a string, got null"),
            (
                r#"{"timestamp":"yesterday"}"#,
                "timestamp: expected an ISO 8601 text with a time zone, or milliseconds",
            ),
            (
                r#"{"timestamp":{}}"#,
                "timestamp: expected an ISO 8601 text with a time zone, or milliseconds, got an object",
            ),
            (r#"{"timestamp":253402300800000}"#, "timestamp: is not in the years 0 to 9999"),
            (r#"{"timeout":0}"#, "timeout: expected an integer from 1 to 3600000 (milliseconds)"),
            (r#"{"timeout":1.5}"#, "timeout: expected an integer from 1 to 3600000 (milliseconds)"),
            (r#"{"metadata":[]}"#, "metadata: expected an object, got an array"),
            (
                r#"{"metadata":{"instanceId":1}}"#,
                "metadata.instanceId: is set by Oxbus or by an option of its own",
            ),
            (r#"{"stream":"orders"}"#, "stream: not available in this release"),
            (r#"{"localOnly":true}"#, "localOnly: not available in this release"),
            (r#"{"deduplicate":{"ttl":1}}"#, "deduplicate: not available in this release"),
            (r#"{"replicas":1}"#, "replicas: not available in this release"),
            (r#"{"audience":"room"}"#, "audience: expected 'broadcast'"),
        ] {
            let error = PublishOptions::parse(json).unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (KIND, message), "{json}");
        }
        assert_eq!(PublishOptions::parse("{\"id\":").unwrap_err().kind, KIND);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,60}") {
            let _ = PublishOptions::parse(&text);
            let _ = PublishOptions::parse(&format!("{{\"timestamp\":{text}}}"));
        }

        #[test]
        fn every_time_of_four_digit_years_has_24_characters(ms in TIMES) {
            let options = PublishOptions::parse(&format!("{{\"timestamp\":{ms}}}")).unwrap();
            prop_assert_eq!(options.timestamp.map(|t| t.len()), Some(24));
        }
    }
}
