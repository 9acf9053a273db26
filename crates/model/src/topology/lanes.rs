//! The lanes of sharded pub/sub: the channels that carry the live events of a bus in a Redis Cluster.
//!
//! This is a wire format: all clients of a bus compute the same lanes. With a channel prefix `P` and `L` lanes,
//!
//! - lane `k` is the channel `P` `oxbus:lane:` `k` `-` `n`, where `n` is the least number for which the slot of that name is in the
//!   `k`-th of `L` equal parts of all slots. A prefix that has a hash tag of its own would put all lanes in one slot: then the
//!   name is `{` `k` `-` `n` `}` `P` `oxbus:lane`;
//! - what would be published on a channel `C` goes to the lane CRC16(`C`) modulo `L`, with the CRC16 of the slots;
//! - a message on a lane is the length of `C` in bytes as a decimal number, a colon, `C`, and what would be published.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use crate::routing::server_subscription::ServerSubscription;
use crate::stream_store::{SLOTS, crc16, hash_tag, slot};

/// How many lanes a bus may have.
pub const LANES: RangeInclusive<u16> = 1..=256;

/// How many it has by default.
pub const DEFAULT_LANES: u16 = 16;

/// The longest name of a channel on a lane, in digits of its length: no name is that long.
const MOST_DIGITS: usize = 9;

/// The number of a lane, from 0 on.
pub type Lane = u16;

/// The lanes of a bus.
#[derive(Debug)]
pub struct Lanes {
    lanes: Box<[(String, u16)]>,
    numbers: HashMap<Box<[u8]>, Lane>,
}

impl Lanes {
    /// So many lanes, at least one, of the buses with this channel prefix.
    pub fn new(prefix: &str, count: u16) -> Lanes {
        let count = count.max(1);
        let lanes: Box<[(String, u16)]> = (0..count).map(|lane| lane_of(prefix, lane, count)).collect();
        let numbers = (0..).zip(&lanes).map(|(lane, (name, _))| (name.as_bytes().into(), lane)).collect();
        Lanes { lanes, numbers }
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        u16::try_from(self.lanes.len()).unwrap_or(u16::MAX)
    }

    /// All of them.
    pub fn all(&self) -> std::ops::Range<Lane> {
        0..self.count()
    }

    /// The lane of what would be published on a channel.
    pub fn of(&self, channel: &[u8]) -> Lane {
        crc16(channel) % self.count()
    }

    /// The lanes that carry what matches a server subscription: one for a channel, all for a pattern.
    pub fn carrying(&self, server_subscription: &ServerSubscription) -> std::ops::Range<Lane> {
        match server_subscription {
            ServerSubscription::Channel(name) => {
                let lane = self.of(name);
                lane..lane + 1
            }
            ServerSubscription::Pattern(_) => self.all(),
        }
    }

    /// The channel of a lane; empty for one that is none.
    pub fn channel(&self, lane: Lane) -> &str {
        self.lanes.get(usize::from(lane)).map_or("", |(name, _)| name)
    }

    /// The slot of a lane.
    pub fn slot(&self, lane: Lane) -> Option<u16> {
        self.lanes.get(usize::from(lane)).map(|(_, slot)| *slot)
    }

    /// The lane that has this channel.
    pub fn number(&self, channel: &[u8]) -> Option<Lane> {
        self.numbers.get(channel).copied()
    }
}

/// What comes before the channel and the payload in a message on a lane.
pub fn head_of_message(channel: &[u8]) -> String {
    format!("{}:", channel.len())
}

/// The channel and the payload of a message on a lane; `None` for what no client of a bus writes.
pub fn read_message(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = message.iter().take(MOST_DIGITS + 1).position(|byte| *byte == b':')?;
    let (digits, rest) = message.split_at_checked(colon)?;
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let length: usize = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    rest.get(1..)?.split_at_checked(length)
}

/// The channel of a lane, and its slot.
fn lane_of(prefix: &str, lane: Lane, count: u16) -> (String, u16) {
    let [first, end] = [lane, lane + 1].map(|of| part(of, count));
    let name = |n: u32| match hash_tag(prefix) {
        Some(_) => format!("{{{lane}-{n}}}{prefix}oxbus:lane"),
        None => format!("{prefix}oxbus:lane:{lane}-{n}"),
    };
    let fits = |n: u32| {
        let name = name(n);
        let slot = slot(&name);
        (first..end).contains(&slot).then_some((name, slot))
    };
    // About one of `count` names fits.
    (0..=u32::MAX).find_map(fits).unwrap_or_default()
}

