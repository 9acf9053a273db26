//! The ids of stream entries.

use std::fmt;
use std::str::FromStr;

use crate::{BusError, ErrorKind};

/// The id of a stream entry: `milliseconds-sequence`. Ordered as the stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since the Unix epoch, by the clock of the store.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

impl EntryId {
    /// Before every entry: `0-0`.
    pub const MIN: EntryId = EntryId { ms: 0, seq: 0 };
    /// Behind every entry.
    pub const MAX: EntryId = EntryId { ms: u64::MAX, seq: u64::MAX };

    /// The first id of a millisecond.
    pub fn first_of(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    /// The last id of a millisecond.
    pub fn last_of(ms: u64) -> EntryId {
        EntryId { ms, seq: u64::MAX }
    }

    /// The id behind this one; [`EntryId::MAX`] has none and stays.
    pub fn next(self) -> EntryId {
        match self.seq.checked_add(1) {
            Some(seq) => EntryId { seq, ..self },
            None => self.ms.checked_add(1).map_or(self, EntryId::first_of),
        }
    }

    /// The id before this one; [`EntryId::MIN`] has none and stays.
    pub fn previous(self) -> EntryId {
        match self.seq.checked_sub(1) {
            Some(seq) => EntryId { seq, ..self },
            None => self.ms.checked_sub(1).map_or(self, EntryId::last_of),
        }
    }

    /// Reads an id as a server writes it. `None` for anything else.
    pub fn from_bytes(text: &[u8]) -> Option<EntryId> {
        let dash = memchr::memchr(b'-', text)?;
        Some(EntryId { ms: decimal(&text[..dash])?, seq: decimal(text.get(dash + 1..)?)? })
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for EntryId {
    type Err = BusError;

    /// Reads `milliseconds-sequence`, or `milliseconds` for the first id of them.
    fn from_str(text: &str) -> Result<EntryId, BusError> {
        let id = match decimal(text.as_bytes()) {
            Some(ms) => Some(EntryId::first_of(ms)),
            None => EntryId::from_bytes(text.as_bytes()),
        };
        id.ok_or_else(|| {
            let message = format!("expected an entry id such as 1700000000000-0, got {text:?}");
            BusError::new(ErrorKind::InvalidOptions, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for id in [EntryId::MIN, EntryId::MAX, EntryId { ms: 1_700_000_000_000, seq: 7 }] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!("12".parse(), Ok(EntryId { ms: 12, seq: 0 }));
        for bad in ["", "-", "1-", "-1", "a", "1-a", "1-2-3", "18446744073709551616", "$"] {
            assert!(bad.parse::<EntryId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn neighbours() {
        assert_eq!(EntryId::first_of(5).previous(), EntryId::last_of(4));
        assert_eq!(EntryId::last_of(4).next(), EntryId::first_of(5));
        assert_eq!((EntryId::MIN.previous(), EntryId::MAX.next()), (EntryId::MIN, EntryId::MAX));
    }
}
