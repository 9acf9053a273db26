//! Consumers of groups.

use std::sync::Arc;

/// A consumer of a group of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerId {
    /// The stream.
    pub stream: Arc<str>,
    /// The consumer group.
    pub group: Arc<str>,
    /// The consumer.
    pub consumer: Arc<str>,
    /// The client start behind the name of the consumer.
    pub instance: Arc<str>,
}

/// The consumer that owns what was put off, until it is due. No client lives under this name: so no client finds such
/// entries among its own, and the search for entries of dead consumers can leave them out.
pub const DELAYED: &str = "oxbus:delayed";
