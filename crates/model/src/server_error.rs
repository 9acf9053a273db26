//! What an error reply of the server means: its kind, and what the connection does about it.
//!
//! This is the one place where the text of a server is read, because its first word is the code of
//! the protocol. What is not known here is [`ErrorKind::ServerError`], never a failure to classify.

use crate::error::{BusError, ErrorKind};

/// What becomes of the connection on which the server refused a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The connection goes on as if nothing had happened: only that command was refused.
    Keep,
    /// The connection is replaced, after a pause as after any loss: this server, or this connection, will not do the
    /// work.
    Reconnect,
    /// The connection is kept; a command that repeats by itself does so at most once in [`SLOW_RETRY_MS`].
    SlowRetry,
    /// The connection is kept, because a new one would be refused as well; a command that repeats by itself waits
    /// with backoff.
    Backoff,
}

/// The least time between two attempts after [`Action::SlowRetry`], in milliseconds.
pub const SLOW_RETRY_MS: u64 = 5000;

/// The meaning of an error reply. The command had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// What the caller is told.
    pub kind: ErrorKind,
    /// What the connection does.
    pub action: Action,
}

impl Refusal {
    /// The error of this kind that says `text`, the reply, in one line.
    ///
    /// A server that does not know a command quotes its arguments, passwords included: they are cut.
    pub fn into_error(self, text: &str) -> BusError {
        let shown = text.split(", with args beginning with").next().unwrap_or_default();
        let more = if self.kind == ErrorKind::ClusterMode { OF_CLUSTER } else { "" };
        let line = shown.chars().map(|c| if c.is_control() { ' ' } else { c });
        BusError::new(
            self.kind,
            line.take(LONGEST_MESSAGE - more.len()).chain(more.chars()).collect::<String>(),
        )
    }
}

/// The most characters of a reply that an error repeats.
const LONGEST_MESSAGE: usize = 500;

/// What is added to a reply that means nothing to who does not know of slots.
const OF_CLUSTER: &str = " (the server runs in cluster mode)";

/// The meaning of `error`, an error reply without its leading `-` or `!`. Total: any text has one.
pub fn classify(error: &str) -> Refusal {
    let (code, words) = error.split_once(' ').unwrap_or((error, ""));
    let kind = match code {
        "OOM" => ErrorKind::ServerOom,
        // MOVED: in a cluster that one server serves, that is another one now.
        "READONLY" | "MASTERDOWN" | "MOVED" => ErrorKind::NotMaster,
        // ASK: the slot is moving to another server.
        "CROSSSLOT" | "ASK" => ErrorKind::ClusterMode,
        "NOREPLICAS" => ErrorKind::NotReplicated,
        "LOADING" => ErrorKind::ServerLoading,
        "BUSY" | "MISCONF" | "TRYAGAIN" | "CLUSTERDOWN" => ErrorKind::ServerBusy,
        "NOAUTH" | "WRONGPASS" => ErrorKind::AuthFailed,
        // DENIED: protected mode.
        "NOPERM" | "DENIED" => ErrorKind::PermissionDenied,
        "WRONGTYPE" => ErrorKind::WrongType,
        // A blocked read ended: by a demotion, or because its stream is gone.
        "UNBLOCKED" if words.starts_with("force unblock") => ErrorKind::NotMaster,
        "UNBLOCKED" | "NOGROUP" => ErrorKind::NoGroup,
        "ERR" => classify_unnamed(words),
        // Servers before 7 say so of a command in a script.
        "The" => classify_unnamed(error),
        // Among them BUSYGROUP, EXECABORT, NOPROTO and NOSCRIPT.
        _ => ErrorKind::ServerError,
    };
    // The server closes the connection after a protocol error.
    let is_closing = code == "ERR" && words.starts_with("Protocol error");
    Refusal { kind, action: if is_closing { Action::Reconnect } else { action_of(kind) } }
}

/// Whether a server does not offer the command at all to this client: access rules forbid it, or the server does not
/// have it.
pub fn is_withheld(error: &str) -> bool {
    let refusal = classify(error);
    refusal.kind == ErrorKind::PermissionDenied
        || (refusal == Refusal { kind: ErrorKind::ServerError, action: Action::Keep }
            && error.starts_with("ERR "))
}

/// Whether this answer to `PING` says that the server takes no commands that write, as it cannot save its data.
pub fn refuses_writes(error: &str) -> bool {
    error.starts_with("MISCONF")
}

