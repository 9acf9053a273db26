//! What a group has read past, because no pattern of it took the type: see `docs/design/group-facts.md`.

use super::{EntryId, Position};

/// For how many milliseconds of the store's time an entry may still be taken up after a group has read past it. The time
/// of a slice is rounded down to the minute, so it may be a minute more.
pub const KEPT_FOR: u64 = 10 * MINUTE;

/// The same for entries that were added while the group had no living member.
pub const BACKLOG_KEPT_FOR: u64 = 24 * 60 * MINUTE;

/// The types that a group records at the most. Entries of further types are given up at once.
pub const MAX_TYPES: usize = 256;

/// The pending entries that a task leaves out at the most.
pub const MAX_LEFT_OUT: usize = 1_000;

/// For how many milliseconds a client that is told of a loss may say that it has told it. Then another may be told.
pub const TOLD_WITHIN: u64 = 5 * MINUTE;

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

/// What a task is to take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Nothing before this entry is taken up.
    pub first: EntryId,
    /// The last entry.
    pub last: EntryId,
    /// How many entries, at the most.
    pub count: u64,
    /// So many of them are of slices that began before `first`: they may be before it.
    pub unsure: u64,
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

    /// What may be taken up behind a position; `None` where nothing may.
    pub fn behind(&self, from: Position) -> Option<Rest> {
        let from = match from {
            Position::New => return None,
            Position::Beginning => EntryId::MIN,
            Position::After(id) => id,
        };
        let slices = || self.slices.iter().filter(|slice| slice.last > from);
        let first = slices().map(|slice| slice.first).min()?.max(from.next());
        let last = slices().map(|slice| slice.last).max()?;
        let unsure = slices().filter(|slice| slice.first <= from).map(|slice| slice.count).sum();
        Some(Rest { first, last, count: slices().map(|slice| slice.count).sum(), unsure })
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

    #[test]
    fn behind_a_position_a_slice_counts_as_a_whole() {
        let id = EntryId::first_of;
        let mut skipped = SkippedType::default();
        [3, 4, 5].into_iter().for_each(|n| skipped.note(id(n), false, 0));
        [6, 9].into_iter().for_each(|n| skipped.note(id(n), false, 60_000));
        let rest = |first, count, unsure| Some(Rest { first, last: id(9), count, unsure });
        assert_eq!(skipped.behind(Position::Beginning), rest(id(3), 5, 0));
        assert_eq!(skipped.behind(Position::After(id(2))), rest(id(3), 5, 0));
        assert_eq!(skipped.behind(Position::After(id(3))), rest(id(3).next(), 5, 3));
        assert_eq!(skipped.behind(Position::After(id(5))), rest(id(6), 2, 0));
        assert_eq!(skipped.behind(Position::After(id(9))), None);
        assert_eq!(skipped.behind(Position::New), None);
    }
}
