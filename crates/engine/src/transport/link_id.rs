//! Which link of a client.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use oxbus_model::config::Address;
use oxbus_model::consumer::GroupKey;

/// A link of a client. The order is that of the kinds' names, then of the groups and of the nodes; reports are sorted by it.
///
/// A client has one link of each kind, and one reader for each consumer group; of a Cluster it has one for each node that it
/// uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LinkId {
    /// Commands on streams, whose answers a caller waits for.
    Consumer,
    /// In a Cluster with sharded pub/sub, where live messages come on other links: what clients tell each other of entries that
    /// they have handed back.
    HandBacks,
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
    /// Entries of streams, for live subscriptions.
    Tail,
    /// One of these to a node of a Cluster.
    OfNode(Arc<(LinkId, Address)>),
}

impl LinkId {
    /// The link of a reader: of a group, or of live subscriptions.
    pub(crate) fn of_reader(key: GroupKey, group: Arc<str>) -> LinkId {
        if key == GroupKey::TAIL { LinkId::Tail } else { LinkId::Reader(group) }
    }

    /// The link of this kind to a node.
    pub(crate) fn at(self, node: &Address) -> LinkId {
        LinkId::OfNode(Arc::new((self, node.clone())))
    }

    /// The node of a Cluster that it belongs to.
    pub(crate) fn node(&self) -> Option<&Address> {
        match self {
            LinkId::OfNode(of) => Some(&of.1),
            _ => None,
        }
    }

    /// Whether it is the publisher, or one of several.
    pub(crate) fn is_publisher(&self) -> bool {
        match self {
            LinkId::OfNode(of) => of.0.is_publisher(),
            other => *other == LinkId::Publisher,
        }
    }

    /// Whether it carries live events, or publishes that may be live.
    pub(crate) fn is_of_live_events(&self) -> bool {
        match self {
            LinkId::OfNode(of) => of.0.is_of_live_events(),
            other => {
                matches!(other, LinkId::Publisher | LinkId::Replicated | LinkId::Subscriber | LinkId::Tail)
            }
        }
    }

    /// The name of its kind, which all readers share.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            LinkId::Consumer => "consumer",
            LinkId::HandBacks => "hand-backs",
            LinkId::Memory => "memory",
            LinkId::Publisher => "publisher",
            LinkId::Reader(_) => "reader",
            LinkId::Replicated => "replicated",
            LinkId::Subscriber => "subscriber",
            LinkId::Tail => "tail",
            LinkId::OfNode(of) => of.0.kind(),
        }
    }

    /// The name in notices and reports.
    pub(crate) fn name(&self) -> Arc<str> {
        match self {
            LinkId::Reader(group) => format!("{}:{group}", self.kind()).into(),
            LinkId::OfNode(of) => format!("{}@{}", of.0.name(), of.1).into(),
            _ => self.kind().into(),
        }
    }

    fn rank(&self) -> (&'static str, Option<&str>, Option<&Address>) {
        match self {
            LinkId::Reader(group) => (self.kind(), Some(group), None),
            LinkId::OfNode(of) => {
                let (kind, group, _) = of.0.rank();
                (kind, group, Some(&of.1))
            }
            _ => (self.kind(), None, None),
        }
    }
}

impl Ord for LinkId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for LinkId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
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
        let node = |port| Address::Tcp { host: "h".to_owned(), port };
        let all = [
            LinkId::Consumer,
            LinkId::HandBacks,
            LinkId::Memory,
            LinkId::Publisher,
            LinkId::Publisher.at(&node(1)),
            LinkId::Publisher.at(&node(2)),
            LinkId::Reader("a".into()),
            LinkId::Reader("a".into()).at(&node(1)),
            LinkId::Reader("z".into()),
            LinkId::Replicated,
            LinkId::Subscriber,
            LinkId::Subscriber.at(&node(1)),
            LinkId::Tail,
        ];
        let names: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert!(all.is_sorted() && names.is_sorted());
        assert_eq!((&*names[4], &*names[7]), ("publisher@h:1", "reader:a@h:1"));
        assert!(all[5].is_publisher() && !all[7].is_publisher() && all[7].node() == Some(&node(1)));
        let live: Vec<bool> = all.iter().map(LinkId::is_of_live_events).collect();
        let expected = [false, false, false, true, true, true, false, false, false, true, true, true, true];
        assert_eq!(live, expected);
    }
}
