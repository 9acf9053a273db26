//! What the users of the bus are told of consumer groups.

use std::sync::Arc;

use crate::BusError;
use crate::consumer::stream::starts::Ignored;
use crate::delivery::event::LiveEvent;
use crate::stream_store::{EntryId, Missed};

/// Something that others must know.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// A subscription is established.
    Confirmed {
        /// Which.
        subscription: u32,
    },
    /// A subscription cannot be established.
    Refused {
        /// Which.
        subscription: u32,
        /// Why.
        error: BusError,
    },
    /// An entry with running handlers belongs to another consumer now.
    ClaimLost {
        /// The handler calls.
        tokens: Vec<u32>,
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The entry.
        id: EntryId,
    },
    /// The store's clock has jumped: what counts until a time of that clock is to be renewed.
    ClockJumped {
        /// What there is to say, for people.
        message: String,
    },
    /// Entries will never reach a handler of the group.
    MessagesLost {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// Which; for single deleted entries `from` and `to` are their first and last.
        missed: Missed,
    },
    /// An entry was moved to the dead letters (or, where there are none, given up).
    DeadLettered {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The entry.
        id: EntryId,
        /// The event's JSON; `None` where it cannot be decoded.
        event: Option<Arc<LiveEvent>>,
        /// How often it was tried.
        attempts: u32,
        /// Why.
        reason: &'static str,
        /// The error as JSON.
        error: Arc<str>,
        /// Whether it is kept among the dead letters.
        kept: bool,
    },
    /// A group had disappeared and was created again.
    GroupRecreated {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// Behind which entry it goes on.
        from: EntryId,
    },
    /// Something to look at.
    Warning {
        /// A short name.
        code: &'static str,
        /// What and why.
        message: String,
    },
    /// Something failed that no call waits for.
    Error(BusError),
}

impl Announcement {
    /// The warning of a start that does not count, or not fully.
    pub(super) fn start_ignored(stream: &str, group: &str, why: Ignored) -> Announcement {
        let why = match why {
            Ignored::MadeElsewhere => "another subscription has made the group with another one",
            Ignored::Known => {
                "the group has the pattern already; it counts for groups and patterns that are new"
            }
            Ignored::Unread => "the group has not read all that is before it, and handles that as well",
            Ignored::TooOld => {
                "of what it has read past, the group knows the last ten minutes, and for a day what was stored while it \
                 had no living consumer; older entries do not come"
            }
        };
        let message = format!("`from` of a subscription of group {group:?} of stream {stream:?}: {why}");
        Announcement::Warning { code: "START_IGNORED", message }
    }
}
