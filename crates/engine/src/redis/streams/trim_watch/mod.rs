//! When a group may be behind a trim, so that it is to be found out before its next read what it has missed.
//!
//! To find out costs the server more than a read of one entry, so it is not done before each read. It is needless:
//!
//! - while the group had nothing to read and reads on at once;
//! - while the group has read everything a few milliseconds ago, as the clock of the server and the ids of the entries
//!   show. What is unread was added since then, and can only be gone if more was added since than the stream keeps. A
//!   stream that was never trimmed, or that has many entries in front of the group, is believed to keep more, unless
//!   the configuration says otherwise;
//! - while there are more entries in front of the group than can have been trimmed since that was known, as retention
//!   trims about as many entries as are added.

use std::collections::VecDeque;
use std::sync::Arc;

use oxbus_model::config::StreamConfig;
use oxbus_model::stream_store::{EntryId, KeyLayout, keys};
use redis::Cmd;

use crate::redis::scripts::list;
use crate::redis::streams::landmarks::Landmarks;

/// How many entries are added to a stream in a millisecond, and so trimmed, at the most: as many as a server stores
/// and publishes with nothing else to do.
const ADDED_PER_MS: u64 = 200;
/// For how long, in milliseconds, a group that has read everything counts as one that still has.
const FRESH: u64 = 5;
/// So many entries, and more, can be added within that time and the way of a read, and be trimmed.
const FEW: u64 = 1_000;
/// So many milliseconds is what is kept for a shorter time hardly kept at all.
const SHORTLY: u64 = 1_000;
/// So many entries that come at once may be the begin of very many.
const BURST: usize = 8;
/// How long, in milliseconds, it is believed that there are many entries in front of a group that has not read
/// everything: they may have been removed by hand.
const MARGIN_LASTS: u64 = 100;
/// How long, in milliseconds, and for how many reads at least, it is believed that a stream is not trimmed.
const LOOK_LASTS: u64 = 5_000;
const LOOK_LASTS_READS: u64 = 200;
/// So many entries a stream removes at once when it is trimmed about. Who has fewer in front of it is close to a trim.
const NODE: u64 = 100;
/// Reads of so many entries cost the server so much that a look beside one does not matter.
const LARGE_READ: usize = 100;
/// How often, in milliseconds, a server that may forget what a group has read is made to write it down.
const WRITTEN_DOWN_EVERY: u64 = 1_000;

/// What is to be done before a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precaution {
    /// Nothing: the group is not behind a trim.
    None,
    /// To ask for entries that were read: while they are there, the group is not behind a trim.
    Ask,
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
    /// When it was, by the clock of the server, in milliseconds since the Unix epoch.
    pub(in crate::redis) time: u64,
}

impl Sight {
    /// What two looks have found that were sent together.
    fn and(self, other: Sight) -> Sight {
        Sight {
            margin: self.margin.min(other.margin),
            close: self.close || other.close,
            forgets: self.forgets || other.forgets,
            time: self.time.max(other.time),
        }
    }
}

/// An answer to a read.
#[derive(Clone, Copy, Debug)]
struct Answer {
    /// How many entries came.
    count: usize,
    /// Whether there was room for more, so that nothing was left unread.
    is_all: bool,
    /// When the newest of them was added, by the clock of the server.
    newest: u64,
    /// When it came.
    at: u64,
    /// Whether it may have waited for this client for long.
    is_late: bool,
}

/// What is known of trims of the streams of one reader. Times are on the client's clock, unless said otherwise.
#[derive(Debug, Default)]
pub(super) struct TrimWatch {
    /// What the last look on this connection has found, and when it was sent.
    sight: Option<(Sight, u64)>,
    /// By how much the clock of the server was ahead of the client's at the most, by each of the last two looks.
    ahead: [Option<u64>; 2],
    /// Looks that are not answered. A look is answered before the read behind it.
    unanswered: usize,
    /// How many reads were answered since the last look was sent.
    reads: u64,
    /// How many entries there were in front of the group, and when that was asked.
    margin: (u64, u64),
    /// How many entries were read since then.
    read_since: u64,
    /// When the reads were sent that are not answered.
    sent: VecDeque<u64>,
    /// The last answer to a read.
    answer: Option<Answer>,
    /// Streams that keep few entries, so that each trim is close to a group.
    short: Vec<Arc<str>>,
    streams: Vec<WatchedStream>,
}

#[derive(Debug)]
struct WatchedStream {
    name: Arc<str>,
    landmarks: Landmarks,
    /// How many missed entries were told.
    told: u64,
}

/// Whether a stream keeps so little, whatever of it is unread, that it can be added at once.
fn is_short(stream: &StreamConfig) -> bool {
    let few = stream.max_length.is_some_and(|length| length < FEW);
    let shortly = stream.max_age.is_some_and(|age| age < SHORTLY);
    stream.cap < FEW || (!stream.safe_trim && (few || shortly))
}

impl TrimWatch {
    /// Of a client with these streams.
    pub(super) fn new(streams: &[StreamConfig]) -> Self {
        let short = streams.iter().filter(|stream| is_short(stream));
        TrimWatch { short: short.map(|stream| stream.name.as_str().into()).collect(), ..TrimWatch::default() }
    }

    /// There is a new connection, perhaps to another server, or a group was made again.
    pub(super) fn forget(&mut self) {
        self.sight = None;
        self.ahead = [None; 2];
        self.unanswered = 0;
        self.sent.clear();
        self.answer = None;
    }

