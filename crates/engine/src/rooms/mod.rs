//! Joining and leaving rooms and users.
//!
//! Joining subscribes to the channel of the room, for the subscriptions by type to hear it, and says on the store
//! who is there; see `presence`.

pub(crate) mod presence;

use std::sync::Arc;
use std::time::Duration;

use oxbus_model::options::names::check_name;
use oxbus_model::presence::MAX_MEMBERSHIPS;
use oxbus_model::routing::channel::{ROOM, USER};
use oxbus_model::{BusError, ErrorKind, Outcome};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::client::{Client, Core};
use crate::receive::confirmations::Waiter;

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

impl Client {
    /// Joins a room or a user: its events reach the subscriptions by type, and `member` (default: the service name
    /// and the instance id) is listed in the room. The reply, whether the member is new, comes when the server has
    /// confirmed both; on failure nothing is left behind. In hybrid mode it comes at once when the server is known
    /// to be away, which is told later.
    ///
    /// # Errors
    /// `INVALID_OPTIONS`, `CLOSED`, `NO_STREAM` where nothing is live, `QUEUE_FULL` beyond
    /// [`MAX_MEMBERSHIPS`]: nothing was done.
    pub fn join(
        &self,
        ticket: u32,
        what: Joinable,
        name: &str,
        member: Option<String>,
    ) -> Result<(), BusError> {
        let core = &self.core;
        what.check(name, member.as_deref())?;
        let member: Arc<str> = match (what, member) {
            (Joinable::User, _) => "".into(),
            (Joinable::Room, Some(member)) => member.into(),
            (Joinable::Room, None) => core.own_member().into(),
        };
        let shared = &core.shared;
        if !shared.config.pubsub {
            return Err(BusError::new(ErrorKind::NoStream, "a bus that only stores has no live events"));
        }
        self.check_open()?;
        if shared.router().memberships() >= MAX_MEMBERSHIPS {
            let message = format!("a client has at most {MAX_MEMBERSHIPS} memberships");
            return Err(BusError::new(ErrorKind::QueueFull, message));
        }
        let channel = what.channel(name);
        let (sender, confirmed) = oneshot::channel();
        let deadline = shared.clock.now_ms().saturating_add(shared.config.redis.command_timeout);
        let mut numbering = core.subscribing();
        let number = core.next_number(&mut numbering);
        let (server_subscription, is_new) = shared.add_member(&channel, &member);
        core.transport.start();
        shared.unconfirmed().add(
            number,
            Waiter::Join(sender),
            std::slice::from_ref(&server_subscription),
            deadline,
        );
        core.transport.subscribe(vec![server_subscription]);
        if shared.is_local_only() {
            shared.end_wait(number, Ok(()));
        }
        drop(numbering);
        core.watch_deadlines();
        let room = (what == Joinable::Room).then(|| Arc::from(name));
        if room.is_some() {
            shared.renew_presence(core.transport.store(), &core.runtime);
        }
        let joining = core.clone();
        core.answer(ticket, async move {
            let joined = joining.attend(room.as_ref(), confirmed, deadline).await;
            if joined.is_err() && is_new {
                joining.leave(&channel, Some(&member));
                if let Some(room) = room {
                    // What cannot be told is told when the others are, or expires.
                    let _ = joining.shared.tell_presence(&*joining.transport.store(), &room, false).await;
                }
            }
            joined.map(|()| is_new.into())
        });
        Ok(())
    }

    /// Leaves a room or a user: one member, or all of this client. The reply, whether there was any, comes when
    /// its events reach no subscription by type any more, and the store knows of it or could not be told: then it
    /// is told later, or the membership expires.
    ///
    /// # Errors
    /// `INVALID_OPTIONS`: nothing was done.
    pub fn leave(
        &self,
        ticket: u32,
        what: Joinable,
        name: &str,
        member: Option<String>,
    ) -> Result<(), BusError> {
        what.check(name, member.as_deref())?;
        let left = self.core.leave(&what.channel(name), member.as_deref());
        let (core, room) = (self.core.clone(), Arc::from(name));
        self.core.answer(ticket, async move {
            if left > 0 && what == Joinable::Room {
                let told = core.shared.tell_presence(&*core.transport.store(), &room, false).await;
                if told.is_err() {
                    core.shared.presence.renew.notify_one();
                }
            }
            Ok((left > 0).into())
        });
        Ok(())
    }
}

impl Core {
    /// The member that a client is by default.
    fn own_member(&self) -> String {
        format!("{}:{}", self.shared.config.service_name, self.instance_id)
    }

    /// Waits until a channel is subscribed and the store knows who has joined the room.
    async fn attend(
        &self,
        room: Option<&Arc<str>>,
        confirmed: oneshot::Receiver<Result<(), BusError>>,
        deadline: u64,
    ) -> Result<(), BusError> {
        confirmed.await.unwrap_or_else(|_| Err(BusError::new(ErrorKind::Closed, "the client was closed")))?;
        let Some(room) = room else { return Ok(()) };
        let store = self.transport.store();
        loop {
            match self.shared.tell_presence(&*store, room, false).await {
                // It is told when it is back.
                Err(error) if error.outcome != Some(Outcome::Rejected) && self.shared.is_local_only() => {
                    return Ok(());
                }
                Err(error)
                    if error.outcome == Some(Outcome::NotSent)
                        && error.kind != ErrorKind::Closed
                        && self.shared.clock.now_ms() < deadline =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                told => return told,
            }
        }
    }

    /// Leaves a room or a user, by its channel. Returns how many have left.
    fn leave(&self, channel: &str, member: Option<&str>) -> usize {
        // Held so that it cannot overtake another join.
        let _numbering = self.subscribing();
        let (left, unused) = self.shared.remove_member(channel, member);
        if let Some(server_subscription) = unused {
            let overtaken = self.shared.unconfirmed().waiting_for(&server_subscription);
            self.transport.unsubscribe(vec![server_subscription]);
            // They are joins: no subscription needs it. They have joined, and left since.
            overtaken.into_iter().for_each(|join| self.shared.end_wait(join, Ok(())));
        }
        left
    }

    /// Says on the store that the client is in no room any more, once it takes nothing in. What cannot be told
    /// expires.
    pub(crate) async fn leave_all(&self) {
        if !self.shared.tell_all_presence(&self.transport.store(), false).await {
            self.shared.log("debug", "memberships of rooms are left to expire", Value::Null);
        }
    }
}
