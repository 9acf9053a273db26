//! The options of a subscription.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::breaker::BreakerOptions;
use crate::config::retry::read_retry;
use crate::delivery::queue::{Overflow, QueueOptions};
use crate::error::{BusError, ErrorKind};
use crate::options::names::check_identifier;
use crate::options::reader::Reader;
use crate::retry::RetryPolicy;
use crate::stream_store::{DELAYED, EntryId};
use crate::time;

/// One day, the longest that anything here can last.
const MAX_TIME: u64 = 86_400_000;
/// The longest that a call may go on claiming its events, unless told otherwise.
const MAX_PROCESSING: u64 = 600_000;
/// Handlers of a durable subscription that run at once, unless told otherwise.
const DURABLE_CONCURRENCY: usize = 16;
/// What only a subscription with a group has.
const OF_GROUPS: [&str; 5] = ["streams", "from", "consumer", "batch", "maxProcessing"];
/// What a subscription with a group has no use for: its streams are its queue, and hold everyone's events.
const NOT_OF_GROUPS: [&str; 3] = ["queue", "noEcho", "localOnly"];

const NEEDS_GROUP: &str = "is for a durable subscription, which needs a group";

/// What the patterns of a subscription address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchBy {
    /// Event types (and channels, for a pattern of a room, a user or broadcasts). The default.
    #[default]
    Type,
    /// Channels.
    Channel,
}

/// The order in which the events of a durable subscription are handled, within one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// None: as many at once as `concurrency` allows. The default.
    #[default]
    None,
    /// One at a time for each key, also through retries; events without a key are not ordered.
    Key,
    /// Strictly one at a time.
    Stream,
}

/// Where a new group starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With what comes after now.
    New,
    /// With the oldest entry.
    Beginning,
    /// Behind this entry.
    After(EntryId),
    /// With what was stored at this time or later, Unix milliseconds.
    Time(u64),
}

/// How events are gathered for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// Events in one call at the most. 1–10 000.
    pub size: usize,
    /// Milliseconds for which an incomplete batch waits for more. 0–60 000, default 0.
    pub wait: u64,
}

/// What only a durable subscription has.
#[derive(Clone, Debug, PartialEq)]
pub struct DurableOptions {
    /// The consumer group: 1–512 characters, no control characters.
    pub group: String,
    /// The names of the streams to read; `None`: those that store what the patterns match.
    pub streams: Option<Vec<String>>,
    /// Where a new group starts; `None`: as the stream's configuration says, else [`From::New`].
    pub from: Option<From>,
    /// The consumer's name; `None`: made of the service name and the instance.
    pub consumer: Option<String>,
    /// In which order events are handled.
    pub order_by: OrderBy,
    /// How events are gathered for one call. Default: each has its own.
    pub batch: Option<BatchOptions>,
    /// Milliseconds, from the start of a call, for which its claim is renewed. 1–86 400 000, default 600 000.
    pub max_processing: u64,
}

/// The options of a subscription; times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscribeOptions {
    /// Handlers that run at once. 1–100 000, default 256, of a durable subscription 16.
    pub concurrency: usize,
    /// How long a handler may take. 0 (for ever) – 86 400 000, default 30 000.
    pub timeout: u64,
    /// Whether a failed handler is called again. Default true.
    pub retry_on_error: bool,
    /// How often at the most. 0–1 000 000, default 3.
    pub max_retries: u32,
    /// After which delays. Default: the `retry` of the configuration.
    pub retry: RetryPolicy,
    /// When to stop calling for a while. Default none.
    pub circuit_breaker: Option<BreakerOptions>,
    /// Conditions on the event, for [`Filter::parse`](crate::filter::Filter::parse). Default none.
    pub filter: Option<Map<String, Value>>,
    /// The bounds of events that wait for handlers.
    pub queue: QueueOptions,
    /// Whether events published by this client are skipped. Default false.
    pub no_echo: bool,
    /// Whether only events published by this client are handled, in hybrid mode. Default false.
    pub local_only: bool,
    /// Whether it waits for its confirmation as long as the client tries to connect. Default false.
    pub when_ready: bool,
    /// Whether handlers get the data as JSON text (`data: 'raw'`). Default false.
    pub raw_data: bool,
    /// Whether it begins paused, for the host to resume, so that nothing is read for it before. Default false.
    pub held: bool,
    /// What the patterns address.
    pub by: MatchBy,
    /// What makes it a durable subscription.
    pub durable: Option<DurableOptions>,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        SubscribeOptions {
            concurrency: 256,
            timeout: 30_000,
            retry_on_error: true,
            max_retries: 3,
            retry: RetryPolicy::default(),
            circuit_breaker: None,
            filter: None,
            queue: QueueOptions::default(),
            no_echo: false,
            local_only: false,
            when_ready: false,
            raw_data: false,
            held: false,
            by: MatchBy::default(),
            durable: None,
        }
    }
}

