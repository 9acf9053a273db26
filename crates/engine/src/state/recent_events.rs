//! The recent events of this client, within a bound.

use std::collections::{HashSet, VecDeque};

use oxbus_model::codec::Codec;
use oxbus_model::codec::decoded::Missing;
use oxbus_model::codec::event_json::id_of;

/// The most events that are kept.
const MAX_EVENTS: usize = 1_000;
/// The most bytes of JSON that they have together.
const MAX_BYTES: usize = 4 << 20;

/// Events that this client published or received, the oldest forgotten first. An event may be there
/// twice: as it was published and as it came back.
#[derive(Default)]
pub(crate) struct RecentEvents {
    events: VecDeque<(Codec, Box<str>)>,
    bytes: usize,
}

/// An event as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecentEvent {
    /// Its id.
    pub(crate) id: String,
    /// Its type.
    pub(crate) event_type: String,
    /// Its time, Unix milliseconds.
    pub(crate) time: i64,
    /// The whole of it as JSON.
    pub(crate) json: String,
}

impl RecentEvents {
    /// Adds an event, given as a message in the format `codec`; the oldest events make room for it. An event that is
    /// larger than the bound of all is not added.
    pub(crate) fn push(&mut self, codec: &Codec, message: &str) {
        if message.len() > MAX_BYTES {
            return;
        }
        self.bytes += message.len();
        self.events.push_back((codec.clone(), message.into()));
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.events.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    /// All events that are kept, each once, the oldest first.
    ///
    /// Events are parsed here, which is rare, and not when they are added, which is often.
    pub(crate) fn events(&self) -> Vec<RecentEvent> {
        let mut seen = HashSet::new();
        let events = self.events.iter().filter_map(|(codec, message)| event(codec, message));
        events.filter(|event| seen.insert(event.id.clone())).collect()
    }
}

fn event(codec: &Codec, message: &str) -> Option<RecentEvent> {
    // Only whole events are kept, so nothing is missing.
    let missing = || Missing { id: String::new(), timestamp_ms: 0 };
    let decoded = codec.read_message(message.as_bytes(), b"", missing, None).ok()?;
    Some(RecentEvent {
        id: id_of(&decoded.json)?.into_owned(),
        event_type: decoded.event_type.into_owned(),
        time: decoded.published_ms.unwrap_or(0),
        json: decoded.json.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(id: &str, data: &str) -> String {
        format!(
            r#"{{"id":"{id}","type":"a.b","data":"{data}","metadata":{{"timestamp":"1970-01-01T00:00:00.007Z","source":"s","correlationId":"c"}}}}"#
        )
    }

    fn ids(recent: &RecentEvents) -> Vec<String> {
        recent.events().into_iter().map(|event| event.id).collect()
    }

    #[test]
    fn events_are_kept_as_they_were_each_once() {
        let mut recent = RecentEvents::default();
        for id in ["1", "2", "1"] {
            recent.push(&Codec::Oxbus, &text(id, "x"));
        }
        recent.push(&Codec::Oxbus, "not an event");
        assert_eq!(ids(&recent), ["1", "2"]);
        let event = RecentEvent { id: "1".into(), event_type: "a.b".into(), time: 7, json: text("1", "x") };
        assert_eq!(recent.events().first(), Some(&event));
    }

    #[test]
    fn the_oldest_make_room() {
        let mut recent = RecentEvents::default();
        for n in 0..MAX_EVENTS + 10 {
            recent.push(&Codec::Oxbus, &text(&n.to_string(), ""));
        }
        assert_eq!(
            (recent.events().len(), ids(&recent).first().map(String::as_str)),
            (MAX_EVENTS, Some("10"))
        );
        // The first of these takes the place of all, the second that of the first.
        for id in ["large", "larger"] {
            recent.push(&Codec::Oxbus, &text(id, &"x".repeat(MAX_BYTES / 2)));
        }
        assert_eq!(ids(&recent), ["larger"]);
        recent.push(&Codec::Oxbus, &text("too large", &"x".repeat(MAX_BYTES)));
        assert_eq!(ids(&recent), ["larger"]);
    }
}
