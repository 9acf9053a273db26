//! Messages that are not events: counted, and some of them logged.

use std::hash::{BuildHasher, RandomState};

use oxbus_model::codec::decoded::Foreign;
use oxbus_model::routing::router::ServerSubscriptionRef;
use tracing::{Level, debug, enabled};

use crate::runtime::line_limit::LineLimit;

/// Lines in a second, at the most.
const LINES_PER_SECOND: u32 = 10;
/// Bytes of a channel that a line shows, at the most.
const SHOWN: usize = 256;

/// What has come that is not an event.
///
/// The server sends a message once for each server subscription that matches its channel, the copies one right behind the
/// other. They are one message, and count once.
#[derive(Debug)]
pub(crate) struct ForeignMessages {
    hasher: RandomState,
    /// The last message, as a hash of its channel and payload: a message may be long, and nobody needs it any more.
    last: Option<u64>,
    /// The server subscriptions that a copy of it came for, as hashes. One that comes twice brings another message.
    came_for: Vec<u64>,
    /// Messages that were not reported yet.
    count: u64,
    lines: Vec<(String, Foreign)>,
    limit: LineLimit,
}

impl Default for ForeignMessages {
    fn default() -> Self {
        ForeignMessages {
            hasher: RandomState::new(),
            last: None,
            came_for: Vec::new(),
            count: 0,
            lines: Vec::new(),
            limit: LineLimit::per_second(LINES_PER_SECOND),
        }
    }
}

impl ForeignMessages {
    /// A message has come that is not an event, for the given reason.
    pub(super) fn came(
        &mut self,
        server_subscription: ServerSubscriptionRef<'_>,
        channel: &[u8],
        payload: &[u8],
        reason: Foreign,
    ) {
        let message = self.hasher.hash_one((channel, payload));
        let copy = self.hasher.hash_one(server_subscription);
        if self.last == Some(message) && !self.came_for.contains(&copy) {
            return self.came_for.push(copy);
        }
        self.last = Some(message);
        self.came_for.clear();
        self.came_for.push(copy);
        self.count += 1;
        if !enabled!(Level::DEBUG) {
            return;
        }
        if self.lines.len() < LINES_PER_SECOND as usize {
            let shown = &channel[..channel.len().min(SHOWN)];
            self.lines.push((String::from_utf8_lossy(shown).into_owned(), reason));
        } else {
            self.limit.leave_out(1);
        }
    }

    /// Returns how many have come since the last report, and logs some of them. No lock may be held.
    pub(super) fn report(&mut self, now_ms: u64) -> u64 {
        for (channel, reason) in self.lines.drain(..) {
            let Some(left_out) = self.limit.admit(now_ms) else { continue };
            if left_out > 0 {
                debug!(count = left_out, "more messages were not events");
            }
            debug!(channel, reason = reason.reason(), "a message is not an event");
        }
        std::mem::take(&mut self.count)
    }

    /// Whether there is something to report.
    pub(super) fn has_news(&self) -> bool {
        self.count > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: ServerSubscriptionRef<'_> = ServerSubscriptionRef::Channel(b"p:x");
    const ALL: ServerSubscriptionRef<'_> = ServerSubscriptionRef::Pattern(b"p:*");
    const SOME: ServerSubscriptionRef<'_> = ServerSubscriptionRef::Pattern(b"p:x*");

    fn came(foreign: &mut ForeignMessages, copies: &[(ServerSubscriptionRef<'_>, &str)]) -> u64 {
        for (server_subscription, payload) in copies {
            foreign.came(*server_subscription, b"p:x", payload.as_bytes(), Foreign::NotObject);
        }
        foreign.report(0)
    }

    #[test]
    fn copies_for_several_server_subscriptions_are_one_message() {
        let mut foreign = ForeignMessages::default();
        assert_eq!(came(&mut foreign, &[(CHANNEL, "a"), (ALL, "a"), (SOME, "a")]), 1);
        let twice = [(CHANNEL, "a"), (ALL, "a"), (CHANNEL, "a"), (ALL, "a")];
        assert_eq!(came(&mut foreign, &twice), 2, "the same text twice is two messages");
        assert_eq!(came(&mut foreign, &[(ALL, "b"), (ALL, "b"), (ALL, "c")]), 3);
        assert_eq!(came(&mut foreign, &[(SOME, "c")]), 0, "the copies of a message may come in two reads");
        foreign.came(SOME, b"p:xy", b"c", Foreign::NoType);
        assert!(foreign.has_news());
        assert_eq!(foreign.report(0), 1, "another channel, another message");
        assert!(!foreign.has_news());
    }
}
