//! What the host is told of groups.

use oxbus_model::consumer::Announcement;
use oxbus_model::{BusError, ErrorKind};

use crate::host::Notice;
use crate::state::ClientState;

/// Counts what a group announces, and passes it to the host.
pub(crate) fn announce(state: &ClientState, announcement: Announcement) {
    let notice = match announcement {
        Announcement::Warning { code, message } => Notice::Warning { code, message },
        Announcement::ClockJumped { message } => {
            // Who is in a room is known until a time of that clock.
            state.presence_due.notify_one();
            Notice::Warning { code: "CLOCK_JUMPED", message }
        }
        Announcement::Error(error) => Notice::Error(error),
        announcement => {
            count_and_explain(state, &announcement);
            Notice::Group(announcement)
        }
    };
    state.notice(notice);
}

fn count_and_explain(state: &ClientState, announcement: &Announcement) {
    match announcement {
        Announcement::MessagesLost { missed, .. } => state.stats.events_lost.add(missed.count),
        Announcement::DeadLettered { stream, group, id, attempts, kept: false, .. } => {
            let message = format!(
                "{stream} {id} was given up for {group} after {attempts} attempts, as dead letters are not kept"
            );
            state.notice(Notice::Error(BusError::new(ErrorKind::HandlerFailed, message)));
        }
        _ => {}
    }
}
