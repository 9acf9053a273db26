//! The registry of streams in memory.

use std::collections::HashMap;

use crate::stream_store::RegisteredStream;
use crate::stream_store::registry::{MAX_REGISTERED, kept_patterns};

/// The registered streams of one key.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The patterns of a stream and when it was registered last, by its name.
    by_name: HashMap<String, (Vec<String>, u64)>,
}

impl Registry {
    /// Registers streams, each with its patterns.
    pub(super) fn register(&mut self, streams: Vec<(String, Vec<String>)>, now_ms: u64) {
        for (name, events) in streams {
            self.by_name.insert(name, (kept_patterns(&events).to_vec(), now_ms));
        }
        let over = self.by_name.len().saturating_sub(MAX_REGISTERED);
        if over > 0 {
            let mut by_age: Vec<(u64, String)> =
                self.by_name.iter().map(|(name, (_, time))| (*time, name.clone())).collect();
            by_age.sort();
            for (_, name) in by_age.into_iter().take(over) {
                self.by_name.remove(&name);
            }
        }
    }

    /// The registered streams, in no order.
    pub(super) fn streams(&self) -> Vec<RegisteredStream> {
        let stream = |(name, (events, time)): (&String, &(Vec<String>, u64))| RegisteredStream {
            name: name.clone(),
            events: events.clone(),
            time: *time,
        };
        self.by_name.iter().map(stream).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(n: usize) -> (String, Vec<String>) {
        (format!("s{n:05}"), vec![format!("t{n}.*")])
    }

    #[test]
    fn a_stream_is_registered_once_as_it_was_told_last() {
        let mut registry = Registry::default();
        registry.register(vec![named(1), named(2)], 5);
        registry.register(vec![("s00001".into(), vec!["new".into()])], 7);
        let mut streams = registry.streams();
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        let expected = [("s00001", "new", 7), ("s00002", "t2.*", 5)];
        let expected = expected.map(|(name, event, time)| RegisteredStream {
            name: name.into(),
            events: vec![event.into()],
            time,
        });
        assert_eq!(streams, expected);
    }

    #[test]
    fn beyond_its_bound_the_oldest_go() {
        let mut registry = Registry::default();
        for (time, from) in [(1, 0), (2, MAX_REGISTERED / 2), (3, MAX_REGISTERED)] {
            registry.register((from..from + MAX_REGISTERED / 2).map(named).collect(), time);
        }
        let mut names: Vec<String> = registry.streams().into_iter().map(|stream| stream.name).collect();
        names.sort();
        assert_eq!(names.len(), MAX_REGISTERED);
        assert_eq!(names.first(), Some(&named(MAX_REGISTERED / 2).0));
    }
}
