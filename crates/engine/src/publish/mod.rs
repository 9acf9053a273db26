//! From a call to what is sent, for every transport.
//!
//! - `admission`: how much may be under way.
//! - `encoder`: from a record of a submission to an event.

pub(crate) mod admission;
pub(crate) mod encoder;
