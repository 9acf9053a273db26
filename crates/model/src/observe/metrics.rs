//! What is counted by event type and stream, in bounded memory, and its form for Prometheus.
//!
//! Names become numbers once, when they are first seen, so that counting is an index into a table.

use std::sync::{Arc, PoisonError, RwLock};

// What is looked up for every event is bounded by `MAX_NAMES`, so that no publisher can flood it.
use rustc_hash::FxHashMap as HashMap;

/// Names of one kind that are told apart; the others share [`OTHER`]. Each is a series of its own in Prometheus.
pub const MAX_NAMES: usize = 200;

/// What the names beyond [`MAX_NAMES`] are called.
pub const OTHER: &str = "_other";

/// The buckets of handler durations, in milliseconds, each with the durations that are not longer.
pub const BUCKETS: [u64; 11] = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000];

/// The number that stands for [`OTHER`].
pub const OTHER_NUMBER: u16 = 0;

/// Event types and their numbers, shared by all who count.
#[derive(Debug)]
pub struct Types(RwLock<Names>);

#[derive(Debug)]
struct Names {
    numbers: HashMap<Arc<str>, u16>,
    names: Vec<Arc<str>>,
}

impl Default for Types {
    fn default() -> Self {
        Types(RwLock::new(Names { numbers: HashMap::default(), names: vec![OTHER.into()] }))
    }
}

impl Types {
    /// The number of a type; a new one as long as there are any.
    pub(crate) fn number(&self, name: &str) -> u16 {
        let find = |names: &Names| {
            let full = names.names.len() > MAX_NAMES;
            // One that is called so is one of the others.
            let shared = full || name == OTHER;
            names.numbers.get(name).copied().or(shared.then_some(OTHER_NUMBER))
        };
        if let Some(number) = find(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return number;
        }
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = find(&names) {
            return number;
        }
        let number = u16::try_from(names.names.len()).unwrap_or(OTHER_NUMBER);
        let name: Arc<str> = name.into();
        names.numbers.insert(name.clone(), number);
        names.names.push(name);
        number
    }

    /// All names, by their number.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).names.clone()
    }
}

/// The numbers that one thread has looked up: most events have the type of the one before.
#[derive(Debug, Default)]
pub struct TypeCache {
    last: String,
    last_number: u16,
    known: HashMap<Box<str>, u16>,
}

impl TypeCache {
    /// The number of a type, which is not empty.
    pub fn number(&mut self, types: &Types, name: &str) -> u16 {
        if self.last != name {
            self.last_number = match self.known.get(name) {
                Some(number) => *number,
                None => self.look_up(types, name),
            };
            self.last.clear();
            self.last.push_str(name);
        }
        self.last_number
    }

    fn look_up(&mut self, types: &Types, name: &str) -> u16 {
        let number = types.number(name);
        if number != OTHER_NUMBER {
            self.known.insert(name.into(), number);
        }
        number
    }
}

/// The consumers of a client: for each a stream and a group. The first is that of live events, without either.
#[derive(Debug)]
pub struct Consumers(Vec<(Arc<str>, Arc<str>)>);

/// The number of the consumer of live events.
pub const LIVE: u16 = 0;

impl Default for Consumers {
    fn default() -> Self {
        let none: Arc<str> = "".into();
        Consumers(vec![(none.clone(), none), (OTHER.into(), OTHER.into())])
    }
}

impl Consumers {
    /// The number of a stream and a group.
    pub fn number(&mut self, stream: &Arc<str>, group: &Arc<str>) -> u16 {
        let found = self.0.iter().position(|(s, g)| s == stream && g == group);
        let at = found.unwrap_or(if self.0.len() > MAX_NAMES {
            1
        } else {
            self.0.push((stream.clone(), group.clone()));
            self.0.len() - 1
        });
        u16::try_from(at).unwrap_or(1)
    }

    /// All, by their number: (stream, group).
    pub fn all(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.0.clone()
    }
}

/// A value for each of two numbers.
#[derive(Clone, Debug, Default)]
pub struct Table<T>(Vec<Vec<T>>);

impl<T: Default> Table<T> {
    /// The value at a row and a column.
    pub fn at(&mut self, row: u16, column: u16) -> &mut T {
        let (row, column) = (usize::from(row), usize::from(column));
        if self.0.len() <= row {
            self.0.resize_with(row + 1, Vec::new);
        }
        let values = &mut self.0[row];
        if values.len() <= column {
            values.resize_with(column + 1, T::default);
        }
        &mut values[column]
    }

