//! Some of the events, for a log at `debug`: which they are and what they belong to, never what they hold.
//!
//! A client that does not log at `debug` pays a comparison for each batch or event.

use std::sync::{Arc, Mutex, PoisonError};

use oxbus_model::config::LogLevel;
use oxbus_model::consumer::{Content, ReceivedEntry};
use serde_json::Value;
use tracing::{Dispatch, debug, dispatcher};

use crate::runtime::clock::Clock;
use crate::runtime::line_limit::LineLimit;

/// Lines of each kind in a second, at the most.
const LINES_PER_SECOND: u32 = 10;

/// Logs some of the events of a client.
pub(crate) struct EventSamples {
    /// Where they are logged; `None` where they are not.
    log: Option<Dispatch>,
    clock: Clock,
    published: Mutex<LineLimit>,
    received: Mutex<LineLimit>,
    read: Mutex<LineLimit>,
}

/// What a line says of an event.
#[derive(Default)]
struct Identity {
    id: Option<String>,
    event_type: Option<String>,
    correlation: Option<String>,
}

impl Identity {
    fn of(json: &[u8]) -> Identity {
        let event: Value = serde_json::from_slice(json).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Identity {
            id: text(&event["id"]),
            event_type: text(&event["type"]),
            correlation: text(&event["metadata"]["correlationId"]),
        }
    }
}

impl EventSamples {
    pub(crate) fn new(level: LogLevel, log: &Dispatch, clock: Clock) -> EventSamples {
        let limit = || Mutex::new(LineLimit::per_second(LINES_PER_SECOND));
        let log = (level == LogLevel::Debug).then(|| log.clone());
        EventSamples { log, clock, published: limit(), received: limit(), read: limit() }
    }

    /// An event is handed to the transport, as this message for this channel.
    pub(crate) fn published(&self, channel: &str, message: &[u8]) {
        self.sample(&self.published, |left_out| {
            let Identity { id, event_type, correlation } = Identity::of(message);
            debug!(
                event = id,
                r#type = event_type,
                correlationId = correlation,
                channel,
                leftOut = left_out,
                "publishing"
            );
        });
    }

    /// Live events have come in for subscriptions.
    pub(crate) fn received<'a>(&self, events: impl Iterator<Item = &'a str>) {
        if self.log.is_none() {
            return;
        }
        for json in events {
            self.sample(&self.received, |left_out| {
                let Identity { id, event_type, correlation } = Identity::of(json.as_bytes());
                debug!(
                    event = id,
                    r#type = event_type,
                    correlationId = correlation,
                    leftOut = left_out,
                    "a live event came in"
                );
            });
        }
    }

    /// A read of a group has ended with these entries; nothing is logged of one without any.
    pub(crate) fn read(&self, entries: &[ReceivedEntry], group: impl FnOnce() -> Option<Arc<str>>) {
        let Some(first) = entries.first() else { return };
        self.sample(&self.read, |left_out| {
            let identity = match &first.content {
                Content::Event { candidate, .. } => Identity::of(candidate.json().as_bytes()),
                Content::Undecodable(_) => Identity::default(),
            };
            let Identity { id, event_type, correlation } = identity;
            debug!(
                stream = &*first.stream,
                group = group().as_deref(),
                count = entries.len(),
                messageId = %first.id,
                event = id,
                r#type = event_type,
                correlationId = correlation,
                leftOut = left_out,
                "entries were read; this is the first"
            );
        });
    }

    fn sample(&self, limit: &Mutex<LineLimit>, log: impl FnOnce(Option<u64>)) {
        let Some(dispatch) = &self.log else { return };
        let admitted = limit.lock().unwrap_or_else(PoisonError::into_inner).admit(self.clock.now_ms());
        let Some(left_out) = admitted else { return };
        dispatcher::with_default(dispatch, || log((left_out > 0).then_some(left_out)));
    }
}
