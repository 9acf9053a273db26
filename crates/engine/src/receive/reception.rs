//! From messages to events: reading and routing, without the lock that handlers wait for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use oxbus_model::codec::decoded::{Decoded, Foreign, Missing};
use oxbus_model::codec::event_json::{except_of, id_of};
use oxbus_model::codec::wires::{Wire, Wires};
use oxbus_model::delivery::{InboundEvent, LiveEvent};
use oxbus_model::observe::metrics::Types;
use oxbus_model::routing::channel::{Audience, Channels};
use oxbus_model::routing::router::{Router, ServerSubscriptionRef};

use crate::publish::encoder::{Encoded, new_id};
use crate::receive::foreign::ForeignMessages;
use crate::receive::recent_ids::RecentIds;
use crate::receive::seen::SeenMessages;
use crate::receive::shapes::SharedShapes;
use crate::receive::twins::Twins;
use crate::runtime::clock;
use crate::transport::inbound::{InboundBatch, OwnEvents};

/// Reads messages and decides where they go.
pub(crate) struct Reception<'a> {
    pub(crate) router: &'a Router,
    pub(crate) channels: &'a Channels,
    pub(crate) wires: &'a Wires,
    pub(crate) instance_id: &'a str,
    pub(crate) types: &'a Types,
    pub(crate) shapes: &'a SharedShapes,
    /// The events that came lately and may come again.
    pub(crate) twins: &'a dyn Fn() -> MutexGuard<'a, Twins>,
    /// The ids of what this client published lately, where messages do not say that they are its own.
    pub(crate) own_ids: Option<&'a Mutex<RecentIds>>,
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
        let (before, event_type) = (batch.routes.len(), event.event_type());
        // Of several, the first.
        let (channel, payload) = event.messages.first();
        batch.left_out +=
            self.router.route_local(channel.as_bytes(), event_type, event.except(), &mut batch.routes);
        if batch.routes.len() == before {
            return false;
        }
        let (wires, split) = (self.wires, self.channels.split(channel.as_bytes()));
        let (_, on) = split.unwrap_or_default();
        let live = wires.write.iter().find(|wire| wire.codec.traits().live);
        let shapes = self.shapes.lock();
        let decoded = live
            .or(wires.write.first())
            .map(|wire| wire.codec.read_message(payload, on, missing, { shapes }.as_deref_mut()));
        let Some(Ok(decoded)) = decoded else {
            // What was just written can be read.
            batch.routes.truncate(before);
            return false;
        };
        let channel = (!is_usual(wires, channel.as_bytes(), event_type)).then(|| channel.into());
        take(self.types, decoded, channel, true, batch);
        true
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
        let (under, on) = self.channels.split(channel).unwrap_or_default();
        let decoded = match self.read(payload, under, on) {
            Ok(decoded) => decoded,
            Err(reason) => {
                batch.routes.truncate(before);
                return foreign.came(server_subscription, channel, payload, reason);
            }
        };
        let own = match &decoded.instance_id {
            Some(id) => **id == *self.instance_id,
            None => self.is_own(&decoded),
        };
        if own && self.drops_own {
            batch.routes.truncate(before);
            return;
        }
        let mut by_type = on == decoded.event_type.as_bytes();
        let mut repeats = self.wires.repeat().then_some(before);
        if may_be_heard {
            let heard_from = batch.routes.len();
            self.router.route_listeners(server_subscription, channel, &decoded.event_type, &mut batch.routes);
            if batch.routes.len() > heard_from && self.leaves_out(channel, &decoded.json) {
                batch.left_out += (batch.routes.len() - heard_from) as u64;
                batch.routes.truncate(heard_from);
            }
            by_type |= matches!(self.channels.audience_of(under, on), Audience::Type(_));
            if batch.routes.len() > heard_from && self.has_several_channels(under, &decoded.event_type) {
                repeats = repeats.or(Some(heard_from));
            }
        }
        if batch.routes.len() == before {
            return;
        }
        if by_type && self.seen.is_some_and(|seen| !seen.came(server_subscription, &decoded)) {
            batch.routes.truncate(before);
            return;
        }
        if let Some(from) = repeats
            && let Some(id) = id_of(&decoded.json)
        {
            (self.twins)().keep_first(&id, &mut batch.routes, from, self.now_ms);
            if batch.routes.len() == before {
                return;
            }
        }
        let usual = is_usual(self.wires, channel, &decoded.event_type);
        let channel = (!usual).then(|| String::from_utf8_lossy(channel).into());
        take(self.types, decoded, channel, own, batch);
    }

    /// Whether an event that does not say who has published it is of this client.
    fn is_own(&self, decoded: &Decoded<'_>) -> bool {
        let Some(ids) = self.own_ids else { return false };
        id_of(&decoded.json).is_some_and(|id| ids.lock().unwrap_or_else(PoisonError::into_inner).has(&*id))
    }

    /// Reads a message on a channel under the prefix of an index, in the first wire there that can.
    fn read<'m>(&self, payload: &'m [u8], under: usize, on: &[u8]) -> Result<Decoded<'m>, Foreign> {
        let mut shapes = self.shapes.lock();
        let mut refused = Foreign::NoType;
        let here = self.wires_under(under);
        for (index, wire) in here.enumerate() {
            match wire.codec.read_message(payload, on, missing, shapes.as_deref_mut()) {
                Ok(decoded) => return Ok(decoded),
                Err(reason) if index == 0 => refused = reason,
                Err(_) => {}
            }
        }
        Err(refused)
    }

    /// The wires that are read under the prefix of an index.
    fn wires_under(&self, under: usize) -> impl Iterator<Item = &Wire> {
        let prefix = self.channels.live().nth(under).unwrap_or_default();
        // As in `Channels::split`: an empty prefix is not handed to memcmp.
        let is_here = move |own: &str| own.len() == prefix.len() && (own.is_empty() || own == prefix);
        self.wires.read.iter().filter(move |wire| is_here(&wire.prefix))
    }

    /// Whether events of a type go to several channels of a wire.
    fn has_several_channels(&self, under: usize, event_type: &str) -> bool {
        self.wires_under(under)
            .any(|wire| wire.codec.channels().is_some_and(|rules| rules.repeats(event_type)))
    }

    /// Whether an event of a room is for none of those that this client has joined it for.
    fn leaves_out(&self, channel: &[u8], json: &str) -> bool {
        matches!(self.channels.audience(channel), Some(Audience::Room(_)))
            && self.router.leaves_out(channel, &except_of(json))
    }
}

/// Whether a channel is that of a type in the wire that is written first: callers know it without being told.
fn is_usual(wires: &Wires, channel: &[u8], event_type: &str) -> bool {
    let prefix = wires.first_prefix().as_bytes();
    // As in `Channels::split`.
    let name = if prefix.is_empty() { Some(channel) } else { channel.strip_prefix(prefix) };
    name == Some(event_type.as_bytes())
}

/// Takes an event in, with the routes that were just found for it.
fn take(types: &Types, decoded: Decoded<'_>, channel: Option<Box<str>>, own: bool, batch: &mut InboundBatch) {
    let type_number = batch.types.number(types, &decoded.event_type);
    let event = LiveEvent { type_number, ..LiveEvent::of(decoded, channel, own) };
    batch.events.push((InboundEvent::new(event), batch.routes.len()));
}

fn missing() -> Missing {
    Missing { id: new_id(), timestamp_ms: clock::wall_ms() }
}
