//! The registry of streams: which streams the clients of one channel prefix are configured with. It lets an observer
//! find streams that it was not configured with.

/// The most streams in a registry. Beyond it, the streams go that were registered longest ago.
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
