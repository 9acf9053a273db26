//! The streams of a configuration, and what becomes of events that cannot be handled.

use crate::store::Position;

/// A stream, and which events it stores.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamConfig {
    /// Its key in Redis: 1–512 characters without control characters, unique in the configuration.
    pub name: String,
    /// Patterns of the types that it stores; at least one.
    pub events: Vec<String>,
    /// The most entries, about: what publishers trim to. Default 1 000 000.
    pub cap: u64,
    /// How many entries are kept, about, by the janitor. `None`: as many as the cap allows.
    pub max_length: Option<u64>,
    /// For how many milliseconds entries are kept. `None`: for ever.
    pub max_age: Option<u64>,
    /// Groups that exist from the start, and where they begin.
    pub groups: Vec<(String, Position)>,
    /// Which of the stored events are published live as well.
    pub realtime: Realtime,
    /// Whether nothing is trimmed that a live group has not read and settled, but by the cap. Default true.
    pub safe_trim: bool,
}

/// Which events of a stream are published live as well.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Realtime {
    /// All. The default.
    #[default]
    All,
    /// None.
    Nothing,
    /// Those whose type matches one of these patterns.
    Matching(Vec<String>),
}

/// What becomes of entries that cannot be handled.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetterConfig {
    /// Whether they are kept. Default true.
    pub enabled: bool,
    /// What the name of their stream ends with. Default `:dlq`.
    pub suffix: String,
    /// How many are kept for each stream, about. Default 10 000.
    pub max_length: u64,
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        DeadLetterConfig { enabled: true, suffix: ":dlq".to_owned(), max_length: 10_000 }
    }
}

/// Whether events are kept by their id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersistenceConfig {
    /// For how many milliseconds. Default 86 400 000.
    pub ttl: u64,
    /// Whether there is a stream of all of them. Default true.
    pub history: bool,
}