    /// What is to be done before a read of at most `limit` entries of each of `streams`.
    pub(super) fn precaution(&self, streams: &[Arc<str>], limit: usize, now: u64) -> Precaution {
        let Some((sight, looked_at)) = self.sight else { return Precaution::Look };
        if self.unanswered > 0 {
            return Precaution::None;
        }
        let since = now.saturating_sub(looked_at);
        let is_old = since >= LOOK_LASTS && self.reads >= LOOK_LASTS_READS;
        // Of several streams it is not counted which of them has grown.
        let in_front = self.margin.0 + if streams.len() == 1 { self.read_since } else { 0 };
        let few_at_once = self.answer.is_some_and(|answer| answer.count < BURST);
        let is_close = self.is_close(streams);
        let is_fresh = self.is_fresh(now) && !is_close && !is_old && (in_front >= FEW || few_at_once);
        if sight.forgets && self.reads > 0 && since >= WRITTEN_DOWN_EVERY && !is_fresh {
            return Precaution::Look;
        } else if is_fresh || self.is_idle(now) {
            return Precaution::None;
        }
        let known_for = now.saturating_sub(self.margin.1);
        if known_for < MARGIN_LASTS && in_front > (known_for + 1) * ADDED_PER_MS {
            Precaution::None
        } else if is_close || is_old || in_front < NODE || limit >= LARGE_READ || !self.may_ask(streams) {
            Precaution::Look
        } else {
            Precaution::Ask
        }
    }

    /// Whether a trim has come close to the group, or each trim of one of the streams does.
    fn is_close(&self, streams: &[Arc<str>]) -> bool {
        self.sight.is_some_and(|(sight, _)| sight.close)
            || streams.iter().any(|stream| self.short.contains(stream))
    }

    /// Whether the group had nothing to read until now.
    fn is_idle(&self, now: u64) -> bool {
        self.answer
            .is_some_and(|answer| answer.count == 0 && !answer.is_late && now.saturating_sub(answer.at) <= 1)
    }

    /// Whether the group had read everything a few milliseconds ago. If the last looks have taken their time, it seems
    /// longer ago than it is.
    fn is_fresh(&self, now: u64) -> bool {
        let (Some(ahead), Some(answer)) = (self.ahead.into_iter().flatten().min(), self.answer) else {
            return false;
        };
        let server_now = now.saturating_add(ahead);
        answer.is_all
            && answer.count > 0
            && server_now.checked_sub(answer.newest).is_some_and(|age| age <= FRESH)
    }

    /// Whether there is an entry to ask for in each of the streams.
    fn may_ask(&self, streams: &[Arc<str>]) -> bool {
        streams.iter().all(|stream| self.landmark(stream).is_some())
    }

    /// An entry of a stream that was read, and how many entries were read behind it. While it is there, they are.
    pub(super) fn landmark(&self, stream: &Arc<str>) -> Option<(EntryId, u64)> {
        self.streams.iter().find(|known| known.name == *stream)?.landmarks.oldest()
    }

    /// The landmarks were there at `asked`, and as many entries behind them.
    pub(super) fn are_there(&mut self, margin: u64, asked: u64) {
        self.margin = (margin, asked);
        self.read_since = 0;
    }

    /// A landmark of one of the streams is gone.
    pub(super) fn is_gone(&mut self, streams: &[Arc<str>]) {
        for stream in streams {
            self.of(stream).landmarks.forget_oldest();
        }
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
        self.reads = 0;
    }

    /// A look that was sent at `sent` has found this. Where each slot of a cluster has a look, all of them count.
    pub(super) fn looked(&mut self, sight: Sight, sent: u64) {
        self.unanswered = self.unanswered.saturating_sub(1);
        let others = self.sight.filter(|(_, at)| *at == sent).map(|(sight, _)| sight);
        let sight = others.map_or(sight, |others| others.and(sight));
        self.sight = Some((sight, sent));
        self.ahead = [self.ahead[1], Some(sight.time.saturating_sub(sent))];
        self.margin = (sight.margin, sent);
    }

    /// So many missed entries of a stream were found in all. Returns how many of them were not told yet.
    pub(super) fn found(&mut self, stream: &Arc<str>, total: u64) -> u64 {
        let told = &mut self.of(stream).told;
        let new = total.saturating_sub(*told);
        *told += new;
        new
    }

    /// So many entries of a stream were read, the last of them is `last`.
    pub(super) fn read(&mut self, stream: &Arc<str>, count: u64, last: EntryId) {
        self.of(stream).landmarks.read(count, last);
    }

    /// A read is sent.
    pub(super) fn sent(&mut self, now: u64) {
        self.sent.push_back(now);
    }

    /// A read has brought `count` of at most `limit` entries, the newest of which was added at `newest`. One that
    /// brings nothing is answered after `block` milliseconds.
    pub(super) fn answered(&mut self, count: usize, limit: usize, newest: u64, block: u64, now: u64) {
        self.came(count);
        let before = self.answer.map_or(0, |answer| answer.at);
        let began = self.sent.pop_front().map(|sent| sent.max(before));
        let is_late = began.is_none_or(|began| now.saturating_sub(began) > block + FRESH);
        self.answer = Some(Answer { count, is_all: count < limit, newest, at: now, is_late });
    }

    /// A read of several commands, one after the other, has brought `count` entries.
    pub(super) fn answered_in_parts(&mut self, count: usize) {
        self.came(count);
        self.answer = None;
    }

    fn came(&mut self, count: usize) {
        self.read_since += count as u64;
        self.reads += u64::from(count > 0);
    }

    fn of(&mut self, stream: &Arc<str>) -> &mut WatchedStream {
        let found = self.streams.iter().position(|known| known.name == *stream);
        let at = found.unwrap_or_else(|| {
            let known = WatchedStream { name: stream.clone(), landmarks: Landmarks::default(), told: 0 };
            self.streams.push(known);
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
mod tests;
