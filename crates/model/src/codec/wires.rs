//! The wires of a client: the formats that it reads and writes, each on channels under a prefix of its own.

use std::sync::Arc;

use super::{Codec, Several};

/// A format, and where its messages are.
#[derive(Clone, Debug, PartialEq)]
pub struct Wire {
    /// The format.
    pub codec: Codec,
    /// What each of its channels begins with.
    pub prefix: Arc<str>,
}

/// The wires of a client. Nearly every client has one, which it reads and writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Wires {
    /// The wires whose channels are subscribed to, one at least.
    pub read: Arc<[Wire]>,
    /// The wires in which events are published, each event once in each, one at least.
    pub write: Arc<[Wire]>,
    /// How entries and kept events are written, and read.
    pub kept: Codec,
}

impl Wires {
    /// One wire, read and written.
    pub fn one(codec: Codec, prefix: &str) -> Wires {
        let all: Arc<[Wire]> = Arc::new([Wire { codec: codec.clone(), prefix: prefix.into() }]);
        Wires { read: all.clone(), write: all, kept: codec }
    }

    /// Several wires; both lists have one at least.
    pub fn new(read: Vec<Wire>, write: Vec<Wire>) -> Wires {
        let codecs = || write.iter().chain(&read).map(|wire| wire.codec.clone());
        let kept = Several::codec(codecs().next().unwrap_or_default(), codecs());
        Wires { read: read.into(), write: write.into(), kept }
    }

    /// The prefix of the wire that is written first: what a channel of a type begins with, as far as callers are told.
    pub fn first_prefix(&self) -> &str {
        self.write.first().map_or("", |wire| &wire.prefix)
    }

    /// Whether an event may come in more than one of them.
    pub fn repeat(&self) -> bool {
        self.read.len() > 1
    }

    /// Whether a client knows its own messages: they say who has published them, or have an id.
    pub fn know_own(&self) -> bool {
        self.read
            .iter()
            .map(|wire| wire.codec.traits())
            .all(|traits| traits.names_publisher || traits.names_id)
    }

    /// Whether a client knows some of its own messages, or entries, by their id only.
    pub fn know_own_by_id(&self) -> bool {
        let by_id = |wire: &Wire| {
            let traits = wire.codec.traits();
            !(traits.names_publisher && traits.kept_names_publisher) && traits.names_id
        };
        self.read.iter().any(by_id)
    }

    /// Whether any of them publishes live.
    pub fn are_live(&self) -> bool {
        self.write.iter().any(|wire| wire.codec.traits().live)
    }

    /// Whether one of those that are read has nothing live, so that its events are read from the streams where they are stored.
    pub fn are_tailed(&self) -> bool {
        self.read.iter().any(|wire| !wire.codec.traits().live)
    }

    /// Whether more than the types of events says on which channels they come: there are several wires, or one has rules.
    pub fn have_rules(&self) -> bool {
        self.read.len() > 1 || self.read.iter().any(|wire| wire.codec.channels().is_some())
    }
}
