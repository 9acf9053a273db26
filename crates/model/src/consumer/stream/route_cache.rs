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
    /// The type that came last, and its route: most events have the type of the one before, which then is compared and not hashed.
    last_type: String,
    last: Option<Route>,
}

impl RouteCache {
    /// The route of a type: remembered, else found by `find`.
    pub(crate) fn get_or_find(&mut self, event_type: &str, find: impl FnOnce() -> Route) -> Route {
        if let Some(route) = self.last.as_ref().filter(|_| self.last_type == event_type) {
            return route.clone();
        }
        let route = match self.by_type.get(event_type) {
            Some(route) => route.clone(),
            None => self.remember(event_type, find()),
        };
        self.last_type.clear();
        self.last_type.push_str(event_type);
        self.last = Some(route.clone());
        route
    }

    fn remember(&mut self, event_type: &str, route: Route) -> Route {
        if self.by_type.len() >= MAX_TYPES {
            self.by_type.clear();
        }
        self.by_type.insert(event_type.into(), route.clone());
        route
    }

    pub(crate) fn clear(&mut self) {
        self.by_type.clear();
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_looked_for_once_until_the_routes_are_forgotten() {
        let mut cache = RouteCache::default();
        let mut found = Vec::new();
        let mut route = |cache: &mut RouteCache, event_type: &str, type_number| {
            let find = || {
                found.push(type_number);
                Route { type_number, ..Route::default() }
            };
            cache.get_or_find(event_type, find).type_number
        };
        assert_eq!([1, 2, 3].map(|number| route(&mut cache, "a", number)), [1, 1, 1]);
        assert_eq!((route(&mut cache, "b", 4), route(&mut cache, "a", 5)), (4, 1));
        cache.clear();
        assert_eq!((route(&mut cache, "a", 6), route(&mut cache, "a", 7)), (6, 6));
        assert_eq!(found, [1, 4, 6]);
    }
}
