//! Outcomes of handler calls as numbers: token, code, microseconds, argument.

use napi_derive::napi;
use oxbus_model::delivery::Settlement;

/// Numbers of one record.
const FIELDS: usize = 4;

/// How a handler call ended: the second number of a record of `settle`.
#[napi]
pub enum SettlementCode {
    /// The handler returned, or its promise resolved.
    Succeeded = 0,
    /// The call failed, and may be tried again.
    Failed = 1,
    /// The call failed, and is not tried again.
    FailedFinal = 2,
    /// The call is tried again after so many milliseconds: the argument.
    RetryLater = 3,
    /// The time of the call is over, and it may be tried again. It may still run.
    TimedOut = 4,
    /// The time of the call is over, and it is not tried again. It may still run.
    TimedOutFinal = 5,
    /// A call that was settled as timed out has ended.
    TimedOutEnded = 6,
    /// The event was not handled: a live one counts as dropped, a durable one is handed back.
    NotHandled = 7,
}

const SUCCEEDED: u32 = SettlementCode::Succeeded as u32;
const FAILED: u32 = SettlementCode::Failed as u32;
const FAILED_FINAL: u32 = SettlementCode::FailedFinal as u32;
const RETRY_LATER: u32 = SettlementCode::RetryLater as u32;
const TIMED_OUT: u32 = SettlementCode::TimedOut as u32;
const TIMED_OUT_FINAL: u32 = SettlementCode::TimedOutFinal as u32;
const TIMED_OUT_ENDED: u32 = SettlementCode::TimedOutEnded as u32;

/// One record.
pub(crate) enum Record {
    /// A handler call ended: token, how, microseconds.
    Settled(u32, Settlement, u32),
    /// A call that had timed out has ended: token.
    TimedOutEnded(u32),
}

/// The first `count` records. Unknown codes, which JavaScript never sends, count as not handled.
pub(crate) fn records(numbers: &[u32], count: usize) -> impl Iterator<Item = Record> {
    numbers.chunks_exact(FIELDS).take(count).filter_map(|record| {
        let [token, code, microseconds, argument] = *record else { return None };
        let settlement = match code {
            SUCCEEDED => Settlement::Succeeded,
            FAILED => Settlement::Failed { retryable: true },
            FAILED_FINAL => Settlement::Failed { retryable: false },
            RETRY_LATER => Settlement::RetryLater(argument.into()),
            TIMED_OUT => Settlement::TimedOut { retryable: true },
            TIMED_OUT_FINAL => Settlement::TimedOut { retryable: false },
            TIMED_OUT_ENDED => return Some(Record::TimedOutEnded(token)),
            _ => Settlement::NotHandled,
        };
        Some(Record::Settled(token, settlement, microseconds))
    })
}
