//! How far a stream was read.

use oxbus_model::stream_store::{EntryId, StreamInfo};

/// How far a stream was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position {
    /// The last entry that was read, or that was there before.
    pub(super) id: EntryId,
    /// How many entries there have been up to it, as far as they were read; `None` where the server does not count.
    added: Option<u64>,
}

impl Position {
    /// Behind all that a stream has; `None` where there is no stream yet.
    pub(super) fn behind(stream: Option<&StreamInfo>) -> Position {
        stream.map_or(Position { id: EntryId::MIN, added: Some(0) }, |stream| Position {
            id: stream.last_generated,
            added: stream.added,
        })
    }

    /// Goes on behind an entry. False when it was read already.
    pub(super) fn pass(&mut self, id: EntryId) -> bool {
        if id <= self.id {
            return false;
        }
        *self = Position { id, added: self.added.map(|added| added + 1) };
        true
    }

    /// Compares it with the stream as it is now. True when entries may be gone that were not read.
    pub(super) fn compare(&mut self, stream: Option<&StreamInfo>) -> bool {
        let none = StreamInfo { added: Some(0), ..StreamInfo::default() };
        let stream = stream.unwrap_or(&none);
        let (added, known) = (stream.added, self.added);
        if stream.last_generated < self.id {
            // It was made anew, or its server has lost its end: what it got until now may have been read or not.
            *self = Position { id: stream.last_generated, added };
            return true;
        }
        if stream.last_generated == self.id {
            self.added = added;
            return added.zip(known).is_some_and(|(added, known)| added > known);
        }
        let (Some(added), Some(known)) = (added, known) else {
            self.added = added;
            // What comes first may come right behind, or not.
            return stream.is_trimmed(self.id.next());
        };
        let removed = added.saturating_sub(stream.length);
        if stream.length == 0 {
            self.id = stream.last_generated;
        }
        self.added = Some(known.max(removed));
        removed > known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(first: u64, last: u64, added: Option<u64>) -> StreamInfo {
        let id = EntryId::first_of;
        let length = if first == 0 { 0 } else { last - first + 1 };
        let first = (first > 0).then(|| id(first));
        StreamInfo { length, first, last_generated: id(last), added, ..StreamInfo::default() }
    }

    fn read(position: &mut Position, from: u64, to: u64) {
        (from..=to).for_each(|ms| assert!(position.pass(EntryId::first_of(ms))));
    }

    #[test]
    fn what_was_trimmed_unread_is_noticed() {
        let mut position = Position::behind(Some(&info(1, 4, Some(4))));
        read(&mut position, 5, 6);
        assert!(!position.pass(EntryId::first_of(6)) && !position.compare(Some(&info(3, 6, Some(6)))));
        assert!(!position.compare(Some(&info(7, 9, Some(9)))), "all that is gone was read");
        assert!(position.compare(Some(&info(9, 9, Some(9)))), "7 and 8 are gone");
        assert!(!position.compare(Some(&info(9, 9, Some(9)))), "told once");
        read(&mut position, 9, 9);
        assert!(!position.compare(Some(&info(9, 9, Some(9)))));
        assert!(position.compare(Some(&info(0, 12, Some(12)))), "10 to 12 are gone");
        assert_eq!(position, Position::behind(Some(&info(0, 12, Some(12)))));
    }

    #[test]
    fn what_was_trimmed_before_it_could_be_looked_at_is_noticed_at_the_end() {
        let mut position = Position::behind(None);
        read(&mut position, 1, 2);
        // 3 and 4 were trimmed, and others were read behind them.
        read(&mut position, 5, 9);
        assert!(position.compare(Some(&info(5, 9, Some(9)))));
        assert!(!position.compare(Some(&info(5, 9, Some(9)))));
    }

    #[test]
    fn a_stream_that_was_made_anew_may_have_lost_something() {
        let mut position = Position::behind(Some(&info(1, 9, Some(9))));
        assert!(position.compare(None) && position == Position::behind(None));
        read(&mut position, 1, 1);
        assert!(!position.compare(Some(&info(1, 1, Some(1)))));
    }

    #[test]
    fn a_server_that_does_not_count_says_that_something_may_be_gone() {
        let mut position = Position::behind(Some(&info(1, 4, None)));
        read(&mut position, 5, 5);
        assert!(!position.compare(Some(&info(5, 5, None))) && !position.compare(Some(&info(3, 8, None))));
        assert!(position.compare(Some(&info(7, 8, None))));
    }
}
