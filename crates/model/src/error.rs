//! Errors as data: a closed set of kinds, each with a stable code, a category and a retry advice.
//!
//! A [`BusError`] is made where something fails and turned into a JavaScript error in exactly one
//! place (`ts/errors.ts`); nothing ever parses its message.

use std::fmt;

use serde::Serialize;

/// The class an error belongs to; each is an error class of its own in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// The link to the server, or what the server says of itself: `ConnectionError`.
    Connection,
    /// Input that was refused before any I/O: `ValidationError`.
    Validation,
    /// A handler failed: `HandlerError`.
    Handler,
    /// A deadline passed: `TimeoutError`.
    Timeout,
    /// A bound was reached, here or on the server: `ResourceError`.
    Resource,
    /// A fault of Oxbus itself: the base class `EventBusError`.
    Internal,
}

/// What is known of a publish that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server refused it: not stored, not delivered.
    Rejected,
    /// Not one byte of it was written: safe to publish again.
    NotSent,
    /// Written, and no answer came: it may have been delivered. Never retried by Oxbus itself.
    Unknown,
}

impl Outcome {
    /// The name used in JavaScript.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Rejected => "rejected",
            Outcome::NotSent => "not_sent",
            Outcome::Unknown => "unknown",
        }
    }
}

macro_rules! error_kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $category:ident, $retryable:literal;)+) => {
        /// Every way in which Oxbus fails.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[doc = $doc])+ $name,)+ }

        impl ErrorKind {
            /// All kinds, in the order in which JavaScript lists them.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$name,)+];

            /// The stable code, as in `error.code`.
            pub fn code(self) -> &'static str {
                match self { $(ErrorKind::$name => concat!("ERR_BUS_", $code),)+ }
            }

            /// The class of the error.
            pub fn category(self) -> Category {
                match self { $(ErrorKind::$name => Category::$category,)+ }
            }

            /// Whether the same call can succeed later without a change.
            pub fn retryable(self) -> bool {
                match self { $(ErrorKind::$name => $retryable,)+ }
            }
        }
    };
}

