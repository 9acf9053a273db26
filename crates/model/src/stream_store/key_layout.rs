//! How the keys of a stream are named, so that a Redis Cluster keeps them in one slot.
//!
//! See `docs/design/group-facts.md`.

use std::borrow::Cow;

use super::NameTemplate;

/// How the keys of a stream are named on a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyLayout {
    /// A single server: each key begins with the name of the stream.
    #[default]
    Plain,
    /// A server in cluster mode: each key but that of the stream itself begins with the name of the stream as hash tag, so
    /// that it is in the slot of the stream. A name that has a tag keeps it.
    Tagged,
}

impl KeyLayout {
    /// What the names of the keys beside the stream `key` begin with.
    pub fn home(self, key: &str) -> Cow<'_, str> {
        match self {
            KeyLayout::Tagged if hash_tag(key).is_none() => format!("{{{key}}}").into(),
            _ => key.into(),
        }
    }

    /// The key of a stream. Those with names of `letters` are dead letters, which are beside their stream.
    pub fn key<'a>(self, stream: &'a str, letters: &NameTemplate) -> Cow<'a, str> {
        match letters.name_in(stream) {
            Some(of) if self == KeyLayout::Tagged => Cow::Owned(letters.of(&self.home(of))),
            _ => stream.into(),
        }
    }

    /// The name of the stream that has this key: the opposite of [`KeyLayout::key`].
    pub fn stream<'a>(self, key: &'a str, letters: &NameTemplate) -> Cow<'a, str> {
        let name = || {
            let of = letters.name_in(key)?.strip_prefix('{')?.strip_suffix('}')?;
            (!of.is_empty()).then(|| letters.of(of))
        };
        match name() {
            Some(name) if self == KeyLayout::Tagged && self.key(&name, letters) == key => name.into(),
            _ => key.into(),
        }
    }

    /// A key of something that is not of the stream `beside`, made so that it is in its slot.
    pub fn beside<'a>(self, beside: &str, key: &'a str) -> Cow<'a, str> {
        match self {
            KeyLayout::Plain => key.into(),
            KeyLayout::Tagged => format!("{}:{key}", self.home(beside)).into(),
        }
    }
}

/// The part of a key by which a Redis Cluster chooses its slot; `None` where that is the whole key.
pub fn hash_tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// Whether a stream can have this name on a server in cluster mode. Without a tag of its own its name becomes one, and a tag
/// ends at the first closing brace.
pub fn fits_cluster(stream: &str) -> bool {
    hash_tag(stream).is_some() || !stream.contains('}')
}

/// How many slots a Redis Cluster has.
pub const SLOTS: u16 = 16_384;

/// The slot of a key, as the specification of Redis Cluster has it: CRC16 (XMODEM) of the tag, or of the whole key, modulo
/// [`SLOTS`].
pub fn slot(key: &str) -> u16 {
    crc16(hash_tag(key).unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC16 as the slots have it (XMODEM: polynomial 0x1021, from 0).
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::KeyLayout::{Plain, Tagged};
    use super::*;
    use crate::stream_store::keys;

    fn dlq() -> NameTemplate {
        keys::dead_letters(":dlq")
    }

    #[test]
    fn slots_are_those_of_a_server() {
        // What CLUSTER KEYSLOT says.
        assert_eq!((slot("123456789"), slot("foo"), slot("{foo}:dlq")), (12_739, 12_182, 12_182));
        assert_eq!((slot("foo{}{bar}"), slot("foo{{bar}}zap")), (slot("foo{}{bar}"), slot("{{bar}")));
    }

    #[test]
    fn keys_on_a_single_server_have_no_tag() {
        assert_eq!(Plain.home("orders"), "orders");
        assert_eq!(Plain.key("orders:dlq", &dlq()), "orders:dlq");
        assert_eq!(Plain.stream("{orders}:dlq", &dlq()), "{orders}:dlq");
        assert_eq!(Plain.beside("orders", "oxbus:alive:1"), "oxbus:alive:1");
    }

    #[test]
    fn keys_in_cluster_mode_have_the_name_of_the_stream_as_tag() {
        assert_eq!(keys::facts(&Tagged.home("orders"), "billing"), "{orders}:group:billing");
        assert_eq!(keys::duplicate(&Tagged.home("orders"), "e1"), "{orders}:id:e1");
        assert_eq!(keys::janitor(&Tagged.home("orders")), "{orders}:janitor");
        assert_eq!(keys::janitor(&Tagged.home("{shop}:orders")), "{shop}:orders:janitor");
        assert_eq!(Tagged.beside("orders", "oxbus:alive:1"), "{orders}:oxbus:alive:1");
        for (stream, key) in [
            ("orders", "orders"),
            ("orders:dlq", "{orders}:dlq"),
            ("{orders}:dlq", "{orders}:dlq"),
            ("{shop}:orders:dlq", "{shop}:orders:dlq"),
            (":dlq", ":dlq"),
        ] {
            assert_eq!(Tagged.key(stream, &dlq()), key);
            // Of both names of the same stream, the one without a tag is told.
            let told = if stream == "{orders}:dlq" { "orders:dlq" } else { stream };
            assert_eq!(Tagged.stream(key, &dlq()), told);
        }
    }

    #[test]
    fn a_brace_that_ends_a_tag_too_early_does_not_fit() {
        assert!(fits_cluster("orders") && fits_cluster("{shop}:orders") && fits_cluster("a{b"));
        assert!(!fits_cluster("a}b") && !fits_cluster("a{}b") && !fits_cluster("}{"));
    }

    proptest! {
        #[test]
        fn all_keys_of_a_stream_are_in_its_slot(stream in "[a-z{}:]{1,8}", group in "[a-z{}:]{1,6}") {
            prop_assume!(fits_cluster(&stream));
            let home = Tagged.home(&stream);
            let mut all: Vec<String> = keys::of_group(&home, &group).into();
            all.push(keys::facts_of_groups(&home) + &group + keys::SKIPPED);
            all.extend([keys::janitor(&home), keys::duplicate(&home, &group)]);
            all.push(Tagged.beside(&stream, &format!("{group}oxbus:alive:1")).into_owned());
            let letters = dlq().of(&stream);
            let of_letters = Tagged.key(&letters, &dlq()).into_owned();
            all.push(keys::facts(&Tagged.home(&of_letters), &group));
            for key in all.iter().chain([&of_letters]) {
                prop_assert_eq!(slot(key), slot(&stream), "{}", key);
            }
            let told = Tagged.stream(&of_letters, &dlq()).into_owned();
            prop_assert_eq!(Tagged.key(&told, &dlq()), of_letters);
        }
    }
}
