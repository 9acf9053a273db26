//! What the client says without being asked.

use oxbus_engine::host::Notice;
use oxbus_model::consumer::Announcement;
use oxbus_model::stream_store::EntryId;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::patience::PATIENCE;

/// The notices of a client. Clones share.
#[derive(Clone, Default)]
pub struct Notices(watch::Sender<Vec<Notice>>);

impl Notices {
    /// Adds what the client has said.
    pub(super) fn add(&self, notices: Vec<Notice>) {
        if !notices.is_empty() {
            self.0.send_modify(|all| all.extend(notices));
        }
    }

    /// All notices so far.
    pub fn all(&self) -> Vec<Notice> {
        self.0.borrow().clone()
    }

    /// How many notices there are: what comes later is found by [`Notices::wait_from`].
    pub fn mark(&self) -> usize {
        self.0.borrow().len()
    }

    /// The first notice that `wanted` accepts, past ones included.
    #[track_caller]
    pub fn wait_for(&self, wanted: impl Fn(&Notice) -> bool) -> impl Future<Output = Notice> {
        self.wait_from(0, wanted)
    }

    /// The first notice that `wanted` accepts, from the one of number `mark` on.
    ///
    /// # Panics
    /// When none comes within [`PATIENCE`]; the message lists those that came.
    #[track_caller]
    pub fn wait_from(&self, mark: usize, wanted: impl Fn(&Notice) -> bool) -> impl Future<Output = Notice> {
        let caller = std::panic::Location::caller();
        let mut notices = self.0.subscribe();
        async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let found = notices.borrow_and_update().iter().skip(mark).find(|n| wanted(n)).cloned();
                if let Some(notice) = found {
                    return notice;
                }
                if !matches!(timeout_at(deadline, notices.changed()).await, Ok(Ok(()))) {
                    panic!("the notice waited for at {caller} did not come, but {:?}", notices.borrow());
                }
            }
        }
    }

    /// What `wanted` finds in the notices so far, in order.
    pub fn find<T>(&self, wanted: impl Fn(&Notice) -> Option<T>) -> Vec<T> {
        self.all().iter().filter_map(wanted).collect()
    }

    /// What `wanted` finds in the first notice that has it, past ones included.
    pub async fn wait_to_find<T>(&self, wanted: impl Fn(&Notice) -> Option<T>) -> T {
        self.wait_to_find_from(0, wanted).await
    }

    /// As [`Notices::wait_to_find`], from the notice of number `mark` on.
    pub async fn wait_to_find_from<T>(&self, mark: usize, wanted: impl Fn(&Notice) -> Option<T>) -> T {
        let notice = self.wait_from(mark, |notice| wanted(notice).is_some()).await;
        wanted(&notice).expect("just seen")
    }
}

/// An entry that was moved to the dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLettered {
    /// Its stream.
    pub stream: String,
    /// The group that gave up.
    pub group: String,
    /// The id of the entry.
    pub message_id: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was given up.
    pub reason: String,
    /// The error.
    pub error: Value,
    /// The id of the event; `None` for what is not one.
    pub event_id: Option<String>,
    /// Whether it is kept.
    pub kept: bool,
}

/// Entries that never reach a handler.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// The stream.
    pub stream: String,
    /// The group.
    pub group: String,
    /// How many.
    pub count: u64,
    /// The loss begins behind, or at, this entry.
    pub from: EntryId,
    /// The loss ends before, or at, this entry.
    pub to: EntryId,
}

/// The dead letter that a notice tells of.
pub fn dead_lettered(notice: &Notice) -> Option<DeadLettered> {
    let Notice::Group(announcement) = notice else { return None };
    let Announcement::DeadLettered { stream, group, id, event, attempts, reason, error, kept } = announcement
    else {
        return None;
    };
    let id_of = |json: &str| {
        let event: Value = serde_json::from_str(json).expect("an event");
        event["id"].as_str().expect("an id").to_owned()
    };
    Some(DeadLettered {
        stream: stream.to_string(),
        group: group.to_string(),
        message_id: id.to_string(),
        attempts: *attempts,
        reason: (*reason).to_owned(),
        error: serde_json::from_str(error).unwrap_or_else(|_| Value::from(&**error)),
        event_id: event.as_ref().map(|event| id_of(&event.json)),
        kept: *kept,
    })
}

/// The loss that a notice tells of.
pub fn lost(notice: &Notice) -> Option<Lost> {
    let Notice::Group(Announcement::MessagesLost { stream, group, missed }) = notice else { return None };
    Some(Lost {
        stream: stream.to_string(),
        group: group.to_string(),
        count: missed.count,
        from: missed.from,
        to: missed.to,
    })
}

/// The tokens of the handler calls whose claim is lost, from the notice of it.
pub fn claim_lost(notice: &Notice) -> Option<&[u32]> {
    match notice {
        Notice::Group(Announcement::ClaimLost { tokens, .. }) => Some(tokens),
        _ => None,
    }
}

/// The entry behind which a group goes on, from the notice that the group was created again.
pub fn recreated(notice: &Notice) -> Option<EntryId> {
    match notice {
        Notice::Group(Announcement::GroupRecreated { from, .. }) => Some(*from),
        _ => None,
    }
}

/// Whether a notice is a warning of this code.
pub fn is_warning(notice: &Notice, wanted: &str) -> bool {
    matches!(notice, Notice::Warning { code, .. } if *code == wanted)
}

/// Whether a notice says that a link was lost.
pub fn is_lost(notice: &Notice, wanted: &str) -> bool {
    matches!(notice, Notice::Disconnected { link, .. } if **link == *wanted)
}
