//! When a consumer tells the store that it lives.

/// Between two heartbeats, in milliseconds.
const INTERVAL: u64 = 1000;
/// Between two heartbeats while another process has the consumer's name.
const INTERVAL_WITHOUT_NAME: u64 = 500;
/// Between heartbeats that are sent because an entry waits for one.
const PAUSE: u64 = 20;

/// The heartbeats of a consumer. Each tells the store which patterns the subscriptions have, so a subscription is
/// established once a heartbeat that was sent after it was added is answered.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    at: u64,
    in_flight: bool,
    /// The version of the subscriptions: the present one, the one sent last, the one answered last.
    wanted: u32,
    sent: u32,
    answered: u32,
    /// When the last one was sent.
    last_at: u64,
}

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Heartbeat { at: 0, in_flight: false, wanted: 1, sent: 0, answered: 0, last_at: 0 }
    }

    /// A subscription was added. Returns the version that must be answered before it is established.
    pub(crate) fn subscription_added(&mut self) -> u32 {
        self.wanted = self.wanted.wrapping_add(1);
        self.hurry();
        self.wanted
    }

    /// The next heartbeat goes as soon as possible.
    pub(crate) fn hurry(&mut self) {
        self.at = 0;
    }

    /// The next heartbeat goes soon, as an entry waits for it.
    pub(crate) fn hurry_for_entry(&mut self, now: u64) {
        self.at = self.at.min(now.max(self.last_at.saturating_add(PAUSE)));
    }

    pub(crate) fn is_due(&self, now: u64) -> bool {
        !self.in_flight && now >= self.at
    }

    /// A heartbeat goes.
    pub(crate) fn sent(&mut self, name_lost: bool, now: u64) {
        self.in_flight = true;
        self.last_at = now;
        self.sent = self.wanted;
        self.at = now + if name_lost { INTERVAL_WITHOUT_NAME } else { INTERVAL };
    }

    /// A heartbeat was answered, however.
    pub(crate) fn ended(&mut self) {
        self.in_flight = false;
    }

    /// The answer was that another process has the consumer's name.
    pub(crate) fn name_lost(&mut self, now: u64) {
        self.at = self.at.min(now + INTERVAL_WITHOUT_NAME);
    }

    /// The store has heard of the subscriptions that there were when the heartbeat was sent.
    pub(crate) fn succeeded(&mut self) {
        self.answered = self.sent;
        if self.sent != self.wanted {
            self.hurry();
        }
    }

    /// Whether the store has heard of that version of the subscriptions.
    pub(crate) fn has_told(&self, version: u32) -> bool {
        self.answered >= version
    }

    /// When the next heartbeat goes, unless one is on its way.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.in_flight).then_some(self.at)
    }
}
