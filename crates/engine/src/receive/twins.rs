//! Events that are published on several channels, or in several wires, and come once for each.

use oxbus_model::routing::router::Route;

use super::recent_ids::RecentIds;

/// The events that came lately, for each subscription.
#[derive(Debug, Default)]
pub(crate) struct Twins(RecentIds);

impl Twins {
    /// Takes away the routes from `from` on to subscriptions that have had the event.
    pub(crate) fn keep_first(&mut self, id: &str, routes: &mut Vec<Route>, from: usize, now_ms: u64) {
        let mut kept = from;
        for index in from..routes.len() {
            if self.0.insert((id, routes[index].subscription), now_ms) {
                routes.swap(kept, index);
                kept += 1;
            }
        }
        routes.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subscription_keeps_the_first() {
        let mut twins = Twins::default();
        let route = |subscription| Route { subscription, pattern: 0 };
        let mut routes = vec![route(1), route(2), route(1)];
        twins.keep_first("a", &mut routes, 1, 0);
        assert_eq!(routes, [route(1), route(2), route(1)], "those before are not looked at");
        let mut routes = vec![route(1), route(3), route(2)];
        twins.keep_first("a", &mut routes, 0, 0);
        assert_eq!(routes, [route(3)]);
    }
}
