//! What the client has to do about an answer of administration.

/// What a client does when a question was answered.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// The group was removed on purpose: where it is missing from now on it is new, not lost.
    GroupRemoved {
        /// The stream.
        stream: String,
        /// The group.
        group: String,
    },
    /// The host is warned.
    Warning {
        /// What the warning is about, in capitals.
        code: &'static str,
        /// The warning for a person.
        message: String,
    },
}
