//! A read of streams that are in different slots of a cluster: one command can name those of one slot only.
//!
//! It begins with a round, which asks all slots at once, without waiting. While nothing comes, the read waits at one slot after the
//! other, for a short time each, and before each wait a round asks the slots that it waits at neither before nor after. So an
//! event is read within [`TURN`] of its coming, and who wants it sooner gives the streams of a group a common hash tag.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::consumer::{Read, ReceivedEntry};
use oxbus_model::stream_store::hash_tag;

/// How long a read waits at one slot, in milliseconds.
pub(super) const TURN: u64 = 100;

/// Streams of one slot.
pub(super) type SlotStreams = Arc<[Arc<str>]>;

/// A read of several slots under way.
pub(super) struct SplitRead {
    pub(super) read: Read,
    /// The streams of each slot.
    parts: Vec<SlotStreams>,
    /// At which part it waits next, or waited last.
    turn: usize,
    /// Whether it has waited.
    has_waited: bool,
    /// Whether the commands under way are a round.
    in_round: bool,
    unanswered: usize,
    arrivals: Vec<ReceivedEntry>,
    refused: Option<BusError>,
    /// When it ends though nothing has come, on the client's clock.
    until: u64,
}

/// How a read has ended.
pub(super) enum End {
    Entries(Read, Vec<ReceivedEntry>),
    Refused(BusError),
}

/// The streams by the slots that they are surely in: those without a common tag count as apart.
pub(super) fn by_slot(streams: &[Arc<str>]) -> Vec<SlotStreams> {
    let mut parts: Vec<(&str, Vec<Arc<str>>)> = Vec::new();
    for stream in streams {
        let tag = hash_tag(stream).unwrap_or(stream);
        match parts.iter_mut().find(|(known, _)| *known == tag) {
            Some((_, part)) => part.push(stream.clone()),
            None => parts.push((tag, vec![stream.clone()])),
        }
    }
    parts.into_iter().map(|(_, part)| part.into()).collect()
}

impl SplitRead {
    /// A read of these parts, of which `turn` is where it waits first. It ends at `until` at the latest.
    pub(super) fn new(read: Read, parts: Vec<SlotStreams>, turn: usize, until: u64) -> SplitRead {
        SplitRead {
            read,
            parts,
            turn,
            has_waited: false,
            in_round: false,
            unanswered: 0,
            arrivals: Vec::new(),
            refused: None,
            until,
        }
    }

    /// The commands that come next: the streams of each, and for how many milliseconds it waits.
    pub(super) fn next(&mut self, now: u64) -> Vec<(SlotStreams, Option<u64>)> {
        let next = (self.turn + 1) % self.parts.len().max(1);
        // The slot at which it has just waited had nothing, and the next one is asked by waiting there.
        let is_left_out = |index: usize| self.has_waited && (index == self.turn || index == next);
        let others =
            self.parts.iter().enumerate().filter(|(index, _)| !self.in_round && !is_left_out(*index));
        let mut commands: Vec<_> = others.map(|(_, part)| (part.clone(), None)).collect();
        self.in_round = !commands.is_empty();
        if !self.in_round {
            (self.has_waited, self.turn) = (true, next);
            let wait = self.until.saturating_sub(now).clamp(1, TURN);
            commands.extend(self.parts.get(next).map(|part| (part.clone(), Some(wait))));
        }
        self.unanswered = commands.len();
        commands
    }

    /// Whether the commands under way are those that the read has begun with.
    pub(super) fn has_just_begun(&self) -> bool {
        !self.has_waited
    }

    /// An answer has come.
    pub(super) fn answered(&mut self, answer: Result<Vec<ReceivedEntry>, BusError>) {
        self.unanswered = self.unanswered.saturating_sub(1);
        match answer {
            Ok(arrivals) => self.arrivals.extend(arrivals),
            Err(error) => self.refused = Some(error),
        }
    }

    /// Where the next read waits first.
    pub(super) fn turn(&self) -> usize {
        self.turn
    }

    /// Whether all commands are answered, so that the read ends or goes on.
    pub(super) fn is_idle(&self) -> bool {
        self.unanswered == 0
    }

    /// The read is to end with the answers that are to come.
    pub(super) fn hurry(&mut self) {
        self.until = 0;
    }

    /// Whether it ends now. The next read begins with a round, so no slot is left out.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.is_idle() && (!self.arrivals.is_empty() || self.refused.is_some() || now >= self.until)
    }

    /// How it ended. What came is handed on even where another slot has refused; the next read is refused there as well.
    pub(super) fn end(self) -> End {
        match self.refused {
            Some(error) if self.arrivals.is_empty() => End::Refused(error),
            _ => End::Entries(self.read, self.arrivals),
        }
    }
}

#[cfg(test)]
mod tests {
    use oxbus_model::ErrorKind;

    use super::*;

    fn streams(names: &[&str]) -> Arc<[Arc<str>]> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn read(names: &SlotStreams) -> Read {
        let key = oxbus_model::consumer::GroupKey(0);
        let streams = names.clone();
        Read { key, group: "g".into(), consumer: "c".into(), streams, limit: 10, behind: None }
    }

    #[test]
    fn streams_with_a_common_tag_are_read_at_once() {
        let parts = by_slot(&streams(&["a", "{t}:b", "c", "{t}:d", "t"]));
        // `t` alone hashes as `{t}` does.
        assert_eq!(parts, [streams(&["a"]), streams(&["{t}:b", "{t}:d", "t"]), streams(&["c"])]);
    }

    #[test]
    fn rounds_and_waits_take_turns_until_something_comes() {
        let names = streams(&["a", "b"]);
        let read = read(&names);
        let mut split = SplitRead::new(read, by_slot(&names), 0, 1_000);
        let round = [(streams(&["a"]), None), (streams(&["b"]), None)];
        assert_eq!(split.next(0), round);
        split.answered(Ok(Vec::new()));
        assert!(!split.is_over(0));
        split.answered(Ok(Vec::new()));
        assert!(split.is_idle() && !split.is_over(0));
        assert_eq!(split.next(0), [(streams(&["b"]), Some(TURN))]);
        split.answered(Ok(Vec::new()));
        assert!(split.is_idle() && !split.is_over(950));
        assert_eq!(split.next(950), [(streams(&["a"]), Some(50))]);
        split.answered(Ok(Vec::new()));
        assert!(split.is_over(1_000) && !split.is_over(999));
        split.hurry();
        assert!(split.is_over(0));
        split.answered(Err(BusError::new(ErrorKind::NoGroup, "x")));
        assert!(split.is_over(0) && matches!(split.end(), End::Refused(_)));
    }

    #[test]
    fn a_slot_is_asked_whenever_the_read_has_waited_elsewhere() {
        let names = streams(&["a", "b", "c", "d"]);
        let read = read(&names);
        let mut split = SplitRead::new(read, by_slot(&names), 3, 10_000);
        let mut asked = [0; 4];
        for now in (0..5_000).step_by(TURN as usize) {
            // All that is asked until the end of the next wait.
            loop {
                let commands = split.next(now);
                for (part, _) in &commands {
                    asked[names.iter().position(|name| *name == part[0]).unwrap()] = now + TURN;
                    split.answered(Ok(Vec::new()));
                }
                assert!(split.is_idle() && !commands.is_empty());
                if commands.iter().any(|(_, wait)| wait.is_some()) {
                    break;
                }
            }
            assert!(asked.iter().all(|at| now + TURN - at <= TURN), "{now}: {asked:?}");
        }
    }
}
