//! What is told when no connection comes about, in words that say what to mend.

use std::fmt;
use std::io;

use oxbus_model::config::Address;
use oxbus_model::{BusError, ErrorKind};

use crate::redis::connection::tls::broken;

/// The server cannot be reached.
pub(super) fn refused(address: &Address, why: impl fmt::Display) -> BusError {
    BusError::new(ErrorKind::ConnectionRefused, format!("cannot connect to {address}: {why}"))
}

/// The server refuses the database. One that is not there is a fault of the configuration.
pub(super) fn no_database(address: &Address, database: u32, error: BusError) -> BusError {
    if error.kind != ErrorKind::ServerError {
        return error;
    }
    let message = format!("{address} has no database {database}: {}", error.message);
    BusError::at(ErrorKind::InvalidConfig, "redis.database", message)
}

/// What a connection without TLS can try.
const WITHOUT_TLS: &str =
    "if the server has TLS on this port, write rediss:// instead of redis:// (tls: true)";

/// What a connection with TLS can try. In TLS 1.3 the server judges the client's certificate after the handshake.
const AFTER_HANDSHAKE: &str = "the TLS handshake was done, but the server may refuse the client's certificate, or want one \
    (tls.cert and tls.key)";

/// The server closed the connection instead of answering.
pub(super) fn closed_at_login(address: &Address, encrypted: bool) -> BusError {
    ended(address, format_args!("{address} closed the connection at login"), encrypted)
}

/// The connection broke before the login was done.
pub(super) fn lost(address: &Address, error: &io::Error, encrypted: bool) -> BusError {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return broken(address, error);
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return closed_at_login(address, encrypted);
    }
    ended(address, format_args!("the connection to {address} broke at login: {error}"), encrypted)
}

fn ended(address: &Address, what: fmt::Arguments<'_>, encrypted: bool) -> BusError {
    let message = match address {
        Address::Tcp { .. } if encrypted => format!("{what}; {AFTER_HANDSHAKE}"),
        Address::Tcp { .. } => format!("{what}; {WITHOUT_TLS}"),
        Address::Unix { .. } => what.to_string(),
    };
    BusError::new(ErrorKind::ConnectionLost, message)
}

/// What answers at `address` with these bytes is something else: a web server, say, or one that expects TLS.
pub(super) fn not_redis(address: &Address, answer: &[u8]) -> BusError {
    if answer.starts_with(&TLS_ALERT) {
        let message = format!(
            "{address} answers with TLS, and was asked without (wrong version number); {WITHOUT_TLS}"
        );
        return BusError::new(ErrorKind::TlsFailed, message);
    }
    let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let shown = String::from_utf8_lossy(&line[..line.len().min(LONGEST_ANSWER)]).into_owned();
    let message = format!("{address} is not a Redis server: it answers {shown:?}; is the port right?");
    BusError::new(ErrorKind::ConnectionLost, message)
}

/// What the record of an alert begins with, in all versions of TLS: the content type, and the major version.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// How many bytes of an answer that is none of Redis are shown.
const LONGEST_ANSWER: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_expects_tls_is_told_from_one_that_is_not_redis() {
        let address = Address::Tcp { host: "h".to_owned(), port: 6380 };
        let alert = not_redis(&address, &[0x15, 0x03, 0x01, 0, 2, 2, 70]);
        assert_eq!(alert.kind, ErrorKind::TlsFailed);
        assert!(
            alert.message.contains("wrong version number") && alert.message.contains("rediss://"),
            "{alert}"
        );
        let web = not_redis(&address, b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(web.kind, ErrorKind::ConnectionLost);
        assert!(web.message.contains("HTTP/1.1 400") && !web.message.contains("TLS"), "{web}");
    }

    #[test]
    fn a_connection_that_ends_at_login_gives_the_advice_that_fits_it() {
        let tcp = Address::Tcp { host: "h".to_owned(), port: 6380 };
        let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(
            lost(&tcp, &closed, false).message.ends_with("write rediss:// instead of redis:// (tls: true)")
        );
        assert!(lost(&tcp, &closed, true).message.ends_with("(tls.cert and tls.key)"));
        let unix = Address::Unix { path: "/run/r.sock".to_owned() };
        assert_eq!(closed_at_login(&unix, false).message, "/run/r.sock closed the connection at login");
    }
}
