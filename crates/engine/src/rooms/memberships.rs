//! The rooms and users that a client has joined.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use oxbus_model::options::names::check_name;
use oxbus_model::presence::MAX_MEMBERSHIPS;
use oxbus_model::routing::channel::{ROOM, USER};
use oxbus_model::{BusError, ErrorKind, Outcome};
use serde_json::Value;
use tokio::sync::oneshot;
use tracing::debug;

use super::presence::PresenceSync;
use crate::observe::link_mode::is_local_only;
use crate::receive::confirmations::Waiter;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;
use crate::state::numbers::SubscriptionNumbers;
use crate::transport::Transport;

/// Between two attempts to say on the store who has joined, while there is no connection.
const AGAIN: Duration = Duration::from_millis(50);

/// What can be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joinable {
    /// A room; who is in it can be asked.
    Room,
    /// A user.
    User,
}

impl Joinable {
    fn channel(self, name: &str) -> String {
        let kind = match self {
            Joinable::Room => ROOM,
            Joinable::User => USER,
        };
        format!("{kind}{name}")
    }

    /// Accepts a name, and a member if one is given.
    fn check(self, name: &str, member: Option<&str>) -> Result<(), BusError> {
        let path = match self {
            Joinable::Room => "room",
            Joinable::User => "userId",
        };
        check_name(path, name)?;
        member.map_or(Ok(()), |member| check_name("member", member))
    }
}

/// A join that the server has not confirmed.
pub(crate) struct PendingJoin {
    channel: String,
    member: Arc<str>,
    is_new: bool,
    /// The room; `None` for a user.
    room: Option<Arc<str>>,
    confirmed: oneshot::Receiver<Result<(), BusError>>,
    /// On the client's clock.
    deadline: u64,
}

/// The rooms and users that a client has joined.
pub(crate) struct Memberships {
    state: Arc<ClientState>,
    transport: Arc<dyn Transport>,
    presence: Arc<PresenceSync>,
    /// The member that a client is by default.
    own_member: Arc<str>,
}

impl Memberships {
    pub(crate) fn new(state: Arc<ClientState>, transport: Arc<dyn Transport>, tasks: Tasks) -> Self {
        let own_member = format!("{}:{}", state.config.service_name, state.origin.instance_id()).into();
        let presence = PresenceSync::new(state.clone(), transport.store(), tasks);
        Memberships { state, transport, presence, own_member }
    }

    /// Whether a room or a user is joined.
    pub(crate) fn any(&self) -> bool {
        self.state.router().memberships() > 0
    }

    /// Begins to join a room or a user, with a subscription number that `next_number` gives.
    ///
    /// # Errors
    /// `INVALID_OPTIONS`, `CLOSED`, `NO_STREAM` where nothing is live, `QUEUE_FULL` beyond
    /// [`MAX_MEMBERSHIPS`]: nothing was done.
    pub(crate) fn begin_join(
        &self,
        what: Joinable,
        name: &str,
        member: Option<String>,
        next_number: impl FnOnce(&mut SubscriptionNumbers) -> u32,
    ) -> Result<PendingJoin, BusError> {
        what.check(name, member.as_deref())?;
        let member: Arc<str> = match (what, member) {
            (Joinable::User, _) => "".into(),
            (Joinable::Room, Some(member)) => member.into(),
            (Joinable::Room, None) => self.own_member.clone(),
        };
        let state = &self.state;
        if !state.config.pubsub {
            return Err(BusError::new(ErrorKind::NoStream, "a bus that only stores has no live events"));
        }
        state.lifecycle.check_open()?;
        if state.router().memberships() >= MAX_MEMBERSHIPS {
            let message = format!("a client has at most {MAX_MEMBERSHIPS} memberships");
            return Err(BusError::new(ErrorKind::QueueFull, message));
        }
        let channel = what.channel(name);
        let (sender, confirmed) = oneshot::channel();
        let deadline = state.clock.now_ms().saturating_add(state.config.redis.command_timeout);
        let mut numbers = state.numbers();
        let number = next_number(&mut numbers);
        let (needed, is_new) = state.router_mut().join(&channel, &member);
        self.transport.start();
        state.confirmations.add(number, Waiter::Join(sender), &needed, deadline);
        self.transport.subscribe(needed);
        if is_local_only(state) {
            state.confirmations.end_wait(number, Ok(()));
        }
        drop(numbers);
        let room = (what == Joinable::Room).then(|| Arc::from(name));
        if room.is_some() {
            self.presence.start_renewal();
        }
        Ok(PendingJoin { channel, member, is_new, room, confirmed, deadline })
    }

