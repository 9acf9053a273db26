//! When the facts of a group are synchronized with the store.

use crate::stream_store::EntryId;

/// Between two heartbeats while there is something to tell, in milliseconds. So often, too, a consumer says that it lives
/// while its client start cannot say so for all.
const INTERVAL: u64 = 1_000;
/// The same while nothing happens: the store forgets what it has not heard for an hour.
const QUIET_INTERVAL: u64 = 300_000;
/// Between two heartbeats while another process has the consumer's name.
const INTERVAL_WITHOUT_NAME: u64 = 500;
/// Between heartbeats that are sent because an entry waits for one.
const PAUSE: u64 = 20;

/// The heartbeats of a consumer. Each tells the store which patterns the subscriptions have, so a subscription is
/// established once a heartbeat that was sent after it was added is answered.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// When one is to go though it would not be time yet.
    hurry_at: u64,
    in_flight: bool,
    /// Whether entries have come or gone since the last one was sent.
    changed: bool,
    name_lost: bool,
    /// The version of the subscriptions: the present one, the one sent last, the one answered last.
    wanted: u32,
    sent: u32,
    answered: u32,
    /// When the last one was sent, and the low-water mark that it told.
    last_at: u64,
    mark: Option<EntryId>,
    /// When the last one was sent that the store took.
    taken_at: u64,
}

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Heartbeat {
            hurry_at: 0,
            in_flight: false,
            changed: false,
            name_lost: false,
            wanted: 1,
            sent: 0,
            answered: 0,
            last_at: 0,
            mark: None,
            taken_at: 0,
        }
    }

    /// A subscription was added. Returns the version that must be answered before it is established.
    pub(crate) fn subscription_added(&mut self) -> u32 {
        self.wanted = self.wanted.wrapping_add(1);
        self.hurry();
        self.wanted
    }

    /// The next heartbeat goes as soon as possible.
    pub(crate) fn hurry(&mut self) {
        self.hurry_at = 0;
    }

    /// The next heartbeat goes soon, as an entry waits for it.
    pub(crate) fn hurry_for_entry(&mut self, now: u64) {
        self.hurry_at = self.hurry_at.min(now.max(self.last_at.saturating_add(PAUSE)));
    }

    /// Entries have come or gone: where the group stands is to be told.
    #[inline]
    pub(crate) fn entries_changed(&mut self) {
        self.changed = true;
    }

    /// Whether one goes now. `is_shown`: the others see that this client start lives.
    pub(crate) fn is_due(&self, is_shown: bool, now: u64) -> bool {
        self.due(is_shown).is_some_and(|at| now >= at)
    }

    /// A heartbeat goes.
    pub(crate) fn sent(&mut self, name_lost: bool, mark: Option<EntryId>, now: u64) {
        self.in_flight = true;
        self.changed = false;
        self.hurry_at = u64::MAX;
        self.name_lost = name_lost;
        self.last_at = now;
        self.sent = self.wanted;
        self.mark = mark;
    }

    /// When the last one was sent.
    pub(crate) fn sent_at(&self) -> u64 {
        self.last_at
    }

    /// A heartbeat was answered, however.
    pub(crate) fn ended(&mut self) {
        self.in_flight = false;
    }

    /// A heartbeat failed.
    pub(crate) fn failed(&mut self) {
        self.changed = true;
    }

    /// The answer was that another process has the consumer's name.
    pub(crate) fn name_lost(&mut self) {
        self.name_lost = true;
    }

    /// The store has heard of the subscriptions that there were when the heartbeat was sent. `mark` is the low-water mark
    /// by what it has answered.
    pub(crate) fn succeeded(&mut self, mark: Option<EntryId>) {
        self.name_lost = false;
        self.changed |= mark != self.mark;
        self.answered = self.sent;
        self.taken_at = self.last_at;
        if self.sent != self.wanted {
            self.hurry();
        }
    }

    /// Whether a heartbeat shows that the consumer lives, for so many milliseconds after it was sent.
    pub(crate) fn shows(&self, alive: u64, now: u64) -> bool {
        now < self.taken_at.saturating_add(alive)
    }

    /// Whether that version of the subscriptions was sent.
    pub(crate) fn has_sent(&self, version: u32) -> bool {
        self.sent >= version
    }

    /// Whether the store has heard of that version of the subscriptions.
    pub(crate) fn has_told(&self, version: u32) -> bool {
        self.answered >= version
    }

    /// When the next heartbeat goes, unless one is on its way.
    pub(crate) fn due(&self, is_shown: bool) -> Option<u64> {
        let interval = match (self.name_lost, self.changed || !is_shown) {
            (true, _) => INTERVAL_WITHOUT_NAME,
            (false, true) => INTERVAL,
            (false, false) => QUIET_INTERVAL,
        };
        (!self.in_flight).then_some(self.hurry_at.min(self.last_at.saturating_add(interval)))
    }
}
