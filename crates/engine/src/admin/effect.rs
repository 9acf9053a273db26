//! What the client has to do about an answer of administration.

use oxbus_model::consumer::Announcement;
use oxbus_model::delivery::DeliveryCounts;

/// What a client does while a question is answered.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Something has become of stored events that the host is told of.
    Announced(Announcement),
    /// Stored events are counted.
    Counted(DeliveryCounts),
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
