//! From messages to events: reading and routing, without the lock that handlers wait for.

use std::sync::Arc;

use oxbus_model::codec::Codec;
use oxbus_model::codec::decoded::{Decoded, Missing};
use oxbus_model::codec::event_json::except_of;
use oxbus_model::config::Mode;
use oxbus_model::delivery::{InboundEvent, LiveEvent};
use oxbus_model::observe::metrics::{TypeCache, Types};
use oxbus_model::routing::channel::{Audience, Channels};
use oxbus_model::routing::router::{Route, Router, ServerSubscriptionRef};

use crate::gap::Recovery;
use crate::publish::encoder::{Encoded, new_id};
use crate::runtime::clock;
use crate::state::ClientState;

/// Events of one read, and where they go. Its memory is used again for the next read.
#[derive(Default)]
pub(crate) struct InboundBatch {
    /// Each event, and where its routes end.
    pub(crate) events: Vec<(InboundEvent, usize)>,
    pub(crate) routes: Vec<Route>,
    /// The numbers of the types that came lately.
    pub(crate) types: TypeCache,
    /// How many subscriptions an event of a room was not for.
    pub(crate) left_out: u64,
    /// Who records what comes, so that it can be told from what was missed.
    pub(crate) recovery: Option<Arc<Recovery>>,
}

/// Reads messages and decides where they go.
pub(crate) struct Reception<'a> {
    pub(crate) router: &'a Router,
    pub(crate) channels: &'a Channels,
    pub(crate) codec: Codec,
    pub(crate) instance_id: &'a str,
    pub(crate) types: &'a Types,
    pub(crate) recovery: Option<&'a Recovery>,
    /// Whether what this client has published was handed to its subscriptions then.
    pub(crate) has_own: bool,
}

impl<'a> Reception<'a> {
    pub(crate) fn of(shared: &'a ClientState, router: &'a Router, recovery: Option<&'a Recovery>) -> Self {
        Reception {
            router,
            channels: &shared.channels,
            codec: shared.config.codec,
            instance_id: shared.origin.instance_id(),
            types: &shared.types,
            recovery,
            has_own: shared.config.mode == Mode::Hybrid,
        }
    }

    /// Takes a message in that came on `channel` for `server_subscription`. False when it is not an event.
    pub(crate) fn message(
        &self,
        server_subscription: ServerSubscriptionRef<'_>,
        channel: &[u8],
        payload: &[u8],
        arrivals: &mut InboundBatch,
    ) -> bool {
        let before = arrivals.routes.len();
        let may_be_heard = self.router.route(server_subscription, channel, &mut arrivals.routes);
        if arrivals.routes.len() == before && !may_be_heard {
            return true;
        }
        let Ok(decoded) = self.codec.read_message(payload, missing) else {
            arrivals.routes.truncate(before);
            return false;
        };
        let own = decoded.instance_id.as_deref() == Some(self.instance_id);
        if own && self.has_own {
            arrivals.routes.truncate(before);
            return true;
        }
        if may_be_heard {
            let heard_from = arrivals.routes.len();
            self.router.route_listeners(channel, &decoded.event_type, &mut arrivals.routes);
            if arrivals.routes.len() > heard_from && self.leaves_out(channel, &decoded.json) {
                arrivals.left_out += (arrivals.routes.len() - heard_from) as u64;
                arrivals.routes.truncate(heard_from);
            }
            if arrivals.routes.len() == before {
                return true;
            }
        }
        let usual = self.channels.name_of(channel) == Some(decoded.event_type.as_bytes());
        if usual && self.recovery.is_some_and(|recovery| !recovery.came(server_subscription, &decoded)) {
            arrivals.routes.truncate(before);
            return true;
        }
        let channel = (!usual).then(|| String::from_utf8_lossy(channel).into());
        self.take(decoded, channel, own, arrivals);
        true
    }

    /// Takes an event of this client in without the server. False when no subscription wants it.
    pub(crate) fn own(&self, event: &Encoded<'_>, arrivals: &mut InboundBatch) -> bool {
        let (before, event_type) = (arrivals.routes.len(), event.event_type());
        let channel = event.channel;
        arrivals.left_out +=
            self.router.route_local(channel.as_bytes(), event_type, event.except(), &mut arrivals.routes);
        if arrivals.routes.len() == before {
            return false;
        }
        let Ok(decoded) = self.codec.read_message(event.payload, missing) else {
            // What was just written can be read.
            arrivals.routes.truncate(before);
            return false;
        };
        let usual = self.channels.name_of(channel.as_bytes()) == Some(event_type.as_bytes());
        let channel = (!usual).then(|| channel.into());
        self.take(decoded, channel, true, arrivals);
        true
    }

    /// Takes an event in, with the routes that were just found for it.
    fn take(&self, decoded: Decoded<'_>, channel: Option<Box<str>>, own: bool, arrivals: &mut InboundBatch) {
        let type_number = arrivals.types.number(self.types, &decoded.event_type);
        let event = LiveEvent { type_number, ..LiveEvent::of(decoded, channel, own) };
        arrivals.events.push((InboundEvent::new(event), arrivals.routes.len()));
    }

    /// Whether an event of a room is for none of those that this client has joined it for.
    fn leaves_out(&self, channel: &[u8], json: &str) -> bool {
        matches!(self.channels.audience(channel), Some(Audience::Room(_)))
            && self.router.leaves_out(channel, &except_of(json))
    }
}

impl ClientState {
    /// Takes messages in: `read` hands them over one by one. Wakes the host when handlers have something to do.
    pub(crate) fn receive(
        &self,
        arrivals: &mut InboundBatch,
        read: impl FnOnce(&mut dyn FnMut(ServerSubscriptionRef<'_>, &[u8], &[u8])),
    ) {
        let router = self.router();
        let recovery = arrivals.recovery.clone();
        let reception = Reception::of(self, &router, recovery.as_deref());
        let mut foreign = 0;
        read(&mut |server_subscription, channel, payload| {
            foreign += u64::from(!reception.message(server_subscription, channel, payload, arrivals));
        });
        drop(router);
        if foreign > 0 {
            self.stats.events_foreign.add(foreign);
        }
        self.accept(arrivals);
    }

    /// Takes events in, each with the subscriptions that it goes to. Wakes the host as [`ClientState::receive`] does.
    pub(crate) fn accept(&self, arrivals: &mut InboundBatch) {
        self.accept_telling(arrivals, |_| {});
    }

    /// As [`ClientState::accept`]; `taken` is told of each event how many subscriptions have taken it.
    pub(crate) fn accept_telling(&self, arrivals: &mut InboundBatch, taken: impl FnMut(u32)) {
        let left_out = std::mem::take(&mut arrivals.left_out);
        if left_out > 0 {
            self.stats.events_skipped.add(left_out);
        }
        if arrivals.events.is_empty() {
            return;
        }
        if self.config.persistence.is_some() {
            arrivals.events.iter().for_each(|(candidate, _)| self.keep_received(candidate.json()));
        }
        let mut intake = self.intake();
        intake.accept(arrivals, taken);
        let ready = intake.has_ready();
        let spent = intake.deliveries.take_spent();
        drop(intake);
        if ready {
            self.outbox.wake();
        }
        // This thread has allocated them.
        drop(spent);
    }
}

fn missing() -> Missing {
    Missing { id: new_id(), timestamp_ms: clock::wall_ms() }
}
