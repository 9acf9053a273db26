//! Which subscriptions take events of a type, remembered for each stream.

use std::collections::HashMap;
use std::sync::Arc;

/// Types whose subscriptions are remembered.
const MAX_TYPES: usize = 4096;

/// Which subscriptions take events of a type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// Subscriptions, each with the index of its pattern.
    pub(crate) takers: Arc<[(u32, u32)]>,
    /// Whether some client of the group wants them.
    pub(crate) wanted: bool,
    /// The number of the type, for what is counted by it.
    pub(crate) type_number: u16,
}

/// The routes of the types that were seen.
#[derive(Debug, Default)]
pub(crate) struct RouteCache {
    /// Types come from publishers, so the table is one that they cannot flood with collisions.
    by_type: HashMap<Box<str>, Route>,
}

impl RouteCache {
    /// The route of a type: remembered, else found by `find`.
    pub(crate) fn get_or_find(&mut self, event_type: &str, find: impl FnOnce() -> Route) -> Route {
        if let Some(route) = self.by_type.get(event_type) {
            return route.clone();
        }
        let route = find();
        if self.by_type.len() >= MAX_TYPES {
            self.by_type.clear();
        }
        self.by_type.insert(event_type.into(), route.clone());
        route
    }

    pub(crate) fn clear(&mut self) {
        self.by_type.clear();
    }
}
