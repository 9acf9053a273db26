//! Where groups start and stand.

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
