//! What a handler gets.

use std::sync::Arc;

use oxbus_model::delivery::{Delivery, LiveEvent, Settlement, StoredContext};
use serde_json::Value;

/// One delivery of an event to a handler.
#[derive(Clone, Debug)]
pub struct Event {
    /// The subscription.
    pub subscription: u32,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// Which pattern of the subscription matched.
    pub pattern: u32,
    /// Names the handler call.
    pub token: u32,
    event: Arc<LiveEvent>,
    stored: Option<StoredContext>,
}

impl Event {
    pub(super) fn new(delivery: &Delivery) -> Self {
        Event {
            subscription: delivery.subscription,
            attempt: delivery.attempt,
            pattern: delivery.pattern,
            token: delivery.token,
            event: delivery.event.clone(),
            stored: delivery.stored.clone(),
        }
    }

    /// Which entry it is.
    ///
    /// # Panics
    /// When it is a live event.
    pub fn stored(&self) -> &StoredContext {
        self.stored.as_ref().unwrap_or_else(|| panic!("not a stored event: {}", self.text()))
    }

    /// The id of its entry. Panics as [`Event::stored`] does.
    pub fn message_id(&self) -> String {
        self.stored().id.to_string()
    }

    /// The delivery count of its entry. Panics as [`Event::stored`] does.
    pub fn deliveries(&self) -> u32 {
        self.stored().deliveries
    }

    /// The event as the engine hands it over.
    pub fn text(&self) -> &str {
        &self.event.json
    }

    /// The channel; `None` when it is the prefix with the event type.
    pub fn channel(&self) -> Option<&str> {
        self.event.channel.as_deref()
    }

    /// The whole event.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text()))
    }

    /// Its id. An event of Oxbus begins with its id, so that reading it is fast.
    pub fn id(&self) -> String {
        let plain = self.text().strip_prefix("{\"id\":\"").and_then(|rest| rest.split_once('"'));
        match plain {
            Some((id, _)) if !id.contains('\\') => id.to_owned(),
            _ => self.json()["id"].as_str().expect("an id").to_owned(),
        }
    }

    /// Its type.
    pub fn event_type(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    /// Its data.
    pub fn data(&self) -> Value {
        self.json()["data"].take()
    }

    /// Its metadata.
    pub fn metadata(&self) -> Value {
        self.json()["metadata"].take()
    }
}

/// How a handler call ended, and the error to keep of it.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub(super) settlement: Settlement,
    pub(super) error: Option<String>,
}

impl Verdict {
    /// A failure with an error as JSON.
    pub fn failed(retryable: bool, error: &Value) -> Verdict {
        Verdict { settlement: Settlement::Failed { retryable }, error: Some(error.to_string()) }
    }
}

impl From<Settlement> for Verdict {
    fn from(settlement: Settlement) -> Verdict {
        Verdict { settlement, error: None }
    }
}
