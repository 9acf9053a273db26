//! In which order the addresses of a name are tried, and when: RFC 8305 ("Happy Eyeballs"). An address that swallows
//! packets costs a fraction of a second, not the time until the system gives it up.

use std::fmt;
use std::net::SocketAddr;

/// How long an attempt is alone before the next address is tried beside it, in milliseconds: the "Connection Attempt
/// Delay" that RFC 8305 recommends.
pub const ATTEMPT_DELAY_MS: u64 = 250;

/// The most addresses of a name that are tried. What a name has beyond is left out, and the report says so.
pub const MAX_ADDRESSES: usize = 64;

/// The attempts to connect to the addresses of one name. The first that connects wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRace {
    known: bool,
    attempts: Vec<Attempt>,
    started: usize,
    left_out: usize,
    due: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Attempt {
    address: SocketAddr,
    failure: Option<String>,
}

impl AddressRace {
    /// The race of the addresses that a name has, in the order of the resolver.
    ///
    /// The families take turns, beginning with that of the first address (RFC 8305, section 4, with a "First Address
    /// Family Count" of 1). Within a family the order stays. An address that is there twice is tried once.
    pub fn new(found: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
        let (first, second): (Vec<_>, Vec<_>) =
            addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
        let (mut first, mut second) = (first.into_iter(), second.into_iter());
        let mut ordered = Vec::new();
        loop {
            let pair = [first.next(), second.next()];
            if pair == [None, None] {
                break;
            }
            ordered.extend(pair.into_iter().flatten());
        }
        let left_out = ordered.len().saturating_sub(MAX_ADDRESSES);
        ordered.truncate(MAX_ADDRESSES);
        let attempts = ordered.into_iter().map(|address| Attempt { address, failure: None }).collect();
        AddressRace { known: true, attempts, started: 0, left_out, due: 0 }
    }

    /// The address to which an attempt begins at `now_ms`, if one is due. To be called until there is none.
    pub fn start(&mut self, now_ms: u64) -> Option<SocketAddr> {
        let next = self.attempts.get(self.started).filter(|_| self.due <= now_ms)?;
        self.started += 1;
        self.due = now_ms.saturating_add(ATTEMPT_DELAY_MS);
        Some(next.address)
    }

    /// When the next attempt is due, unless one fails before; `None` when all have begun.
    pub fn next_due(&self) -> Option<u64> {
        (self.started < self.attempts.len()).then_some(self.due)
    }

    /// An attempt has failed for the reason `why`. The next one waits no longer.
    pub fn failed(&mut self, address: SocketAddr, why: impl fmt::Display, now_ms: u64) {
        let failed = self.attempts.iter_mut().find(|attempt| attempt.address == address);
        if let Some(attempt) = failed {
            attempt.failure = Some(why.to_string());
        }
        self.due = now_ms;
    }

    /// Whether every address was tried and has failed.
    pub fn is_lost(&self) -> bool {
        self.known && self.attempts.iter().all(|attempt| attempt.failure.is_some())
    }

    /// What became of each attempt that has begun, for the message of an error about `host`. A host that is itself an address is
    /// not named again.
    pub fn report(&self, host: &str) -> String {
        if !self.known {
            return "the look-up of the name had not ended".to_owned();
        }
        if self.attempts.is_empty() {
            return "the name has no address".to_owned();
        }
        let told = |attempt: &Attempt| {
            let outcome = attempt.failure.as_deref().unwrap_or("no answer");
            if attempt.address.ip().to_string() == host {
                return outcome.to_owned();
            }
            format!("{}: {outcome}", attempt.address)
        };
        let mut parts: Vec<String> = self.attempts[..self.started].iter().map(told).collect();
        let waiting = self.attempts.len() - self.started;
        if waiting > 0 {
            parts.push(format!("{waiting} more addresses were not reached in time"));
        }
        if self.left_out > 0 {
            parts.push(format!("{} more addresses are left out", self.left_out));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn race(addresses: &[&str]) -> AddressRace {
        AddressRace::new(addresses.iter().map(|text| text.parse().unwrap()))
    }

    fn order(race: &AddressRace) -> Vec<String> {
        race.attempts.iter().map(|attempt| attempt.address.to_string()).collect()
    }

    #[test]
    fn families_take_turns_beginning_with_that_of_the_first() {
        let mixed = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"];
        assert_eq!(order(&race(&mixed)), ["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]);
        let v4_first = ["1.1.1.1:1", "1.1.1.2:1", "[::1]:1"];
        assert_eq!(order(&race(&v4_first)), ["1.1.1.1:1", "[::1]:1", "1.1.1.2:1"]);
        assert_eq!(order(&race(&["1.1.1.1:1", "1.1.1.1:1", "1.1.1.2:1"])), ["1.1.1.1:1", "1.1.1.2:1"]);
    }

    #[test]
    fn attempts_are_staggered_and_a_failure_lets_the_next_one_begin() {
        let mut race = race(&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"]);
        let start = |race: &mut AddressRace, now| race.start(now).map(|address| address.to_string());
        assert_eq!(start(&mut race, 0).as_deref(), Some("1.1.1.1:1"));
        assert_eq!((start(&mut race, 249), race.next_due()), (None, Some(250)));
        assert_eq!(start(&mut race, 251).as_deref(), Some("1.1.1.2:1"));
        assert_eq!((start(&mut race, 260), race.next_due()), (None, Some(501)));
        race.failed("1.1.1.2:1".parse().unwrap(), "refused", 270);
        assert_eq!(start(&mut race, 270).as_deref(), Some("1.1.1.3:1"));
        assert_eq!((start(&mut race, 9_999), race.next_due(), race.is_lost()), (None, None, false));
        assert_eq!(race.report("h"), "1.1.1.1:1: no answer; 1.1.1.2:1: refused; 1.1.1.3:1: no answer");
        for last in ["1.1.1.1:1", "1.1.1.3:1"] {
            race.failed(last.parse().unwrap(), "gone", 300);
        }
        assert!(race.is_lost());
    }

    #[test]
    fn the_report_says_what_was_not_tried() {
        assert_eq!(AddressRace::default().report("h"), "the look-up of the name had not ended");
        assert!(!AddressRace::default().is_lost());
        assert_eq!((race(&[]).report("h").as_str(), race(&[]).is_lost()), ("the name has no address", true));
        let mut literal = race(&["127.0.0.1:1"]);
        literal.failed("127.0.0.1:1".parse().unwrap(), "refused", 0);
        assert!(literal.start(0).is_some());
        assert_eq!(literal.report("127.0.0.1"), "refused");
        let many = (0..MAX_ADDRESSES + 3).map(|n| SocketAddr::from(([10, 0, 0, n as u8], 1)));
        let mut race = AddressRace::new(many);
        assert!(race.start(0).is_some());
        let told = "10.0.0.0:1: no answer; 63 more addresses were not reached in time; 3 more addresses are left out";
        assert_eq!(race.report("h"), told);
    }
}
