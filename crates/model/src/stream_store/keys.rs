//! The names of the keys that Oxbus keeps beside a stream.
//!
//! All of a stream begin with its name, so that the hash tag of a stream in a cluster is theirs too.

/// The stream of dead letters.
pub fn dead_letters(stream: &str, suffix: &str) -> String {
    format!("{stream}{suffix}")
}

/// The facts of a group, a hash: `lease`, `mark`, `seen`, `missed`.
pub fn facts(stream: &str, group: &str) -> String {
    format!("{stream}:group:{group}")
}

/// The patterns of a group, a sorted set by the time when a client last had them.
pub fn patterns(stream: &str, group: &str) -> String {
    format!("{stream}:group:{group}:patterns")
}

/// The live consumers of a group, a hash: consumer → `instance expiry`.
pub fn consumers(stream: &str, group: &str) -> String {
    format!("{stream}:group:{group}:consumers")
}

/// Notes on pending entries of a group, a hash: `b{id}` → who began it, `u{id}` → since when it is unhandled.
pub fn notes(stream: &str, group: &str) -> String {
    format!("{stream}:group:{group}:notes")
}

/// Who trims a stream, a string that expires.
pub fn janitor(stream: &str) -> String {
    format!("{stream}:janitor")
}

/// The entry of a deduplicated event, a string that expires.
pub fn duplicate(stream: &str, event_id: &str) -> String {
    format!("{stream}:id:{event_id}")
}

/// An event kept by its id, a string that expires.
pub fn event(prefix: &str, event_id: &str) -> String {
    format!("{prefix}event:{event_id}")
}

/// Who is in a room, a sorted set by the time until when.
pub fn presence(prefix: &str, room: &str) -> String {
    format!("{prefix}presence:{room}")
}

/// The stream of all events that are kept.
pub fn history(prefix: &str) -> String {
    format!("{prefix}history")
}

/// The registry of streams, a hash: name → when it was registered and its patterns. It is a key of its own, which no
/// command names together with another key, so it may lie on any server of a cluster.
pub fn registry(prefix: &str) -> String {
    format!("{prefix}oxbus:streams")
}