impl SubscribeOptions {
    /// Reads options, empty text for none; `retry` is that of the configuration.
    ///
    /// # Errors
    /// `INVALID_OPTIONS` with the path of the bad option, an unknown one and one of a later release
    /// included.
    pub fn parse(json: &str, retry: &RetryPolicy) -> Result<SubscribeOptions, BusError> {
        let d = SubscribeOptions::default();
        if json.is_empty() {
            return Ok(SubscribeOptions { retry: retry.clone(), ..d });
        }
        let mut r = Reader::parse("options", json, ErrorKind::InvalidOptions)?;
        let durable = read_durable(&mut r)?;
        let concurrency = if durable.is_some() { DURABLE_CONCURRENCY } else { d.concurrency };
        let options = SubscribeOptions {
            concurrency: r.size("concurrency", 1..=100_000)?.unwrap_or(concurrency),
            timeout: r.integer("timeout", 0..=MAX_TIME)?.unwrap_or(d.timeout),
            retry_on_error: r.boolean("retryOnError")?.unwrap_or(d.retry_on_error),
            max_retries: r.count("maxRetries", 0..=1_000_000)?.unwrap_or(d.max_retries),
            retry: read_retry(&mut r, retry)?,
            circuit_breaker: read_breaker(&mut r)?,
            filter: r.map("filter")?,
            queue: read_queue(&mut r)?,
            no_echo: r.boolean("noEcho")?.unwrap_or(d.no_echo),
            local_only: r.boolean("localOnly")?.unwrap_or(d.local_only),
            when_ready: r.boolean("whenReady")?.unwrap_or(d.when_ready),
            raw_data: r.choice("data", &[("value", false), ("raw", true)])?.unwrap_or(d.raw_data),
            // The host's own: a name that nobody gives by mistake.
            held: r.boolean("$held")?.unwrap_or(d.held),
            by: r.choice("by", &[("type", MatchBy::Type), ("channel", MatchBy::Channel)])?.unwrap_or(d.by),
            durable,
        };
        r.finish()?;
        Ok(options)
    }
}

/// Reads what makes a subscription durable: `group`, and what needs one.
fn read_durable(r: &mut Reader) -> Result<Option<DurableOptions>, BusError> {
    let Some(group) = r.identifier("group")? else {
        if let Some(key) = OF_GROUPS.iter().find(|key| r.has(key)) {
            return Err(r.error(key, NEEDS_GROUP));
        }
        if r.is("orderBy", "key") || r.is("orderBy", "stream") {
            return Err(r.error("orderBy", NEEDS_GROUP));
        }
        r.choice("orderBy", &[("none", ())])?;
        return Ok(None);
    };
    if let Some(key) = NOT_OF_GROUPS.iter().find(|key| r.get(key).is_some_and(|value| value != false)) {
        return Err(r.error(key, "is not for a durable subscription (one with a group)"));
    }
    let orders = [("none", OrderBy::None), ("key", OrderBy::Key), ("stream", OrderBy::Stream)];
    let kind = r.kind();
    Ok(Some(DurableOptions {
        group,
        streams: r.texts("streams", |path, name| check_identifier(path, name, kind))?,
        from: read_from(r)?,
        consumer: read_consumer(r)?,
        order_by: r.choice("orderBy", &orders)?.unwrap_or_default(),
        batch: read_batch(r)?,
        max_processing: r.integer("maxProcessing", 1..=MAX_TIME)?.unwrap_or(MAX_PROCESSING),
    }))
}

