//! From an event type to the stream that stores it.
//!
//! A type is stored in the first stream, in the order of the configuration, that has a matching pattern.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::overlap::overlap;
use crate::config::{Realtime, StreamConfig};
use crate::routing::pattern::{is_glob, matches};

/// Types whose stream is remembered. Services have tens of them; whoever makes up more pays for the search.
const REMEMBERED: usize = 4096;

/// The streams of a configuration by what they store.
#[derive(Debug, Default)]
pub struct StreamRouting {
    streams: Vec<StreamPatterns>,
    /// What [`StreamRouting::destination_of`] has found, by type. The lock is held for a look only.
    destinations: Mutex<FxHashMap<Box<str>, Option<Destination>>>,
}

/// The patterns of one stream.
#[derive(Debug)]
struct StreamPatterns {
    name: String,
    events: Vec<String>,
    realtime: Realtime,
}

/// Where an event is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The stream: its index in the configuration.
    pub stream: usize,
    /// Whether the event is published live as well.
    pub realtime: bool,
}

impl StreamRouting {
    /// The routing to these streams.
    pub fn new(streams: &[StreamConfig]) -> StreamRouting {
        let patterns_of = |stream: &StreamConfig| StreamPatterns {
            name: stream.name.clone(),
            events: stream.events.clone(),
            realtime: stream.realtime.clone(),
        };
        StreamRouting { streams: streams.iter().map(patterns_of).collect(), destinations: Mutex::default() }
    }

    /// Whether nothing is stored by its type.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Where events of this type are stored; `None` when no stream stores them.
    pub fn destination_of(&self, event_type: &str) -> Option<Destination> {
        if self.streams.is_empty() {
            return None;
        }
        let mut destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(destination) = destinations.get(event_type) {
            return *destination;
        }
        let destination = self
            .find(event_type)
            .map(|stream| Destination { stream, realtime: self.realtime(stream, event_type) });
        if destinations.len() >= REMEMBERED {
            destinations.clear();
        }
        destinations.insert(event_type.into(), destination);
        destination
    }

    /// The stream that stores events of this type.
    pub fn store_of(&self, event_type: &str) -> Option<usize> {
        self.destination_of(event_type).map(|destination| destination.stream)
    }

    /// The stream of this name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.streams.iter().position(|stream| stream.name == name)
    }

    /// Whether an event of this type, stored in this stream, is published live as well.
    pub fn realtime(&self, stream: usize, event_type: &str) -> bool {
        match self.streams.get(stream).map(|stream| &stream.realtime) {
            Some(Realtime::All) => true,
            Some(Realtime::Matching(patterns)) => any_matches(patterns, event_type),
            Some(Realtime::Nothing) | None => false,
        }
    }

    /// The streams that may store, by its type, an event that one of these patterns matches; in the order of
    /// the configuration. None that does is missing; one that does not may be among them, where patterns
    /// overlap in a way that is not worth taking apart.
    pub fn streams_matching(&self, patterns: &[String]) -> Vec<usize> {
        let may_store = |stream: &usize| patterns.iter().any(|pattern| self.may_store(*stream, pattern));
        (0..self.streams.len()).filter(may_store).collect()
    }

    /// Whether every type that this pattern matches is surely stored.
    pub fn stores_all(&self, pattern: &str) -> bool {
        if !is_glob(pattern.as_bytes()) {
            return self.find(pattern).is_some();
        }
        self.streams.iter().flat_map(|stream| &stream.events).any(|events| includes(events, pattern))
    }

    fn find(&self, event_type: &str) -> Option<usize> {
        self.streams.iter().position(|stream| any_matches(&stream.events, event_type))
    }

    fn may_store(&self, stream: usize, pattern: &str) -> bool {
        if !is_glob(pattern.as_bytes()) {
            return self.find(pattern) == Some(stream);
        }
        let earlier = || self.streams[..stream].iter().flat_map(|earlier| &earlier.events);
        if earlier().any(|taken| includes(taken, pattern)) {
            return false;
        }
        self.streams[stream].events.iter().any(|events| {
            if is_glob(events.as_bytes()) {
                overlap(events.as_bytes(), pattern.as_bytes())
                    && !earlier().any(|taken| includes(taken, events))
            } else {
                matches(pattern.as_bytes(), events.as_bytes()) && self.find(events) == Some(stream)
            }
        })
    }
}

fn any_matches(patterns: &[String], event_type: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_bytes(), event_type.as_bytes()))
}

