//! The wire format: the one place that knows how events look on Redis.
//!
//! - [`message`]: an event as the text of a live message.
//! - [`entry`]: an event as the fields of a stream entry.
//! - [`dead_letter`]: what a dead letter holds beside the fields of its entry.
//! - [`json`]: a scanner that checks JSON and finds members in it, without building values.

pub mod dead_letter;
pub mod entry;
pub mod json;
pub mod message;
