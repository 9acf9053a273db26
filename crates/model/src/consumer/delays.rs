//! Long delays that were asked for: an entry leaves this client until it is due.

use crate::consumer::entry::CallState;
use crate::consumer::group::Group;

/// Puts an entry off, of which the call by the subscription `id` is to be made again at `retry_at`, if all its calls wait
/// that long. It is as good as handed back. Returns whether it was put off.
///
/// An entry with a call that is over stays, as the client that gets it later would make that call again. One whose
/// calls are due at very different times stays as well: it has one due time, the latest.
pub(super) fn put_off(group: &mut Group, slot: u32, id: u32, retry_at: u64, now: u64) -> bool {
    let Some(least) = group.puts_off() else { return false };
    let Group { entries, subscriptions, .. } = group;
    let Some(entry) = entries.get_mut(slot) else { return false };
    let (mut first, mut last) = (retry_at, retry_at);
    for call in entry.calls.iter().filter(|call| call.subscription != id) {
        let CallState::Backoff { due: (at, _) } = call.state else { return false };
        (first, last) = (first.min(at), last.max(at));
    }
    if first < now.saturating_add(least) || last - first > least {
        return false;
    }
    for call in entry.calls.iter_mut() {
        if let CallState::Backoff { due } = call.state
            && let Some(subscriber) = subscriptions.get_mut(call.subscription)
        {
            subscriber.cancel_retry(due);
        }
        call.state = CallState::Done { succeeded: false };
    }
    entry.undone = true;
    true
}
