//! What the store knows of who is in the rooms that this client has joined.
//!
//! What it should know is what the router has: the store is told of a room whenever the two differ, and again every
//! [`RENEWAL`] milliseconds and after each reconnect. Only one task at a time tells of a room, so that joins and leaves
//! that race end with what was asked for last.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::BusError;
use oxbus_model::presence;
use oxbus_model::presence::{RENEWAL, TTL};
use oxbus_model::routing::channel::ROOM;
use oxbus_model::stream_store::{Request, keys};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::store::Store;

/// How many rooms the store is told of at the same time when it is told of all.
const AT_A_TIME: usize = 64;

/// After how long the store is told again where it could not be told, in milliseconds.
const AGAIN: u64 = 1_000;

/// Makes the store know who is in the rooms of this client.
pub(super) struct PresenceSync {
    state: Arc<ClientState>,
    store: Arc<dyn Store>,
    runtime: Handle,
    rooms: Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<KnownMembers>>>>,
    /// Whether the task runs that renews what the store knows.
    renewing: AtomicBool,
}

/// What the store may know of a room.
#[derive(Default)]
struct KnownMembers {
    members: BTreeSet<Arc<str>>,
    /// Whether it may know less: it did not answer.
    unsure: bool,
}

impl PresenceSync {
    pub(super) fn new(state: Arc<ClientState>, store: Arc<dyn Store>, runtime: Handle) -> Arc<Self> {
        let renewing = AtomicBool::new(false);
        Arc::new(PresenceSync { state, store, runtime, rooms: Mutex::default(), renewing })
    }

    /// Makes the store know who is in a room; with `again` also what it should know already. Ends within the
    /// command timeout.
    pub(super) async fn sync(&self, room: &Arc<str>, again: bool) -> Result<(), BusError> {
        let known = self.rooms().entry(room.clone()).or_default().clone();
        let result = async {
            let mut known = known.lock().await;
            let wanted = self.state.router().members(&format!("{ROOM}{room}"));
            let entry = |member: &Arc<str>| presence::entry(self.state.origin.instance_id(), member);
            let again = again || known.unsure;
            let add: Vec<_> =
                wanted.iter().filter(|m| again || !known.members.contains(*m)).map(entry).collect();
            let remove: Vec<_> = known.members.difference(&wanted).map(entry).collect();
            if add.is_empty() && remove.is_empty() {
                return Ok(());
            }
            known.unsure = true;
            known.members.extend(wanted.iter().cloned());
            let key = keys::presence(self.state.channels.prefix(), room).into();
            self.store.execute(Request::UpdatePresence { key, add, remove, ttl: TTL }).await?;
            *known = KnownMembers { members: wanted, unsure: false };
            Ok(())
        }
        .await;
        drop(known);
        self.forget(room);
        result
    }

    /// Syncs all rooms, as [`PresenceSync::sync`] does. Whether the store knows all of them now.
    pub(super) async fn sync_all(self: &Arc<Self>, again: bool) -> bool {
        let rooms: Vec<Arc<str>> = self.rooms().keys().cloned().collect();
        let mut rooms = rooms.into_iter();
        let mut syncing = JoinSet::new();
        let mut all = true;
        loop {
            while syncing.len() < AT_A_TIME
                && let Some(room) = rooms.next()
            {
                let sync = self.clone();
                syncing.spawn(async move { sync.sync(&room, again).await.is_ok() });
            }
            match syncing.join_next().await {
                Some(known) => all &= known.unwrap_or(false),
                None => return all,
            }
        }
    }

    /// Starts, once, the task that renews what the store knows, until the client is closed.
    pub(super) fn start_renewal(self: &Arc<Self>) {
        if self.state.clock.is_virtual() || self.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let sync = self.clone();
        self.runtime.spawn(async move {
            let mut pause = RENEWAL;
            let mut changes = sync.state.lifecycle.watch();
            let closed = async { drop(changes.wait_for(|change| change.state == State::Closed).await) };
            tokio::pin!(closed);
            loop {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                    () = sync.state.presence_due.notified() => {}
                    () = &mut closed => return,
                }
                pause = if sync.sync_all(true).await { RENEWAL } else { AGAIN };
            }
        });
    }

    /// Forgets a room that nobody is in and nobody tells of.
    fn forget(&self, room: &str) {
        let mut rooms = self.rooms();
        // Only the table knows it, so that nobody else can have it locked.
        if let Some(known) = rooms.get(room)
            && Arc::strong_count(known) == 1
            && known.try_lock().is_ok_and(|known| known.members.is_empty())
        {
            rooms.remove(room);
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<tokio::sync::Mutex<KnownMembers>>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