/// Whether `wide` surely matches whatever `narrow` matches. Sees it where `wide` is the same pattern, or plain
/// text and one `*` at its end, as most are.
fn includes(wide: &str, narrow: &str) -> bool {
    let prefix = wide.strip_suffix('*').filter(|prefix| !is_glob(prefix.as_bytes()));
    wide == narrow || prefix.is_some_and(|prefix| narrow.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(name: &str, events: &[&str], realtime: Realtime) -> StreamConfig {
        StreamConfig {
            name: name.to_owned(),
            events: events.iter().map(ToString::to_string).collect(),
            cap: 1,
            max_length: None,
            max_age: None,
            groups: Vec::new(),
            realtime,
            safe_trim: true,
        }
    }

    fn storage(streams: &[&[&str]]) -> StreamRouting {
        StreamRouting::new(
            &streams.iter().map(|events| stream("s", events, Realtime::All)).collect::<Vec<_>>(),
        )
    }

    fn matching(storage: &StreamRouting, patterns: &[&str]) -> Vec<usize> {
        storage.streams_matching(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_first_matching_stream_stores() {
        let s = storage(&[&["order.created", "photo.*"], &["order.*"], &["*.deleted"]]);
        for (event_type, expected) in [
            ("order.created", Some(0)),
            ("order.paid", Some(1)),
            ("photo.deleted", Some(0)),
            ("user.deleted", Some(2)),
            ("user.created", None),
        ] {
            // The second time it is remembered.
            assert_eq!(
                (s.store_of(event_type), s.store_of(event_type)),
                (expected, expected),
                "{event_type}"
            );
        }
        assert!(storage(&[]).is_empty() && storage(&[]).destination_of("a").is_none());
    }

    #[test]
    fn what_is_live_as_well() {
        let s = StreamRouting::new(&[
            stream("a", &["a.*"], Realtime::All),
            stream("b", &["b.*"], Realtime::Nothing),
            stream("c", &["c.*"], Realtime::Matching(vec!["c.x".to_owned(), "*.y".to_owned()])),
        ]);
        for (event_type, stream, realtime) in
            [("a.x", 0, true), ("b.x", 1, false), ("c.x", 2, true), ("c.y", 2, true), ("c.z", 2, false)]
        {
            assert_eq!(s.destination_of(event_type), Some(Destination { stream, realtime }));
        }
        assert_eq!((s.named("b"), s.named("d")), (Some(1), None));
        assert!(s.realtime(0, "z") && !s.realtime(7, "a.x"));
    }

    #[test]
    fn the_streams_of_a_subscription() {
        let s = storage(&[&["order.created"], &["order.*"], &["*"]]);
        for (patterns, expected) in [
            (&["order.created"][..], &[0][..]),
            (&["order.paid"], &[1]),
            (&["order.*"], &[0, 1]),
            (&["order.p*"], &[1]),
            (&["photo.*"], &[2]),
            (&["*"], &[0, 1, 2]),
            (&["photo.a", "order.created"], &[0, 2]),
            (&[], &[]),
        ] {
            assert_eq!(matching(&s, patterns), expected, "{patterns:?}");
        }
        assert_eq!(matching(&storage(&[&["a.*"], &["a.b.*", "c"]]), &["*"]), [0, 1]);
        assert_eq!(matching(&storage(&[&["a.*"], &["a.b.*", "a.c"]]), &["*"]), [0]);
        assert_eq!(matching(&storage(&[&["a.*"]]), &["b.*"]), [0; 0]);
    }

    #[test]
    fn what_is_stored_as_a_whole() {
        let s = storage(&[&["order.created"], &["order.*", "user.[ab]"]]);
        for whole in ["order.created", "order.paid", "order.*", "order.p*", "order.?", "user.a", "user.[ab]"]
        {
            assert!(s.stores_all(whole), "{whole}");
        }
        for part in ["order", "*", "o*", "user.*", "user.c", "[o]rder.*"] {
            assert!(!s.stores_all(part), "{part}");
        }
        assert!(storage(&[&["*"]]).stores_all("*") && !storage(&[]).stores_all("a"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let s = storage(&[&["a*"]]);
        for n in 0..REMEMBERED * 2 + 1 {
            assert_eq!(s.store_of(&format!("a{n}")), Some(0));
        }
        assert!(s.destinations.lock().unwrap().len() <= REMEMBERED);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn no_stream_that_stores_a_matching_type_is_missing(
            streams in prop::collection::vec(prop::collection::vec(r"[ab.*?\[\]]{1,4}", 1..3), 0..4),
            patterns in prop::collection::vec(r"[ab.*?\[\]^]{1,4}", 1..3),
            types in prop::collection::vec("[ab.]{1,5}", 20),
        ) {
            let configs: Vec<StreamConfig> = streams
                .iter()
                .map(|events| stream("s", &events.iter().map(String::as_str).collect::<Vec<_>>(), Realtime::All))
                .collect();
            let s = StreamRouting::new(&configs);
            let found = s.streams_matching(&patterns);
            for event_type in types {
                let first = streams.iter().position(|events| any_matches(events, &event_type));
                prop_assert_eq!(s.store_of(&event_type), first);
                if let Some(stream) = first && any_matches(&patterns, &event_type) {
                    prop_assert!(found.contains(&stream), "{} in {}", event_type, stream);
                }
            }
        }

        #[test]
        fn what_includes_a_pattern_matches_whatever_it_matches(
            wide in r"[ab*\\]{0,4}", narrow in r"[ab*?\[\]\\]{1,4}", text in r"[ab*\\]{0,5}",
        ) {
            if includes(&wide, &narrow) && matches(narrow.as_bytes(), text.as_bytes()) {
                prop_assert!(matches(wide.as_bytes(), text.as_bytes()));
            }
        }
    }
}
