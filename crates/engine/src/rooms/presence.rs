//! What the store knows of who is in the rooms that this client has joined.
//!
//! What it should know is what the router has: a room is told whenever the two differ, and again every
//! [`RENEWAL`](presence::RENEWAL) milliseconds and after each reconnect. Only one at a time tells of a room, so that joins and leaves that
//! race end with what was asked for last.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oxbus_model::BusError;
use oxbus_model::presence;
use oxbus_model::presence::{RENEWAL, TTL};
use oxbus_model::routing::channel::ROOM;
use oxbus_model::stream_store::{Request, keys};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::store::Store;

/// Rooms that are told of at a time when all are.
const AT_A_TIME: usize = 64;

/// After how long it is tried again where the store could not be told, in milliseconds.
const AGAIN: u64 = 1_000;

/// What the store was told, by room.
#[derive(Default)]
pub(crate) struct Presence {
    rooms: Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<Told>>>>,
    /// Tells of all rooms now.
    pub(crate) renew: Notify,
    renewed: AtomicBool,
}

/// What the store may know of a room.
#[derive(Default)]
struct Told {
    members: BTreeSet<Arc<str>>,
    /// Whether it may know less: it did not answer.
    unsure: bool,
}

impl Presence {
    fn room(&self, room: &Arc<str>) -> Arc<tokio::sync::Mutex<Told>> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.entry(room.clone()).or_default().clone()
    }

    fn all(&self) -> Vec<Arc<str>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Forgets a room that nobody is in and nobody tells of.
    fn forget(&self, room: &str) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the table knows it, so that nobody else can have it locked.
        if let Some(told) = rooms.get(room)
            && Arc::strong_count(told) == 1
            && told.try_lock().is_ok_and(|told| told.members.is_empty())
        {
            rooms.remove(room);
        }
    }
}

impl ClientState {
    /// Makes the store know who is in a room; with `again` also what it should know already. Ends within the
    /// command timeout.
    pub(crate) async fn tell_presence(
        &self,
        store: &dyn Store,
        room: &Arc<str>,
        again: bool,
    ) -> Result<(), BusError> {
        let told = self.presence.room(room);
        let result = async {
            let mut told = told.lock().await;
            let wanted = self.router().members(&format!("{ROOM}{room}"));
            let entry = |member: &Arc<str>| presence::entry(self.origin.instance_id(), member);
            let again = again || told.unsure;
            let add: Vec<_> =
                wanted.iter().filter(|m| again || !told.members.contains(*m)).map(entry).collect();
            let remove: Vec<_> = told.members.difference(&wanted).map(entry).collect();
            if add.is_empty() && remove.is_empty() {
                return Ok(());
            }
            told.unsure = true;
            told.members.extend(wanted.iter().cloned());
            let key = keys::presence(self.channels.prefix(), room).into();
            store.execute(Request::UpdatePresence { key, add, remove, ttl: TTL }).await?;
            *told = Told { members: wanted, unsure: false };
            Ok(())
        }
        .await;
        drop(told);
        self.presence.forget(room);
        result
    }

    /// Tells of all rooms, as [`ClientState::tell_presence`] does. Whether the store knows all of them now.
    pub(crate) async fn tell_all_presence(self: &Arc<Self>, store: &Arc<dyn Store>, again: bool) -> bool {
        let mut rooms = self.presence.all().into_iter();
        let mut telling = JoinSet::new();
        let mut all = true;
        loop {
            while telling.len() < AT_A_TIME
                && let Some(room) = rooms.next()
            {
                let (shared, store) = (self.clone(), store.clone());
                telling.spawn(async move { shared.tell_presence(&*store, &room, again).await.is_ok() });
            }
            match telling.join_next().await {
                Some(told) => all &= told.unwrap_or(false),
                None => return all,
            }
        }
    }

    /// Starts, once, the task that renews what is told, until the client is closed.
    pub(crate) fn renew_presence(self: &Arc<Self>, store: Arc<dyn Store>, runtime: &tokio::runtime::Handle) {
        if self.clock.is_virtual() || self.presence.renewed.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = self.clone();
        runtime.spawn(async move {
            let mut pause = RENEWAL;
            let mut seen = shared.lifecycle.watch();
            let closed = async { drop(seen.wait_for(|seen| seen.state == State::Closed).await) };
            tokio::pin!(closed);
            loop {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                    () = shared.presence.renew.notified() => {}
                    () = &mut closed => return,
                }
                pause = if shared.tell_all_presence(&store, true).await { RENEWAL } else { AGAIN };
            }
        });
    }
}
