//! The names of all keys that Oxbus keeps on a store. No other file, and no script, makes the name of a key.
//!
//! All keys that belong to a stream begin with its name. On a server in cluster mode what is given as `stream` is its
//! [home](super::KeyLayout::home), which makes them hash to its slot.

use super::NameTemplate;

/// The names of dead letters where no format says others: behind the name of their stream there is this.
pub fn dead_letters(suffix: &str) -> NameTemplate {
    NameTemplate::new("", suffix)
}

/// The facts of a group, a hash: `lease`, `foreignLease`, the low-water mark `mark`, `seen` of the last heartbeat, `swept` of the last
/// removal of dead consumers; of what was read past:
/// `version`, `backlog`, `unread` (the oldest entry that may be taken up), `pruned` (when that was looked at) and `task`; and
/// what is noted to notice entries that were trimmed unread: `found`, what a client start has found of them; on Redis 7.0
/// `read`, how many entries there were up to the position `at`, as known under the server's `run` id; before 7 `top`, the
/// last entry that was there.
pub fn facts(stream: &str, group: &str) -> String {
    base(stream, group)
}

/// What the key of the facts of each group of a stream begins with. The name of the group completes it, which a
/// script does for groups that it finds by itself.
pub fn facts_of_groups(stream: &str) -> String {
    base(stream, "")
}

/// The patterns of a group, a sorted set by the time when a client last had them.
pub fn patterns(stream: &str, group: &str) -> String {
    base(stream, group) + ":patterns"
}

/// The consumers of a group, a hash: consumer → client start, line break, the key by which it lives, blank, the time until
/// when it lives in any case. Builds before 0.2 write no key and renew the time every second. One that has left has no key
/// and the time 0, until it owns no entry any more: who is in here is ours, others are of other programs.
pub fn consumers(stream: &str, group: &str) -> String {
    base(stream, group) + CONSUMERS
}

/// What completes the key of the facts of a group to that of its consumers, for scripts that find the group.
pub const CONSUMERS: &str = ":consumers";

/// Notes on pending entries of a group, a hash: `b{id}` → the client start that began the entry, `u{id}` → the time
/// since when the entry is unhandled.
pub fn notes(stream: &str, group: &str) -> String {
    base(stream, group) + ":notes"
}

/// What a group has read past, a hash: type → slices of ids, as `shared/skipped.lua` writes them.
pub fn skipped(stream: &str, group: &str) -> String {
    base(stream, group) + SKIPPED
}

/// What completes the key of the facts of a group to that of what it has read past, for scripts that find the group.
pub const SKIPPED: &str = ":skipped";

/// The tasks by which a group takes up what it had read past, a hash: number → next id, last id, ids that are left out, type.
pub fn tasks(stream: &str, group: &str) -> String {
    base(stream, group) + ":tasks"
}

/// What a client start keeps to show that it lives, a string that expires.
pub fn alive(prefix: &str, instance: &str) -> String {
    format!("{prefix}oxbus:alive:{instance}")
}

/// When entries of a group are due for which a delay was asked for, a sorted set: id → Unix milliseconds of the store's
/// clock. An entry stays in it until then, at the longest.
pub fn due(stream: &str, group: &str) -> String {
    base(stream, group) + ":due"
}

/// The janitor that trims a stream, a string that expires.
pub fn janitor(stream: &str) -> String {
    format!("{stream}:janitor")
}

/// The entry of a deduplicated event, a string that expires.
pub fn duplicate(stream: &str, event_id: &str) -> String {
    format!("{stream}:id:{event_id}")
}

/// The names of events that are kept by their ids, strings that expire, where no format says others.
pub fn events(prefix: &str) -> NameTemplate {
    NameTemplate::new(&format!("{prefix}event:"), "")
}

/// The members of a room, a sorted set by the time until when each is in it.
pub fn presence(prefix: &str, room: &str) -> String {
    format!("{prefix}presence:{room}")
}

/// The stream of all events that are kept, where no format says another one.
pub fn history(prefix: &str) -> String {
    format!("{prefix}history")
}

/// The registry of streams, a hash: name → when it was registered and its patterns. It is a key of its own, which no
/// command names together with another key, so it may lie on any server of a cluster.
pub fn registry(prefix: &str) -> String {
    format!("{prefix}oxbus:streams")
}

/// The registry of what groups want, a hash: stream, group and pattern → when it was registered and what the stream
/// stores. A key of its own, as the registry of streams.
pub fn wanted(prefix: &str) -> String {
    format!("{prefix}oxbus:groups")
}

/// How live events of a Cluster travel: `broadcast`, or `sharded:` and the number of lanes. The first client writes it, and those
/// that differ are refused. A key of its own, as the registry of streams.
pub fn pubsub(prefix: &str) -> String {
    format!("{prefix}oxbus:pubsub")
}

/// All keys of a group: facts, patterns, consumers, notes, skipped, tasks, due.
pub fn of_group(stream: &str, group: &str) -> [String; 7] {
    [facts, patterns, consumers, notes, skipped, tasks, due].map(|key| key(stream, group))
}

fn base(stream: &str, group: &str) -> String {
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
