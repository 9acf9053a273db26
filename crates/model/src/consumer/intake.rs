//! Entries come in.

use std::sync::Arc;

use super::{Content, ReceivedEntry};
use crate::ErrorKind;
use crate::consumer::entry::{Call, CallState, Calls, Entry, Failure, Load, Stage};
use crate::consumer::group::{Context, Group};
use crate::consumer::stream::Route;
use crate::consumer::subscriber::{Waiting, channel_of, is_wished};
use crate::delivery::LiveEvent;

/// How an entry came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was read, for the first time.
    Read,
    /// It was claimed from another consumer.
    Claimed,
    /// It was pending for this one.
    Own,
}

/// What the store tells of earlier deliveries.
struct Past {
    deliveries: u32,
    begun: bool,
    unhandled_since: Option<u64>,
}

/// What becomes of an entry that comes in.
enum Verdict {
    /// Its calls are made.
    Handle(Calls, Route),
    /// Nobody wants it.
    Skip,
    /// Nobody is known to want this type.
    Doubt(Box<str>),
    /// Another client wants it: it is left to them until then.
    HandBack { until: u64 },
    /// It is given up.
    Bury { reason: &'static str, error: Arc<str> },
}

impl Group {
    /// Takes an entry in, unless it is here already.
    pub(super) fn accept(&mut self, arrival: ReceivedEntry, origin: Origin, now: u64, cx: &mut Context) {
        let Some(at) = self.stream_index(&arrival.stream) else { return };
        let slot = self.entries.next_slot();
        let Some(stream) = self.streams.get_mut(at) else { return };
        if origin == Origin::Read {
            stream.position = stream.position.max(Some(arrival.id));
        }
        if stream.taken {
            // It came under a name that is another's: whoever finds it overdue takes it over.
            return;
        }
        if origin == Origin::Own && stream.has_ended(arrival.id) {
            return;
        }
        match stream.known.entry(arrival.id) {
            std::collections::hash_map::Entry::Occupied(known) => {
                let held = self.entries.get(*known.get());
                let held = held.filter(|e| e.id == arrival.id && e.stream == at && e.stage != Stage::Over);
                // A group that was made again delivers once more what was acknowledged in the one before.
                if origin == Origin::Read && held.is_none() {
                    stream.acks.push(arrival.id);
                }
                return;
            }
            std::collections::hash_map::Entry::Vacant(free) => free.insert(slot),
        };
        cx.tally.recovered += u64::from(origin == Origin::Claimed);
        let ReceivedEntry { id, deliveries, begun, unhandled_since, content, .. } = arrival;
        let past = Past { deliveries: deliveries.max(1), begun, unhandled_since };
        let deliveries = past.deliveries;
        let (verdict, event) = self.judge(at, content, &past, now, cx);
        let mut entry = Entry {
            id,
            stream: at,
            event,
            count: deliveries,
            stored: deliveries,
            made: deliveries - 1,
            renewed: now,
            stage: Stage::Active,
            load: Load::Settling,
            calls: Calls::NONE,
            suspect: false,
            begun,
            type_number: 0,
            in_lane: false,
            undone: false,
            gone: false,
            unsure: false,
            failure: None,
        };
        match verdict {
            Verdict::Skip => {
                cx.tally.skipped += 1;
                self.settled(at, id, now);
                if let Some(event) = entry.event {
                    cx.spend(event);
                }
            }
            Verdict::Doubt(event_type) => self.doubt(entry, event_type, now),
            Verdict::HandBack { until } => {
                entry.stage = Stage::Releasing;
                self.keep(entry);
                if let Some(stream) = self.streams.get_mut(at) {
                    stream.pass_over(id, until);
                    stream.releases[1].push(id);
                }
            }
            Verdict::Bury { reason, error } => {
                entry.stage = Stage::Burying;
                entry.failure = Some(Box::new(Failure { attempts: deliveries, reason, error }));
                self.keep(entry);
                if let Some(stream) = self.streams.get_mut(at) {
                    stream.letters.push(id);
                }
            }
            Verdict::Handle(calls, route) => {
                entry.type_number = route.type_number;
                entry.suspect = origin != Origin::Read && deliveries > self.retries_of(&calls).max(1);
                entry.calls = calls;
                self.begin(entry, now);
            }
        }
    }

    /// Gives an entry its slot.
    pub(super) fn keep(&mut self, mut entry: Entry) -> u32 {
        let bytes = entry.bytes();
        self.bytes += bytes;
        self.average = if self.average == 0 { bytes } else { (self.average * 7 + bytes) / 8 };
        entry.load = entry.current_load();
        self.count_load(entry.load, true);
        self.entries.insert(entry)
    }

    /// Starts the life of an entry that has calls.
    fn begin(&mut self, mut entry: Entry, now: u64) {
        if self.stopping {
            let (at, id) = (entry.stream, entry.id);
            entry.stage = Stage::Releasing;
            entry.calls = Calls::NONE;
            self.keep(entry);
            if let Some(stream) = self.streams.get_mut(at) {
                stream.releases[0].push(id);
            }
            return;
        }
        let mut free = true;
        if self.lanes.has(entry.key()) {
            free = self.lanes.enter(entry.key(), self.entries.next_slot(), entry.suspect);
            entry.in_lane = free;
        }
        entry.stage = if free { Stage::Active } else { Stage::Blocked };
        let slot = self.keep(entry);
        if free {
            self.activate(slot, now);
        }
    }

