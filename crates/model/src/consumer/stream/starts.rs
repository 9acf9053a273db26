//! Where subscriptions of a group that exists ask to start: that counts for patterns that are new to the group.

use crate::stream_store::skipped::KEPT_FOR;
use crate::stream_store::{EntryId, Position};

/// A start that a subscription asks for.
#[derive(Debug)]
struct AskedStart {
    subscription: u32,
    /// Its patterns, as the group is told.
    patterns: Vec<String>,
    from: Position,
    /// The version of the subscriptions that the group must have been told.
    version: u32,
    /// Whether the group may have been told without an answer: then the patterns that it knows may be these.
    unsure: bool,
}

/// Why a start does not count, or not fully.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// The group was made elsewhere, for another subscription.
    MadeElsewhere,
    /// The group has had a pattern before.
    Known,
    /// The group has not read some entries before the start yet.
    Unread,
    /// The group may have read past entries behind the start so long ago that it does not know them any more.
    TooOld,
}

/// The starts that were asked for, until it is known whether they count.
#[derive(Debug, Default)]
pub(crate) struct AskedStarts {
    asked: Vec<AskedStart>,
    /// Where this client has made the group, and when by the store's time, about.
    made: Option<(Position, u64)>,
    /// What was warned of last: many subscriptions may ask for the same.
    warned: Option<(Position, Ignored)>,
}

/// What an answer tells of the group.
pub(crate) struct Standing<'a> {
    pub(crate) new_patterns: &'a [String],
    /// The last entry that the group was given, and the last one of the stream.
    pub(crate) position: EntryId,
    pub(crate) last: Option<EntryId>,
    /// The store's time, in Unix milliseconds.
    pub(crate) time: u64,
}

impl AskedStarts {
    /// A subscription asks for a start.
    pub(crate) fn ask(&mut self, subscription: u32, patterns: Vec<String>, from: Position, version: u32) {
        self.asked.push(AskedStart { subscription, patterns, from, version, unsure: false });
    }

    /// A subscription has ended.
    pub(crate) fn forget(&mut self, subscription: u32) {
        self.asked.retain(|asked| asked.subscription != subscription);
    }

    /// The group was made now, for the first time, at a position. Returns why others do not count.
    pub(crate) fn made(&mut self, at: Position) -> Option<Ignored> {
        self.made = Some((at, 0));
        let others = self.asked.iter().find(|asked| asked.from != at).map(|asked| asked.from);
        self.asked.clear();
        self.warns(others?, Ignored::MadeElsewhere)
    }

    /// The group may have been told of subscriptions, but has not answered. `sent` says of which versions.
    pub(crate) fn unanswered(&mut self, sent: impl Fn(u32) -> bool) {
        self.asked.iter_mut().filter(|asked| sent(asked.version)).for_each(|asked| asked.unsure = true);
    }

    /// The group was told of subscriptions: `told` says of which versions. Returns what does not count, and why.
    pub(crate) fn told(&mut self, told: impl Fn(u32) -> bool, group: &Standing<'_>) -> Vec<Ignored> {
        if let Some((_, at @ 0)) = &mut self.made {
            *at = group.time;
        }
        let asked = std::mem::take(&mut self.asked);
        let (known, waiting) = asked.into_iter().partition(|asked| told(asked.version));
        self.asked = waiting;
        let reasons: Vec<_> = known
            .iter()
            .filter_map(|asked: &AskedStart| Some((asked.from, self.why(asked, group)?)))
            .collect();
        reasons.into_iter().filter_map(|(from, why)| self.warns(from, why)).collect()
    }

    /// Why a start does not count, if it does not.
    fn why(&self, asked: &AskedStart, group: &Standing<'_>) -> Option<Ignored> {
        let is_new = |pattern: &String| asked.unsure || group.new_patterns.contains(pattern);
        if !asked.patterns.iter().all(is_new) {
            return Some(Ignored::Known);
        }
        let from = match asked.from {
            Position::New => group.last,
            Position::Beginning => Some(EntryId::MIN),
            Position::After(id) => Some(id),
        };
        if from.is_some_and(|from| from > group.position) {
            return Some(Ignored::Unread);
        }
        let made = self.made.filter(|(start, at)| {
            start.earlier(asked.from) == *start && group.time.saturating_sub(*at) < KEPT_FOR
        });
        let oldest = EntryId::first_of(group.time.saturating_sub(KEPT_FOR)).previous();
        let is_kept = from.is_none_or(|from| from >= oldest) || made.is_some();
        (!is_kept).then_some(Ignored::TooOld)
    }

    /// The reason, unless it was the one before as well.
    fn warns(&mut self, from: Position, why: Ignored) -> Option<Ignored> {
        (self.warned.replace((from, why)) != Some((from, why))).then_some(why)
    }
}
