//! From a caller's record to an event ready to be sent. Both transports publish what this makes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memchr;
use oxbus_model::codec::new_event::{Metadata, NewEvent, Origin};
use oxbus_model::codec::{Codec, json};
use oxbus_model::config::{Durable, KeyNames, Mode};
use oxbus_model::observe::metrics::{MAX_NAMES, OTHER_NUMBER, TypeCache, Types};
use oxbus_model::options::names::check_event_type;
use oxbus_model::options::publish::{PublishOptions, Recipients, StoreIn};
use oxbus_model::routing::stream_routing::{Destination, StreamRouting};
use oxbus_model::submission::{Data, Record};
use oxbus_model::{BusError, ErrorKind, Outcome, time};
use uuid::Uuid;

use crate::host::EventId;
use crate::observe::event_samples::EventSamples;
use crate::publish::messages::{Messages, too_large};
use crate::publish::unstored_types::UnstoredTypes;
use crate::receive::recent_ids::RecentIds;
use crate::runtime::clock::{Clock, wall_ms};
use crate::transport::context::TransportContext;

/// Makes events of records. One per publisher; its buffers are used again for each event.
pub(crate) struct Encoder {
    /// The format of entries.
    codec: Codec,
    origin: Origin,
    messages: Messages,
    /// Where messages do not say that they are of this client: the ids of its events.
    own_ids: Option<Arc<Mutex<RecentIds>>>,
    clock: Clock,
    storage: StreamRouting,
    /// The keys of the streams that a publish names.
    keys: KeyNames,
    types: Arc<Types>,
    numbers: TypeCache,
    /// Whether events are published live at all.
    pubsub: bool,
    /// Whether there are live events, published or read from streams.
    hears: bool,
    /// Whether an event may be for one side only.
    hybrid: bool,
    /// Which events must be stored.
    durable: Durable,
    /// The numbers of the types that were noted as published and not stored.
    noted: [u64; MAX_NAMES / 64 + 1],
    /// Those that have no number, as far as they have a place.
    others_noted: HashSet<Box<str>>,
    unstored: Arc<UnstoredTypes>,
    samples: Arc<EventSamples>,
    max_event_bytes: usize,
    max_data_bytes: usize,
    default_timeout: u64,
    /// Those of the event at hand.
    options: PublishOptions,
    /// Whether they are the defaults, as for most events, which then need not be set again.
    plain: bool,
}

/// The time of a batch: read from the clock once.
#[derive(Clone)]
pub(crate) struct Stamp {
    unix_ms: u64,
    pub(crate) text: Arc<str>,
}

impl Stamp {
    pub(crate) fn now(clock: &Clock) -> Self {
        let now = clock.wall_ms();
        Stamp { unix_ms: u64::try_from(now).unwrap_or(0), text: time::to_iso(now).into() }
    }
}

/// An event ready to be sent.
pub(crate) struct Encoded<'a> {
    /// What is published, and where.
    pub(crate) messages: &'a Messages,
    /// The id, if it was generated.
    pub(crate) id: Option<EventId>,
    /// The milliseconds that the publish may take.
    pub(crate) timeout: u64,
    /// The number of its type, for what is counted by it.
    pub(crate) type_number: u16,
    /// The stream that stores it: its index in the configuration.
    pub(crate) stream: Option<usize>,
    /// Whether it is published live.
    pub(crate) live: bool,
    /// Whether live subscriptions hear it: as it is published live, or as they read it from its stream.
    pub(crate) heard: bool,
    pub(crate) options: &'a PublishOptions,
    codec: &'a Codec,
    origin: &'a Origin,
    event_type: &'a str,
    data: Cow<'a, str>,
    timestamp: &'a str,
}

impl Encoded<'_> {
    /// Its id, given or generated.
    pub(crate) fn event_id(&self) -> &str {
        let generated = || self.id.as_ref().map(EventId::as_str);
        self.options.id.as_deref().or_else(generated).unwrap_or_default()
    }

    /// Its type.
    pub(crate) fn event_type(&self) -> &str {
        self.event_type
    }

    /// The members of its room that it is not for.
    pub(crate) fn except(&self) -> &[String] {
        match &self.options.audience {
            Recipients::Room { except, .. } => except,
            _ => &[],
        }
    }

    /// Gives the fields of its entry to `out`, name and value, in their order.
    pub(crate) fn fields(&self, out: &mut impl FnMut(&[u8], &[u8])) {
        let (event_type, data) = (self.event_type(), &*self.data);
        let metadata = metadata_of(self.options);
        let (id, timestamp) = (self.event_id(), self.timestamp);
        let event = NewEvent { id, event_type, data, timestamp, metadata: Some(&metadata) };
        self.codec.write_entry(out, self.origin, &event);
    }
}

