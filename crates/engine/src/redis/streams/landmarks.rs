//! Entries of a stream that were read, which are asked for now and then: while one is there, what was read behind it is
//! there too, as streams are trimmed from their begin.

use std::collections::VecDeque;

use oxbus_model::consumer::Read;
use oxbus_model::stream_store::EntryId;

/// Of every so many read entries one is remembered, and how many are.
const EVERY: u64 = 1_000;
const MANY: usize = 21;

/// What is remembered of the entries that were read of a stream.
#[derive(Debug, Default)]
pub(super) struct Landmarks {
    /// How many entries were read.
    read: u64,
    /// Some of them, oldest first: the last of a read, and how many had been read up to it.
    marks: VecDeque<(EntryId, u64)>,
}

impl Landmarks {
    /// So many entries were read, the last of them is `last`.
    pub(super) fn read(&mut self, count: u64, last: EntryId) {
        if self.marks.back().is_some_and(|(id, _)| last <= *id) {
            // The group was set back: nothing is known to be in front of it.
            self.marks.clear();
        }
        self.read += count;
        if self.marks.back().is_none_or(|(_, read)| self.read - read >= EVERY) {
            self.marks.push_back((last, self.read));
        }
        if self.marks.len() > MANY {
            self.marks.pop_front();
        }
    }

    /// The oldest that is remembered, and how many entries were read behind it.
    pub(super) fn oldest(&self) -> Option<(EntryId, u64)> {
        self.marks.front().map(|(id, read)| (*id, self.read - read))
    }

    /// The oldest is gone.
    pub(super) fn forget_oldest(&mut self) {
        self.marks.pop_front();
    }
}

/// A read that waits until it is known whether landmarks are there.
pub(super) struct Asking {
    pub(super) read: Read,
    /// How many answers are to come.
    left: usize,
    /// How many entries were read behind each of them at least; `None` when one is gone.
    pub(super) margin: Option<u64>,
    /// When they were asked for.
    pub(super) sent: u64,
}

impl Asking {
    /// The landmarks are asked for, each with how many entries were read behind it.
    pub(super) fn new(read: Read, marks: &[(EntryId, u64)], sent: u64) -> Self {
        Asking { read, left: marks.len(), margin: marks.iter().map(|(_, behind)| *behind).min(), sent }
    }

    /// One of them is there, or is not. Returns whether all are answered.
    pub(super) fn is_answered(&mut self, is_there: bool) -> bool {
        self.left = self.left.saturating_sub(1);
        self.margin = self.margin.filter(|_| is_there);
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_many_read_entries_are_remembered() {
        let mut landmarks = Landmarks::default();
        assert_eq!(landmarks.oldest(), None);
        let id = EntryId::first_of;
        landmarks.read(1, id(1));
        landmarks.read(999, id(2));
        assert_eq!(landmarks.oldest(), Some((id(1), 999)));
        landmarks.forget_oldest();
        assert_eq!(landmarks.oldest(), None);
        for n in 3..1_000 {
            landmarks.read(500, id(n));
        }
        assert_eq!(landmarks.oldest(), Some((id(959), 20_000)));
        landmarks.forget_oldest();
        assert_eq!(landmarks.oldest(), Some((id(961), 19_000)));
        // A group that was set back has nothing in front of it.
        landmarks.read(7, id(5));
        assert_eq!(landmarks.oldest(), Some((id(5), 0)));
    }
}
