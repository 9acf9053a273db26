//! Where groups start and stand.

use std::fmt;

use super::EntryId;

/// The place in a stream behind which a group reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Behind the last entry: `$`.
    New,
    /// Before the oldest entry: `0`.
    Beginning,
    /// Behind this entry.
    After(EntryId),
}

impl Position {
    /// The one of two behind which there is more.
    pub fn earlier(self, other: Position) -> Position {
        match (self, other) {
            (Position::Beginning, _) | (_, Position::Beginning) => Position::Beginning,
            (Position::New, position) | (position, Position::New) => position,
            (Position::After(one), Position::After(two)) => Position::After(one.min(two)),
        }
    }
}

/// As a server reads it.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::New => f.write_str("$"),
            Position::Beginning => f.write_str("0"),
            Position::After(id) => id.fmt(f),
        }
    }
}
