//! What the host is told of groups.

use std::sync::Arc;

use oxbus_model::consumer::Announcement;
use oxbus_model::{BusError, ErrorKind};

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
            Announcement::Warning { code, message } => Notice::Warning { code, message },
            Announcement::Error(error) => Notice::Error(error),
            announcement => {
                self.count_and_explain(&announcement);
                Notice::Group(announcement)
            }
        };
        self.notice(notice);
    }

    fn count_and_explain(&self, announcement: &Announcement) {
        match announcement {
            Announcement::MessagesLost { missed, .. } => self.stats.events_lost.add(missed.count),
            Announcement::DeadLettered { stream, group, id, attempts, kept: false, .. } => {
                let message = format!(
                    "{stream} {id} was given up for {group} after {attempts} attempts, as dead letters are not kept"
                );
                self.notice(Notice::Error(BusError::new(ErrorKind::HandlerFailed, message)));
            }
            _ => {}
        }
    }
}
