//! Messages that are not JSON: the frames that a library puts around the data, as bytes.
//!
//! A frame is opened to a JSON object, whose places the tables of `mapped` name as for any other format. What is written into a
//! frame is the data, what the frame has a place for, and *ours*: a JSON object with all metadata, which the peers ignore.
//!
//! # Layout
//!
//! - this file: [`Framing`]; `socket_io`, `faststream`: the two frames; `msgpack`: JSON as MessagePack and back; `text`: texts as JSON

mod faststream;
mod msgpack;
mod socket_io;
mod text;

use crate::BusError;
use crate::codec::decoded::Foreign;
use crate::codec::new_event::NewEvent;

/// The frame of a format.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::codec) enum Framing {
    /// A packet of Socket.IO as its Redis adapter publishes it, for this namespace.
    SocketIo { namespace: Box<str> },
    /// A message of FastStream.
    FastStream,
}

impl Framing {
    /// Accepts an event whose metadata is `ours` as JSON.
    ///
    /// # Errors
    /// `INVALID_DATA` with the path of what the frame cannot hold.
    pub(in crate::codec) fn check(&self, event: &NewEvent<'_>, ours: &str) -> Result<(), BusError> {
        match self {
            Framing::SocketIo { .. } => socket_io::check(event, ours),
            Framing::FastStream => faststream::check(event, ours),
        }
    }

    /// Appends a message to `out`.
    pub(in crate::codec) fn write(&self, out: &mut Vec<u8>, event: &NewEvent<'_>, ours: &str) {
        match self {
            Framing::SocketIo { namespace } => socket_io::write(out, namespace, event, ours),
            Framing::FastStream => faststream::write(out, event, ours),
        }
    }

    /// What a message that came on the channel `on` says, as one JSON object. `on` is without the prefix, and may be empty.
    ///
    /// # Errors
    /// Why the message is no event.
    pub(in crate::codec) fn open(&self, message: &[u8], on: &[u8]) -> Result<String, Foreign> {
        match self {
            Framing::SocketIo { .. } => socket_io::open(message, on),
            Framing::FastStream => faststream::open(message),
        }
    }

    /// The field that has the message in an entry of a stream; `None` where entries are those of Oxbus.
    pub(in crate::codec) fn entry_field(&self) -> Option<&'static str> {
        match self {
            Framing::SocketIo { .. } => None,
            Framing::FastStream => Some(faststream::ENTRY_FIELD),
        }
    }
}
