//! Outcomes of handler calls as numbers: token, kind, microseconds, argument.

use oxbus_model::delivery::Settlement;

/// Numbers of one record.
const FIELDS: usize = 4;

/// One record.
pub(crate) enum Record {
    /// A handler call ended: token, how, microseconds.
    Settled(u32, Settlement, u32),
    /// A call that had timed out has ended: token.
    ZombieEnded(u32),
}

/// The first `count` records. Unknown kinds, which JavaScript never sends, count as not handled.
pub(crate) fn records(numbers: &[u32], count: usize) -> impl Iterator<Item = Record> {
    numbers.chunks_exact(FIELDS).take(count).filter_map(|record| {
        let [token, kind, microseconds, argument] = *record else { return None };
        let settlement = match kind {
            0 => Settlement::Succeeded,
            1 => Settlement::Failed { retryable: true },
            2 => Settlement::Failed { retryable: false },
            3 => Settlement::RetryLater(argument.into()),
            4 => Settlement::TimedOut { retryable: true },
            5 => Settlement::TimedOut { retryable: false },
            6 => return Some(Record::ZombieEnded(token)),
            _ => Settlement::NotHandled,
        };
        Some(Record::Settled(token, settlement, microseconds))
    })
}