fn read_consumer(r: &mut Reader) -> Result<Option<String>, BusError> {
    let consumer = r.identifier("consumer")?;
    if consumer.as_deref() == Some(DELAYED) {
        return Err(r.error("consumer", "is the name for events that wait for a retry"));
    }
    Ok(consumer)
}

/// Reads `from`: `'new'`, `'beginning'`, the id of an entry, or a time as a number of milliseconds or
/// in ISO 8601, which is how JSON has a `Date`.
fn read_from(r: &mut Reader) -> Result<Option<From>, BusError> {
    const EXPECTED: &str = "'new', 'beginning', a message id or a Date";
    let Some(value) = r.take("from") else { return Ok(None) };
    let from = match &value {
        Value::String(text) if text == "new" => Some(From::New),
        Value::String(text) if text == "beginning" => Some(From::Beginning),
        Value::String(text) => match time::from_iso(text) {
            Some(ms) => u64::try_from(ms).ok().map(From::Time),
            None => text.parse().ok().map(From::After),
        },
        Value::Number(ms) => ms.as_u64().map(From::Time),
        other => return Err(r.mismatch("from", EXPECTED, other)),
    };
    from.map(Some).ok_or_else(|| r.error("from", format_args!("expected {EXPECTED}")))
}

/// Reads `batch`: `size` 1–10 000, `wait` 0–60 000.
fn read_batch(r: &mut Reader) -> Result<Option<BatchOptions>, BusError> {
    let Some(mut r) = r.object("batch")? else { return Ok(None) };
    let size = r.size("size", 1..=10_000)?.ok_or_else(|| r.error("size", "is missing"))?;
    let batch = BatchOptions { size, wait: r.integer("wait", 0..=60_000)?.unwrap_or(0) };
    r.finish()?;
    Ok(Some(batch))
}

/// Reads `circuitBreaker`: `true` (all defaults), `false`, or `errorThresholdPercentage` 0.1–100,
/// `resetTimeout` and `window` 1–86 400 000, `minimumCalls` 1–1 000 000.
fn read_breaker(r: &mut Reader) -> Result<Option<BreakerOptions>, BusError> {
    let fields = match r.take("circuitBreaker") {
        None | Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Bool(true)) => return Ok(Some(BreakerOptions::default())),
        Some(Value::Object(fields)) => fields,
        Some(other) => return Err(r.mismatch("circuitBreaker", "an object or true or false", &other)),
    };
    let mut r = Reader::of(r.kind(), r.path_of("circuitBreaker"), fields);
    let d = BreakerOptions::default();
    let breaker = BreakerOptions {
        error_threshold_percentage: r
            .number("errorThresholdPercentage", 0.1..=100.0)?
            .unwrap_or(d.error_threshold_percentage),
        reset_timeout: r.integer("resetTimeout", 1..=MAX_TIME)?.unwrap_or(d.reset_timeout),
        minimum_calls: r.count("minimumCalls", 1..=1_000_000)?.unwrap_or(d.minimum_calls),
        window: r.integer("window", 1..=MAX_TIME)?.unwrap_or(d.window),
    };
    r.finish()?;
    Ok(Some(breaker))
}

/// Reads `queue`: `maxEvents` 1–10 000 000, `maxBytes` 1 – 2 GiB less one, `overflow`.
fn read_queue(r: &mut Reader) -> Result<QueueOptions, BusError> {
    let d = QueueOptions::default();
    let Some(mut r) = r.object("queue")? else { return Ok(d) };
    let words = [
        ("drop-oldest", Overflow::DropOldest),
        ("drop-newest", Overflow::DropNewest),
        ("latest-per-key", Overflow::LatestPerKey),
    ];
    let queue = QueueOptions {
        max_events: r.size("maxEvents", 1..=10_000_000)?.unwrap_or(d.max_events),
        max_bytes: r.size("maxBytes", 1..=i32::MAX as u32)?.unwrap_or(d.max_bytes),
        overflow: r.choice("overflow", &words)?.unwrap_or(d.overflow),
    };
    r.finish()?;
    Ok(queue)
}
