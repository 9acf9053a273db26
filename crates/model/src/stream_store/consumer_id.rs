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
