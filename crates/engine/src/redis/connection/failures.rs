//! What is told when no connection comes about, in words that say what to mend.

use std::fmt;
use std::io;

use oxbus_model::config::Address;
use oxbus_model::{BusError, ErrorKind};

/// The server cannot be reached.
pub(super) fn refused(address: &Address, why: impl fmt::Display) -> BusError {
    BusError::new(ErrorKind::ConnectionRefused, format!("cannot connect to {address}: {why}"))
}

/// The server closed the connection instead of answering.
pub(super) fn closed_at_login(address: &Address) -> BusError {
    BusError::new(ErrorKind::ConnectionLost, format!("{address} closed the connection at login"))
}

/// What answers at `address` with these bytes is something else: a web server, say.
pub(super) fn not_redis(address: &Address, answer: &[u8]) -> BusError {
    let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let shown = String::from_utf8_lossy(&line[..line.len().min(LONGEST_ANSWER)]).into_owned();
    let message = format!("{address} is not a Redis server: it answers {shown:?}; is the port right?");
    BusError::new(ErrorKind::ConnectionLost, message)
}

/// How many bytes of an answer that is none of Redis are shown.
const LONGEST_ANSWER: usize = 60;

/// The connection broke before the login was done.
pub(super) fn lost(address: &Address, error: &io::Error) -> BusError {
    // In TLS 1.3 the client is done before the server has judged the client's certificate: its refusal
    // comes with the first read.
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return BusError::new(ErrorKind::TlsFailed, format!("the TLS handshake failed: {error}"));
    }
    BusError::new(ErrorKind::ConnectionLost, format!("the connection to {address} broke at login: {error}"))
}
