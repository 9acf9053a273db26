//! What a transport reports to its client: the one way up.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::consumer::{GroupKey, ReceivedEntry};
use oxbus_model::routing::router::{ServerSubscription, ServerSubscriptionRef};
use oxbus_model::stream_store::Missed;

use crate::host::{DeliveredLocally, Failed, Notice, Published, SettledLocally};
use crate::transport::inbound::{InboundBatch, OwnEvents};
use crate::transport::link_id::LinkId;

/// Takes one message: the server subscription that it came for, its channel and its payload.
pub(crate) type TakeMessage<'a> = dyn FnMut(ServerSubscriptionRef<'_>, &[u8], &[u8]) + 'a;

/// What a transport reports. Everything that comes often comes in batches.
///
/// None of the methods blocks, and a transport may call them while it holds locks of its own, but for those of
/// groups: [`handed_back`](TransportEvents::handed_back), [`hand_backs_heard`](TransportEvents::hand_backs_heard),
/// [`reader_up`](TransportEvents::reader_up), [`reader_down`](TransportEvents::reader_down),
/// [`entries`](TransportEvents::entries) and [`read_interrupted`](TransportEvents::read_interrupted) may call the
/// transport again before they return.
pub(crate) trait TransportEvents: Send + Sync {
    /// A link is needed from now on; it is not up yet.
    fn link_needed(&self, link: &LinkId);

    /// A link is up, and what it carries is confirmed.
    fn link_up(&self, link: &LinkId);

    /// Bytes have come on a link, at `now` on the client's clock.
    fn link_alive(&self, link: &LinkId, now: u64);

    /// A link broke, or could not be made.
    fn link_down(&self, link: &LinkId, error: &BusError);

    /// A link that broke, or could not be made, is made again in `delay` milliseconds, for the time `attempt`.
    fn link_reconnecting(&self, link: &LinkId, attempt: u32, delay: u64, error: BusError);

    /// A link is not needed any more.
    fn link_gone(&self, link: &LinkId);

    /// Live messages came, in one read: `read` gives them one by one, each from the buffer of the transport.
    fn messages(&self, read: &mut dyn FnMut(&mut TakeMessage<'_>));

    /// Returns what takes events that this client publishes to its own subscriptions, without the server.
    fn own_events(&self) -> OwnEvents<'_>;

    /// Hands on what [`own_events`](TransportEvents::own_events) has taken into `batch`. Returns of each event how many
    /// subscriptions have taken it.
    fn accept_own(&self, batch: &mut InboundBatch) -> Vec<u32>;

    /// The server has confirmed a server subscription.
    fn confirmed(&self, server_subscription: &ServerSubscription);

    /// The server refuses a server subscription.
    fn refused(&self, server_subscription: &ServerSubscription, error: &BusError) -> Refused;

    /// Whether server subscriptions wait for the server's answer.
    fn subscriptions_pending(&self, link: &LinkId, pending: bool);

    /// All server subscriptions that the server refuses at the moment.
    fn subscriptions_refused(&self, link: &LinkId, refused: &[ServerSubscription]);

    /// Something has changed in how far the live messages are known to be complete.
    fn continuity(&self, change: ContinuityChange<'_>);

    /// Publishes were settled. Takes everything out of `report`, which may be filled again.
    fn published(&self, report: &mut PublishReport);

    /// The reader of a group can read, for the first time or again.
    fn reader_up(&self, group: GroupKey);

    /// The reader of a group cannot read; a read that it had is over.
    fn reader_down(&self, group: GroupKey, error: &BusError);

    /// A read of a group has ended with these entries; with none when none came in time.
    fn entries(&self, group: GroupKey, entries: Vec<ReceivedEntry>);

    /// A group has missed entries of a stream, which were trimmed before the group had read them.
    fn missed(&self, stream: Arc<str>, group: Arc<str>, missed: Missed);

    /// A read of a group was refused by the server; the connection stays.
    fn read_interrupted(&self, group: GroupKey, error: BusError);

    /// Whether the client is told from now on of entries that others hand back.
    fn hand_backs_heard(&self, heard: bool);

    /// A client has handed back entries of a group of a stream: any other may claim them.
    fn handed_back(&self, stream: &str, group: &str);

    /// Something that no call waits for.
    fn notice(&self, notice: Notice);
}

/// What follows from a refusal.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// Server subscriptions that nobody needs any more, as those who waited for them failed.
    pub(crate) unneeded: Vec<ServerSubscription>,
    /// Whether subscriptions go on without it and would hear of it.
    pub(crate) is_missed: bool,
}

/// A change in how far the messages on the connection of a subscriber are known to be complete. Times are on the
/// client's clock, but those with `unix` in their name, which are Unix milliseconds.
pub(crate) enum ContinuityChange<'a> {
    /// There is a new connection.
    Opened { now: u64 },
    /// The server has answered a heartbeat that was sent at `sent`: what was published before it has come.
    Heartbeat { sent: u64, now: u64 },
    /// A server subscription is established.
    Established { server_subscription: &'a ServerSubscription, now: u64 },
    /// Nobody wants a server subscription any more.
    Ended { server_subscription: &'a ServerSubscription },
    /// The connection is gone, and with it these server subscriptions, which were confirmed. The last bytes came at
    /// `last_read`.
    Interrupted { server_subscriptions: Vec<ServerSubscription>, last_read: u64, last_read_unix: i64 },
    /// Everything that is wanted is answered on a new connection.
    Resumed { wanted: &'a [&'a ServerSubscription] },
    /// A server subscription is established that the server had refused since `since`.
    Regained { server_subscription: &'a ServerSubscription, since: u64, since_unix: i64, now: u64 },
}

/// What became of publishes since the last report. Its memory is used again.
#[derive(Debug, Default)]
pub(crate) struct PublishReport {
    /// The events that were published, as runs.
    pub(crate) published: Vec<Published>,
    /// The events that succeeded in hybrid mode, each with its own outcome on the side of the server.
    pub(crate) settled_locally: Vec<SettledLocally>,
    /// In hybrid mode, the events that this client's own subscriptions have taken.
    pub(crate) delivered_locally: Vec<DeliveredLocally>,
    /// The events that failed.
    pub(crate) failed: Vec<Failed>,
    /// Where recent events are kept: those that were published, as JSON.
    pub(crate) recent: Vec<Box<[u8]>>,
    /// Of each that succeeded, the [row](row_of) and the number of its type in what is counted.
    pub(crate) counted: Vec<(u16, u16)>,
    /// The room that the settled events took: their number, and their bytes.
    pub(crate) released: (usize, usize),
}

impl PublishReport {
    /// Counts an event that succeeded: the index of the stream that stores it, and the number of its type.
    pub(crate) fn count(&mut self, stream: Option<usize>, type_number: u16) {
        self.counted.push((row_of(stream), type_number));
    }

    /// Gives back the room of settled events.
    pub(crate) fn release(&mut self, events: usize, bytes: usize) {
        self.released.0 += events;
        self.released.1 += bytes;
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        let PublishReport {
            published,
            settled_locally,
            delivered_locally,
            failed,
            recent,
            counted,
            released,
        } = self;
        published.is_empty()
            && settled_locally.is_empty()
            && delivered_locally.is_empty()
            && failed.is_empty()
            && recent.is_empty()
            && counted.is_empty()
            && *released == (0, 0)
    }
}

/// The row in which publishes to a stream of the configuration, given by its index, are counted; 0 is that of live ones.
fn row_of(stream: Option<usize>) -> u16 {
    stream.and_then(|index| u16::try_from(index + 1).ok()).unwrap_or(0)
}
