//! What a client knows of its consumer groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::BusError;
use oxbus_model::config::Config;
use oxbus_model::consumer::Consumer;
use oxbus_model::observe::metrics::Types;
use oxbus_model::stream_store::WantedPattern;
use tokio::sync::Notify;

/// The consumer groups of a client; `groups` drives them.
pub(crate) struct Groups {
    claims: Mutex<Consumer>,
    /// Whether any group was ever joined: as long as none was, groups cost nothing.
    used: AtomicBool,
    /// Something was settled, or the client was closed.
    pub(crate) changed: Notify,
    /// Streams whose groups could not be made, and why.
    troubles: Mutex<BTreeMap<String, BusError>>,
    /// Streams whose retention the server refuses, and why.
    untrimmed: Mutex<BTreeMap<String, BusError>>,
    /// Configured groups that were there in the time of this client, by stream and name. One of them that is missing is
    /// lost, not new.
    known: Mutex<BTreeSet<(String, String)>>,
    /// Configured streams that were there when somebody asked.
    seen_streams: Mutex<BTreeSet<String>>,
    /// Whether a configured group was found missing.
    missing: AtomicBool,
    /// What the subscriptions want, for the registry.
    wanted: Mutex<BTreeMap<u32, Vec<WantedPattern>>>,
}

impl Groups {
    pub(crate) fn new(config: &Config, instance_id: &str, types: Arc<Types>) -> Self {
        let mut claims = Consumer::new(
            config.dead_letter.clone(),
            config.channel_prefix.clone(),
            instance_id.into(),
            config.codec.clone(),
        );
        claims.count_by(types);
        if config.mode.has_server() {
            claims.read_ahead();
        }
        Groups {
            claims: Mutex::new(claims),
            used: AtomicBool::new(false),
            changed: Notify::new(),
            troubles: Mutex::default(),
            untrimmed: Mutex::default(),
            known: Mutex::default(),
            seen_streams: Mutex::default(),
            missing: AtomicBool::new(false),
            wanted: Mutex::default(),
        }
    }

    /// The entries that the groups have claimed, and the subscriptions that they are for.
    pub(crate) fn claims(&self) -> MutexGuard<'_, Consumer> {
        // After a panic under the lock the table may be off by one entry, which its claim's lease makes good.
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is, or was, a group.
    pub(crate) fn in_use(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// A group is joined. True for the first.
    pub(crate) fn start_use(&self) -> bool {
        !self.used.swap(true, Ordering::AcqRel)
    }

    /// Streams whose groups could not be made, and why.
    pub(crate) fn troubles(&self) -> MutexGuard<'_, BTreeMap<String, BusError>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The streams were looked at: these have troubles, and of the `unanswered` ones nothing new is known. Returns the troubles
    /// that there were before.
    pub(crate) fn replace_troubles(
        &self,
        found: &BTreeMap<String, BusError>,
        unanswered: &BTreeSet<String>,
    ) -> BTreeMap<String, BusError> {
        let mut troubles = self.troubles();
        let before = std::mem::replace(&mut *troubles, found.clone());
        let stay = before.iter().filter(|(stream, _)| unanswered.contains(*stream));
        troubles.extend(stay.map(|(stream, error)| (stream.clone(), error.clone())));
        before
    }

    /// Streams whose retention the server refuses, and why. They grow, up to the cap that publishers apply.
    pub(crate) fn untrimmed(&self) -> MutexGuard<'_, BTreeMap<String, BusError>> {
        self.untrimmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Configured groups that were there in the time of this client, by stream and name.
    pub(crate) fn known(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A configured stream is there, or is not. Returns whether it has disappeared.
    pub(crate) fn stream_found(&self, stream: &str, found: bool) -> bool {
        let mut seen = self.seen_streams.lock().unwrap_or_else(PoisonError::into_inner);
        if found && !seen.contains(stream) {
            seen.insert(stream.to_owned());
        }
        !found && seen.contains(stream)
    }

    /// What the subscriptions want, by their number, for the registry.
    pub(crate) fn wanted(&self) -> MutexGuard<'_, BTreeMap<u32, Vec<WantedPattern>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A configured group was found missing: it is to be made again.
    pub(crate) fn report_missing(&self) {
        self.missing.store(true, Ordering::Release);
    }

    /// Whether a configured group was found missing.
    pub(crate) fn is_missing(&self) -> bool {
        self.missing.load(Ordering::Acquire)
    }

    /// The same, and forgets it.
    pub(crate) fn take_missing(&self) -> bool {
        self.missing.swap(false, Ordering::AcqRel)
    }
}
