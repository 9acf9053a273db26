//! The names of all keys that Oxbus keeps on a store. No other file, and no script, makes the name of a key.
//!
//! All keys that belong to a stream begin with its name, so that the hash tag of a stream in a cluster is theirs too.

/// The stream of dead letters.
pub fn dead_letters(stream: &str, suffix: &str) -> String {
    format!("{stream}{suffix}")
}

/// The facts of a group, a hash: `lease`, the low-water mark `mark`, `seen` and `position` of the last heartbeat, and
/// `missed`, `removed` or `last`, by which entries are noticed that were trimmed unread.
pub fn facts(stream: &str, group: &str) -> String {
    of_group(stream, group)
}

/// What the key of the facts of each group of a stream begins with. The name of the group completes it, which a
/// script does for groups that it finds by itself.
pub fn facts_of_groups(stream: &str) -> String {
    of_group(stream, "")
}

/// The patterns of a group, a sorted set by the time when a client last had them.
pub fn patterns(stream: &str, group: &str) -> String {
    of_group(stream, group) + ":patterns"
}

/// The live consumers of a group, a hash: consumer → `instance expiry`.
pub fn consumers(stream: &str, group: &str) -> String {
    of_group(stream, group) + ":consumers"
}

/// Notes on pending entries of a group, a hash: `b{id}` → the client start that began the entry, `u{id}` → the time
/// since when the entry is unhandled.
pub fn notes(stream: &str, group: &str) -> String {
    of_group(stream, group) + ":notes"
}

/// When entries of a group are due for which a delay was asked for, a sorted set: id → Unix milliseconds of the store's
/// clock. An entry stays in it until then, at the longest.
pub fn due(stream: &str, group: &str) -> String {
    of_group(stream, group) + ":due"
}

/// The janitor that trims a stream, a string that expires.
pub fn janitor(stream: &str) -> String {
    format!("{stream}:janitor")
}

/// The entry of a deduplicated event, a string that expires.
pub fn duplicate(stream: &str, event_id: &str) -> String {
    format!("{stream}:id:{event_id}")
}

/// An event that is kept by its id, a string that expires.
pub fn event(prefix: &str, event_id: &str) -> String {
    format!("{prefix}event:{event_id}")
}

/// The members of a room, a sorted set by the time until when each is in it.
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

fn of_group(stream: &str, group: &str) -> String {
    format!("{stream}:group:{group}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_group_completes_the_key_of_its_facts() {
        assert_eq!(facts_of_groups("orders") + "billing", facts("orders", "billing"));
    }
}
