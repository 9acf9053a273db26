//! From a caller's record to an event ready for the wire. Both transports publish what this makes.

use std::sync::Arc;

use oxbus_model::channel::{BROADCAST, Channels};
use oxbus_model::config::Config;
use oxbus_model::envelope::{self, Metadata, Origin};
use oxbus_model::names::check_event_type;
use oxbus_model::publish_options::PublishOptions;
use oxbus_model::submission::Record;
use oxbus_model::{BusError, ErrorKind, Outcome, time};
use uuid::Uuid;

use crate::clock::wall_ms;
use crate::host::EventId;

/// Makes events of records. One per publisher; its buffers are used again for each event.
pub(crate) struct Encoder {
    origin: Origin,
    channels: Channels,
    max_event_bytes: usize,
    max_data_bytes: usize,
    default_timeout: u64,
    channel: String,
    payload: Vec<u8>,
}

/// The time of a batch: read from the clock once.
pub(crate) struct Stamp {
    unix_ms: u64,
    pub(crate) text: Arc<str>,
}

impl Stamp {
    pub(crate) fn now() -> Self {
        let now = wall_ms();
        Stamp { unix_ms: u64::try_from(now).unwrap_or(0), text: time::to_iso(now).into() }
    }
}

/// An event ready to be sent.
pub(crate) struct Encoded<'a> {
    pub(crate) channel: &'a str,
    pub(crate) payload: &'a [u8],
    /// The id, if it was generated.
    pub(crate) id: Option<EventId>,
    /// The milliseconds that the publish may take.
    pub(crate) timeout: u64,
}

impl Encoder {
    pub(crate) fn new(config: &Config, origin: Origin, channels: Channels) -> Self {
        Encoder {
            origin,
            channels,
            max_event_bytes: config.limits.max_event_bytes,
            max_data_bytes: config.limits.max_data_bytes,
            default_timeout: config.redis.command_timeout,
            channel: String::new(),
            payload: Vec::new(),
        }
    }

    /// Validates a record and writes its event. What is refused here was never sent.
    pub(crate) fn encode(&mut self, record: Record<'_>, stamp: &Stamp) -> Result<Encoded<'_>, BusError> {
        self.write(record, stamp).map_err(|error| error.with_outcome(Outcome::NotSent))
    }

    fn write(&mut self, record: Record<'_>, stamp: &Stamp) -> Result<Encoded<'_>, BusError> {
        check_event_type(record.event_type)?;
        if record.data.len() > self.max_data_bytes {
            return Err(too_large("data", record.data.len(), self.max_data_bytes));
        }
        let options = match record.options {
            "" => None,
            text => Some(PublishOptions::parse(text)?),
        };
        self.payload.clear();
        let (mut id, mut name, mut timeout) = (None, record.event_type, self.default_timeout);
        match &options {
            None => {
                let new = id.insert(generate_id(stamp.unix_ms));
                self.append(new.as_str(), record, &stamp.text, None);
            }
            Some(options) => {
                let metadata = Metadata {
                    source: options.source.as_deref(),
                    correlation_id: options.correlation_id.as_deref(),
                    causation_id: options.causation_id.as_deref(),
                    traceparent: options.traceparent.as_deref(),
                    tracestate: options.tracestate.as_deref(),
                    user_id: options.user_id.as_deref(),
                    organization_id: options.organization_id.as_deref(),
                    room: None,
                    key: options.key.as_deref(),
                    extra: options.metadata.as_ref(),
                };
                let timestamp = options.timestamp.as_deref().unwrap_or(&stamp.text);
                let given = options.id.as_deref();
                let event_id = given.unwrap_or_else(|| id.insert(generate_id(stamp.unix_ms)).as_str());
                self.append(event_id, record, timestamp, Some(&metadata));
                timeout = options.timeout.unwrap_or(timeout);
                if options.broadcast {
                    name = BROADCAST;
                }
            }
        }
        if self.payload.len() > self.max_event_bytes {
            return Err(too_large("the event", self.payload.len(), self.max_event_bytes));
        }
        self.channel.clear();
        self.channel.push_str(self.channels.prefix());
        self.channel.push_str(name);
        Ok(Encoded { channel: &self.channel, payload: &self.payload, id, timeout })
    }

    fn append(&mut self, id: &str, record: Record<'_>, timestamp: &str, metadata: Option<&Metadata<'_>>) {
        let Record { event_type, data, .. } = record;
        envelope::write(&mut self.payload, &self.origin, id, event_type, data, timestamp, metadata);
    }
}

fn too_large(what: &str, size: usize, limit: usize) -> BusError {
    BusError::new(
        ErrorKind::EventTooLarge,
        format!("{what} has {size} bytes, more than the limit of {limit}"),
    )
}

/// A UUIDv7 (RFC 9562): the time and 74 random bits.
fn generate_id(unix_ms: u64) -> EventId {
    let random = Uuid::new_v4().into_bytes();
    let [r0, r1, r2, r3, r4, r5, _, _, _, r6, r7, r8, r9, ..] = random;
    let id = uuid::Builder::from_unix_timestamp_millis(unix_ms, &[r0, r1, r2, r3, r4, r5, r6, r7, r8, r9]);
    let mut text = [0; 36];
    id.into_uuid().hyphenated().encode_lower(&mut text);
    EventId(text)
}

/// A new event id as text, for messages that came without one.
pub(crate) fn new_id() -> String {
    generate_id(u64::try_from(wall_ms()).unwrap_or(0)).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_and_of_version_7() {
        let ids: HashSet<_> = (0..10_000).map(|_| generate_id(1_700_000_000_000).0).collect();
        assert_eq!(ids.len(), 10_000);
        let id = generate_id(1_700_000_000_000);
        let id = Uuid::parse_str(id.as_str()).unwrap();
        assert_eq!((id.get_version_num(), id.get_timestamp().unwrap().to_unix().0), (7, 1_700_000_000));
    }
}
