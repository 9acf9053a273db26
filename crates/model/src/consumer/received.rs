//! Entries as they come from the store.

use std::sync::Arc;

use crate::codec::Codec;
use crate::codec::outline::Shapes;
use crate::delivery::event::{InboundEvent, LiveEvent};
use crate::stream_store::{EntryId, StoredEntry};

/// An entry that was read, claimed or found pending.
#[derive(Debug)]
pub struct ReceivedEntry {
    /// Its stream.
    pub stream: Arc<str>,
    /// Its id.
    pub id: EntryId,
    /// Its delivery count, this delivery included.
    pub deliveries: u32,
    /// Whether a consumer started it as suspected poison and no end of it is known.
    pub started: bool,
    /// The store's time of the first hand-back for lack of a handler.
    pub unhandled_since: Option<u64>,
    /// In how many milliseconds it is due: see [`StoredEntry::due_in`].
    pub due_in: Option<u64>,
    /// What it holds.
    pub content: Content,
}

/// What an entry holds.
#[derive(Debug)]
pub enum Content {
    /// An event.
    Event {
        /// The event.
        candidate: InboundEvent,
        /// Its type.
        event_type: Box<str>,
        /// The only group that it is for.
        only_group: Option<Box<str>>,
    },
    /// Not an event: why.
    Undecodable(String),
}

impl ReceivedEntry {
    /// A new entry, which was read for the first time. `own_instance` is the client start that reads it, and `shapes` are its
    /// shapes.
    pub fn new<'a>(
        codec: &Codec,
        stream: Arc<str>,
        id: EntryId,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        own_instance: &str,
        shapes: Option<&mut Shapes>,
    ) -> ReceivedEntry {
        let content = Content::read(codec, (&stream, id), fields, own_instance, shapes);
        ReceivedEntry {
            stream,
            id,
            deliveries: 1,
            started: false,
            unhandled_since: None,
            due_in: None,
            content,
        }
    }

    /// An entry that was claimed or found pending. `own_instance` is the client start that has it now, and `shapes` are its shapes.
    pub fn pending(
        codec: &Codec,
        stream: Arc<str>,
        entry: StoredEntry,
        own_instance: &str,
        shapes: Option<&mut Shapes>,
    ) -> ReceivedEntry {
        let StoredEntry { id, deliveries, started, unhandled_since, due_in, fields } = entry;
        let fields = fields.iter().map(|(name, value)| (&**name, &**value));
        let new = ReceivedEntry::new(codec, stream, id, fields, own_instance, shapes);
        ReceivedEntry { deliveries, started, unhandled_since, due_in, ..new }
    }
}

#[cfg(test)]
impl ReceivedEntry {
    /// The same entry as if its event had come on `channel`.
    pub(super) fn with_channel(mut self, channel: Option<&str>) -> ReceivedEntry {
        if let (Content::Event { candidate, .. }, Some(channel)) = (&mut self.content, channel) {
            Arc::get_mut(&mut candidate.event).unwrap().channel = Some(channel.into());
        }
        self
    }
}

impl Content {
    /// The event; `None` where there is none.
    pub fn into_event(self) -> Option<Arc<LiveEvent>> {
        match self {
            Content::Event { candidate, .. } => Some(candidate.event),
            Content::Undecodable(_) => None,
        }
    }

    fn read<'a>(
        codec: &Codec,
        (stream, id): (&str, EntryId),
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        own_instance: &str,
        shapes: Option<&mut Shapes>,
    ) -> Content {
        match codec.read_entry(fields, (stream, id), shapes) {
            Ok(entry) => {
                let event_type = Box::from(&*entry.event.event_type);
                let own = entry.event.instance_id.as_deref() == Some(own_instance);
                let candidate = InboundEvent::new(LiveEvent::of(entry.event, None, own));
                Content::Event { candidate, event_type, only_group: entry.only_group.map(Box::from) }
            }
            Err(reason) => Content::Undecodable(reason),
        }
    }
}
