//! The numbers of subscriptions.

/// Gives out the numbers of subscriptions. Its lock is held while subscriptions are added or removed and the transport
/// is told, so that the removal of a server subscription's last subscription cannot overtake the addition of its next.
#[derive(Default)]
pub(crate) struct SubscriptionNumbers {
    last: u32,
}

impl SubscriptionNumbers {
    /// The next number that is not taken.
    pub(crate) fn next(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !taken(self.last) {
                return self.last;
            }
        }
    }
}
