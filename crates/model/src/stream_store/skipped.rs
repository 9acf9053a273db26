//! What a group has read past, because no pattern of it took the type: see `docs/design/group-facts.md`.

use super::EntryId;

/// For how many milliseconds of the store's time an entry may still be taken up after a group has read past it. The time
/// of a slice is rounded down to the minute, so it may be a minute more.
pub const KEPT_FOR: u64 = 10 * MINUTE;

/// The same for entries that were added while the group had no living member.
pub const BACKLOG_KEPT_FOR: u64 = 24 * 60 * MINUTE;

/// The types that a group records at the most. Entries of further types are given up at once.
pub const MAX_TYPES: usize = 256;

/// The pending entries that a task leaves out at the most.
pub const MAX_LEFT_OUT: usize = 1_000;

const MINUTE: u64 = 60_000;

/// Entries of one type that a group has read past within one minute; or all of its backlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The minute in which the last of them was read past, since 1970 by the store's time.
    pub minute: u64,
    /// The first and the last entry.
    pub first: EntryId,
    /// The last entry.
    pub last: EntryId,
    /// How many entries.
    pub count: u64,
    /// Whether they were added while the group had no living member.
    pub backlog: bool,
}

/// What a group has read past of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedType {
    slices: Vec<Slice>,
}

impl SkippedType {
    /// Notes that an entry was read past at a time in Unix milliseconds.
    pub fn note(&mut self, id: EntryId, backlog: bool, now_ms: u64) {
        let minute = now_ms / MINUTE;
        let same = |slice: &&mut Slice| slice.backlog == backlog && (backlog || slice.minute == minute);
        match self.slices.iter_mut().find(same) {
            Some(slice) => {
                slice.minute = minute;
                slice.first = slice.first.min(id);
                slice.last = slice.last.max(id);
                slice.count += 1;
            }
            None => self.slices.push(Slice { minute, first: id, last: id, count: 1, backlog }),
        }
    }

    /// Forgets what may not be taken up any more. Returns whether anything is left.
    pub fn prune(&mut self, now_ms: u64) -> bool {
        let kept = |slice: &Slice| {
            let age = if slice.backlog { BACKLOG_KEPT_FOR } else { KEPT_FOR };
            (slice.minute + 1).saturating_mul(MINUTE).saturating_add(age) > now_ms
        };
        self.slices.retain(kept);
        !self.slices.is_empty()
    }

    /// How many entries may be taken up.
    pub fn count(&self) -> u64 {
        self.slices.iter().map(|slice| slice.count).sum()
    }

    /// The first and the last entry that may be taken up.
    pub fn range(&self) -> Option<(EntryId, EntryId)> {
        let first = self.slices.iter().map(|slice| slice.first).min()?;
        Some((first, self.slices.iter().map(|slice| slice.last).max()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_past_is_kept_for_ten_minutes_and_a_backlog_for_a_day() {
        let id = EntryId::first_of;
        let mut skipped = SkippedType::default();
        skipped.note(id(7), true, 0);
        skipped.note(id(9), false, 10);
        skipped.note(id(8), false, 59_999);
        skipped.note(id(12), false, 60_000);
        assert_eq!((skipped.count(), skipped.range()), (4, Some((id(7), id(12)))));
        assert!(skipped.prune(659_999));
        assert_eq!(skipped.count(), 4);
        assert!(skipped.prune(660_000));
        assert_eq!((skipped.count(), skipped.range()), (2, Some((id(7), id(12)))));
        assert!(skipped.prune(720_000));
        assert_eq!((skipped.count(), skipped.range()), (1, Some((id(7), id(7)))));
        assert!(!skipped.prune(60_000 + BACKLOG_KEPT_FOR));
        assert_eq!(skipped.range(), None);
    }
}
