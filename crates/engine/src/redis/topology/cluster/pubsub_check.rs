//! Whether all clients of a bus have its live events travel in the same way: those that differ would not hear each other.
//!
//! How they travel is a fact on the server, under a key of its own. The first client writes it, and one that differs is
//! refused. It is looked at again now and then, and when another node has the key: a failover may have lost it.

use std::sync::Arc;
use std::time::Duration;

use oxbus_model::backoff::Backoff;
use oxbus_model::config::{Address, PubSub};
use oxbus_model::server_error;
use oxbus_model::topology::redirect::Redirect;
use oxbus_model::{BusError, ErrorKind};
use redis::cmd;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::debug;

use super::view::ClusterView;
use crate::redis::connection::access::Access;
use crate::redis::resp::reply::Reply;
use crate::redis::resp::value::RespValue;
use crate::runtime::clock;

/// The time between two looks at the fact.
const PERIOD: Duration = Duration::from_secs(60);
/// The same while this client is refused: somebody may change the fact.
const REFUSED_PERIOD: Duration = Duration::from_secs(5);
/// The ceilings of the first and of all later pauses after nobody could be asked, in milliseconds.
const PAUSES: (u64, u64) = (50, 1_000);
/// The first release of Redis that has sharded pub/sub. All releases of Valkey have it.
const FIRST_SHARDED: u32 = 7;

/// Looks at the fact.
pub(super) struct PubSubCheck {
    pub(super) view: Arc<ClusterView>,
    pub(super) access: Access,
    /// How long a node may take.
    pub(super) limit: Duration,
    /// The key of the fact.
    pub(super) key: String,
    pub(super) pubsub: PubSub,
    /// Whether this client creates nothing.
    pub(super) observes: bool,
}

impl PubSubCheck {
    /// Looks for ever.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut known = self.view.known();
        loop {
            let Some(node) = known.borrow_and_update().owner_of(&self.key).cloned() else {
                if known.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let checked = match self.ask(&node).await {
                Ok(checked) => checked,
                Err(error) => {
                    debug!(%node, error = error.message, "how live events travel could not be read");
                    if self.is_broadcast() {
                        // As without the fact: what is not stored must not depend on a slot that nobody serves.
                        self.first(Ok(()));
                    }
                    sleep(Duration::from_millis(backoff.next(clock::random()))).await;
                    continue;
                }
            };
            backoff.reset();
            let period = if checked.is_ok() { PERIOD } else { REFUSED_PERIOD };
            self.view.pubsub_is(checked);
            let again = Instant::now() + period;
            while known.borrow_and_update().owner_of(&self.key) == Some(&node) {
                tokio::select! {
                    () = sleep_until(again) => break,
                    changed = known.changed() => if changed.is_err() { return },
                }
            }
        }
    }

    fn is_broadcast(&self) -> bool {
        self.pubsub == PubSub::Broadcast
    }

    /// What is believed until more is known.
    fn first(&self, checked: Result<(), BusError>) {
        if self.view.now().pubsub.is_none() {
            self.view.pubsub_is(checked);
        }
    }

    /// Asks the node that has the key. An error means that it could not be asked.
    async fn ask(&self, node: &Address) -> Result<Result<(), BusError>, BusError> {
        let deadline = Instant::now() + self.limit;
        let asked = timeout_at(deadline, async {
            let (mut talk, server) = self.access.log_in(node, deadline).await?;
            if !self.is_broadcast()
                && let Some(version) = server.version
                && major(&version).is_some_and(|major| major < FIRST_SHARDED)
            {
                return Ok(Err(too_old(&version)));
            }
            let kind = self.pubsub.to_string();
            let mut commands = vec![cmd("GET").arg(&self.key).to_owned()];
            if !self.observes {
                commands.insert(0, cmd("SET").arg(&self.key).arg(&kind).arg("NX").to_owned());
            }
            talk.send(&commands).await?;
            let mut refused = None;
            let mut found = None;
            for _ in &commands {
                let answer = talk.answer(|reply| match reply {
                    Reply::Error(error) => Err(error.to_owned()),
                    other => Ok(RespValue::from(other).text().ok()),
                });
                match answer.await? {
                    Ok(text) => found = text,
                    Err(error) => refused = Some(error),
                }
            }
            self.judge(node, found, refused)
        });
        asked.await.unwrap_or_else(|_| Err(BusError::new(ErrorKind::ConnectionLost, "no answer in time")))
    }

    /// What follows from the value of the key and from what the node has refused.
    fn judge(
        &self,
        node: &Address,
        found: Option<String>,
        refused: Option<String>,
    ) -> Result<Result<(), BusError>, BusError> {
        if let Some(Redirect::Moved(slot, to)) = refused.as_deref().and_then(Redirect::read) {
            self.view.moved(slot, &to, node);
            return Err(BusError::new(ErrorKind::NotMaster, "the key is elsewhere"));
        }
        match (found.filter(|found| found != "OK"), refused) {
            (Some(found), _) if found == self.pubsub.to_string() => Ok(Ok(())),
            (Some(found), _) => Ok(Err(self.differs(&found))),
            // Who may not read the key works as before there was one.
            (None, _) if self.is_broadcast() || self.observes => Ok(Ok(())),
            (None, Some(error)) => {
                let refusal = server_error::classify(&error);
                let error = refusal.into_error(&error);
                if refusal.kind != ErrorKind::PermissionDenied {
                    return Err(error);
                }
                let message = format!(
                    "sharded pub/sub needs to read and write the key {:?}: {}",
                    self.key, error.message
                );
                Ok(Err(BusError::new(refusal.kind, message)))
            }
            (None, None) => Err(BusError::new(ErrorKind::ServerError, "the key was removed just now")),
        }
    }

    fn differs(&self, found: &str) -> BusError {
        let message = format!(
            "live events of this bus travel by {found:?}, as the key {:?} says, and this client has {:?}: give all clients the \
            same 'pubsub' and 'lanes', or remove the key while none runs",
            self.key,
            self.pubsub.to_string(),
        );
        BusError::at(ErrorKind::ClusterMode, "redis.cluster.pubsub", message)
    }
}

/// The first number of a version.
fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn too_old(version: &str) -> BusError {
    let message = format!(
        "'sharded' needs Redis 7 or later, or Valkey, and this server is of version {version}: use 'broadcast'"
    );
    BusError::at(ErrorKind::InvalidConfig, "redis.cluster.pubsub", message)
}
