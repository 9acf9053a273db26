//! What the publishes of a client are for, by which a Cluster chooses the node.

use oxbus_model::config::Config;
use oxbus_model::stream_store::{keys, slot};

use crate::redis::publisher::in_flight::Command;

/// Something whose publishes stay in their order and go to one node: a stream (its index in the configuration), the history
/// with all that is kept by its id, or live events.
pub(in crate::redis) type Target = usize;

/// The targets of a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct Targets {
    streams: usize,
}

impl Targets {
    /// Of a client with so many streams.
    pub(in crate::redis) fn new(streams: usize) -> Targets {
        Targets { streams }
    }

    /// The slots of the streams and of the history.
    pub(in crate::redis) fn slots(config: &Config) -> Vec<u16> {
        let streams = config.streams.iter().map(|stream| slot(&stream.name));
        streams.chain([slot(&keys::history(&config.channel_prefix))]).collect()
    }

    /// All of them.
    pub(in crate::redis) fn all(self) -> std::ops::Range<Target> {
        0..self.streams + 2
    }

    /// What is kept by its id where no stream stores it.
    pub(in crate::redis) fn history(self) -> Target {
        self.streams
    }

    /// Live events, which any node takes.
    pub(in crate::redis) fn live(self) -> Target {
        self.streams + 1
    }

    /// What a command is for; `None` where that is the node itself.
    pub(in crate::redis) fn of(self, command: &Command) -> Option<Target> {
        match command {
            Command::Event { .. } => Some(self.live()),
            Command::Entry { stream, .. } | Command::Trim { stream } => Some(*stream),
            Command::Call(call) => Some(call.stream.unwrap_or(self.history())),
            _ => None,
        }
    }
}
