//! What a node says of the cluster.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::server::RedisServer;

/// `CLUSTER NODES` of one node.
pub(super) struct View {
    /// The nodes that it knows, by their ids.
    pub(super) nodes: BTreeMap<String, Known>,
    /// The id of the node that was asked.
    pub(super) own: String,
}

/// What a node knows of a node, itself included.
pub(super) struct Known {
    /// The id of its master, for a replica.
    pub(super) master: Option<String>,
    /// Grows with each failover and each slot that it takes over.
    pub(super) epoch: u64,
    pub(super) slots: Vec<RangeInclusive<u16>>,
    /// Whether a slot is on its way to or from it.
    pub(super) is_moving: bool,
    /// Neither failed nor in a handshake, and connected to: what is published is not told to a node that is not.
    pub(super) is_well: bool,
}

impl Known {
    pub(super) fn serves(&self, slot: u16) -> bool {
        self.slots.iter().any(|slots| slots.contains(&slot))
    }
}

impl View {
    /// What a node says, or why it does not.
    pub(super) async fn of(server: &RedisServer) -> Result<Self, String> {
        let text = server.try_command(&["CLUSTER", "NODES"]).await?.text();
        let mut view = View { nodes: BTreeMap::new(), own: String::new() };
        for line in text.lines() {
            // id, address, flags, master, ping, pong, epoch, link, slots
            let fields: Vec<&str> = line.split(' ').collect();
            let [id, _, flags, master, _, _, epoch, link, slots @ ..] = &fields[..] else {
                return Err(format!("not a line of CLUSTER NODES: {line}"));
            };
            let is = |flag: &str| flags.split(',').any(|one| one == flag);
            if is("myself") {
                view.own = (*id).to_owned();
            }
            let (moving, served): (Vec<&str>, Vec<&str>) =
                slots.iter().partition(|slot| slot.starts_with('['));
            let known = Known {
                master: (*master != "-").then(|| (*master).to_owned()),
                epoch: epoch.parse().map_err(|_| format!("no epoch: {line}"))?,
                slots: served
                    .into_iter()
                    .map(range)
                    .collect::<Option<_>>()
                    .ok_or(format!("slots? {line}"))?,
                is_moving: !moving.is_empty(),
                is_well: *link == "connected"
                    && !["fail", "fail?", "handshake", "noaddr"].into_iter().any(is),
            };
            view.nodes.insert((*id).to_owned(), known);
        }
        Ok(view)
    }

    /// What it says of itself.
    pub(super) fn own(&self) -> &Known {
        &self.nodes[&self.own]
    }

    /// Whether both say the same of all nodes that `counts`.
    pub(super) fn agrees_with(&self, other: &View, counts: impl Fn(&str) -> bool) -> bool {
        let facts = |view: &View| -> Vec<_> {
            let counted = view.nodes.iter().filter(|(id, _)| counts(id));
            counted
                .map(|(id, node)| (id.clone(), node.master.clone(), node.slots.clone(), node.is_well))
                .collect()
        };
        facts(self) == facts(other)
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}
