//! Events on their way to handlers.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use crate::codec::decoded::Decoded;
use crate::codec::json;
use crate::codec::parts::Parts;
use crate::filter::Filter;
use crate::stream_store::EntryId;

/// A received event, shared by all subscriptions that it goes to.
#[derive(Debug)]
pub struct LiveEvent {
    /// The event as JSON text.
    pub json: Box<str>,
    /// Where its parts stand in `json`, when it has no others.
    pub parts: Option<Parts>,
    /// The channel that it came on, where it is not the prefix and the event type.
    pub channel: Option<Box<str>>,
    /// When it was published, by the publisher's clock.
    pub published_ms: Option<i64>,
    /// Its key.
    pub key: Option<Arc<str>>,
    /// The number of its type, for what is counted by it.
    pub type_number: u16,
    /// Whether this client published it.
    pub own: bool,
}

impl LiveEvent {
    /// An event that was read, and the channel that it came on where that is not the usual one. Its type has the
    /// number 0 until it is counted.
    #[inline]
    pub fn of(decoded: Decoded<'_>, channel: Option<Box<str>>, own: bool) -> Self {
        let Decoded { json, published_ms, key, parts, event_type: _, instance_id: _ } = decoded;
        let json = json.into_owned().into_boxed_str();
        LiveEvent {
            json,
            parts,
            channel,
            published_ms,
            key: key.as_deref().map(Arc::from),
            type_number: 0,
            own,
        }
    }

    /// Where its data stands in its JSON; `None` where it has none.
    pub fn data_range(&self) -> Option<Range<usize>> {
        if let Some(parts) = &self.parts {
            return Some(parts.data.range());
        }
        let ([data], _) = json::members(&mut json::Scanner::new(&self.json), ["data"]).ok()?;
        let data = data?;
        // It is a part of the JSON text.
        let start = data.as_ptr().addr() - self.json.as_ptr().addr();
        Some(start..start + data.len())
    }
}

/// An event on its way to the subscriptions, and its JSON tree once a filter has asked for it.
#[derive(Debug)]
pub struct InboundEvent {
    pub(crate) event: Arc<LiveEvent>,
    tree: OnceCell<Option<Value>>,
}

impl InboundEvent {
    /// An event that has come in.
    pub fn new(event: LiveEvent) -> Self {
        InboundEvent { event: Arc::new(event), tree: OnceCell::new() }
    }

    /// The event as JSON.
    pub fn json(&self) -> &str {
        &self.event.json
    }

    pub(crate) fn passes(&self, filter: &Filter) -> bool {
        // The scanner's tree is slower, and takes what V8 takes and `serde_json` does not.
        let json = &*self.event.json;
        let tree = self.tree.get_or_init(|| serde_json::from_str(json).ok().or_else(|| json::tree(json)));
        tree.as_ref().is_some_and(|tree| filter.matches(tree))
    }
}

/// One event handed to the host.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The subscription.
    pub subscription: u32,
    /// Names this handler call in [`Deliveries::settle`](super::Deliveries::settle).
    pub token: u32,
    /// From 1.
    pub attempt: u32,
    /// Which pattern of the subscription matched.
    pub pattern: u32,
    /// The event.
    pub event: Arc<LiveEvent>,
    /// Whether the handler gets its data as JSON text.
    pub raw: bool,
    /// Of a durable delivery: which entry it is.
    pub stored: Option<StoredContext>,
}

impl Delivery {
    /// How many bytes it counts for in a drain.
    pub fn weight(&self) -> usize {
        let bytes = self.event.json.len();
        if self.raw { bytes / 4 } else { bytes }
    }
}

/// The entry behind a durable delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredContext {
    /// Its stream.
    pub stream: Arc<str>,
    /// The consumer group.
    pub group: Arc<str>,
    /// Its id.
    pub id: EntryId,
    /// Its delivery count.
    pub deliveries: u32,
    /// Of a batch: how many events its one call gets; they follow each other and have one token. Else 0.
    pub batch: u32,
}
