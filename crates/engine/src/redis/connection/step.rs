//! What the replies of a login mean.

use oxbus_model::{BusError, ErrorKind, server_error};

use crate::redis::resp::reply::Reply;

/// How often, in milliseconds, a server that events are published to says its role: `PUBLISH` reaches nobody from a demoted one.
pub(in crate::redis) const ROLE_INTERVAL: u64 = 1_000;

/// The meaning of a reply of the handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Required,
    Database,
    Optional,
    Ready,
    Role,
    Eviction,
}

impl Step {
    /// Whether to go on; true when the step told what it was to tell.
    pub(super) fn judge(self, reply: Reply<'_>) -> Result<bool, BusError> {
        if let Some(error) = error_of(&reply) {
            let forgiven = match self {
                Step::Optional => true,
                Step::Ready => !server_error::is_not_ready(error),
                // Services that manage servers for others often take commands away.
                Step::Role => server_error::is_withheld(error),
                Step::Required | Step::Database | Step::Eviction => false,
            };
            return if forgiven { Ok(false) } else { Err(server_error::classify(error).into_error(error)) };
        }
        match self {
            Step::Role => check_role(&reply).map(|()| true),
            Step::Eviction => check_eviction(&reply).map(|()| true),
            Step::Required | Step::Database | Step::Optional | Step::Ready => Ok(true),
        }
    }
}

/// Fails unless the answer to `ROLE` is that of a master.
pub(in crate::redis) fn check_role(reply: &Reply<'_>) -> Result<(), BusError> {
    match reply {
        Reply::Array(items) if items.first().and_then(Reply::text) == Some(b"master") => Ok(()),
        Reply::Array(items) => {
            let role = String::from_utf8_lossy(items.first().and_then(Reply::text).unwrap_or(b"unknown"));
            let message = format!("the server is not a master, its role is {role}");
            Err(BusError::new(ErrorKind::NotMaster, message))
        }
        _ => Ok(()),
    }
}

fn check_eviction(reply: &Reply<'_>) -> Result<(), BusError> {
    let info = String::from_utf8_lossy(reply.text().unwrap_or_default());
    let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).unwrap_or("noeviction");
    if policy == "noeviction" {
        return Ok(());
    }
    let message =
        format!("the server's maxmemory-policy is {policy}, which deletes data; noeviction is required");
    Err(BusError::at(ErrorKind::InvalidConfig, "requireNoEviction", message))
}

/// The error that a reply is.
pub(super) fn error_of<'a>(reply: &Reply<'a>) -> Option<&'a str> {
    match reply {
        Reply::Error(error) => Some(error),
        _ => None,
    }
}
