//! The log of a client: takes `tracing` events of the engine and makes [`Notice::Log`] of them.
//!
//! Each client has a log, and a [`Dispatch`] to it, which is attached to the tasks of the client and to the host's calls
//! that may log. There is no default of the process: that belongs to the host. `docs/design/logging.md` has the reasons.
//!
//! # Cost
//!
//! An event or span below the levels of *all* clients of the process costs one comparison with a number in memory; its
//! fields are not evaluated. While clients have different levels, one that only some of them want costs the others also a
//! call of [`LogSubscriber::enabled`]; its fields are not evaluated either. A client that is made has all events and spans
//! of the process looked at again, in a time that is proportional to the number of clients. `tracing` learns that a
//! client is gone when the next one is made.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::config::LogLevel;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Dispatch, Event, Level, Metadata};

use super::Notice;
use super::completions::Completions;
use crate::runtime::clock::Clock;
use crate::runtime::line_limit::LineLimit;

/// What targets of our own begin with: targets are paths of modules.
const OWN: &str = "oxbus";

/// Events of dependencies in a second, at the most.
const DEPENDENCIES_PER_SECOND: u32 = 50;

/// The ids of spans are unique in the process, so that one stack per thread serves all clients.
static NEXT_SPAN: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The spans that this thread is in, those of all clients.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// The log of a client, from `level` upwards.
pub(crate) fn dispatch(level: LogLevel, completions: Arc<Completions>, clock: Clock) -> Dispatch {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Silent => LevelFilter::OFF,
    };
    let dependencies = Mutex::new(LineLimit::per_second(DEPENDENCIES_PER_SECOND));
    Dispatch::new(LogSubscriber { level, completions, clock, spans: Mutex::default(), dependencies })
}

type Fields = Map<String, Value>;

/// Turns events into notices of one client.
struct LogSubscriber {
    level: LevelFilter,
    completions: Arc<Completions>,
    clock: Clock,
    /// The spans that exist, by their id. Only clients that log at `debug` have any.
    spans: Mutex<HashMap<u64, SpanData>>,
    /// Bounds the events of dependencies.
    dependencies: Mutex<LineLimit>,
}

struct SpanData {
    /// Those of its parents included.
    fields: Fields,
    handles: usize,
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(OWN)
}

impl LogSubscriber {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let in_level = *metadata.level() <= self.level;
        // What dependencies say interests only who looks for a fault, whatever they call important.
        in_level && (is_own(metadata) || (metadata.is_event() && self.level >= LevelFilter::DEBUG))
    }

    fn spans(&self) -> MutexGuard<'_, HashMap<u64, SpanData>> {
        // Each change is one insertion, removal or count.
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fields of the innermost span of this client that this thread is in.
    fn current_fields(&self) -> Fields {
        let spans = self.spans();
        let fields = |id: &Id| spans.get(&id.into_u64()).map(|span| span.fields.clone());
        ENTERED.with_borrow(|entered| entered.iter().rev().find_map(fields)).unwrap_or_default()
    }

    fn write(&self, level: &'static str, message: String, fields: Fields) {
        self.completions.notice(Notice::Log { level, message, fields: Value::Object(fields) });
    }

    /// An event of a dependency, which is logged at `debug` with its target.
    fn of_dependency(&self, event: &Event<'_>) {
        let mut limit = self.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = limit.admit(self.clock.now_ms());
        drop(limit);
        let Some(left_out) = admitted else { return };
        if left_out > 0 {
            let fields = Fields::from_iter([("count".to_owned(), left_out.into())]);
            self.write("debug", "lines of dependencies were left out".to_owned(), fields);
        }
        let mut line = Line { message: String::new(), fields: self.current_fields() };
        line.fields.insert("target".to_owned(), event.metadata().target().into());
        event.record(&mut line);
        self.write("debug", line.message, line.fields);
    }
}

impl Subscriber for LogSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = Id::from_u64(NEXT_SPAN.fetch_add(1, Ordering::Relaxed));
        let fields = match span.parent() {
            Some(parent) => self.spans().get(&parent.into_u64()).map(|parent| parent.fields.clone()),
            None => span.is_contextual().then(|| self.current_fields()),
        };
        let mut line = Line { message: String::new(), fields: fields.unwrap_or_default() };
        span.record(&mut line);
        self.spans().insert(id.into_u64(), SpanData { fields: line.fields, handles: 1 });
        id
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut line = Line { message: String::new(), fields: Fields::new() };
        values.record(&mut line);
        if let Some(span) = self.spans().get_mut(&span.into_u64()) {
            span.fields.extend(line.fields);
        }
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        if !is_own(metadata) {
            return self.of_dependency(event);
        }
        let level = match *metadata.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        // Lines of the other levels are the same whatever the level of the client is.
        let fields = if level == "debug" { self.current_fields() } else { Fields::new() };
        let mut line = Line { message: String::new(), fields };
        event.record(&mut line);
        self.write(level, line.message, line.fields);
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.clone()));
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(at) = entered.iter().rposition(|id| id == span) {
                entered.remove(at);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = self.spans();
        let Some(span) = spans.get_mut(&id.into_u64()) else { return false };
        span.handles -= 1;
        let is_last = span.handles == 0;
        if is_last {
            spans.remove(&id.into_u64());
        }
        is_last
    }
}

/// The message and the fields of an event.
struct Line {
    message: String,
    fields: Fields,
}

impl Line {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // The message comes by here, and what is written with `%`.
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text);
        }
    }
}

#[cfg(test)]
mod tests;
