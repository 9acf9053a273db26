//! From messages to events: reading and routing, without the lock that handlers wait for.

use std::sync::Arc;

use oxbus_model::codec::decoded::{Decoded, Missing};
use oxbus_model::codec::event_json::{except_of, id_of};
use oxbus_model::codec::{ChannelRules, Codec, each_channel};
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
    pub(crate) codec: &'a Codec,
    pub(crate) instance_id: &'a str,
    pub(crate) types: &'a Types,
    pub(crate) shapes: &'a SharedShapes,
    /// Records what comes, so that it can be told from what was missed.
    pub(crate) seen: Option<&'a SeenMessages>,
    /// Whether events of this client are dropped when they come back from the server. In hybrid mode they were delivered
    /// here when they were published.
    pub(crate) drops_own: bool,
    /// The time, for events that come twice.
    pub(crate) now_ms: u64,
}

impl OwnEvents<'_> {
    /// Adds an event to `batch`. False when no subscription wants it.
    pub(crate) fn take(&self, event: &Encoded<'_>, batch: &mut InboundBatch) -> bool {
        let OwnEvents { router, channels, codec, instance_id, types, shapes } = self;
        let (codec, seen, now_ms) = (*codec, None, 0);
        Reception { router, channels, codec, instance_id, types, shapes, seen, drops_own: true, now_ms }
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
        let name = self.channels.name_of(channel);
        let on = name.unwrap_or_default();
        let decoded = match self.codec.read_message(payload, on, missing, self.shapes.lock().as_deref_mut()) {
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
            self.router.route_listeners(server_subscription, channel, &decoded.event_type, &mut batch.routes);
            if batch.routes.len() > heard_from && self.leaves_out(channel, &decoded.json) {
                batch.left_out += (batch.routes.len() - heard_from) as u64;
                batch.routes.truncate(heard_from);
            }
            self.drop_twins(&decoded, heard_from, batch);
            if batch.routes.len() == before {
                return;
            }
        }
        let usual = name == Some(decoded.event_type.as_bytes());
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
        // Of several, the first.
        let channel = each_channel(event.channel).next().unwrap_or_default();
        batch.left_out +=
            self.router.route_local(channel.as_bytes(), event_type, event.except(), &mut batch.routes);
        if batch.routes.len() == before {
            return false;
        }
        let shapes = self.shapes.lock();
        let on = self.channels.name_of(channel.as_bytes()).unwrap_or_default();
        let Ok(decoded) = self.codec.read_message(event.payload, on, missing, { shapes }.as_deref_mut())
        else {
            // What was just written can be read.
            batch.routes.truncate(before);
            return false;
        };
        let usual = self.channels.name_of(channel.as_bytes()) == Some(event_type.as_bytes());
        let channel = (!usual).then(|| channel.into());
        self.take(decoded, channel, true, batch);
        true
    }

    /// Takes away the routes from `heard_from` on to subscriptions that have had the event from another of its channels.
    fn drop_twins(&self, decoded: &Decoded<'_>, heard_from: usize, batch: &mut InboundBatch) {
        let repeats = |rules: &Arc<ChannelRules>| rules.repeats(&decoded.event_type);
        if batch.routes.len() == heard_from || !self.codec.channels().is_some_and(repeats) {
            return;
        }
        let Some(id) = id_of(&decoded.json) else { return };
        let mut kept = heard_from;
        for index in heard_from..batch.routes.len() {
            if batch.twins.is_first(&id, batch.routes[index].subscription, self.now_ms) {
                batch.routes.swap(kept, index);
                kept += 1;
            }
        }
        batch.routes.truncate(kept);
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
