//! `getEvent`, `getHistory`: past events, from the store and from this client's own memory.

use std::collections::HashSet;
use std::sync::Arc;

use oxbus_model::codec::decoded::{Decoded, Missing};
use oxbus_model::codec::event_json::id_of;
use oxbus_model::codec::outline::Shapes;
use oxbus_model::error::Outcome;
use oxbus_model::routing::pattern;
use oxbus_model::stream_store::{EntryId, Request, Response, StoredEntry};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};

use crate::admin::arguments::{Arguments, TimeOrId};
use crate::admin::context::{Context, MAX_ANSWER_BYTES};
use crate::admin::dead_letters::too_much;
use crate::admin::effect::Effect;
use crate::admin::merged_range::MergedRange;
use crate::admin::question::questions;
use crate::admin::told_events::ToldEvents;
use crate::host::Answer;
use crate::state::recent_events::RecentEvent;
use crate::transport::store::unexpected;

questions! {
    "getEvent" ["id", "events"] => event;
    "getHistory" ["type", "from", "to", "limit", "source", "order", "events"] => history;
}

/// `getEvent`: the event, or null.
async fn event(context: &Context, mut args: Arguments) -> Result<Answer, BusError> {
    let mut told = ToldEvents::read(&mut args)?;
    let id = args.needed("id")?;
    args.finish()?;
    let key = context.config.keys.events.of(&id).into();
    let (kept, failed) = match context.store.execute(Request::Event { key }).await {
        Ok(Response::Event(kept)) => (kept, None),
        Ok(_) => return Err(unexpected()),
        // Its own events this client knows all the same.
        Err(error) if is_away(&error) => (None, Some(error)),
        Err(error) => return Err(error),
    };
    let missing = || Missing { id: id.clone(), timestamp_ms: 0 };
    let read = |kept: &[u8]| {
        let shapes = told.shapes(context);
        let event = context.config.codec.read_message(kept, b"", missing, { shapes }.as_deref_mut()).ok()?;
        Some(event.into_owned())
    };
    if let Some(event) = kept.as_deref().and_then(read) {
        let event = told.add(event);
        return Ok(told.with(event));
    }
    let own = context.recent().events().into_iter().find(|event| event.id == id);
    match (own, failed) {
        (Some(own), _) => {
            let event = told.add_json(context, own.json);
            Ok(told.with(event))
        }
        (None, Some(error)) => Err(error),
        (None, None) => Ok(told.with(Value::Null)),
    }
}

/// Whether an error says that the store could not be asked.
fn is_away(error: &BusError) -> bool {
    match error.kind {
        ErrorKind::Closed => false,
        ErrorKind::ServerLoading => true,
        _ => matches!(error.outcome, Some(Outcome::NotSent | Outcome::Unknown)),
    }
}

/// Where past events are looked for.
#[derive(Clone, Copy, PartialEq)]
enum HistorySource {
    Store,
    Local,
    All,
}

/// Which past events are asked for.
struct Query {
    pattern: Option<String>,
    from: Option<TimeOrId>,
    to: Option<TimeOrId>,
    limit: usize,
    newest_first: bool,
}

/// A past event.
struct PastEvent {
    id: String,
    time: i64,
    event: Found,
}

