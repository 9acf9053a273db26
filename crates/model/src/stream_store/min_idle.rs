//! For how long an entry must have been left alone before others may take it.

/// For how long an entry must have been left alone, in milliseconds, by whose it is.
///
/// A consumer is ours once it, or a client that had its name before, has sent a [`Request::Heartbeat`](super::Request::Heartbeat)
/// or made a claim. It stays ours for as long as it owns an entry, also after it has left. Others renew no claim: how long
/// theirs last is a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinIdle {
    /// Of consumers that are ours.
    pub ours: u64,
    /// Of consumers of other programs; not less than `ours`.
    pub foreign: u64,
}

impl From<u64> for MinIdle {
    /// The same for all consumers.
    fn from(ms: u64) -> Self {
        MinIdle { ours: ms, foreign: ms }
    }
}
