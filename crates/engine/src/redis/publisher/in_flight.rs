//! The commands of a publisher, by what they are for.

use oxbus_model::BusError;
use oxbus_model::stream_store::EntryId;
use oxbus_model::topology::lanes::Lane;
use tokio::sync::oneshot;

use crate::redis::resp::value::RespValue;
use crate::redis::scripts::script_call::ScriptCall;

/// A command that waits to be written, or for its reply.
pub(in crate::redis) enum Command {
    /// An event that is published, with sharded pub/sub on this lane.
    Event {
        batch: u32,
        index: u32,
        deadline: u64,
        lane: Option<Lane>,
    },
    /// An event that is added to a stream, the one of this index in the configuration.
    Entry {
        batch: u32,
        index: u32,
        deadline: u64,
        stream: usize,
    },
    /// Trims the stream of this index to its cap, behind an event that was added to it.
    Trim {
        stream: usize,
    },
    /// Events that a script stores or publishes.
    Call(Box<ScriptCall>),
    /// Its events were settled before its reply came. The reply will be ignored.
    Settled,
    /// Waits for so many replicas to have what was sent before.
    Wait {
        replicas: u32,
        timeout: u64,
    },
    /// Makes the server know the scripts, the last of them if true.
    Load(bool),
    Role,
    Ping,
    Ask(oneshot::Sender<Result<RespValue, BusError>>),
}

impl Command {
    /// When its events must be settled.
    pub(in crate::redis) fn deadline(&self) -> Option<u64> {
        match self {
            Command::Event { deadline, .. } | Command::Entry { deadline, .. } => Some(*deadline),
            Command::Call(call) => Some(call.deadline),
            _ => None,
        }
    }

    /// Whether it is for this event, among others or not.
    pub(in crate::redis) fn has(&self, batch: u32, index: u32) -> bool {
        match self {
            Command::Event { batch: b, index: i, .. } | Command::Entry { batch: b, index: i, .. } => {
                (*b, *i) == (batch, index)
            }
            Command::Call(call) => call.has(batch, index),
            _ => false,
        }
    }

    /// Calls `each` with every event that is not settled.
    pub(in crate::redis) fn each_event(&self, mut each: impl FnMut(u32, u32)) {
        match self {
            Command::Event { batch, index, .. } | Command::Entry { batch, index, .. } => each(*batch, *index),
            Command::Call(call) => call.indexes().for_each(|index| each(call.batch, index)),
            _ => {}
        }
    }

    /// The stream that it changes: the index in the configuration.
    pub(in crate::redis) fn stream(&self) -> Option<usize> {
        match self {
            Command::Entry { stream, .. } | Command::Trim { stream } => Some(*stream),
            Command::Call(call) => call.stream,
            _ => None,
        }
    }

    /// Whether it is for events that no stream stores.
    pub(in crate::redis) fn is_unstored(&self) -> bool {
        match self {
            Command::Event { .. } => true,
            Command::Call(call) => call.stream.is_none(),
            _ => false,
        }
    }

    /// How many replicas it waits for, and for how many milliseconds; `None` of any other command.
    pub(in crate::redis) fn wait(&self) -> Option<(u32, u64)> {
        match self {
            Command::Wait { replicas, timeout } => Some((*replicas, *timeout)),
            _ => None,
        }
    }

    /// Whether it may use more than one key: a node of a Cluster refuses it while it has some of them only.
    pub(in crate::redis) fn has_several_keys(&self) -> bool {
        matches!(self, Command::Call(call) if call.has_several_keys())
    }

    /// Whether the next connection has no use for it.
    pub(in crate::redis) fn is_of_connection(&self) -> bool {
        !self.is_publish() && !matches!(self, Command::Wait { .. })
    }

    /// Whether it is for events.
    pub(in crate::redis) fn is_publish(&self) -> bool {
        self.deadline().is_some()
    }
}

/// An event that is where it was to go, as the reply to its command says.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct PublishedEvent {
    pub(in crate::redis) batch: u32,
    pub(in crate::redis) index: u32,
    pub(in crate::redis) receivers: i64,
    pub(in crate::redis) entry: Option<EntryRef>,
}

/// Where an event was stored.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct EntryRef {
    /// The stream: its index in the configuration.
    pub(in crate::redis) stream: usize,
    pub(in crate::redis) id: EntryId,
    /// Whether it had been stored before.
    pub(in crate::redis) duplicate: bool,
}