/// Whether a server that answers `PING` with this error takes no commands at the moment, so that a connection to it is not
/// ready. Every other answer proves that the server lives: one that cannot save its data (`MISCONF`), or is a replica
/// without a master (`MASTERDOWN`), refuses `PING`, and still publishes, subscribes or says its role.
pub fn is_not_ready(error: &str) -> bool {
    matches!(error.split_once(' ').map_or(error, |(code, _)| code), "LOADING" | "BUSY")
}

/// What a connection does about an error of this kind, whether a command was refused or the connection itself.
pub fn action_of(kind: ErrorKind) -> Action {
    match kind {
        ErrorKind::NotMaster => Action::Reconnect,
        ErrorKind::AuthFailed | ErrorKind::PermissionDenied | ErrorKind::ClusterMode => Action::SlowRetry,
        ErrorKind::NotReplicated
        | ErrorKind::ServerLoading
        | ErrorKind::ServerBusy
        | ErrorKind::ServerMaxClients
        | ErrorKind::NoGroup => Action::Backoff,
        // Among them OOM: writes are refused; reading, acknowledging and live events still work.
        _ => Action::Keep,
    }
}

/// Whether a connection that fails with an error of this kind is not made before somebody changes something: a password, a
/// certificate, an access rule, an address, a setting of the server.
pub fn needs_a_person(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::AuthFailed
            | ErrorKind::PermissionDenied
            | ErrorKind::TlsFailed
            | ErrorKind::NotMaster
            | ErrorKind::ClusterMode
            | ErrorKind::InvalidConfig
    )
}

/// The kind of error of a call that has waited for a connection in vain until it was too `late`: why there is none, where
/// only a person mends that, as waiting longer would not have helped.
pub fn kind_of_vain_wait(late: ErrorKind, cause: Option<&BusError>) -> ErrorKind {
    cause.map(|cause| cause.kind).filter(|kind| needs_a_person(*kind) && !kind.retryable()).unwrap_or(late)
}

