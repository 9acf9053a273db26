//! What the store is told of an attempt that has ended.

use crate::stream_store::RetryState;

/// The longest delay that a store is told, in milliseconds: about 35,000 years. Its numbers are exact up to 2^53.
const MAX_DELAY: u64 = 1 << 50;

/// What a store is told of an entry whose attempt has ended; `due` in the time of `now`.
pub(super) fn retry_state(deliveries: u32, due: u64, now: u64) -> RetryState {
    let wait = due.saturating_sub(now).min(MAX_DELAY);
    RetryState { deliveries, due_in: (wait > 0).then_some(wait) }
}
