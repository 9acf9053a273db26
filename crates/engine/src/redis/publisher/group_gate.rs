//! Which publishes may be sent.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxbus_model::BusError;
use oxbus_model::config::StreamConfig;

/// What is known of the configured groups. An event that is stored before its group is made would never reach the
/// group, so nothing is sent until the groups were looked at once, and nothing is stored in a stream while a group of it
/// is missing and cannot be made. Both are bounded by the time of each publish; the first takes one round trip.
pub(in crate::redis) struct GroupGate {
    streams: Box<[String]>,
    gate: Mutex<Gate>,
}

/// What may be sent at the moment.
#[derive(Clone)]
pub(in crate::redis) struct Gate {
    /// Whether the groups were looked at.
    looked_at: bool,
    /// Why nothing may be stored in a stream, by the stream's index in the configuration.
    unavailable: BTreeMap<usize, BusError>,
}

impl Gate {
    /// Whether everything may be sent.
    pub(in crate::redis) fn is_open(&self) -> bool {
        self.looked_at && self.unavailable.is_empty()
    }

    /// Whether what is for this stream may be sent; `None`: what is not stored.
    pub(in crate::redis) fn admits(&self, stream: Option<usize>) -> bool {
        self.looked_at && stream.is_none_or(|stream| !self.unavailable.contains_key(&stream))
    }

    /// Why nothing may be stored in a stream.
    pub(in crate::redis) fn why(&self, stream: Option<usize>) -> Option<&BusError> {
        self.unavailable.get(&stream?)
    }
}

impl GroupGate {
    /// Streams without groups are ready at once.
    pub(in crate::redis) fn new(streams: &[StreamConfig]) -> GroupGate {
        let looked_at = streams.iter().all(|stream| stream.groups.is_empty());
        GroupGate {
            streams: streams.iter().map(|stream| stream.name.clone()).collect(),
            gate: Mutex::new(Gate { looked_at, unavailable: BTreeMap::new() }),
        }
    }

    /// What may be sent at the moment.
    pub(in crate::redis) fn now(&self) -> Gate {
        self.gate().clone()
    }

    /// The groups were looked at: those of the streams in `unavailable` are missing and cannot be made. Returns whether
    /// that changes what may be sent.
    pub(in crate::redis) fn looked_at(&self, unavailable: &BTreeMap<String, BusError>) -> bool {
        let index = |name: &String| self.streams.iter().position(|stream| stream == name);
        let unavailable: BTreeMap<usize, BusError> =
            unavailable.iter().filter_map(|(name, error)| Some((index(name)?, error.clone()))).collect();
        let mut gate = self.gate();
        let changes = !gate.looked_at || gate.unavailable != unavailable;
        *gate = Gate { looked_at: true, unavailable };
        changes
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // It is replaced as a whole, so a panic cannot leave half of it.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
