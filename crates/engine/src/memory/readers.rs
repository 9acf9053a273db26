//! The readers of groups, and the reads that wait for entries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::consumer::{GroupKey, Read, ReceivedEntry};
use oxbus_model::stream_store::memory::Delivered;
use oxbus_model::stream_store::{Missed, Streams};
use tokio::sync::mpsc;

use crate::transport::context::TransportContext;

/// A client's reader of a group.
pub(super) struct GroupReads {
    /// Each read that has ended and was not told yet has a clone.
    untold: mpsc::Sender<()>,
    all_told: mpsc::Receiver<()>,
}

impl Default for GroupReads {
    fn default() -> Self {
        let (untold, all_told) = mpsc::channel(1);
        GroupReads { untold, all_told }
    }
}

impl GroupReads {
    /// Ends a read if there is something to deliver, or a group is missing.
    pub(super) fn deliver(
        &self,
        streams: &mut Streams,
        context: &Arc<TransportContext>,
        read: &Read,
        now_ms: u64,
    ) -> Option<EndedRead> {
        let Read { key, group, consumer, streams: names, limit, behind: _ } = read;
        let missed = streams.take_missed(names, group);
        let result = streams.deliver(names, group, consumer, *limit, now_ms);
        if missed.is_empty() && result.as_ref().is_ok_and(Vec::is_empty) {
            return None;
        }
        let (context, group, _untold) = (context.clone(), group.clone(), self.untold.clone());
        Some(EndedRead { context, key: *key, group, missed, result, _untold })
    }

    /// Waits until the client was told of every read that has ended.
    pub(super) async fn told(self) {
        let GroupReads { untold, mut all_told } = self;
        drop(untold);
        // Nothing is ever sent: it ends with the last sender.
        all_told.recv().await;
    }
}

/// A read that has ended. The client is to be told, without a lock that it takes for that.
pub(super) struct EndedRead {
    context: Arc<TransportContext>,
    pub(super) key: GroupKey,
    group: Arc<str>,
    /// What the group had missed, by stream.
    missed: Vec<(Arc<str>, Missed)>,
    pub(super) result: Result<Vec<Delivered>, BusError>,
    _untold: mpsc::Sender<()>,
}

impl EndedRead {
    pub(super) fn report(self) {
        let EndedRead { context, key, group, missed, result, _untold } = self;
        for (stream, missed) in missed {
            context.events.missed(stream, group.clone(), missed);
        }
        match result {
            Ok(delivered) => {
                let (codec, own_instance) = (&context.config.codec, context.origin.instance_id());
                let mut shapes = context.shapes.lock();
                let arrival = |Delivered { stream, id, fields }: Delivered| {
                    let fields = fields.iter().map(|(name, value)| (&**name, &**value));
                    ReceivedEntry::new(codec, stream, id, fields, own_instance, shapes.as_deref_mut())
                };
                let entries = delivered.into_iter().map(arrival).collect();
                drop(shapes);
                context.events.entries(key, entries);
            }
            Err(error) => context.events.read_interrupted(key, error),
        }
    }
}

/// Reads that wait for entries, numbered in the order in which they came.
#[derive(Default)]
pub(super) struct Reads {
    next: u64,
    waiting: BTreeMap<u64, (u64, Read)>,
    by_stream: HashMap<Arc<str>, BTreeSet<u64>>,
}

impl Reads {
    /// Lets a read of the member `number` wait.
    pub(super) fn wait(&mut self, number: u64, read: Read) {
        self.next += 1;
        for stream in read.streams.iter() {
            self.by_stream.entry(stream.clone()).or_default().insert(self.next);
        }
        self.waiting.insert(self.next, (number, read));
    }

    /// Ends the reads of a stream, or of all streams, that `deliver` has something for, first come first served.
    pub(super) fn end(
        &mut self,
        stream: Option<&str>,
        mut deliver: impl FnMut(u64, &Read) -> Option<EndedRead>,
    ) -> Vec<EndedRead> {
        let places: Vec<u64> = match stream {
            Some(stream) => self.by_stream.get(stream).into_iter().flatten().copied().collect(),
            None => self.waiting.keys().copied().collect(),
        };
        let mut ended = Vec::new();
        for place in places {
            if let Some(end) = self.waiting.get(&place).and_then(|(number, read)| deliver(*number, read)) {
                ended.push(end);
                self.forget(place);
            }
        }
        ended
    }

    /// Removes the read of a group of a member. Whether there was one.
    pub(super) fn remove(&mut self, number: u64, group: GroupKey) -> bool {
        let mut waiting = self.waiting.iter();
        let place = waiting.find(|(_, (n, read))| (*n, read.key) == (number, group)).map(|(place, _)| *place);
        place.inspect(|place| self.forget(*place)).is_some()
    }

    /// Removes all reads of a member. Returns their groups.
    pub(super) fn remove_all(&mut self, number: u64) -> Vec<GroupKey> {
        let own = self.waiting.iter().filter(|(_, (n, _))| *n == number);
        let own: Vec<_> = own.map(|(place, (_, read))| (*place, read.key)).collect();
        own.into_iter().map(|(place, group)| (self.forget(place), group).1).collect()
    }

    fn forget(&mut self, place: u64) {
        let Some((_, read)) = self.waiting.remove(&place) else { return };
        for stream in read.streams.iter() {
            if let Some(places) = self.by_stream.get_mut(stream) {
                places.remove(&place);
                if places.is_empty() {
                    self.by_stream.remove(stream);
                }
            }
        }
    }
}
