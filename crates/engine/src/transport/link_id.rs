//! Which link of a client.

use std::fmt;
use std::sync::Arc;

/// A link of a client. The order is that of the names, which reports are sorted by.
///
/// A client has one link of each kind, and one reader for each consumer group. Where a transport will keep one for each
/// node of a cluster, the variants take the node as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LinkId {
    /// Commands on streams, whose answers a caller waits for.
    Consumer,
    /// The broker in memory.
    Memory,
    /// Publishes.
    Publisher,
    /// New entries of a consumer group, which is given by its name.
    Reader(Arc<str>),
    /// Publishes that wait for replicas.
    Replicated,
    /// Live messages.
    Subscriber,
}

impl LinkId {
    /// The name of its kind, which all readers share.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            LinkId::Consumer => "consumer",
            LinkId::Memory => "memory",
            LinkId::Publisher => "publisher",
            LinkId::Reader(_) => "reader",
            LinkId::Replicated => "replicated",
            LinkId::Subscriber => "subscriber",
        }
    }

    /// The name in notices and reports.
    pub(crate) fn name(&self) -> Arc<str> {
        match self {
            LinkId::Reader(group) => format!("{}:{group}", self.kind()).into(),
            _ => self.kind().into(),
        }
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_in_the_order_of_their_names() {
        let all = [
            LinkId::Consumer,
            LinkId::Memory,
            LinkId::Publisher,
            LinkId::Reader("a".into()),
            LinkId::Reader("z".into()),
            LinkId::Replicated,
            LinkId::Subscriber,
        ];
        let names: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert!(all.is_sorted() && names.is_sorted());
        assert_eq!(names[3], "reader:a");
    }
}
