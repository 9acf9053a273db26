//! What the server is asked for: `SUBSCRIBE` and `PSUBSCRIBE`.

use std::sync::Arc;

use crate::routing::pattern;

/// What the server is asked for: a channel by name, or by pattern. Names include the channel prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerSubscription {
    /// `SUBSCRIBE name`.
    Channel(Arc<[u8]>),
    /// `PSUBSCRIBE name`.
    Pattern(Arc<[u8]>),
}

impl ServerSubscription {
    /// What brings the messages on all channels under a prefix that a pattern matches.
    pub fn under(prefix: &str, pattern_text: &str) -> ServerSubscription {
        if pattern::is_glob(pattern_text.as_bytes()) {
            let glob = format!("{}{pattern_text}", pattern::escape(prefix));
            ServerSubscription::Pattern(glob.into_bytes().into())
        } else {
            ServerSubscription::Channel(format!("{prefix}{pattern_text}").into_bytes().into())
        }
    }

    /// The name as sent.
    pub fn name(&self) -> &[u8] {
        match self {
            ServerSubscription::Channel(name) | ServerSubscription::Pattern(name) => name,
        }
    }

    /// Whether the server sends messages of `channel` for it.
    pub fn matches(&self, channel: &[u8]) -> bool {
        match self {
            ServerSubscription::Channel(name) => **name == *channel,
            ServerSubscription::Pattern(name) => pattern::matches(name, channel),
        }
    }
}

/// A [`ServerSubscription`] that borrows its name, as it comes with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerSubscriptionRef<'a> {
    /// The message came for `SUBSCRIBE name`.
    Channel(&'a [u8]),
    /// The message came for `PSUBSCRIBE name`.
    Pattern(&'a [u8]),
}

impl<'a> From<&'a ServerSubscription> for ServerSubscriptionRef<'a> {
    fn from(server_subscription: &'a ServerSubscription) -> Self {
        match server_subscription {
            ServerSubscription::Channel(name) => ServerSubscriptionRef::Channel(name),
            ServerSubscription::Pattern(name) => ServerSubscriptionRef::Pattern(name),
        }
    }
}
