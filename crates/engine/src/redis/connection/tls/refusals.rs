//! Why a handshake failed: in the words that people search for, and with what to do.

use std::io;
use std::time::Duration;

use oxbus_model::config::Address;
use oxbus_model::{BusError, ErrorKind};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::verifier::refusal;

const PLAIN: &str =
    "if the server does without TLS on this port, write redis:// instead of rediss:// (tls: false)";

/// The handshake with the server at `address` broke.
pub(in crate::redis::connection) fn broken(address: &Address, error: &io::Error) -> BusError {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let why = match cause {
        Some(cause) => explain(cause),
        // The server closed or reset the connection in the middle.
        None => format!("{error}: the server ended the connection in the handshake; {PLAIN}"),
    };
    failed(format!("the TLS handshake with {address} failed: {why}"))
}

/// The server at `address` did not answer the handshake in time.
pub(in crate::redis::connection) fn unanswered(address: &Address, limit: Duration) -> BusError {
    let ms = limit.as_millis();
    failed(format!("{address} did not answer the TLS handshake within {ms} ms; is it a TLS port? {PLAIN}"))
}

/// `name` cannot be the name of a server.
pub(super) fn no_name(name: &str) -> BusError {
    failed(format!(
        "the TLS handshake failed: {name:?} is not a name that a certificate can have: give another one as tls.servername"
    ))
}

fn failed(message: String) -> BusError {
    BusError::new(ErrorKind::TlsFailed, message)
}

/// What an error means, and what can be done about it.
fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(certificate) => of_certificate(error, certificate),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("wrong version number: the server's answer is not TLS; {PLAIN}")
        }
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "unsupported protocol version: the server offers neither TLS 1.2 nor TLS 1.3, one of which is needed".to_owned()
        }
        other => other.to_string(),
    }
}

fn of_certificate(error: &Error, certificate: &CertificateError) -> String {
    use CertificateError::{
        Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext, NotValidForName,
        NotValidForNameContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    match certificate {
        UnknownIssuer => "unknown issuer: the server's certificate is a self-signed certificate, or is signed by an authority \
             that is not trusted (unable to get local issuer certificate): give the certificate of the authority \
             as tls.ca, or the file of it in NODE_EXTRA_CA_CERTS; NODE_USE_SYSTEM_CA=1 trusts those of the system"
            .to_owned(),
        Expired | ExpiredContext { .. } => {
            format!("the server's certificate has expired: renew it on the server ({certificate})")
        }
        NotValidYet | NotValidYetContext { .. } => {
            format!("the server's certificate is not yet valid: compare the clocks ({certificate})")
        }
        NotValidForName | NotValidForNameContext { .. } => format!(
            "hostname mismatch, the server's name is not in its certificate: connect by a name that is there, or give it as \
             tls.servername ({certificate}); a common name (CN) does not count"
        ),
        InvalidPurpose | InvalidPurposeContext { .. } => {
            format!("unsuitable certificate purpose: it is not one for servers ({certificate})")
        }
        _ => match refusal(error) {
            Some(webpki::Error::UnsupportedCertVersion) => "unsupported certificate version: the server's certificate is not \
                 of version 3, as none with a subjectAltName can be; make a new one, for example with 'openssl req -x509'"
                .to_owned(),
            Some(webpki::Error::CaUsedAsEndEntity) => "the server shows the certificate of an authority (CA:TRUE) as its own, \
                 which is accepted of a self-signed certificate that is in tls.ca only: give it there, or make one with \
                 CA:FALSE for the server"
                .to_owned(),
            _ => format!("the server's certificate cannot be used: {certificate}"),
        },
    }
}

fn of_alert(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => {
            "certificate required: the server wants a certificate of the client: give tls.cert and tls.key".to_owned()
        }
        Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::CertificateExpired
        | Alert::UnsupportedCertificate
        | Alert::AccessDenied => format!(
            "the server refuses the client's certificate (alert {alert:?}): give one that it trusts as tls.cert and tls.key"
        ),
        Alert::ProtocolVersion => {
            "unsupported protocol version (alert): the server wants another one than TLS 1.2 and TLS 1.3".to_owned()
        }
        Alert::HandshakeFailure => {
            "handshake failure (alert): the server found no cipher or kind of key in common (P-521 is not supported), or \
             wants a certificate of the client (tls.cert and tls.key)"
                .to_owned()
        }
        Alert::UnrecognisedName => {
            "unrecognized name (alert): the server knows no certificate for the name: give another one as tls.servername"
                .to_owned()
        }
        other => format!("the server sent the alert {other:?}"),
    }
}