/// As [`classify`], for the replies whose code says nothing.
fn classify_unnamed(words: &str) -> ErrorKind {
    let starts = |prefix: &str| words.starts_with(prefix);
    if starts("max number of clients") {
        ErrorKind::ServerMaxClients
    } else if starts("AUTH ") || starts("invalid password") || starts("Client sent AUTH") {
        // A password given where none is set, and both answers of servers before 6.
        ErrorKind::AuthFailed
    } else if starts("The user executing the script can't") || starts("ACL failure in script") {
        // NOPERM, of a command in a script: up to 7.0, and from 7.2 on.
        ErrorKind::PermissionDenied
    } else if starts("Script attempted to access") {
        // Keys of different slots, or of a slot that another server has.
        ErrorKind::ClusterMode
    } else {
        ErrorKind::ServerError
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn replies_of_a_server() {
        use Action::{Backoff, Keep, Reconnect, SlowRetry};
        for (reply, kind, action) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", ErrorKind::ServerOom, Keep),
            ("READONLY You can't write against a read only replica.", ErrorKind::NotMaster, Reconnect),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                ErrorKind::NotMaster,
                Reconnect,
            ),
            ("NOREPLICAS Not enough good replicas to write.", ErrorKind::NotReplicated, Backoff),
            ("LOADING Redis is loading the dataset in memory", ErrorKind::ServerLoading, Backoff),
            ("MISCONF Redis is configured to save RDB snapshots, but", ErrorKind::ServerBusy, Backoff),
            ("BUSY Redis is busy running a script.", ErrorKind::ServerBusy, Backoff),
            (
                "ERR The user executing the script can't run this command or subcommand script: 0f, on x",
                ErrorKind::PermissionDenied,
                SlowRetry,
            ),
            (
                "The user executing the script can't run this command or subcommand",
                ErrorKind::PermissionDenied,
                SlowRetry,
            ),
            (
                "ERR ACL failure in script: User bus has no permissions to run the 'time' command",
                ErrorKind::PermissionDenied,
                SlowRetry,
            ),
            ("CLUSTERDOWN The cluster is down", ErrorKind::ServerBusy, Backoff),
            ("MOVED 3999 127.0.0.1:6381", ErrorKind::NotMaster, Reconnect),
            ("ASK 3999 127.0.0.1:6381", ErrorKind::ClusterMode, SlowRetry),
            ("CROSSSLOT Keys in request don't hash to the same slot", ErrorKind::ClusterMode, SlowRetry),
            (
                "ERR Script attempted to access keys that do not hash to the same slot script: 0f, on x",
                ErrorKind::ClusterMode,
                SlowRetry,
            ),
            ("UNBLOCKED the stream key no longer exists", ErrorKind::NoGroup, Backoff),
            (
                "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
                ErrorKind::NotMaster,
                Reconnect,
            ),
            ("NOGROUP No such key 's' or consumer group 'g'", ErrorKind::NoGroup, Backoff),
            ("BUSYGROUP Consumer Group name already exists", ErrorKind::ServerError, Keep),
            ("NOAUTH Authentication required.", ErrorKind::AuthFailed, SlowRetry),
            ("NOAUTH", ErrorKind::AuthFailed, SlowRetry),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                ErrorKind::AuthFailed,
                SlowRetry,
            ),
            ("ERR AUTH <password> called without any password configured", ErrorKind::AuthFailed, SlowRetry),
            ("ERR Client sent AUTH, but no password is set", ErrorKind::AuthFailed, SlowRetry),
            (
                "NOPERM this user has no permissions to access one of the channels used as arguments",
                ErrorKind::PermissionDenied,
                SlowRetry,
            ),
            ("WRONGTYPE Operation against a key holding the wrong kind", ErrorKind::WrongType, Keep),
            ("ERR Protocol error: invalid bulk length", ErrorKind::ServerError, Reconnect),
            ("ERR max number of clients reached", ErrorKind::ServerMaxClients, Backoff),
            ("ERR unknown command 'X'", ErrorKind::ServerError, Keep),
            ("EXECABORT Transaction discarded because of previous errors.", ErrorKind::ServerError, Keep),
            ("", ErrorKind::ServerError, Keep),
            ("ERR", ErrorKind::ServerError, Keep),
            ("OOMISH other", ErrorKind::ServerError, Keep),
        ] {
            assert_eq!(classify(reply), Refusal { kind, action }, "{reply}");
        }
    }

    #[test]
    fn a_command_is_withheld_by_rules_or_for_good() {
        assert!(is_withheld("NOPERM this user has no permissions to run the 'role' command"));
        assert!(is_withheld("ERR unknown command 'ROLE', with args beginning with: "));
        assert!(is_withheld("ERR unknown command `ROLE`, with args beginning with: "));
        assert!(is_withheld("ERR command is not supported"));
        assert!(!is_withheld("ERR Protocol error: x") && !is_withheld("ERR max number of clients reached"));
        assert!(!is_withheld("LOADING Redis is loading the dataset in memory") && !is_withheld("ERR"));
    }

    #[test]
    fn only_a_server_that_takes_no_commands_is_not_ready() {
        for (error, not_ready) in [
            ("LOADING Redis is loading the dataset in memory", true),
            ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", true),
            (
                "MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist",
                false,
            ),
            ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", false),
            ("NOREPLICAS Not enough good replicas to write.", false),
            ("OOM command not allowed when used memory > 'maxmemory'.", false),
            ("NOPERM this user has no permissions to run the 'ping' command", false),
            ("ERR unknown command 'PING', with args beginning with: ", false),
            ("BUSYGROUP Consumer Group name already exists", false),
        ] {
            assert_eq!(is_not_ready(error), not_ready, "{error}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_arguments_of_a_command() {
        let reply =
            "ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `secret`, ";
        let error = classify(reply).into_error(reply);
        assert_eq!(error, BusError::new(ErrorKind::ServerError, "ERR unknown command `HELLO`"));
    }

    #[test]
    fn an_error_about_slots_names_the_cluster() {
        let reply = "CROSSSLOT Keys in request don't hash to the same slot";
        let error = classify(reply).into_error(reply);
        assert_eq!(error.message, format!("{reply} (the server runs in cluster mode)"));
    }

    proptest! {
        #[test]
        fn any_text_has_a_meaning_and_makes_one_short_line(text in "((ERR|OOM|UNBLOCKED|NOAUTH|CROSSSLOT) ?)?(?s:.{0,600})") {
            let error = classify(&text).into_error(&text);
            prop_assert!(error.message.chars().count() <= LONGEST_MESSAGE);
            prop_assert!(!error.message.chars().any(char::is_control));
        }
    }
}
