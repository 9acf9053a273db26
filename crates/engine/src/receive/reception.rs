//! From messages to events: reading and routing, without the lock that handlers wait for.

use oxbus_model::codec::Codec;
use oxbus_model::codec::decoded::{Decoded, Missing};
use oxbus_model::codec::event_json::except_of;
use oxbus_model::delivery::{InboundEvent, LiveEvent};
use oxbus_model::observe::metrics::Types;
use oxbus_model::routing::channel::{Audience, Channels};
use oxbus_model::routing::router::{Router, ServerSubscriptionRef};

use crate::publish::encoder::{Encoded, new_id};
use crate::receive::foreign::ForeignMessages;
use crate::receive::seen::SeenMessages;
use crate::receive::shapes::SharedShapes;
use crate::runtime::clock;
use crate::transport::inbound::{InboundBatch, OwnEvents};

/// Reads messages and decides where they go.
pub(crate) struct Reception<'a> {
    pub(crate) router: &'a Router,
    pub(crate) channels: &'a Channels,
    pub(crate) codec: Codec,
    pub(crate) instance_id: &'a str,
    pub(crate) types: &'a Types,
    pub(crate) shapes: &'a SharedShapes,
    /// Records what comes, so that it can be told from what was missed.
    pub(crate) seen: Option<&'a SeenMessages>,
    /// Whether events of this client are dropped when they come back from the server. In hybrid mode they were delivered
    /// here when they were published.
    pub(crate) drops_own: bool,
}

impl OwnEvents<'_> {
    /// Adds an event to `batch`. False when no subscription wants it.
    pub(crate) fn take(&self, event: &Encoded<'_>, batch: &mut InboundBatch) -> bool {
        let OwnEvents { router, channels, codec, instance_id, types, shapes } = self;
        let (codec, seen) = (*codec, None);
        Reception { router, channels, codec, instance_id, types, shapes, seen, drops_own: true }
            .own(event, batch)
    }
}

impl Reception<'_> {
    /// Takes a message in that came on `channel` for `server_subscription`.
    pub(crate) fn message(
        &self,
        server_subscription: ServerSubscriptionRef<'_>,
        channel: &[u8],
        payload: &[u8],
        batch: &mut InboundBatch,
        foreign: &mut ForeignMessages,
    ) {
        let before = batch.routes.len();
        let may_be_heard = self.router.route(server_subscription, channel, &mut batch.routes);
        if batch.routes.len() == before && !may_be_heard {
            return;
        }
        let decoded = match self.codec.read_message(payload, missing, self.shapes.lock().as_deref_mut()) {
            Ok(decoded) => decoded,
            Err(reason) => {
                batch.routes.truncate(before);
                return foreign.came(server_subscription, channel, payload, reason);
            }
        };
        let own = decoded.instance_id.as_deref() == Some(self.instance_id);
        if own && self.drops_own {
            batch.routes.truncate(before);
            return;
        }
        if may_be_heard {
            let heard_from = batch.routes.len();
            self.router.route_listeners(channel, &decoded.event_type, &mut batch.routes);
            if batch.routes.len() > heard_from && self.leaves_out(channel, &decoded.json) {
                batch.left_out += (batch.routes.len() - heard_from) as u64;
                batch.routes.truncate(heard_from);
            }
            if batch.routes.len() == before {
                return;
            }
        }
        let usual = self.channels.name_of(channel) == Some(decoded.event_type.as_bytes());
        if usual && self.seen.is_some_and(|seen| !seen.came(server_subscription, &decoded)) {
            batch.routes.truncate(before);
            return;
        }
        let channel = (!usual).then(|| String::from_utf8_lossy(channel).into());
        self.take(decoded, channel, own, batch);
    }

    /// Takes an event of this client in without the server. False when no subscription wants it.
    fn own(&self, event: &Encoded<'_>, batch: &mut InboundBatch) -> bool {
        let (before, event_type) = (batch.routes.len(), event.event_type());
        let channel = event.channel;
        batch.left_out +=
            self.router.route_local(channel.as_bytes(), event_type, event.except(), &mut batch.routes);
        if batch.routes.len() == before {
            return false;
        }
        let shapes = self.shapes.lock();
        let Ok(decoded) = self.codec.read_message(event.payload, missing, { shapes }.as_deref_mut()) else {
            // What was just written can be read.
            batch.routes.truncate(before);
            return false;
        };
        let usual = self.channels.name_of(channel.as_bytes()) == Some(event_type.as_bytes());
        let channel = (!usual).then(|| channel.into());
        self.take(decoded, channel, true, batch);
        true
    }

    /// Takes an event in, with the routes that were just found for it.
    fn take(&self, decoded: Decoded<'_>, channel: Option<Box<str>>, own: bool, batch: &mut InboundBatch) {
        let type_number = batch.types.number(self.types, &decoded.event_type);
        let event = LiveEvent { type_number, ..LiveEvent::of(decoded, channel, own) };
        batch.events.push((InboundEvent::new(event), batch.routes.len()));
    }

    /// Whether an event of a room is for none of those that this client has joined it for.
    fn leaves_out(&self, channel: &[u8], json: &str) -> bool {
        matches!(self.channels.audience(channel), Some(Audience::Room(_)))
            && self.router.leaves_out(channel, &except_of(json))
    }
}

fn missing() -> Missing {
    Missing { id: new_id(), timestamp_ms: clock::wall_ms() }
}
