//! From a batch of messages to the queue that handlers are served from.

use oxbus_model::config::Mode;

use crate::receive::dropped;
use crate::receive::foreign::ForeignMessages;
use crate::receive::reception::Reception;
use crate::receive::seen::SeenMessages;
use crate::state::ClientState;
use crate::transport::events::TakeMessage;
use crate::transport::inbound::{InboundBatch, OwnEvents};

/// Takes messages in: `read` hands them over one by one. The host is woken when handlers have something to do.
pub(crate) fn receive(
    state: &ClientState,
    seen: Option<&SeenMessages>,
    batch: &mut InboundBatch,
    foreign: &mut ForeignMessages,
    read: &mut dyn FnMut(&mut TakeMessage<'_>),
) {
    let router = state.router();
    let reception = Reception {
        router: &router,
        channels: &state.channels,
        wires: &state.config.wires,
        instance_id: state.origin.instance_id(),
        types: &state.types,
        shapes: &state.shapes,
        twins: &|| state.twins(),
        own_ids: state.own_ids.as_deref(),
        seen,
        drops_own: state.config.mode == Mode::Hybrid,
        now_ms: state.clock.now_ms(),
    };
    read(&mut |server_subscription, channel, payload| {
        reception.message(server_subscription, channel, payload, batch, foreign);
    });
    drop(router);
    if foreign.has_news() {
        state.stats.events_foreign.add(foreign.report(state.clock.now_ms()));
    }
    accept(state, batch, |_| {});
}

/// What takes events of this client for its own subscriptions.
pub(crate) fn own_events(state: &ClientState) -> OwnEvents<'_> {
    OwnEvents {
        router: state.router(),
        channels: &state.channels,
        wires: &state.config.wires,
        types: &state.types,
        shapes: &state.shapes,
    }
}

/// Takes events in, each with the subscriptions that it goes to. `taken` is told of each event how many subscriptions
/// have taken it. The host is woken as in [`receive`].
pub(crate) fn accept(state: &ClientState, batch: &mut InboundBatch, taken: impl FnMut(u32)) {
    let left_out = std::mem::take(&mut batch.left_out);
    if left_out > 0 {
        state.stats.events_skipped.add(left_out);
    }
    if batch.events.is_empty() {
        return;
    }
    if state.config.persistence.is_some() {
        batch.events.iter().for_each(|(inbound, _)| state.push_received(inbound.json()));
    }
    state.samples.received(batch.events.iter().map(|(inbound, _)| inbound.json()));
    let mut queue = state.live_queue();
    queue.accept(batch, taken);
    let ready = queue.has_ready();
    let spent = queue.deliveries.take_deferred_drops();
    let drops_began = queue.deliveries.take_drops_began();
    drop(queue);
    if drops_began {
        dropped::report(state);
        // The next report has its time.
        state.deadlines.notify_waiters();
    }
    if ready {
        state.completions.wake();
    }
    // This thread has allocated them.
    drop(spent);
}
