//! When a group may be behind a trim, so that it is to be found out before its next read what it has missed.
//!
//! To find out costs the server as much as reading ten entries, so it is not done before each read. It is needless
//! while there are more entries in front of the group than can have been trimmed since the last look, as retention trims
//! about as many entries as are added; and while the group has read everything and goes on at once.

use std::sync::Arc;

use oxbus_model::stream_store::{EntryId, KeyLayout, keys};
use redis::Cmd;

use crate::redis::scripts::list;

/// How many entries are added to a stream in a millisecond, and so trimmed, at the most: as many as a server stores
/// and publishes with nothing else to do.
const ADDED_PER_MS: u64 = 200;
/// How long after the answer to a read, in milliseconds, the next one counts as sent at once.
const AT_ONCE: u64 = 1;
/// So many read entries in front of a group can be trimmed before anyone notices.
const FEW: u64 = 1_000;
/// How long, in milliseconds, a look is of use at all: the entries in front of the group may have been removed by hand.
const LOOK_LASTS: u64 = 5_000;
/// Reads of so many entries cost the server so much that a look beside one does not matter.
const LARGE_READ: usize = 100;
/// How often, in milliseconds, a server that may forget what a group has read is made to write it down.
const WRITTEN_DOWN_EVERY: u64 = 1_000;

/// What is to be done before a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precaution {
    /// Nothing: the group is not behind a trim.
    None,
    /// To ask for the last entries that were read: while they are there, the group is not behind a trim.
    AskForLast,
    /// To look for what was missed.
    Look,
}

/// What a look has found, of all streams of the reader.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::redis) struct Sight {
    /// How many entries that the group has read there are at least in front of what it has not read.
    pub(in crate::redis) margin: u64,
    /// Whether a trim has come close to the group.
    pub(in crate::redis) close: bool,
    /// Whether the server may forget how many entries a group has read.
    pub(in crate::redis) forgets: bool,
}

impl Sight {
    /// What two looks have found that were sent together.
    fn and(self, other: Sight) -> Sight {
        Sight {
            margin: self.margin.min(other.margin),
            close: self.close || other.close,
            forgets: self.forgets || other.forgets,
        }
    }
}

/// What is known of trims of the streams of one reader. Times are on the client's clock.
#[derive(Debug, Default)]
pub(super) struct TrimWatch {
    /// What the last look on this connection has found, and when it was sent.
    sight: Option<(Sight, u64)>,
    /// Looks that are not answered. A look is answered before the read behind it.
    unanswered: usize,
    /// How many entries were read since the last look was sent.
    read_since: u64,
    /// The last answer to a read: how many entries came, whether there was room for more, and when it came.
    answer: Option<(usize, bool, u64)>,
    streams: Vec<WatchedStream>,
}

#[derive(Debug)]
struct WatchedStream {
    name: Arc<str>,
    /// The last entry that was read.
    last_read: Option<EntryId>,
    /// How many missed entries were told.
    told: u64,
}

impl TrimWatch {
    /// There is a new connection, perhaps to another server, or a group was made again.
    pub(super) fn forget(&mut self) {
        self.sight = None;
        self.unanswered = 0;
        self.answer = None;
    }

    /// What is to be done before a read of at most `limit` entries of each of `streams`.
    pub(super) fn precaution(&self, streams: &[Arc<str>], limit: usize, now: u64) -> Precaution {
        let at_once = self.answer.filter(|(.., at)| now.saturating_sub(*at) <= AT_ONCE);
        let Some((sight, looked_at)) = self.sight else { return Precaution::Look };
        if self.unanswered > 0 {
            return Precaution::None;
        }
        let since = now.saturating_sub(looked_at);
        // Of several streams it is not counted which of them has grown.
        let in_front = sight.margin + if streams.len() == 1 { self.read_since } else { 0 };
        if sight.forgets && self.read_since > 0 && since >= WRITTEN_DOWN_EVERY {
            return Precaution::Look;
        } else if matches!(at_once, Some((0, ..))) || in_front > (since + 1).saturating_mul(ADDED_PER_MS) {
            return Precaution::None;
        }
        if sight.close || in_front < FEW || since >= LOOK_LASTS || limit >= LARGE_READ {
            Precaution::Look
        } else if matches!(at_once, Some((_, true, _))) {
            Precaution::None
        } else {
            Precaution::AskForLast
        }
    }

    /// The last entry that was read of a stream; `None` where none is known.
    pub(super) fn last_read(&self, stream: &Arc<str>) -> Option<EntryId> {
        self.streams.iter().find(|known| known.name == *stream).and_then(|known| known.last_read)
    }

    /// How many missed entries of a stream were told.
    fn told(&self, stream: &Arc<str>) -> u64 {
        self.streams.iter().find(|known| known.name == *stream).map_or(0, |known| known.told)
    }

