//! The options of one publish. They are read for every event that has any, so the text is gone
//! through once, without building a tree of it.

//!
//! # Layout
//!
//! - this file: [`PublishOptions`]; `recipients`: [`Recipients`]
//! - `fields`: the members of the object; `values`: from the text of a member to its value

mod fields;
mod recipients;
#[cfg(test)]
mod tests;
mod values;

use serde_json::{Map, Value};

use crate::error::BusError;
use crate::options::unknown_key;
use fields::{Field, Fields, NAMES};
use recipients::audience;
use values::{
    KIND, channels, deduplicate, describe, flag, identifier, metadata, replicas, stream, timeout, timestamp,
};

pub use recipients::{MAX_EXCEPT, Recipients};

/// The options of one publish; what was not given is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishOptions {
    /// The event's id.
    pub id: Option<String>,
    /// The event's time, in the form of [`time::to_iso`](crate::time::to_iso).
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
    /// Whether it must be stored; `None`: what the configuration says of its type.
    pub durable: Option<bool>,
    /// How many replicas must have it. 0–100, default 0.
    pub replicas: u32,
    /// Whether the event stays with this client's own handlers, in hybrid mode.
    pub local_only: bool,
    /// Whether this client's own live handlers do not get it, in hybrid mode.
    pub redis_only: bool,
    /// The milliseconds for the whole call. 1–3 600 000; default: the command timeout.
    pub timeout: Option<u64>,
    /// The channels to publish on, instead of those of its type, each once and without a prefix: 1–64, each of 1–1024 bytes.
    pub channels: Option<Vec<String>>,
    /// Whom the event is for (`audience`, set by the client itself).
    pub audience: Recipients,
    /// Whether nobody waits for the result, which may come with what the host takes later: unless the event was not published,
    /// or nobody has received it. Set by the client itself for an event to a user.
    pub quiet: bool,
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
        for (field, raw) in fields.into_members() {
            options.set(field, raw.get())?;
        }
        if options.deduplicate.is_some() && options.id.is_none() {
            return Err(BusError::at(KIND, "deduplicate", "needs an id"));
        }
        if options.durable == Some(true) && options.stream == StoreIn::Nothing {
            return Err(BusError::at(KIND, "durable", "not together with stream: false"));
        }
        if options.channels.is_some() && options.audience != Recipients::Subscribers {
            let message =
                "are for events of a type: those of rooms, users and broadcasts have a channel of their own";
            return Err(BusError::at(KIND, "channels", message));
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

    /// Whether the type of the event says where it is stored: it is for no room and no user, and nothing else was said.
    pub fn goes_by_type(&self) -> bool {
        self.stream == StoreIn::Matching
            && !self.local_only
            && matches!(self.audience, Recipients::Subscribers | Recipients::Everyone)
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
            ("durable", self.durable == Some(true)),
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
            Field::Audience => (self.audience, self.quiet) = audience(raw)?,
            Field::Channels => self.channels = Some(channels(raw)?),
            Field::Stream if raw == "false" => self.stream = StoreIn::Nothing,
            Field::Stream => self.stream = StoreIn::Named(stream(raw)?),
            Field::LocalOnly => self.local_only = flag("localOnly", raw)?,
            Field::RedisOnly => self.redis_only = flag("redisOnly", raw)?,
            Field::Deduplicate => self.deduplicate = deduplicate(raw)?,
            Field::Replicas => self.replicas = replicas(raw)?,
            Field::Durable => self.durable = Some(flag("durable", raw)?),
            Field::Other(name) => {
                let message = unknown_key::message(KIND, "", &name, &NAMES);
                return Err(BusError::at(KIND, name, message));
            }
        }
        Ok(())
    }
}
