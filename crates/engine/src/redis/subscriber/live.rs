//! What of a subscriber is about live events, and not about entries that others hand back.

use oxbus_model::routing::router::ServerSubscription;

use crate::redis::subscriber::Subscriber;
use crate::transport::events::ContinuityChange;
use crate::transport::link_id::LinkId;

impl Subscriber {
    /// What is wanted for events.
    pub(super) fn events_wanted(&self) -> impl Iterator<Item = &ServerSubscription> {
        self.wanted.wanted_names().filter(|name| **name != self.hand_backs)
    }

    /// Reports a change of what is complete, unless live events come on other links.
    pub(super) fn continuity(&self, change: ContinuityChange<'_>) {
        if self.id != LinkId::HandBacks {
            self.context.events.continuity(change);
        }
    }
}