/// The first slot of a part.
fn part(lane: Lane, count: u16) -> u16 {
    u16::try_from(u32::from(lane) * u32::from(SLOTS) / u32::from(count)).unwrap_or(SLOTS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wire_format() {
        let lanes = Lanes::new("app:", 16);
        let names: Vec<&str> = lanes.all().take(3).map(|lane| lanes.channel(lane)).collect();
        // Clients of other releases use these names.
        assert_eq!(names, ["app:oxbus:lane:0-63", "app:oxbus:lane:1-60", "app:oxbus:lane:2-1"]);
        assert_eq!(lanes.slot(0), Some(slot("app:oxbus:lane:0-63")));
        assert_eq!(lanes.of(b"app:photo.uploaded"), slot("app:photo.uploaded") % 16);
        assert_eq!(lanes.number(b"app:oxbus:lane:2-1"), Some(2));
        assert_eq!((lanes.number(b"app:oxbus:lane:2-2"), lanes.channel(16)), (None, ""));
    }

    #[test]
    fn lanes_are_spread_evenly_whatever_the_prefix() {
        for prefix in ["", "app:", "{app}:", "a{b", "a}b", "{}", "a{}b{c}", "}{", "é{ü}"] {
            for count in [1, 2, 3, 16, 100, 256] {
                let lanes = Lanes::new(prefix, count);
                for lane in lanes.all() {
                    let (name, slot_of_lane) = (lanes.channel(lane), lanes.slot(lane).unwrap());
                    assert!(name.contains(prefix), "{name}");
                    assert_eq!(slot(name), slot_of_lane);
                    assert!((part(lane, count)..part(lane + 1, count)).contains(&slot_of_lane), "{name}");
                }
            }
        }
        // Three masters with equal parts of the slots have five or six of sixteen lanes each.
        let lanes = Lanes::new("", DEFAULT_LANES);
        let mut of_masters: BTreeMap<u16, u16> = BTreeMap::new();
        lanes.all().for_each(|lane| *of_masters.entry(lanes.slot(lane).unwrap() / 5462).or_default() += 1);
        assert!(of_masters.len() == 3 && of_masters.values().all(|count| (5..=6).contains(count)));
    }

    #[test]
    fn a_pattern_is_carried_by_all_lanes_and_a_channel_by_one() {
        let lanes = Lanes::new("", 16);
        let channel = ServerSubscription::Channel(b"photo.uploaded"[..].into());
        let lane = lanes.of(b"photo.uploaded");
        assert_eq!(lanes.carrying(&channel), lane..lane + 1);
        assert_eq!(lanes.carrying(&ServerSubscription::Pattern(b"*"[..].into())), 0..16);
    }

    #[test]
    fn types_are_spread_over_the_lanes() {
        let lanes = Lanes::new("", 16);
        let mut counts = [0; 16];
        (0..1_600).for_each(|n| counts[usize::from(lanes.of(format!("type.{n}").as_bytes()))] += 1);
        assert!(counts.iter().all(|count| (50..=150).contains(count)), "{counts:?}");
    }

    #[test]
    fn what_is_no_message_of_a_bus() {
        let strange: [&[u8]; 7] =
            [b"", b":", b"hello", b"3:ab", b"+1:ab", b"-1:ab", b"99999999999999999999:ab"];
        assert!(strange.iter().all(|message| read_message(message).is_none()));
        assert_eq!(read_message(b"0:"), Some((&b""[..], &b""[..])));
    }

    proptest! {
        #[test]
        fn a_message_is_read_as_it_was_written(channel: Vec<u8>, payload: Vec<u8>) {
            let message = [head_of_message(&channel).as_bytes(), &channel, &payload].concat();
            prop_assert_eq!(read_message(&message), Some((&channel[..], &payload[..])));
        }

        #[test]
        fn any_bytes_can_be_read(message: Vec<u8>) {
            let _ = read_message(&message);
        }
    }
}
