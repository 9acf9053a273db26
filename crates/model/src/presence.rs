//! Who is in a room: what of it is kept on the store, and for how long.
//!
//! A membership is a member and the client start that has joined for it: several clients may join for one member,
//! who is there until the last of them has left.

use std::collections::BTreeSet;

/// For how long a membership is kept unless it is renewed, in milliseconds, by the clock of the store: within that
/// time after a process has died its members are gone.
pub const TTL: u64 = 30_000;

/// How often memberships are renewed, in milliseconds: twice in vain, and they are still there.
pub const RENEWAL: u64 = 10_000;

/// The memberships of one client at the most, all rooms and users together.
pub const MAX_MEMBERSHIPS: usize = 100_000;

/// A membership as the store keeps it: no instance id has a colon, so the first one ends it.
pub fn entry(instance_id: &str, member: &str) -> String {
    format!("{instance_id}:{member}")
}

/// The client start of an entry.
pub fn instance_of(entry: &str) -> &str {
    entry.split_once(':').map_or(entry, |(instance, _)| instance)
}

/// The members of entries, each once, in the order of their bytes.
pub fn members(entries: &[String]) -> Vec<&str> {
    let members: BTreeSet<&str> = entries.iter().filter_map(|entry| Some(entry.split_once(':')?.1)).collect();
    members.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_client_start_and_any_member() {
        for member in ["a", ":", "a:b", "", "\u{0}\u{1f600}*"] {
            let entry = entry("00ff", member);
            assert_eq!((instance_of(&entry), members(std::slice::from_ref(&entry))), ("00ff", vec![member]));
        }
    }

    #[test]
    fn a_member_of_several_clients_is_one() {
        let entries: Vec<String> = ["1:b", "2:a", "2:b", "foreign"].map(str::to_owned).into();
        assert_eq!(members(&entries), ["a", "b"]);
    }
}