impl Encoder {
    pub(crate) fn new(context: &TransportContext) -> Self {
        let TransportContext { config, clock, origin, types, unstored, samples, own_ids, .. } = context;
        Encoder {
            durable: config.durable.clone(),
            noted: Default::default(),
            others_noted: HashSet::new(),
            unstored: unstored.clone(),
            samples: samples.clone(),
            codec: config.codec.clone(),
            messages: Messages::new(&config.wires),
            own_ids: own_ids.clone(),
            clock: clock.clone(),
            origin: origin.clone(),
            types: types.clone(),
            numbers: TypeCache::default(),
            storage: StreamRouting::new(&config.streams),
            keys: config.keys.clone(),
            pubsub: config.pubsub,
            hears: config.pubsub || config.wires.are_tailed(),
            hybrid: config.mode == Mode::Hybrid,
            max_event_bytes: config.limits.max_event_bytes,
            max_data_bytes: config.limits.max_data_bytes,
            default_timeout: config.redis.command_timeout,
            options: PublishOptions::default(),
            plain: true,
        }
    }

    /// Validates a record and writes its event. What is refused here was never sent.
    pub(crate) fn encode<'a>(
        &'a mut self,
        record: Record<'a>,
        stamp: &'a Stamp,
    ) -> Result<Encoded<'a>, BusError> {
        self.write(record, stamp).map_err(|error| error.with_outcome(Outcome::NotSent))
    }

    fn write<'a>(&'a mut self, record: Record<'a>, stamp: &'a Stamp) -> Result<Encoded<'a>, BusError> {
        check_event_type(record.event_type)?;
        let data = checked(record.data)?;
        if data.len() > self.max_data_bytes {
            return Err(too_large("data", data.len(), self.max_data_bytes));
        }
        let plain = record.options.is_empty();
        if !(plain && self.plain) {
            // Options that cannot be read leave those of an earlier event behind.
            self.plain = false;
            self.options = PublishOptions::parse(record.options)?;
            self.plain = plain;
        }
        let place = self.place(record.event_type)?;
        let type_number = self.numbers.number(&self.types, record.event_type);
        if place.is_none() && self.options.goes_by_type() {
            self.note_unstored(type_number, record.event_type);
        }
        let options = &self.options;
        let id = options.id.is_none().then(|| generate_id(stamp.unix_ms));
        let event_id = options.id.as_deref().or(id.as_ref().map(EventId::as_str)).unwrap_or_default();
        let timestamp = options.timestamp.as_deref().unwrap_or(&stamp.text);
        let metadata = (!plain).then(|| metadata_of(options));
        let event_type = record.event_type;
        let event =
            NewEvent { id: event_id, event_type, data: &data, timestamp, metadata: metadata.as_ref() };
        if place.is_some() {
            self.codec.check(&self.origin, &event, true)?;
        }
        self.messages.write(&self.origin, &event, options, self.max_event_bytes)?;
        if let Some(ids) = &self.own_ids {
            ids.lock().unwrap_or_else(PoisonError::into_inner).insert(event_id, self.clock.now_ms());
        }
        let (channel, payload) = self.messages.first();
        self.samples.published(channel, payload);
        let is_for_live = place.is_none_or(|place| place.realtime);
        Ok(Encoded {
            messages: &self.messages,
            id,
            timeout: options.timeout.unwrap_or(self.default_timeout),
            type_number,
            stream: place.map(|place| place.stream),
            live: self.pubsub && is_for_live,
            heard: self.hears && is_for_live,
            options,
            codec: &self.codec,
            origin: &self.origin,
            event_type,
            data,
            timestamp,
        })
    }

    /// Notes, once for each type, that its events are published and not stored.
    fn note_unstored(&mut self, type_number: u16, event_type: &str) {
        if type_number == OTHER_NUMBER {
            if !self.others_noted.contains(event_type)
                && !self.unstored.is_full()
                && self.unstored.add(event_type)
            {
                self.others_noted.insert(event_type.into());
            }
            return;
        }
        let (word, bit) = (usize::from(type_number / 64), 1 << (type_number % 64));
        if let Some(word) = self.noted.get_mut(word).filter(|word| **word & bit == 0) {
            *word |= bit;
            self.unstored.add(event_type);
        }
    }

    /// Where an event of this type, with the options at hand, is stored.
    fn place(&self, event_type: &str) -> Result<Option<Destination>, BusError> {
        for (name, asked) in [("localOnly", self.options.local_only), ("redisOnly", self.options.redis_only)]
        {
            if asked && !self.hybrid {
                return Err(only_in_hybrid(name));
            }
        }
        let place = match &self.options.stream {
            _ if self.options.local_only => None,
            // Without asking, nothing is kept of what only some should see.
            StoreIn::Matching => match self.options.audience {
                Recipients::Room { .. } | Recipients::User(_) => None,
                Recipients::Subscribers | Recipients::Everyone => self.storage.destination_of(event_type),
            },
            StoreIn::Nothing => None,
            StoreIn::Named(name) => match self.storage.named(&self.keys.of_stream(name)) {
                Some(stream) => {
                    Some(Destination { stream, realtime: self.storage.realtime(stream, event_type) })
                }
                None => {
                    let message = format!("no stream of the name {name:?} is configured");
                    return Err(BusError::at(ErrorKind::NoStream, "stream", message));
                }
            },
        };
        if place.is_none() {
            self.check_unstored(event_type)?;
        }
        Ok(place)
    }

    /// Accepts what an event asks for that no stream stores.
    fn check_unstored(&self, event_type: &str) -> Result<(), BusError> {
        let stored_only =
            [("deduplicate", self.options.deduplicate.is_some()), ("replicas", self.options.replicas > 0)];
        if let Some((name, _)) = stored_only.iter().find(|(_, asked)| *asked) {
            let message = format!("is for events that are stored, and no stream stores {event_type:?}");
            return Err(BusError::at(ErrorKind::InvalidOptions, *name, message));
        }
        // A room, a user, `stream: false` and `localOnly` say that the event is live, so only its own option counts.
        let by_type = || self.durable.includes(event_type) && self.options.goes_by_type();
        if self.options.durable.unwrap_or_else(by_type) {
            let message =
                format!("an event of type {event_type:?} must be stored (durable), and no stream stores it");
            return Err(BusError::new(ErrorKind::NoStream, message));
        }
        if !self.pubsub {
            let message =
                format!("no stream stores {event_type:?}, and nothing is published live (pubsub: false)");
            return Err(BusError::new(ErrorKind::NoStream, message));
        }
        Ok(())
    }
}

