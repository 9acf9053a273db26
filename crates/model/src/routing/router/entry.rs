//! One pattern of a subscription.

use crate::routing::channel::Audience;
use crate::routing::pattern;
use crate::routing::server_subscription::{ServerSubscription, ServerSubscriptionRef};

/// One pattern of a subscription, and the server subscriptions that feed it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) pattern: Box<str>,
    /// Under the first prefix of the bus.
    pub(super) server_subscription: ServerSubscription,
    /// Under the others, in their order.
    pub(super) others: Box<[ServerSubscription]>,
    pub(super) by_channel: bool,
    /// Whether rules say which server subscriptions bring its events: it is none of those then.
    pub(super) by_rule: bool,
}

impl Entry {
    /// Whether it takes messages of such a channel, where it matches.
    pub(super) fn takes(&self, audience: Option<Audience<'_>>) -> bool {
        self.by_channel || (!self.by_rule && matches!(audience, Some(Audience::Type(_))))
    }

    /// All server subscriptions of its pattern, one for each prefix of the bus.
    pub(super) fn server_subscriptions(&self) -> impl Iterator<Item = &ServerSubscription> {
        std::iter::once(&self.server_subscription).chain(&self.others)
    }

    /// Whether its pattern matches a channel under the prefix of this index.
    pub(super) fn matches(&self, under: usize, channel: &[u8]) -> bool {
        self.under(under).is_some_and(|needed| needed.matches(channel))
    }

    /// The server subscription under the prefix of this index.
    fn under(&self, under: usize) -> Option<&ServerSubscription> {
        if under == 0 { Some(&self.server_subscription) } else { self.others.get(under - 1) }
    }

    /// Whether it is by type, and for events of this type.
    pub(super) fn hears(&self, event_type: &str) -> bool {
        !self.by_channel && pattern::matches(self.pattern.as_bytes(), event_type.as_bytes())
    }

    /// Whether the pattern at `index` is the one through which its subscription takes messages of `channel`, which is under the
    /// prefix `under` and came for a server subscription: the first, in its own order, that the server feeds with them.
    pub(super) fn is_first_match(
        entries: &[Entry],
        (channel, under): (&[u8], usize),
        audience: Option<Audience<'_>>,
        index: u32,
        server_subscription: ServerSubscriptionRef<'_>,
    ) -> bool {
        let Ok(index) = usize::try_from(index) else { return false };
        // Where there are several, a pattern under one of them may match channels of another.
        let is_under = |e: &Entry| {
            e.others.is_empty()
                || e.under(under).map(ServerSubscriptionRef::from) == Some(server_subscription)
        };
        entries.get(index).is_some_and(|e| e.takes(audience) && is_under(e))
            && !entries[..index].iter().any(|e| e.takes(audience) && e.matches(under, channel))
    }
}
