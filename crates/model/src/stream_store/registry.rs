//! The registries of a channel prefix, each of names with patterns: which streams its clients are configured with, so that
//! an observer finds them; and what its groups want, so that a publisher learns of a type that it does not store.

use crate::routing::pattern::matches;

/// The most names in a registry. Beyond it, those go that were registered longest ago.
pub const MAX_REGISTERED: usize = 10_000;

/// The most bytes of a stream's patterns in a registry, as JSON. Patterns that do not fit are left out.
const MAX_PATTERN_BYTES: usize = 4_096;

/// A stream as its clients know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredStream {
    /// The name of the stream, which is its key.
    pub name: String,
    /// The patterns of the types that it stores, as the client has them that registered it last.
    pub events: Vec<String>,
    /// When a client registered it last, by the store's time in Unix milliseconds.
    pub time: u64,
}

/// What a subscription of a group wants of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPattern {
    /// The stream.
    pub stream: String,
    /// The group.
    pub group: String,
    /// A pattern of the subscription.
    pub pattern: String,
    /// The patterns of the types that the stream stores, as the client of the subscription has them.
    pub events: Vec<String>,
}

impl WantedPattern {
    /// Its name in the registry.
    pub fn name(&self) -> String {
        // Texts can always be written.
        serde_json::to_string(&(&self.stream, &self.group, &self.pattern)).unwrap_or_default()
    }

    /// What is registered under a name; `None` for what another program has written there.
    pub fn of(registered: RegisteredStream) -> Option<WantedPattern> {
        let (stream, group, pattern) = serde_json::from_str(&registered.name).ok()?;
        Some(WantedPattern { stream, group, pattern, events: registered.events })
    }

    /// Whether the group waits for events of this type.
    pub fn wants(&self, event_type: &str) -> bool {
        let fits = |pattern: &str| matches(pattern.as_bytes(), event_type.as_bytes());
        fits(&self.pattern) && self.events.iter().any(|pattern| fits(pattern))
    }
}

/// The first of a stream's patterns, as many as a registry keeps.
pub fn kept_patterns(events: &[String]) -> &[String] {
    // Brackets, and for each pattern quotes and a comma. A character that JSON escapes takes six bytes at the most.
    let mut bytes = 2;
    let fits = |pattern: &&String| {
        let escaped =
            pattern.chars().map(|c| if c < ' ' || c == '"' || c == '\\' { 6 } else { c.len_utf8() });
        bytes += escaped.sum::<usize>() + 3;
        bytes <= MAX_PATTERN_BYTES
    };
    let count = events.iter().take_while(fits).count();
    events.get(..count).unwrap_or_default()
}

/// As [`kept_patterns`], as JSON.
pub fn kept_patterns_json(events: &[String]) -> String {
    // Texts can always be written.
    serde_json::to_string(kept_patterns(events)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_wants_what_it_subscribes_to_and_its_stream_stores() {
        let events = vec!["order.*".to_owned()];
        let wanted =
            WantedPattern { stream: "s \"x".into(), group: "g".into(), pattern: "*.paid".into(), events };
        let registered = RegisteredStream { name: wanted.name(), events: wanted.events.clone(), time: 1 };
        assert_eq!(WantedPattern::of(registered.clone()), Some(wanted.clone()));
        assert_eq!(WantedPattern::of(RegisteredStream { name: "x".into(), ..registered }), None);
        let wants = |event_type| wanted.wants(event_type);
        assert!(wants("order.paid") && !wants("order.sent") && !wants("mail.paid"));
    }

    #[test]
    fn patterns_are_kept_until_they_take_too_much() {
        let few = vec!["a.*".to_owned(), "b\"\\".to_owned()];
        assert_eq!(kept_patterns(&few), few);
        assert_eq!(kept_patterns(&[]), [""; 0]);
        let many: Vec<String> = (0..1000).map(|n| format!("type-{n:04}")).collect();
        let kept = kept_patterns(&many);
        let json = kept_patterns_json(&many);
        assert!(json.len() <= MAX_PATTERN_BYTES && json.len() > MAX_PATTERN_BYTES - 20, "{}", json.len());
        assert_eq!(kept, &many[..kept.len()]);
        assert_eq!(kept_patterns(&["\"".repeat(1000)]), [""; 0]);
    }
}
