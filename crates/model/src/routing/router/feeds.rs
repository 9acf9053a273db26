//! Which subscriptions a server subscription feeds.

/// What a server subscription feeds.
#[derive(Debug)]
pub(super) struct Feeds {
    /// (subscription, index of its pattern), by subscription. One that is gone stays with the index [`GONE`]
    /// until half of them are: so that 100,000 of one pattern can go one by one.
    patterns: Vec<(u32, u32)>,
    /// How many of `patterns` are gone.
    gone: u32,
}

/// The index of no pattern.
const GONE: u32 = u32::MAX;

impl Feeds {
    pub(super) fn new() -> Self {
        Feeds { patterns: Vec::with_capacity(1), gone: 0 }
    }

    pub(super) fn add(&mut self, subscription: u32, pattern: u32) {
        // At the end, as subscriptions are numbered in turn.
        let at = self.patterns.partition_point(|(s, _)| *s <= subscription);
        self.patterns.insert(at, (subscription, pattern));
    }

    pub(super) fn remove(&mut self, subscription: u32) {
        let first = self.patterns.partition_point(|(s, _)| *s < subscription);
        let own = self.patterns.iter_mut().skip(first).take_while(|(s, _)| *s == subscription);
        for (_, pattern) in own.filter(|(_, pattern)| *pattern != GONE) {
            *pattern = GONE;
            self.gone += 1;
        }
        if self.gone as usize > self.patterns.len() / 2 {
            self.patterns.retain(|(_, pattern)| *pattern != GONE);
            self.gone = 0;
        }
    }

    /// Whether it feeds nobody: the last one that goes takes all that are gone along.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.patterns.iter().copied().filter(|(_, pattern)| *pattern != GONE)
    }
}
