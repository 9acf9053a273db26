//! What the publishes of a client are for, by which a Cluster chooses the node.

use oxbus_model::stream_store::slot;

use crate::redis::publisher::in_flight::Command;
use crate::transport::context::TransportContext;

/// Something whose publishes stay in their order and go to one node: a stream (its index in the configuration), the history
/// with all that is kept by its id, live events, or with sharded pub/sub one of their lanes.
pub(in crate::redis) type Target = usize;

/// The targets of a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct Targets {
    streams: usize,
    lanes: u16,
    keeps: bool,
}

impl Targets {
    /// Of a client with so many streams and lanes; `keeps`: events by their id, too.
    pub(in crate::redis) fn new(streams: usize, lanes: u16, keeps: bool) -> Targets {
        Targets { streams, lanes, keeps }
    }

    /// Of a client.
    pub(in crate::redis) fn of_client(context: &TransportContext) -> Targets {
        let lanes = context.lanes.as_ref().map_or(0, |lanes| lanes.count());
        let config = &context.config;
        Targets::new(config.streams.len(), lanes, config.persistence.is_some())
    }

    /// The slots of all targets; `None` of live events, which any node takes.
    pub(in crate::redis) fn slots(context: &TransportContext) -> Vec<Option<u16>> {
        let config = &context.config;
        let streams = config.streams.iter().map(|stream| Some(slot(&stream.name)));
        let lanes = context.lanes.iter().flat_map(|lanes| lanes.all().map(|lane| lanes.slot(lane)));
        streams.chain([Some(slot(&config.keys.history)), None]).chain(lanes).collect()
    }

    /// All of them.
    pub(in crate::redis) fn all(self) -> std::ops::Range<Target> {
        0..self.streams + 2 + usize::from(self.lanes)
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
            Command::Event { lane: None, .. } => Some(self.live()),
            Command::Event { lane: Some(lane), .. } => Some(self.live() + 1 + usize::from(*lane)),
            Command::Entry { stream, .. } | Command::Trim { stream } => Some(*stream),
            // One that neither stores nor keeps an event publishes it on several channels, and has no key.
            Command::Call(call) => {
                Some(call.stream.unwrap_or(if self.keeps { self.history() } else { self.live() }))
            }
            _ => None,
        }
    }
}