    /// What the next look is told of how thorough it has to be.
    fn thoroughness(&self) -> &'static str {
        match self.sight {
            None => "1",
            Some((sight, _)) if sight.forgets => "2",
            Some(_) => "",
        }
    }

    /// A look is sent. What it finds holds from now on.
    pub(super) fn looking(&mut self) {
        self.unanswered += 1;
        self.read_since = 0;
    }

    /// A look that was sent at `sent` has found this. Where each slot of a cluster has a look, all of them count.
    pub(super) fn looked(&mut self, sight: Sight, sent: u64) {
        self.unanswered = self.unanswered.saturating_sub(1);
        let others = self.sight.filter(|(_, at)| *at == sent).map(|(sight, _)| sight);
        self.sight = Some((others.map_or(sight, |others| others.and(sight)), sent));
    }

    /// So many missed entries of a stream were found in all. Returns how many of them were not told yet.
    pub(super) fn found(&mut self, stream: &Arc<str>, total: u64) -> u64 {
        let told = &mut self.of(stream).told;
        let new = total.saturating_sub(*told);
        *told += new;
        new
    }

    /// An entry was read.
    pub(super) fn read(&mut self, stream: &Arc<str>, id: EntryId) {
        self.of(stream).last_read = Some(id);
    }

    /// A read has brought `count` of at most `limit` entries.
    pub(super) fn answered(&mut self, count: usize, limit: usize, now: u64) {
        self.read_since += count as u64;
        self.answer = Some((count, count < limit, now));
    }

    fn of(&mut self, stream: &Arc<str>) -> &mut WatchedStream {
        let found = self.streams.iter().position(|known| known.name == *stream);
        let at = found.unwrap_or_else(|| {
            self.streams.push(WatchedStream { name: stream.clone(), last_read: None, told: 0 });
            self.streams.len() - 1
        });
        &mut self.streams[at]
    }
}

/// The command of a look before a read of these streams; `known` says that the server knows the script.
pub(super) fn look(
    group: &str,
    streams: &[Arc<str>],
    layout: KeyLayout,
    trims: &TrimWatch,
    instance: &str,
    known: bool,
) -> Cmd {
    let script = &list::FIND_MISSED;
    let mut command = if known { script.call() } else { script.call_in_full() };
    command.arg(2 * streams.len());
    for stream in streams {
        command.arg(&**stream);
    }
    for stream in streams {
        command.arg(keys::facts(&layout.home(stream), group));
    }
    command.arg(group).arg(instance).arg(trims.thoroughness());
    for stream in streams {
        command.arg(trims.told(stream));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(margin: u64, close: bool) -> (TrimWatch, Vec<Arc<str>>) {
        let streams: Vec<Arc<str>> = vec!["s".into()];
        let mut watch = TrimWatch::default();
        assert_eq!(watch.precaution(&streams, 16, 0), Precaution::Look);
        watch.looking();
        watch.looked(Sight { margin, close, forgets: false }, 0);
        watch.read(&streams[0], EntryId::MIN.next());
        (watch, streams)
    }

    #[test]
    fn nobody_looks_while_there_are_more_entries_in_front_than_can_be_trimmed() {
        let (mut watch, streams) = watch(10_000, false);
        watch.answered(16, 16, 10);
        assert_eq!(watch.precaution(&streams, 512, 49), Precaution::None);
        assert_eq!(watch.precaution(&streams, 512, 50), Precaution::Look);
        assert_eq!(watch.precaution(&streams, 16, 50), Precaution::AskForLast);
        watch.answered(512, 512, 50);
        assert_eq!(watch.precaution(&streams, 512, 50), Precaution::None);
        assert_eq!(watch.precaution(&streams, 512, 60), Precaution::Look);
        watch.looking();
        assert_eq!(watch.precaution(&streams, 512, 60), Precaution::None);
    }

    #[test]
    fn who_has_read_all_and_goes_on_at_once_need_not_look() {
        let (mut watch, streams) = watch(10_000, false);
        watch.answered(3, 16, 1_000);
        assert_eq!(watch.precaution(&streams, 16, 1_001), Precaution::None);
        assert_eq!(watch.precaution(&streams, 16, 1_002), Precaution::AskForLast);
        // An idle reader never looks, not even where everything is trimmed at once.
        let (mut watch, streams) = self::watch(0, true);
        watch.answered(1, 16, 1_000);
        assert_eq!(watch.precaution(&streams, 16, 1_000), Precaution::Look);
        watch.answered(0, 16, 9_000);
        assert_eq!(watch.precaution(&streams, 16, 9_000), Precaution::None);
    }

    #[test]
    fn a_new_connection_begins_with_a_look_and_what_was_told_is_not_told_again() {
        let (mut watch, streams) = watch(1_000_000, false);
        assert_eq!(watch.precaution(&streams, 16, 1), Precaution::None);
        assert_eq!(
            (watch.found(&streams[0], 5), watch.found(&streams[0], 5), watch.found(&streams[0], 7)),
            (5, 0, 2)
        );
        watch.forget();
        assert_eq!(watch.precaution(&streams, 16, 1), Precaution::Look);
        assert_eq!(watch.told(&streams[0]), 7);
    }

    #[test]
    fn a_server_that_forgets_is_made_to_write_down_what_was_read() {
        let (mut watch, streams) = watch(1_000_000, false);
        watch.looked(Sight { margin: 1_000_000, close: false, forgets: true }, 0);
        assert_eq!(watch.precaution(&streams, 16, 1_000), Precaution::None);
        watch.answered(1, 16, 999);
        assert_eq!(watch.precaution(&streams, 16, 999), Precaution::None);
        assert_eq!(watch.precaution(&streams, 16, 1_000), Precaution::Look);
    }
}
