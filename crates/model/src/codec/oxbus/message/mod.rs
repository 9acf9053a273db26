//! An event as a live message: `{"id","type","data","metadata"}`.
//!
//! Writing: `data` arrives as JSON text from V8 and is copied, never parsed; the envelope around it
//! is made here. Reading: a message that is a whole event is passed on byte for byte; one with
//! missing metadata is completed; anything else is [`Foreign`](crate::codec::decoded::Foreign).

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::read;
pub use write::write;
