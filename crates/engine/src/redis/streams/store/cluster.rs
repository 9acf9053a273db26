//! Requests to a server in cluster mode: the streams get the names of their keys, and what belongs to the client start
//! is kept in the slot of each stream that it uses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use oxbus_model::BusError;
use oxbus_model::config::Config;
use oxbus_model::stream_store::{KeyLayout, NameTemplate, Request, Response};

use crate::redis::streams::store::call::StoreCall;
use crate::redis::streams::store::group_facts;

/// What is known of the keys in cluster mode.
pub(super) struct ClusterNames {
    letters: NameTemplate,
    history: String,
    /// The streams that have a group of this client, and whether it was shown in their slot that the client start lives.
    shown: Mutex<BTreeMap<String, bool>>,
}

impl ClusterNames {
    pub(super) fn new(config: &Config) -> ClusterNames {
        ClusterNames {
            letters: config.dead_letter.names.clone(),
            history: config.keys.history.clone(),
            shown: Mutex::default(),
        }
    }

    /// The key of a stream.
    pub(super) fn key_of<'a>(&self, stream: &'a str) -> Cow<'a, str> {
        KeyLayout::Tagged.key(stream, &self.letters)
    }

    /// The same request with the names of keys.
    pub(super) fn located(&self, mut request: Request) -> Request {
        use Request::{
            Acknowledge, AnyExpired, ApplyRetention, Claim, ClaimOwnPending, DeadLetter, Delete, Describe,
            EnsureGroup, Event, Exists, ExtendLease, Heartbeat, ListExpired, MarkStarted, Pending, Range,
            Redeliver, RemoveConsumer, RemoveDeadConsumers, RemoveGroup, Requeue, RequeueDeadLetter,
            SetPosition, Skip, TakeUp, TimeOfStream, Trim,
        };
        let layout = KeyLayout::Tagged;
        if let DeadLetter { to: Some(to), .. } = &mut request {
            *to = layout.key(to, &self.letters).into();
        }
        match &mut request {
            Heartbeat { member, alive_key, .. } => {
                member.stream = layout.key(&member.stream, &self.letters).into();
                *alive_key = layout.beside(&member.stream, alive_key).into();
                let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.entry(member.stream.to_string()).or_default();
            }
            Event { key } => *key = layout.beside(&self.history, key).into(),
            Acknowledge { member, .. }
            | Skip { member, .. }
            | TakeUp { member, .. }
            | ExtendLease { member, .. }
            | Requeue { member, .. }
            | DeadLetter { member, .. }
            | MarkStarted { member, .. }
            | AnyExpired { member, .. }
            | ListExpired { member, .. }
            | Claim { member, .. }
            | ClaimOwnPending { member, .. }
            | RemoveConsumer { member, .. }
            | RemoveDeadConsumers { member, .. } => {
                member.stream = layout.key(&member.stream, &self.letters).into();
            }
            EnsureGroup { stream, .. }
            | ApplyRetention { stream, .. }
            | Range { stream, .. }
            | Describe { stream }
            | Pending { stream, .. }
            | Delete { stream, .. }
            | Trim { stream, .. }
            | SetPosition { stream, .. }
            | RemoveGroup { stream, .. }
            | RequeueDeadLetter { letters: stream, .. }
            | Redeliver { stream, .. }
            | TimeOfStream { stream }
            | Exists { stream } => *stream = layout.key(stream, &self.letters).into(),
            // Each of these has one key, which is not of a stream, or none.
            Request::KeepAlive { .. }
            | Request::UpdatePresence { .. }
            | Request::ListPresence { .. }
            | Request::RegisterStreams { .. }
            | Request::ListRegistered { .. }
            | Request::ScanStreams { .. }
            | Request::Time => {}
        }
        request
    }

    /// The same response with the names of streams.
    pub(super) fn named(&self, response: Response) -> Response {
        match response {
            Response::Scanned { next, names } => {
                let name = |key: String| KeyLayout::Tagged.stream(&key, &self.letters).into_owned();
                Response::Scanned { next, names: names.into_iter().map(name).collect() }
            }
            other => other,
        }
    }

    /// Executes a [`Request::KeepAlive`] in the slot of each stream that has a group of this client: scripts may look at no
    /// other. The answer is 0 where the client start had counted as dead for one of them.
    pub(super) async fn keep_alive(
        &self,
        call: &StoreCall,
        key: &str,
        ttl: u64,
    ) -> Result<Response, BusError> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut lives = true;
        for (stream, was_shown) in shown {
            let key = KeyLayout::Tagged.beside(&stream, key);
            let known = group_facts::keep_alive(call, &key, ttl).await?;
            lives &= !was_shown || known != Response::Count(0);
            self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(stream, true);
        }
        Ok(Response::Count(u64::from(lives)))
    }
}
