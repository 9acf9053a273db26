//! The rooms and users that a client has joined.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap as HashMap;

/// The rooms and users that a client has joined, by their names without the prefix: `room:a`.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    joined: HashMap<Box<[u8]>, Joined>,
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
    /// Adds a member to a room or a user. Returns whether the member is new.
    pub(super) fn join(&mut self, name: &str, member: &Arc<str>) -> bool {
        let joined = self.joined.entry(name.as_bytes().into());
        let joined = joined.or_insert_with(|| Joined { name: name.into(), members: BTreeSet::new() });
        let is_new = joined.members.insert(member.clone());
        self.count += usize::from(is_new);
        is_new
    }

    /// Removes one member, or all. Returns how many have left, and whether nobody is left now; `None` where nobody
    /// has joined.
    pub(super) fn leave(&mut self, name: &str, member: Option<&str>) -> Option<(usize, bool)> {
        let joined = self.joined.get_mut(name.as_bytes())?;
        let left = match member {
            Some(member) => usize::from(joined.members.remove(member)),
            None => std::mem::take(&mut joined.members).len(),
        };
        self.count -= left;
        let is_empty = joined.members.is_empty();
        if is_empty {
            self.joined.remove(name.as_bytes());
        }
        Some((left, is_empty))
    }

    /// The members that have joined a room or a user here.
    pub(super) fn members(&self, name: &str) -> BTreeSet<Arc<str>> {
        self.joined.get(name.as_bytes()).map(|joined| joined.members.clone()).unwrap_or_default()
    }

    /// The number of memberships, all rooms and users together.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether all that have joined `name` here are among `except`.
    pub(super) fn leaves_out(&self, name: &[u8], except: &[String]) -> bool {
        let out = |member: &Arc<str>| except.iter().any(|name| **name == **member);
        !except.is_empty() && self.joined.get(name).is_some_and(|joined| joined.members.iter().all(out))
    }

    /// The room or user of this name, if it was joined.
    pub(super) fn name_of(&self, name: &[u8]) -> Option<&str> {
        self.joined.get(name).map(|joined| &*joined.name)
    }
}
