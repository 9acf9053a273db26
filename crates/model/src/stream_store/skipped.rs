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

/// The slices of a type that a group records at the most.
const MAX_SLICES: usize = 64;

const MINUTE: u64 = 60_000;

/// Entries of one type that a group has read past: all of that type from the first to the last, but for what it has handled
/// before. Slices do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slice {
    /// The minute in which the last of them was read past, since 1970 by the store's time.
    minute: u64,
    /// The first entry.
    first: EntryId,
    /// The last entry.
    last: EntryId,
    /// How many entries.
    count: u64,
    /// Whether they were added while the group had no living member.
    backlog: bool,
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
    /// So many of them are of a slice that began before `first`: they may be before it.
    pub unsure: u64,
}

/// What a group has read past of one type. `given_up` in its methods: the last entry that the group has given up of any type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedType {
    /// Oldest entries first.
    slices: Vec<Slice>,
}

impl SkippedType {
    /// Notes that an entry was read past at a time in Unix milliseconds.
    pub fn note(&mut self, id: EntryId, backlog: bool, given_up: EntryId, now_ms: u64) {
        let minute = now_ms / MINUTE;
        let at = self.slices.partition_point(|slice| slice.last < id);
        let (before, behind) = self.slices.split_at_mut(at);
        let slice = match behind.first_mut() {
            // Between them there may be what was given up.
            Some(slice) if id < slice.first && id <= given_up => None,
            Some(slice) => Some(slice),
            None => before.last_mut().filter(|slice| {
                slice.backlog == backlog && (backlog || slice.minute == minute) && slice.last > given_up
            }),
        };
        let Some(slice) = slice else {
            self.slices.insert(at, Slice { minute, first: id, last: id, count: 1, backlog });
            return self.unite();
        };
        slice.minute = slice.minute.max(minute);
        slice.first = slice.first.min(id);
        slice.last = slice.last.max(id);
        slice.count += 1;
        slice.backlog |= backlog;
    }

    /// Makes one of the two oldest slices where there are too many.
    fn unite(&mut self) {
        if self.slices.len() <= MAX_SLICES {
            return;
        }
        let Slice { minute, first, count, backlog, .. } = self.slices.remove(0);
        if let Some(slice) = self.slices.first_mut() {
            slice.minute = slice.minute.max(minute);
            slice.first = first;
            slice.count += count;
            slice.backlog |= backlog;
        }
    }

    /// Forgets what may not be taken up any more. Returns the last entry of that.
    pub fn prune(&mut self, now_ms: u64) -> Option<EntryId> {
        let is_kept = |slice: &Slice| {
            let age = if slice.backlog { BACKLOG_KEPT_FOR } else { KEPT_FOR };
            (slice.minute + 1).saturating_mul(MINUTE).saturating_add(age) > now_ms
        };
        let given_up = self.slices.iter().filter(|slice| !is_kept(slice)).map(|slice| slice.last).max();
        self.slices.retain(is_kept);
        given_up
    }

    /// Whether nothing may be taken up.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// How many entries may be taken up.
    pub fn count(&self) -> u64 {
        self.slices.iter().map(|slice| slice.count).sum()
    }

    /// What may be taken up behind a position, in stretches between which there may be what was given up.
    pub fn behind(&self, from: Position, given_up: EntryId) -> Vec<Rest> {
        let from = match from {
            Position::New => return Vec::new(),
            Position::Beginning => EntryId::MIN,
            Position::After(id) => id,
        };
        let mut rests: Vec<Rest> = Vec::new();
        for slice in self.slices.iter().filter(|slice| slice.last > from) {
            let unsure = if slice.first <= from { slice.count } else { 0 };
            match rests.last_mut().filter(|rest| rest.first > given_up) {
                Some(rest) => {
                    rest.last = slice.last;
                    rest.count += slice.count;
                }
                None => {
                    let first = slice.first.max(from.next());
                    rests.push(Rest { first, last: slice.last, count: slice.count, unsure });
                }
            }
        }
        rests
    }

    /// The first entry that may be taken up.
    pub fn first(&self) -> Option<EntryId> {
        self.slices.first().map(|slice| slice.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(rests: &[Rest]) -> Vec<(u64, u64, u64)> {
        rests.iter().map(|rest| (rest.first.ms, rest.last.ms, rest.count)).collect()
    }

    /// The record of a type, and the last entry that was given up.
    #[derive(Default)]
    struct Record(SkippedType, EntryId);

    impl Record {
        fn note(&mut self, ids: impl IntoIterator<Item = u64>, backlog: bool, now_ms: u64) {
            ids.into_iter().for_each(|n| self.0.note(EntryId::first_of(n), backlog, self.1, now_ms));
        }

        /// What is left, by its first and last entry and their number.
        fn left(&mut self, now_ms: u64) -> Vec<(u64, u64, u64)> {
            self.1 = self.1.max(self.0.prune(now_ms).unwrap_or(EntryId::MIN));
            ids(&self.0.behind(Position::Beginning, self.1))
        }
    }

    #[test]
    fn what_was_read_past_is_kept_for_ten_minutes_and_a_backlog_for_a_day() {
        let mut record = Record::default();
        record.note([7], true, 0);
        record.note([9], false, 10);
        record.note([8], false, 59_999);
        record.note([12], false, 60_000);
        assert_eq!(record.left(659_999), [(7, 12, 4)]);
        assert_eq!(record.left(660_000), [(7, 7, 1), (12, 12, 1)]);
        assert_eq!(record.left(720_000), [(7, 7, 1)]);
        assert_eq!(record.left(60_000 + BACKLOG_KEPT_FOR), []);
        assert!(record.0.is_empty());
    }

    #[test]
    fn what_comes_late_belongs_to_what_is_around_it() {
        let mut record = Record::default();
        record.note(10..20, false, 0);
        // Of another minute: several clients read at once. It keeps what it is among.
        record.note([5, 15], false, 60_000);
        record.note(20..30, false, 60_001);
        assert_eq!(record.left(719_999), [(5, 29, 22)]);
        assert_eq!(record.left(720_000), []);
        // A stretch has what was noted of it and nothing that was given up.
        record.note([3, 6, 25], false, 720_000);
        record.note(30..40, false, 720_000);
        assert_eq!(record.left(720_000), [(3, 3, 1), (6, 6, 1), (25, 25, 1), (30, 39, 10)]);
    }

    #[test]
    fn very_many_stretches_are_united() {
        let mut record = Record(SkippedType::default(), EntryId::first_of(10_000));
        record.note((0..1_000).map(|n| 2 * n), false, 0);
        let left = record.left(0);
        assert_eq!((left.len(), left[0], left[1]), (64, (0, 1_872, 937), (1_874, 1_874, 1)));
    }

    #[test]
    fn behind_a_position_a_slice_counts_as_a_whole() {
        let id = EntryId::first_of;
        let mut record = Record::default();
        record.note([3, 4, 5], false, 0);
        record.note([6, 9], false, 60_000);
        let behind = |from| record.0.behind(from, EntryId::MIN);
        let rest = |first, count, unsure| [Rest { first, last: id(9), count, unsure }];
        assert_eq!(behind(Position::Beginning), rest(id(3), 5, 0));
        assert_eq!(behind(Position::After(id(2))), rest(id(3), 5, 0));
        assert_eq!(behind(Position::After(id(3))), rest(id(3).next(), 5, 3));
        assert_eq!(behind(Position::After(id(5))), rest(id(6), 2, 0));
        assert_eq!(behind(Position::After(id(9))), []);
        assert_eq!(behind(Position::New), []);
    }
}
