//! The names of keys that a format says.

use crate::stream_store::name_template::NameText;

/// The names of keys, as far as a format says them.
#[derive(Debug, Default)]
pub struct KeyTexts {
    /// The key of a stream, from its name.
    pub(crate) stream: Option<NameText>,
    /// The key of an event that is kept by its id.
    pub(crate) event: Option<NameText>,
    /// The stream of all events that are kept.
    pub(crate) history: Option<NameText>,
}