    /// Every value with its numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, &T)> {
        let rows = self.0.iter().enumerate();
        rows.flat_map(|(row, values)| values.iter().enumerate().map(move |(column, v)| (row, column, v)))
    }
}

/// Durations by [`BUCKETS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// By bucket; each duration is in one.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    microseconds: u64,
}

impl Durations {
    pub(super) fn record(&mut self, microseconds: u64) {
        let bucket = BUCKETS.iter().position(|limit| microseconds <= limit * 1000);
        if let Some(bucket) = bucket.and_then(|at| self.buckets.get_mut(at)) {
            *bucket += 1;
        }
        self.count += 1;
        self.microseconds = self.microseconds.saturating_add(microseconds);
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Durations) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(own, more)| *own += more);
        self.count += other.count;
        self.microseconds = self.microseconds.saturating_add(other.microseconds);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum in milliseconds.
    pub fn sum(&self) -> f64 {
        self.microseconds as f64 / 1000.0
    }

    /// How many are not longer than each of the [`BUCKETS`].
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut sum = 0;
        BUCKETS.iter().zip(&self.buckets).map(move |(limit, count)| {
            sum += count;
            (*limit, sum)
        })
    }
}

/// What a handler call was for: a consumer, and a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricKey {
    /// The number of the consumer.
    pub consumer: u16,
    /// The number of the type.
    pub event_type: u16,
}

/// The handler calls of a client.
#[derive(Debug, Default)]
pub struct Calls {
    durations: Table<Durations>,
}

impl Calls {
    /// A handler call for an event has ended.
    pub fn record(&mut self, MetricKey { consumer, event_type }: MetricKey, microseconds: u64) {
        self.durations.at(consumer, event_type).record(microseconds);
    }

    /// The durations by the number of the consumer, and that of the type.
    pub fn durations(&self) -> impl Iterator<Item = (usize, usize, &Durations)> {
        self.durations.iter().filter(|(_, _, durations)| durations.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_beyond_the_limit_share_a_name() {
        let types = Types::default();
        let (mut cache, mut other) = (TypeCache::default(), TypeCache::default());
        let name = |n: usize| format!("type.{n}");
        let numbers: Vec<u16> = (0..MAX_NAMES + 50).map(|n| cache.number(&types, &name(n))).collect();
        assert!(numbers[..MAX_NAMES].iter().copied().eq(1..=MAX_NAMES as u16));
        assert!(numbers[MAX_NAMES..].iter().all(|number| *number == OTHER_NUMBER));
        for n in [0, MAX_NAMES - 1, MAX_NAMES, 3, 3] {
            assert_eq!(other.number(&types, &name(n)), numbers[n], "another thread sees the same");
            assert_eq!(cache.number(&types, &name(n)), numbers[n]);
        }
        assert_eq!(Types::default().number(OTHER), OTHER_NUMBER);
        let names = types.names();
        assert_eq!((names.len(), &*names[0], &*names[1]), (MAX_NAMES + 1, OTHER, "type.0"));
        assert!(cache.known.len() <= MAX_NAMES);
    }

    #[test]
    fn consumers_beyond_the_limit_share_a_name() {
        let mut consumers = Consumers::default();
        let stream: Arc<str> = "s".into();
        let mut number = |group: usize| consumers.number(&stream, &group.to_string().into());
        assert_eq!((number(0), number(1), number(0)), (2, 3, 2));
        let last = (2..500).map(number).last();
        assert_eq!(last, Some(1));
        let all = consumers.all();
        assert!(all.len() <= MAX_NAMES + 1);
        assert_eq!((&*all[0].0, &*all[1].1, &*all[2].1), ("", OTHER, "0"));
    }

    #[test]
    fn durations_fall_into_the_bucket_that_holds_them() {
        let mut calls = Calls::default();
        let series = MetricKey { consumer: 2, event_type: 1 };
        for microseconds in [0, 1000, 1001, 6_000_000] {
            calls.record(series, microseconds);
        }
        let (consumer, event_type, durations) = calls.durations().next().expect("durations");
        assert_eq!((consumer, event_type, durations.count(), durations.sum()), (2, 1, 4, 6002.001));
        let buckets: Vec<_> = durations.cumulative().collect();
        assert_eq!((buckets[0], buckets[1], buckets[10]), ((1, 2), (5, 3), (5000, 3)));
        let mut sum = *durations;
        sum.add(durations);
        assert_eq!((sum.count(), sum.cumulative().last()), (8, Some((5000, 6))));
    }
}
