//! What the groups of a stream have left over: for a test that asks what was never handled.

use std::sync::Arc;

use oxbus_model::codec::Codec;
use oxbus_model::stream_store::{EntryId, Request, Response, StoredEntry};

use super::Broker;

/// An entry that a group has not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// The group.
    pub group: Arc<str>,
    /// The entry.
    pub id: EntryId,
    /// Whether the group has read it: it is being handled, waits for a retry, or was handed back.
    pub read: bool,
    /// The event as JSON; `None` where the entry holds none.
    pub event: Option<String>,
}

impl Broker {
    /// The entries of a stream that are still there and that a group has not settled, once for each such group, in the
    /// order of the stream. None of a stream that does not exist.
    pub fn unsettled(&self, stream: &str) -> Vec<Unsettled> {
        let stream: Arc<str> = stream.into();
        let Ok(Response::Stream(Some(info))) = self.execute(Request::Describe { stream: stream.clone() })
        else {
            return Vec::new();
        };
        let entries = self.entries(&stream);
        let mut left = Vec::new();
        for group in info.groups {
            let name: Arc<str> = group.name.into();
            let pending = self.pending(&stream, &name);
            for entry in &entries {
                let read = entry.id <= group.last_delivered;
                if read && pending.binary_search(&entry.id).is_err() {
                    continue;
                }
                let fields = entry.fields.iter().map(|(name, value)| (&**name, &**value));
                let decoded = Codec::Oxbus.read_entry(fields, (&stream, entry.id), None).ok();
                if decoded.as_ref().and_then(|d| d.only_group).is_some_and(|only| only != &*name) {
                    continue;
                }
                let event = decoded.map(|decoded| decoded.event.json.into_owned());
                left.push(Unsettled { group: name.clone(), id: entry.id, read, event });
            }
        }
        left.sort_by_key(|entry| entry.id);
        left
    }

    fn entries(&self, stream: &Arc<str>) -> Vec<StoredEntry> {
        let (from, to, limit) = (EntryId::MIN, EntryId::MAX, usize::MAX);
        let range = Request::Range { stream: stream.clone(), from, to, limit, reverse: false };
        match self.execute(range) {
            Ok(Response::Entries(entries)) => entries,
            _ => Vec::new(),
        }
    }

    /// The entries that were delivered to a group and not acknowledged, oldest first.
    fn pending(&self, stream: &Arc<str>, group: &Arc<str>) -> Vec<EntryId> {
        let (stream, group) = (stream.clone(), group.clone());
        let (from, limit, min_idle) = (EntryId::MIN, usize::MAX, 0);
        match self.execute(Request::Pending { stream, group, from, limit, min_idle, consumer: None }) {
            Ok(Response::Pending(pending)) => pending.into_iter().map(|entry| entry.id).collect(),
            _ => Vec::new(),
        }
    }
}