    /// Ends when the server has confirmed a join, and the store knows who has joined the room. Whether the member is
    /// new; on failure nothing is left behind.
    pub(crate) async fn finish_join(&self, join: PendingJoin) -> Result<Value, BusError> {
        let PendingJoin { channel, member, is_new, room, confirmed, deadline } = join;
        let joined = self.confirm(room.as_ref(), confirmed, deadline).await;
        if joined.is_err() && is_new {
            self.remove(&channel, Some(&member));
            if let Some(room) = room {
                // What cannot be told is told with the next renewal, or expires.
                let _ = self.presence.sync(&room, false).await;
            }
        }
        joined.map(|()| is_new.into())
    }

    /// Leaves a room or a user: one member, or all of this client. Returns how many have left.
    ///
    /// # Errors
    /// `INVALID_OPTIONS`: nothing was done.
    pub(crate) fn leave(&self, what: Joinable, name: &str, member: Option<&str>) -> Result<usize, BusError> {
        what.check(name, member)?;
        Ok(self.remove(&what.channel(name), member))
    }

    /// Ends when the store knows that members have left a room, or could not be told: then it is told later.
    pub(crate) async fn finish_leave(&self, room: &Arc<str>) {
        if self.presence.sync(room, false).await.is_err() {
            self.state.presence_due.notify_one();
        }
    }

    /// Says on the store that the client is in no room any more, once it takes nothing in. What cannot be told
    /// expires.
    pub(crate) async fn leave_all(&self) {
        if !self.presence.sync_all(false).await {
            debug!("memberships of rooms are left to expire");
        }
    }

    /// Waits until a channel is subscribed and the store knows who has joined the room.
    async fn confirm(
        &self,
        room: Option<&Arc<str>>,
        confirmed: oneshot::Receiver<Result<(), BusError>>,
        deadline: u64,
    ) -> Result<(), BusError> {
        confirmed.await.unwrap_or_else(|_| Err(BusError::new(ErrorKind::Closed, "the client was closed")))?;
        let Some(room) = room else { return Ok(()) };
        loop {
            match self.presence.sync(room, false).await {
                // The server is told when it is back.
                Err(error) if error.outcome != Some(Outcome::Rejected) && is_local_only(&self.state) => {
                    return Ok(());
                }
                Err(error)
                    if error.outcome == Some(Outcome::NotSent)
                        && error.kind != ErrorKind::Closed
                        && self.state.clock.now_ms() < deadline =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                result => return result,
            }
        }
    }

    /// Removes members from a channel. Returns how many were removed.
    fn remove(&self, channel: &str, member: Option<&str>) -> usize {
        // The lock is held so that this cannot overtake another join.
        let _numbers = self.state.numbers();
        let (left, unused) = self.state.router_mut().leave(channel, member);
        if !unused.is_empty() {
            let waiting = unused.iter().flat_map(|it| self.state.confirmations.waiting_for(it));
            let overtaken: BTreeSet<u32> = waiting.collect();
            self.transport.unsubscribe(unused);
            // No subscription needs the channel, so these are joins. They have joined, and left since.
            overtaken.into_iter().for_each(|join| self.state.confirmations.end_wait(join, Ok(())));
        }
        left
    }
}