/// A past event as it was found.
enum Found {
    Stored(Box<Decoded<'static>>),
    /// By its JSON.
    Own(String),
}

/// `getHistory`: `events`, and whether they are `complete`: not if the store could not be asked, so that only what this client
/// knows itself is among them.
async fn history(context: &Context, mut args: Arguments) -> Result<Answer, BusError> {
    let mut told = ToldEvents::read(&mut args)?;
    let words =
        [("redis", HistorySource::Store), ("local", HistorySource::Local), ("all", HistorySource::All)];
    let source = args.choice("source", &words, HistorySource::All)?;
    let query = Query {
        pattern: args.pattern("type")?,
        from: args.time("from")?,
        to: args.time("to")?,
        limit: args.limit("limit")?,
        newest_first: args.choice("order", &[("asc", false), ("desc", true)], false)?,
    };
    args.finish()?;
    let config = &context.config;
    let has_history = config.persistence.is_some_and(|kept| kept.history || source != HistorySource::Store);
    if config.streams.is_empty() && !config.observe && !has_history {
        let message = "nothing keeps past events: configure `persistence` or `streams`";
        return Err(BusError::new(ErrorKind::InvalidOptions, message));
    }
    let stored = match source {
        HistorySource::Local => Ok(Vec::new()),
        _ => stored_events(context, &query, &told).await,
    };
    let (mut events, complete) = match stored {
        Ok(events) => (events, true),
        Err(error) if source == HistorySource::All && config.persistence.is_some() && is_away(&error) => {
            let message = format!("getHistory() gives only what this client knows itself: {}", error.message);
            context.push_effect(Effect::Warning { code: "HISTORY_INCOMPLETE", message });
            (Vec::new(), false)
        }
        Err(error) => return Err(error),
    };
    if source != HistorySource::Store {
        events.extend(local_events(context, &query));
    }
    // A stable sort: what the store has stays in its order, and comes before what only this client knows.
    events.sort_by(|a, b| if query.newest_first { b.time.cmp(&a.time) } else { a.time.cmp(&b.time) });
    let mut seen = HashSet::new();
    events.retain(|event| seen.insert(event.id.clone()));
    events.truncate(query.limit);
    let add = |past: PastEvent| match past.event {
        Found::Stored(event) => told.add(*event),
        Found::Own(json) => told.add_json(context, json),
    };
    let events: Vec<Value> = events.into_iter().map(add).collect();
    Ok(told.with(json!({ "events": events, "complete": complete })))
}

impl Query {
    fn matches(&self, event_type: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|p| pattern::matches(p.as_bytes(), event_type))
    }
}

/// The events of the history, or of the streams that may hold them. At most as many as are asked for.
async fn stored_events(
    context: &Context,
    query: &Query,
    told: &ToldEvents,
) -> Result<Vec<PastEvent>, BusError> {
    let mut from = query.from.map_or(EntryId::MIN, TimeOrId::first);
    let to = query.to.map_or(EntryId::MAX, TimeOrId::last);
    let streams: Vec<Arc<str>> = match context.config.persistence {
        Some(kept) if kept.history => {
            // What is older is trimmed when the next event is kept, and `getEvent` finds it no more.
            let history = context.config.keys.history.clone();
            let now = context.time_of(&history).await?;
            from = from.max(EntryId::first_of(now.saturating_sub(kept.ttl)));
            vec![history.into()]
        }
        _ => context.storing(query.pattern.as_deref()).await?,
    };
    let mut range =
        MergedRange::new(context.store.clone(), streams, (from, to), query.newest_first, query.limit);
    let (mut events, mut seen, mut bytes) = (Vec::new(), HashSet::new(), 0);
    while events.len() < query.limit {
        let Some((index, entry)) = range.next().await? else { break };
        let stream = range.stream(index).cloned().unwrap_or_default();
        let shapes = told.shapes_for(context, &entry, |event_type| query.matches(event_type));
        let Some(event) = read(context, (&stream, &entry), { shapes }.as_deref_mut()) else { continue };
        if !query.matches(event.event_type.as_bytes()) {
            continue;
        }
        let id = id_of(&event.json).unwrap_or_default().into_owned();
        // An event that was sent to a group once more has a second entry.
        if !seen.insert(id.clone()) {
            continue;
        }
        bytes += event.json.len();
        if bytes > MAX_ANSWER_BYTES {
            return Err(too_much(events.len()));
        }
        let time = i64::try_from(entry.id.ms).unwrap_or(i64::MAX);
        events.push(PastEvent { id, time, event: Found::Stored(Box::new(event.into_owned())) });
    }
    Ok(events)
}

/// This client's own events. At most as many as are asked for.
fn local_events(context: &Context, query: &Query) -> Vec<PastEvent> {
    let from = query.from.map_or(i64::MIN, TimeOrId::time);
    let to = query.to.map_or(i64::MAX, TimeOrId::time);
    let events = context.recent().events();
    let wanted = events
        .into_iter()
        .filter(|event| (from..=to).contains(&event.time) && query.matches(event.event_type.as_bytes()));
    let past =
        |event: RecentEvent| PastEvent { id: event.id, time: event.time, event: Found::Own(event.json) };
    let mut events: Vec<PastEvent> = wanted.map(past).collect();
    if query.newest_first {
        events.reverse();
    }
    events
}

/// The event of an entry of a stream; `None` where it holds none.
pub(super) fn read<'a>(
    context: &Context,
    (stream, entry): (&str, &'a StoredEntry),
    shapes: Option<&mut Shapes>,
) -> Option<Decoded<'a>> {
    let fields = entry.fields.iter().map(|(name, value)| (&**name, &**value));
    Some(context.config.codec.read_entry(fields, (stream, entry.id), shapes).ok()?.event)
}
