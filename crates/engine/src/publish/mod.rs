//! From a call to what is sent, for every transport.
//!
//! - `admission`: how much may be under way.
//! - `encoder`: from a record of a submission to an event.
//! - `publish_counts`: how many publishes have succeeded.

pub(crate) mod admission;
pub(crate) mod encoder;
pub(crate) mod publish_counts;
