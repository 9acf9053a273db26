//! How far a stream was read.

use oxbus_model::stream_store::{EntryId, StreamInfo};

/// How far a stream was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position {
    /// The last entry that was read, or that was there before.
    pub(super) id: EntryId,
    /// How many entries there have been up to it, as far as they were read; `None` where the server does not count, or until the
    /// end of a stream that was made anew.
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

    /// Compares it with the stream as it was at some time when no less than `begun` had been read. True when entries may be gone
    /// that were not read.
    pub(super) fn compare_since(&mut self, begun: EntryId, stream: Option<&StreamInfo>) -> bool {
        let last = stream.map_or(EntryId::MIN, |stream| stream.last_generated);
        if self.id == begun || last > self.id {
            return self.compare(stream);
        }
        // What was read since then the stream may not have had yet.
        let is_new = last < begun;
        if is_new {
            self.added = None;
        }
        is_new
    }

    /// Compares it with the stream as it is now. True when entries may be gone that were not read.
    fn compare(&mut self, stream: Option<&StreamInfo>) -> bool {
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
            return added.zip(known).is_some_and(|(added, known)| added != known);
        }
        let (Some(added), Some(known)) = (added, known) else {
            self.added = None;
            // What comes first may come right behind, or not.
            return stream.is_trimmed(self.id.next());
        };
        let removed = added.saturating_sub(stream.length);
        let is_new = added < known;
        self.added = match is_new {
            false => Some(known.max(removed)),
            // The same, and its ids have gone on: all that it has is to be read, unless its server has only lost its end.
            true => stream.first.is_none_or(|first| first > self.id).then_some(removed),
        };
        if stream.length == 0 {
            self.id = stream.last_generated;
        }
        is_new || removed > known
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
    fn a_stream_that_was_made_anew_is_known_by_its_count() {
        let mut position = Position::behind(Some(&info(1, 9, Some(9))));
        let anew = |first, last: u64| info(first, last, Some(last - 19));
        assert!(position.compare(Some(&anew(20, 22))), "what it had besides was not read");
        read(&mut position, 20, 21);
        assert!(!position.compare(Some(&anew(20, 22))), "told once");
        assert!(position.compare(Some(&anew(25, 27))), "22 to 24 are gone");
        read(&mut position, 25, 27);
        assert!(!position.compare(Some(&anew(25, 27))));
        // A server that has lost 27, and has got others since.
        let mut lost_end = StreamInfo { added: Some(7), ..info(25, 29, None) };
        lost_end.length = 4;
        assert!(position.compare(Some(&lost_end)) && position.added.is_none());
        read(&mut position, 28, 29);
        assert!(!position.compare(Some(&lost_end)) && position.added == Some(7));
        let mut read_through = Position::behind(Some(&info(1, 9, Some(9))));
        read(&mut read_through, 20, 22);
        assert!(read_through.compare(Some(&anew(20, 22))), "something may be gone that it had before");
    }

    #[test]
    fn what_was_read_while_the_stream_was_looked_at_is_not_lost() {
        let mut position = Position::behind(Some(&info(1, 4, Some(4))));
        read(&mut position, 5, 6);
        let (begun, seen) = (EntryId::first_of(4), info(1, 5, Some(5)));
        assert!(!position.compare_since(begun, Some(&seen)) && position.id == EntryId::first_of(6));
        assert!(!position.compare_since(EntryId::first_of(6), Some(&info(1, 6, Some(6)))));
        assert!(position.compare_since(begun, Some(&info(9, 10, Some(10)))), "7 and 8 are gone");
        read(&mut position, 9, 12);
        assert!(position.compare_since(EntryId::first_of(10), Some(&info(1, 2, Some(2)))), "made anew");
        assert_eq!(position, Position { id: EntryId::first_of(12), added: None });
    }

    #[test]
    fn a_server_that_does_not_count_says_that_something_may_be_gone() {
        let mut position = Position::behind(Some(&info(1, 4, None)));
        read(&mut position, 5, 5);
        assert!(!position.compare(Some(&info(5, 5, None))) && !position.compare(Some(&info(3, 8, None))));
        assert!(position.compare(Some(&info(7, 8, None))));
    }
}
