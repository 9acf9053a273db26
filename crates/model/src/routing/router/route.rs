//! Where a message goes.

/// A subscription that a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The subscription.
    pub subscription: u32,
    /// Which of its patterns matched.
    pub pattern: u32,
}
