//! What a transport does for a client, and what it reports. Redis and memory are two.
//!
//! - this file: [`Transport`], the way down; `events`: [`TransportEvents`](events::TransportEvents), the way up;
//!   `inbound`: what it is given to fill.
//! - `context`: what a transport is made with; `link_id`: which link something is about.
//! - `store`: requests on streams.

pub(crate) mod context;
pub(crate) mod events;
pub(crate) mod inbound;
pub(crate) mod link_id;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::consumer::{GroupKey, Read};
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::WantedPattern;
use oxbus_model::submission::Records;
use serde_json::Value;

use link_id::LinkId;
use store::Store;

/// The warning of a server that runs in cluster mode.
pub(crate) const CLUSTER_MODE: &str = "CLUSTER_MODE";

/// The warning of a server that is older than Redis 7.
pub(crate) const OLD_SERVER: &str = "OLD_SERVER";

/// The warning of a server that may delete keys.
pub(crate) const EVICTION_POLICY: &str = "EVICTION_POLICY";

/// The warning of a server that tells nothing of itself.
pub(crate) const SERVER_INFO_DENIED: &str = "SERVER_INFO_DENIED";

/// The warning of a stream that the server does not let be trimmed.
pub(crate) const RETENTION_REFUSED: &str = "RETENTION_REFUSED";

/// The code of a warning that a server did not answer the health report.
pub(crate) const NO_ANSWER: &str = "NO_ANSWER";

/// A future of a transport.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The publishes of one tick, as the host handed them over.
#[derive(Debug)]
pub struct Submission {
    /// The host's number for it.
    pub batch: u32,
    /// The number of records that were admitted. The records beyond have been refused already.
    pub count: u32,
    /// The records.
    pub records: Records,
}

/// How publishes and subscriptions reach other clients.
///
/// Results, confirmations and messages go to the [`TransportEvents`](events::TransportEvents) that the transport was made
/// with. None of the methods blocks.
pub(crate) trait Transport: Send + Sync {
    /// Starts to connect, if that was not done before.
    fn start(&self);

    /// Publishes each record; each is settled exactly once.
    fn publish(&self, submission: Submission);

    /// The same in hybrid mode, but what the server is to have is held until `send_held`, or until anything else is asked.
    fn publish_here_first(&self, submission: Submission) {
        self.publish(submission);
    }

    /// Sends what is held.
    fn send_held(&self) {}

    /// Settles a publish as aborted, unless it is settled.
    fn cancel(&self, batch: u32, index: u32);

    /// Asks for server subscriptions; each is confirmed or refused.
    fn subscribe(&self, server_subscriptions: Vec<ServerSubscription>);

    /// Gives server subscriptions back.
    fn unsubscribe(&self, server_subscriptions: Vec<ServerSubscription>);

    /// For the health report: one round trip on each link, and what the server says of itself. Never
    /// takes longer than `timeout` milliseconds.
    fn probe(&self, timeout: u64) -> Boxed<'_, Probe>;

    /// Writes what is queued and waits until all publishes are settled.
    fn flush(&self) -> Boxed<'_, ()>;

    /// Closes all links at once; what is in flight is settled. Idempotent.
    fn close(&self);

    /// Waits, after [`Transport::close`], until everything is settled.
    fn ended(&self) -> Boxed<'_, ()>;

    /// The streams.
    fn store(&self) -> Arc<dyn Store>;

    /// Says that the configured groups were looked at, and in which streams one of them is missing and cannot be made.
    /// A transport to a server holds publishes back until then, where groups are configured, and for longer those that
    /// are to be stored in these streams: no group would ever get them.
    fn groups_looked_at(&self, _unavailable: &BTreeMap<String, BusError>) {}

    /// What the groups of this channel prefix want, as their clients have registered it. A transport to a server asks on
    /// the link that publishes: a client that only publishes needs no other.
    fn wanted(&self) -> Boxed<'_, Result<Vec<WantedPattern>, BusError>>;

    /// Whether a group may be there: false where the stream or the group surely is not.
    fn may_have_group(&self, stream: Arc<str>, group: Arc<str>) -> Boxed<'_, bool>;

    /// Makes a reader for a group; it says [`reader_up`](events::TransportEvents::reader_up) when it can read.
    fn join(&self, group: GroupKey, name: Arc<str>);

    /// Reads new entries of a group that was joined; on Redis two of a group may be under way, and end in order. Each ends
    /// with [`entries`](events::TransportEvents::entries), [`read_interrupted`](events::TransportEvents::read_interrupted)
    /// or [`reader_down`](events::TransportEvents::reader_down).
    fn read(&self, read: Read);

    /// Ends a read of a group that waits; it ends without entries.
    fn unblock_read(&self, group: GroupKey);

    /// Ends the reader of a group. When the future is done no entry arrives any more, and what had been
    /// delivered to the reader has arrived.
    fn leave(&self, group: GroupKey) -> Boxed<'static, ()>;

    /// Makes a loop panic, to prove that it recovers.
    #[cfg(feature = "failpoints")]
    fn inject_panic(&self, _loop_name: &str) {}
}

/// What a transport found when it was probed.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    /// The round trip, in milliseconds.
    pub(crate) latency: Option<f64>,
    /// The `redis` part of the report.
    pub(crate) server: Value,
    /// The links that were probed, and whether the answer came in time. Other links are judged by their last answer.
    pub(crate) asked: Vec<(LinkId, bool)>,
    /// Warnings (code, message).
    pub(crate) warnings: Vec<(&'static str, String)>,
    /// Why there was no answer.
    pub(crate) error: Option<BusError>,
    /// Why the server takes no commands that write, if it says so.
    pub(crate) refuses_writes: Option<BusError>,
}
