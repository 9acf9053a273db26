//! What the host is told of groups.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::consumer::Announcement;
use serde_json::Value;

use crate::host::Notice;
use crate::state::ClientState;

impl ClientState {
    /// Passes on what the claims announce.
    pub(super) fn announce(self: &Arc<Self>, announcement: Announcement) {
        let notice = match announcement {
            Announcement::Confirmed { subscription } => return self.durable_confirmed(subscription),
            Announcement::Refused { subscription, error } => {
                return self.durable_refused(subscription, error);
            }
            Announcement::ClaimLost { tokens, stream, group, id } => {
                Notice::ClaimLost { tokens, stream, group, id }
            }
            Announcement::MessagesLost { stream, group, missed } => {
                self.stats.events_lost.add(missed.count);
                Notice::MessagesLost { stream, group, missed }
            }
            Announcement::DeadLettered { stream, group, id, event, attempts, reason, error, kept } => {
                if !kept {
                    self.notice(Notice::Error(BusError::new(
                        oxbus_model::ErrorKind::HandlerFailed,
                        format!("{stream} {id} was given up for {group} after {attempts} attempts, as dead letters are not kept"),
                    )));
                }
                // What a handler threw is JSON already.
                let error = serde_json::from_str(&error).unwrap_or_else(|_| Value::from(&*error));
                Notice::DeadLettered { stream, group, id, event, attempts, reason, error, kept }
            }
            Announcement::GroupRecreated { stream, group, from } => {
                Notice::GroupRecreated { stream, group, from }
            }
            Announcement::Warning { code, message } => Notice::Warning { code, message },
            Announcement::Error(error) => Notice::Error(error),
        };
        self.notice(notice);
    }
}
