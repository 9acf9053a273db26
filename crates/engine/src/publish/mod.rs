//! From a call to what is sent, for every transport.
//!
//! - `admission`: how much may be under way.
//! - `encoder`: from a record of a submission to an event; `messages`: what is published of it, and on which channels.
//! - `publish_counts`: how many publishes have succeeded; `unstored_types`: the types of those that nothing stores.

pub(crate) mod admission;
pub(crate) mod encoder;
pub(crate) mod messages;
pub(crate) mod publish_counts;
pub(crate) mod unstored_types;