error_kinds! {
    /// Nothing accepts connections at the address, or its name does not resolve.
    ConnectionRefused = "CONNECTION_REFUSED", Connection, true;
    /// The connection broke, or the server stopped answering.
    ConnectionLost = "CONNECTION_LOST", Connection, true;
    /// The server refused the user name or the password, or wants one.
    AuthFailed = "AUTH_FAILED", Connection, false;
    /// The server's access rules forbid the command, key or channel.
    PermissionDenied = "PERMISSION_DENIED", Connection, false;
    /// The server refused a subscription; it is tried again in the background.
    SubscribeDenied = "SUBSCRIBE_DENIED", Connection, false;
    /// The server is a replica, or was demoted to one.
    NotMaster = "NOT_MASTER", Connection, true;
    /// The server is in a Redis Cluster, which does not allow what was to be done: slots lie on other servers, or keys that
    /// one command needs are in different slots.
    ClusterMode = "CLUSTER_MODE", Connection, false;
    /// The TLS handshake failed, or the peer does not speak TLS.
    TlsFailed = "TLS_FAILED", Connection, false;
    /// The server has too many clients.
    ServerMaxClients = "SERVER_MAX_CLIENTS", Connection, true;
    /// The server is loading its data set.
    ServerLoading = "SERVER_LOADING", Connection, true;
    /// The server runs a script or cannot write its files, and refuses commands for now.
    ServerBusy = "SERVER_BUSY", Connection, true;
    /// The server refused a command for another reason, given in the message.
    ServerError = "SERVER_ERROR", Connection, false;
    /// The server is out of memory and refuses writes.
    ServerOom = "SERVER_OOM", Resource, true;
    /// A key holds another type than the command needs.
    WrongType = "WRONG_TYPE", Connection, false;
    /// A configuration field is missing, unknown or wrong; the message names its path.
    InvalidConfig = "INVALID_CONFIG", Validation, false;
    /// An event type is empty, too long, or has a character that is not allowed.
    InvalidType = "INVALID_TYPE", Validation, false;
    /// A pattern is empty, too long, or not text.
    InvalidPattern = "INVALID_PATTERN", Validation, false;
    /// `data` cannot be written as JSON, or does not fit its schema.
    InvalidData = "INVALID_DATA", Validation, false;
    /// An option is unknown or has a wrong value; the message names it.
    InvalidOptions = "INVALID_OPTIONS", Validation, false;
    /// A message is not an event.
    InvalidEvent = "INVALID_EVENT", Validation, false;
    /// The event or its data is larger than the limit.
    EventTooLarge = "EVENT_TOO_LARGE", Validation, false;
    /// No configured stream stores what the subscription asks for, or what has to be stored.
    NoStream = "NO_STREAM", Validation, false;
    /// A configured consumer group is missing and cannot be made, so nothing is stored that it would miss.
    GroupUnavailable = "GROUP_UNAVAILABLE", Connection, true;
    /// The consumer group does not exist.
    NoGroup = "NO_GROUP", Connection, false;
    /// A live consumer of that name exists elsewhere.
    ConsumerInUse = "CONSUMER_IN_USE", Validation, false;
    /// A handler threw or rejected.
    HandlerFailed = "HANDLER_FAILED", Handler, true;
    /// A handler did not finish in time.
    HandlerTimeout = "HANDLER_TIMEOUT", Timeout, true;
    /// A publish had no answer within its time.
    PublishTimeout = "PUBLISH_TIMEOUT", Timeout, true;
    /// The client was not ready in time; it goes on trying.
    ConnectTimeout = "CONNECT_TIMEOUT", Timeout, true;
    /// A command had no answer within its time.
    CommandTimeout = "COMMAND_TIMEOUT", Timeout, true;
    /// A request had no reply within its time.
    RequestTimeout = "REQUEST_TIMEOUT", Timeout, true;
    /// Nobody responds to requests of a type.
    NoResponders = "NO_RESPONDERS", Resource, true;
    /// The call was ended by its `AbortSignal`.
    Aborted = "ABORTED", Timeout, false;
    /// Too many publishes are in flight.
    QueueFull = "QUEUE_FULL", Resource, true;
    /// The system starts no further thread for this process.
    NoThread = "NO_THREAD", Resource, true;
    /// Fewer replicas answered than were asked for.
    NotReplicated = "NOT_REPLICATED", Resource, true;
    /// The native part of the package is missing, is of another version, or cannot be loaded. The face makes it, as there is no
    /// engine then.
    AddonUnavailable = "ADDON_UNAVAILABLE", Resource, false;
    /// The client is draining or closed.
    Closed = "CLOSED", Connection, false;
    /// A fault of Oxbus itself.
    Internal = "INTERNAL", Internal, false;
}

/// One failure: its kind, what happened in words, and what it means for the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BusError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// One line for a person; never holds a secret.
    pub message: String,
    /// For a publish: what became of it.
    pub outcome: Option<Outcome>,
    /// For bad input: the path of the field, such as `redis.tls.ca`.
    pub path: Option<String>,
}

impl BusError {
    /// An error of `kind` with a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        BusError { kind, message: message.into(), outcome: None, path: None }
    }

    /// Bad input at `path`. The message starts with the path.
    pub fn at(kind: ErrorKind, path: impl Into<String>, message: impl fmt::Display) -> Self {
        let path = path.into();
        let message = if path.is_empty() { message.to_string() } else { format!("{path}: {message}") };
        BusError { kind, message, outcome: None, path: (!path.is_empty()).then_some(path) }
    }

    /// The same error, with what became of the publish.
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_prefixed() {
        let codes: HashSet<_> = ErrorKind::ALL.iter().map(|k| k.code()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
        assert!(codes.iter().all(|c| c.starts_with("ERR_BUS_")));
    }

    #[test]
    fn a_path_is_named_in_the_message() {
        let e = BusError::at(ErrorKind::InvalidConfig, "redis.port", "not a port");
        assert_eq!(e.to_string(), "ERR_BUS_INVALID_CONFIG: redis.port: not a port");
        assert_eq!(e.path.as_deref(), Some("redis.port"));
    }
}