    /// The calls of an entry may be made.
    pub(super) fn activate(&mut self, slot: u32, now: u64) {
        let Group { entries, subscribers, suspects, ready, .. } = self;
        let Some(entry) = entries.get_mut(slot) else { return };
        if entry.suspect {
            entry.stage = Stage::Suspect;
            suspects.push_back(slot);
        } else {
            entry.stage = Stage::Active;
            for call in entry.calls.as_slice().iter().filter(|c| c.state == CallState::Waiting) {
                let Some(s) = subscribers.get_mut(&call.subscription) else { continue };
                s.queue.push_back(Waiting { slot, since: now });
                if s.wants_listing() {
                    s.listed = true;
                    ready.push_back(call.subscription);
                }
            }
        }
        self.reload(slot);
    }

    /// The largest number of retries of the subscriptions that get an entry.
    fn retries_of(&self, calls: &Calls) -> u32 {
        let retries = |call: &Call| self.subscribers.get(&call.subscription).map(|s| s.retries_at_most());
        calls.as_slice().iter().filter_map(retries).max().unwrap_or(0)
    }

    fn judge(
        &mut self,
        at: usize,
        content: Content,
        past: &Past,
        now: u64,
        cx: &mut Context,
    ) -> (Verdict, Option<Arc<LiveEvent>>) {
        let (candidate, event_type, only_group) = match content {
            Content::Event { candidate, event_type, only_group } => (candidate, event_type, only_group),
            Content::Undecodable(reason) => {
                let error = error_json("ValidationError", &reason, Some(ErrorKind::InvalidEvent));
                return (Verdict::Bury { reason: "undecodable", error }, None);
            }
        };
        let event = candidate.event.clone();
        if only_group.is_some_and(|group| *group != *self.joining.group) {
            return (Verdict::Skip, Some(event));
        }
        if past.begun {
            let message = "the process ended while a handler had the event, several times";
            let error = error_json("HandlerError", message, Some(ErrorKind::HandlerFailed));
            return (Verdict::Bury { reason: "crashed", error }, Some(event));
        }
        let route = self.route(at, &event_type, &event, cx);
        let mut calls = Calls::NONE;
        for &(subscription, pattern) in route.takers.iter() {
            let filter = self.subscribers.get(&subscription).and_then(|s| s.filter.as_ref());
            if filter.is_some_and(|filter| !candidate.passes(filter)) {
                continue;
            }
            calls.push(Call { subscription, pattern, attempt: past.deliveries, state: CallState::Waiting });
        }
        if !calls.as_slice().is_empty() {
            return (Verdict::Handle(calls, route), Some(event));
        }
        if !route.takers.is_empty() {
            return (Verdict::Skip, Some(event));
        }
        if !route.wanted {
            return (Verdict::Doubt(event_type), Some(event));
        }
        let patience = self.lease.saturating_mul(2);
        let store_time = self.streams.get(at).map_or(0, |stream| stream.store_time(now));
        let left = past
            .unhandled_since
            .map_or(patience, |since| since.saturating_add(patience).saturating_sub(store_time));
        if left > 0 {
            return (Verdict::HandBack { until: now.saturating_add(left) }, Some(event));
        }
        let message = format!("no client of group {:?} has a handler for {event_type:?}", self.joining.group);
        let error = error_json("EventBusError", &message, None);
        (Verdict::Bury { reason: "unhandled", error }, Some(event))
    }

    /// The subscriptions that take an event.
    pub(super) fn route(&mut self, at: usize, event_type: &str, event: &LiveEvent, cx: &Context) -> Route {
        let Group { streams, subscribers, .. } = self;
        let Some(stream) = streams.get_mut(at) else { return Route::default() };
        let channel = channel_of(event, &cx.channels);
        let find = |stream: &crate::consumer::stream::Stream| {
            let mut takers: Vec<(u32, u32)> = subscribers
                .iter()
                .filter(|(_, s)| !s.removed && s.streams.iter().any(|(index, _)| *index == at))
                .filter_map(|(id, s)| Some((*id, s.matches(event_type, channel)?)))
                .collect();
            takers.sort_unstable();
            let mut wishes = stream.facts.iter().flat_map(|facts| &facts.patterns);
            let wanted = wishes.any(|wish| is_wished(wish, event_type, channel));
            Route { takers: takers.into(), wanted, type_number: cx.types.number(event_type) }
        };
        // The channel is not part of what a route is remembered by.
        if channel.is_some() { find(stream) } else { stream.route(event_type, find) }
    }
}

/// An error as dead letters have it.
pub(super) fn error_json(name: &str, message: &str, kind: Option<ErrorKind>) -> Arc<str> {
    let mut error = serde_json::json!({ "name": name, "message": message });
    if let (Some(kind), Some(fields)) = (kind, error.as_object_mut()) {
        fields.insert("code".to_owned(), kind.code().into());
    }
    error.to_string().into()
}