/// What hybrid mode has and others do not.
pub(crate) fn only_in_hybrid(option: &str) -> BusError {
    BusError::at(ErrorKind::InvalidOptions, option, "is for hybrid mode, and this client's mode is another")
}

/// The JSON of data. Line feeds of bytes become carriage returns, as those of a text have before it crosses: between the parts of
/// JSON they mean the same.
fn checked(data: Data<'_>) -> Result<Cow<'_, str>, BusError> {
    let refused = |message| BusError::at(ErrorKind::InvalidData, "data", message);
    let whole = |text| {
        let message = "the text that rawJson was given is not JSON; JSON.parse says where";
        json::whole(text).map_err(|_| refused(message))
    };
    match data {
        Data::Json(json) => Ok(Cow::Borrowed(json)),
        Data::Text(text) => whole(text).map(Cow::Borrowed),
        Data::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| refused("is not UTF-8"))?;
            let json = whole(text)?;
            let has_line_feeds = memchr(b'\n', json.as_bytes()).is_some();
            Ok(if has_line_feeds { json.replace('\n', "\r").into() } else { json.into() })
        }
    }
}

fn metadata_of(options: &PublishOptions) -> Metadata<'_> {
    let (room, except, to_user) = match &options.audience {
        Recipients::Room { room, except } => (Some(&**room), &**except, None),
        Recipients::User(user) => (None, Default::default(), Some(&**user)),
        Recipients::Subscribers | Recipients::Everyone => (None, Default::default(), None),
    };
    Metadata {
        source: options.source.as_deref(),
        correlation_id: options.correlation_id.as_deref(),
        causation_id: options.causation_id.as_deref(),
        traceparent: options.traceparent.as_deref(),
        tracestate: options.tracestate.as_deref(),
        user_id: options.user_id.as_deref(),
        organization_id: options.organization_id.as_deref(),
        room,
        except,
        to_user,
        key: options.key.as_deref(),
        extra: options.metadata.as_ref(),
    }
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
