//! The rooms and users that a client has joined.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap as HashMap;

/// The rooms and users that a client has joined, by their channels.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    joined: HashMap<Arc<[u8]>, Joined>,
    /// The number of memberships, all rooms and users together. It is kept, as it is asked for at every join.
    count: usize,
}

/// A room or a user that was joined.
#[derive(Debug)]
struct Joined {
    /// The name without the prefix: `room:a`.
    name: Box<str>,
    /// The members that have joined it here, one at least.
    members: BTreeSet<Arc<str>>,
}

impl Memberships {
    /// Adds a member to the room or user `name` of `channel`. Returns whether the member is new.
    pub(super) fn join(&mut self, channel: &Arc<[u8]>, name: &str, member: &Arc<str>) -> bool {
        let joined = self.joined.entry(channel.clone());
        let joined = joined.or_insert_with(|| Joined { name: name.into(), members: BTreeSet::new() });
        let is_new = joined.members.insert(member.clone());
        self.count += usize::from(is_new);
        is_new
    }

    /// Removes one member, or all. Returns how many have left, and whether nobody is left now; `None` where nobody
    /// has joined.
    pub(super) fn leave(&mut self, channel: &[u8], member: Option<&str>) -> Option<(usize, bool)> {
        let joined = self.joined.get_mut(channel)?;
        let left = match member {
            Some(member) => usize::from(joined.members.remove(member)),
            None => std::mem::take(&mut joined.members).len(),
        };
        self.count -= left;
        let is_empty = joined.members.is_empty();
        if is_empty {
            self.joined.remove(channel);
        }
        Some((left, is_empty))
    }

    /// The members that have joined a channel here.
    pub(super) fn members(&self, channel: &[u8]) -> BTreeSet<Arc<str>> {
        self.joined.get(channel).map(|joined| joined.members.clone()).unwrap_or_default()
    }

    /// The number of memberships, all rooms and users together.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether all that have joined `channel` here are among `except`.
    pub(super) fn leaves_out(&self, channel: &[u8], except: &[String]) -> bool {
        let out = |member: &Arc<str>| except.iter().any(|name| **name == **member);
        !except.is_empty() && self.joined.get(channel).is_some_and(|joined| joined.members.iter().all(out))
    }

    /// The room or user that was joined by `channel`, without the prefix.
    pub(super) fn name_of(&self, channel: &[u8]) -> Option<&str> {
        self.joined.get(channel).map(|joined| &*joined.name)
    }
}
