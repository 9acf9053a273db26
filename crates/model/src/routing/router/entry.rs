//! One pattern of a subscription.

use crate::routing::channel::Audience;
use crate::routing::pattern;
use crate::routing::server_subscription::ServerSubscription;

/// One pattern of a subscription, and the server subscription that feeds it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) pattern: Box<str>,
    pub(super) server_subscription: ServerSubscription,
    pub(super) by_channel: bool,
    /// Whether rules say which server subscriptions bring its events: it is none of those then.
    pub(super) by_rule: bool,
}

impl Entry {
    /// Whether it takes messages of such a channel, where it matches.
    pub(super) fn takes(&self, audience: Option<Audience<'_>>) -> bool {
        self.by_channel || (!self.by_rule && matches!(audience, Some(Audience::Type(_))))
    }

    /// Whether it is by type, and for events of this type.
    pub(super) fn hears(&self, event_type: &str) -> bool {
        !self.by_channel && pattern::matches(self.pattern.as_bytes(), event_type.as_bytes())
    }

    /// Whether the pattern at `index` is the one through which its subscription takes messages of `channel`:
    /// the first, in its own order, that the server feeds with them.
    pub(super) fn is_first_match(
        entries: &[Entry],
        channel: &[u8],
        audience: Option<Audience<'_>>,
        index: u32,
    ) -> bool {
        let Ok(index) = usize::try_from(index) else { return false };
        entries.get(index).is_some_and(|e| e.takes(audience))
            && !entries[..index].iter().any(|e| e.takes(audience) && e.server_subscription.matches(channel))
    }
}
