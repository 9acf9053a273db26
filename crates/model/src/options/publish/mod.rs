//! The options of one publish. They are read for every event that has any, so the text is gone
//! through once, without building a tree of it.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{BusError, ErrorKind};
use crate::options::names::{check_identifier, check_name};
use crate::options::reader::Reader;
use crate::time;

const KIND: ErrorKind = ErrorKind::InvalidOptions;
/// The longest a publish may take, in milliseconds: one hour.
const MAX_TIMEOUT: u64 = 3_600_000;
/// For how long an event id is remembered unless told otherwise, in milliseconds.
const DEDUPLICATION: u64 = 120_000;
/// For how long at the most: one year.
const MAX_DEDUPLICATION: u64 = 31_536_000_000;
/// The most replicas that can be asked for.
const MAX_REPLICAS: u32 = 100;
/// The most members that an event of a room leaves out.
pub const MAX_EXCEPT: usize = 1_000;
/// The times whose ISO form has a year of four digits, in milliseconds since the Unix epoch.
const TIMES: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;
/// The members of an event's metadata that Oxbus writes.
const RESERVED: [&str; 12] = [
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
    "toUser",
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
    /// Which stream stores the event.
    pub stream: StoreIn,
    /// For how many milliseconds another event of the same id is a duplicate; has an `id` then.
    /// 1–31 536 000 000, `true` for 120 000.
    pub deduplicate: Option<u64>,
    /// How many replicas must have it. 0–100, default 0.
    pub replicas: u32,
    /// Whether the event stays with this client's own handlers, in hybrid mode.
    pub local_only: bool,
    /// Whether this client's own live handlers do not get it, in hybrid mode.
    pub redis_only: bool,
    /// The milliseconds for the whole call. 1–3 600 000; default: the command timeout.
    pub timeout: Option<u64>,
    /// Whom the event is for (`audience`, set by the client itself).
    pub audience: Recipients,
}

/// Whom an event is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Recipients {
    /// Subscribers of its type. The default.
    #[default]
    Subscribers,
    /// Everyone who subscribes to its type.
    Everyone,
    /// Those who have joined a room, but for some of its members.
    Room {
        /// The room: 1–1024 bytes.
        room: String,
        /// Members that are left out: at most [`MAX_EXCEPT`].
        except: Vec<String>,
    },
    /// Those who have joined a user: 1–1024 bytes.
    User(String),
}

/// Which stream stores an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreIn {
    /// The first whose patterns match its type, if any. The default.
    #[default]
    Matching,
    /// None (`false`).
    Nothing,
    /// The one of this name.
    Named(String),
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
        if options.deduplicate.is_some() && options.id.is_none() {
            return Err(BusError::at(KIND, "deduplicate", "needs an id"));
        }
        options.check_sides()?;
        if let Recipients::Room { except, .. } = &options.audience
            && !except.is_empty()
            && options.metadata.as_ref().is_some_and(|members| members.contains_key("except"))
        {
            return Err(BusError::at(KIND, "metadata.except", "is set by Oxbus or by an option of its own"));
        }
        Ok(options)
    }

    /// An event that stays here goes to no store.
    fn check_sides(&self) -> Result<(), BusError> {
        if !self.local_only {
            return Ok(());
        }
        let elsewhere = [
            ("redisOnly", self.redis_only),
            ("stream", matches!(self.stream, StoreIn::Named(_))),
            ("deduplicate", self.deduplicate.is_some()),
            ("replicas", self.replicas > 0),
        ];
        match elsewhere.iter().find(|(_, asked)| *asked) {
            Some((name, _)) => Err(BusError::at(KIND, *name, "not together with localOnly")),
            None => Ok(()),
        }
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
            Field::Audience => self.audience = audience(raw)?,
            Field::Stream if raw == "false" => self.stream = StoreIn::Nothing,
            Field::Stream => self.stream = StoreIn::Named(stream(raw)?),
            Field::LocalOnly => self.local_only = flag("localOnly", raw)?,
            Field::RedisOnly => self.redis_only = flag("redisOnly", raw)?,
            Field::Deduplicate => self.deduplicate = deduplicate(raw)?,
            Field::Replicas => self.replicas = replicas(raw)?,
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

/// `"broadcast"`, `{"room","except"}` or `{"user"}`.
fn audience(raw: &str) -> Result<Recipients, BusError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Given<'a> {
        #[serde(borrow)]
        room: Option<&'a RawValue>,
        #[serde(borrow)]
        except: Option<&'a RawValue>,
        #[serde(borrow)]
        user: Option<&'a RawValue>,
    }
    let name = |path: &str, raw: &RawValue| {
        let name = text(path, raw.get(), "a string")?;
        check_name(path, &name).map(|()| name)
    };
    if raw == "\"broadcast\"" {
        return Ok(Recipients::Everyone);
    }
    match serde_json::from_str(raw) {
        Ok(Given { room: None, except: None, user: Some(user) }) => {
            Ok(Recipients::User(name("userId", user)?))
        }
        Ok(Given { room: Some(room), except, user: None }) => {
            let room = name("room", room)?;
            let all: Vec<&RawValue> = match except {
                Some(list) => serde_json::from_str(list.get())
                    .map_err(|_| mismatch("except", "an array of members", list.get()))?,
                None => Vec::new(),
            };
            if all.len() > MAX_EXCEPT {
                let message = format!("has at most {MAX_EXCEPT} members, not {}", all.len());
                return Err(BusError::at(KIND, "except", message));
            }
            let except = (0..).zip(all).map(|(i, member): (usize, _)| name(&format!("except[{i}]"), member));
            Ok(Recipients::Room { room, except: except.collect::<Result<_, _>>()? })
        }
        _ => Err(BusError::at(KIND, "audience", "expected 'broadcast', a room or a user")),
    }
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

fn stream(raw: &str) -> Result<String, BusError> {
    let name = text("stream", raw, "the name of a stream or false")?;
    check_identifier("stream", &name, KIND)?;
    Ok(name)
}

fn deduplicate(raw: &str) -> Result<Option<u64>, BusError> {
    const NAME: &str = "deduplicate";
    match raw {
        "false" => return Ok(None),
        "true" => return Ok(Some(DEDUPLICATION)),
        _ if raw.starts_with('{') => {}
        _ => return Err(mismatch(NAME, "true, false or an object", raw)),
    }
    let fields = serde_json::from_str(raw).map_err(|_| BusError::at(KIND, NAME, "is not valid Unicode"))?;
    let mut r = Reader::of(KIND, NAME.to_owned(), fields);
    let ttl = r.integer("ttl", 1..=MAX_DEDUPLICATION)?.unwrap_or(DEDUPLICATION);
    r.finish()?;
    Ok(Some(ttl))
}

fn replicas(raw: &str) -> Result<u32, BusError> {
    let count = serde_json::from_str(raw).ok().filter(|n| *n <= MAX_REPLICAS);
    count.ok_or_else(|| {
        BusError::at(KIND, "replicas", format_args!("expected an integer from 0 to {MAX_REPLICAS}"))
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

fn flag(name: &str, raw: &str) -> Result<bool, BusError> {
    serde_json::from_str(raw).map_err(|_| mismatch(name, "true or false", raw))
}
