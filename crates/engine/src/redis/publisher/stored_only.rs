//! Events that were stored, but for which the rest was not done.

use crate::host::Notice;

/// How often it is told that stored events were not published, in milliseconds.
const INTERVAL: u64 = 1_000;

/// Counts events that were stored, but not published live or not kept, or whose stream could not be trimmed to its cap, and
/// tells of them now and then.
#[derive(Default)]
pub(in crate::redis) struct StoredOnly {
    count: u64,
    last: String,
    /// Nothing is told before.
    not_before: u64,
    /// Whether the event that was last to be added by a command of its own is stored.
    pub(in crate::redis) last_entry_is_stored: bool,
}

impl StoredOnly {
    /// Another one, and why.
    pub(in crate::redis) fn add(&mut self, why: &str) {
        self.count += 1;
        if self.last != why {
            self.last = why.to_owned();
        }
    }

    /// What was to follow the last event that was added by a command of its own has failed. Where that was not stored
    /// either, its own error says why.
    pub(in crate::redis) fn add_behind_entry(&mut self, why: &str) {
        if self.last_entry_is_stored {
            self.add(why);
        }
    }

    /// When [`StoredOnly::warning`] has something to tell; `u64::MAX` for never.
    pub(in crate::redis) fn due(&self) -> u64 {
        if self.count > 0 { self.not_before } else { u64::MAX }
    }

    /// The warning that is due, if one is.
    pub(in crate::redis) fn warning(&mut self, now: u64) -> Option<Notice> {
        if now < self.due() {
            return None;
        }
        self.not_before = now + INTERVAL;
        let (count, last) = (std::mem::take(&mut self.count), &self.last);
        let message = format!("{count} events were stored, but not all that was to follow was done: {last}");
        Some(Notice::Warning { code: "STORED_ONLY", message })
    }
}
