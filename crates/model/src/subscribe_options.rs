//! The options of a subscription.

use serde_json::{Map, Value};

use crate::breaker::BreakerOptions;
use crate::config::reader::{NOT_AVAILABLE, Reader};
use crate::config::retry::read_retry;
use crate::error::{BusError, ErrorKind};
use crate::queue::{Overflow, QueueOptions};
use crate::retry::RetryPolicy;
use crate::store::EntryId;

/// One day, the longest that anything here can last.
const MAX_TIME: u64 = 86_400_000;
/// Options of durable subscriptions, which a later release brings.
const LATER: [&str; 6] = ["group", "streams", "from", "consumer", "batch", "maxProcessing"];

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
        r.unavailable(&LATER)?;
        if r.is("orderBy", "key") || r.is("orderBy", "stream") {
            return Err(r.error("orderBy", NOT_AVAILABLE));
        }
        r.choice("orderBy", &[("none", ())])?;
        if r.boolean("localOnly")? == Some(true) {
            return Err(r.error("localOnly", NOT_AVAILABLE));
        }
        let options = SubscribeOptions {
            concurrency: r.size("concurrency", 1..=100_000)?.unwrap_or(d.concurrency),
            timeout: r.integer("timeout", 0..=MAX_TIME)?.unwrap_or(d.timeout),
            retry_on_error: r.boolean("retryOnError")?.unwrap_or(d.retry_on_error),
            max_retries: r.count("maxRetries", 0..=1_000_000)?.unwrap_or(d.max_retries),
            retry: read_retry(&mut r, retry)?,
            circuit_breaker: read_breaker(&mut r)?,
            filter: r.map("filter")?,
            queue: read_queue(&mut r)?,
            no_echo: r.boolean("noEcho")?.unwrap_or(d.no_echo),
            by: r.choice("by", &[("type", MatchBy::Type), ("channel", MatchBy::Channel)])?.unwrap_or(d.by),
            durable: None,
        };
        r.finish()?;
        Ok(options)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Jitter;

    fn parse(json: &str) -> Result<SubscribeOptions, BusError> {
        SubscribeOptions::parse(json, &RetryPolicy::default())
    }

    #[test]
    fn nothing_given_means_the_defaults() {
        for json in ["", "{}", r#"{"localOnly":false,"orderBy":"none","circuitBreaker":false}"#] {
            assert_eq!(parse(json), Ok(SubscribeOptions::default()), "{json}");
        }
    }

    #[test]
    fn every_option_is_read() {
        let json = r#"{"concurrency":2,"timeout":0,"retryOnError":false,"maxRetries":5,"noEcho":true,"by":"channel",
            "retry":{"initialDelay":5,"maxDelay":9,"multiplier":1.5,"jitter":"none"},
            "circuitBreaker":{"errorThresholdPercentage":20,"resetTimeout":1,"minimumCalls":2,"window":3},
            "filter":{"data.status":["a",null]},"queue":{"maxEvents":1,"maxBytes":2,"overflow":"latest-per-key"}}"#;
        let expected = SubscribeOptions {
            concurrency: 2,
            timeout: 0,
            retry_on_error: false,
            max_retries: 5,
            retry: RetryPolicy { initial_delay: 5, max_delay: 9, multiplier: 1.5, jitter: Jitter::None },
            circuit_breaker: Some(BreakerOptions {
                error_threshold_percentage: 20.0,
                reset_timeout: 1,
                minimum_calls: 2,
                window: 3,
            }),
            filter: serde_json::json!({"data.status": ["a", null]}).as_object().cloned(),
            queue: QueueOptions { max_events: 1, max_bytes: 2, overflow: Overflow::LatestPerKey },
            no_echo: true,
            by: MatchBy::Channel,
            durable: None,
        };
        assert_eq!(parse(json), Ok(expected));
        let on = parse(r#"{"circuitBreaker":true}"#).unwrap();
        assert_eq!(on.circuit_breaker, Some(BreakerOptions::default()));
    }

    #[test]
    fn what_retry_leaves_out_comes_from_the_configuration() {
        let of_config =
            RetryPolicy { initial_delay: 7, max_delay: 70, multiplier: 3.0, jitter: Jitter::None };
        let read = |json| SubscribeOptions::parse(json, &of_config).unwrap().retry;
        assert_eq!(read(""), of_config);
        assert_eq!(read("{}"), of_config);
        assert_eq!(
            read(r#"{"retry":{"multiplier":4}}"#),
            RetryPolicy { multiplier: 4.0, ..of_config.clone() }
        );
        assert_eq!(read(r#"{"retry":{"initialDelay":80}}"#).max_delay, 80);
        assert_eq!(read(r#"{"retry":{"maxDelay":5}}"#).initial_delay, 5);
    }

    #[test]
    fn bad_options_are_named() {
        for (json, message) in [
            ("[]", "the options must be an object, not an array"),
            (r#"{"group":"g"}"#, "group: not available in this release"),
            (r#"{"orderBy":"key"}"#, "orderBy: not available in this release"),
            (r#"{"orderBy":"x"}"#, r#"orderBy: expected 'none', got "x""#),
            (r#"{"localOnly":true}"#, "localOnly: not available in this release"),
            (r#"{"concurency":1}"#, "concurency: unknown key"),
            (r#"{"concurrency":0}"#, "concurrency: expected an integer from 1 to 100000, got 0"),
            (r#"{"timeout":null}"#, "timeout: expected an integer from 0 to 86400000, got null (or NaN)"),
            (r#"{"maxRetries":-1}"#, "maxRetries: expected an integer from 0 to 1000000, got -1"),
            (r#"{"retry":{"delay":1}}"#, "retry.delay: unknown key"),
            (
                r#"{"retry":{"initialDelay":2,"maxDelay":1}}"#,
                "retry.maxDelay: must not be less than initialDelay (2)",
            ),
            (r#"{"retry":{"multiplier":0.5}}"#, "retry.multiplier: expected a number from 1 to 100, got 0.5"),
            (r#"{"circuitBreaker":1}"#, "circuitBreaker: expected an object or true or false, got a number"),
            (r#"{"circuitBreaker":{"foo":1}}"#, "circuitBreaker.foo: unknown key"),
            (r#"{"filter":"x"}"#, "filter: expected an object, got a string"),
            (
                r#"{"queue":{"overflow":"drop"}}"#,
                r#"queue.overflow: expected 'drop-oldest' or 'drop-newest' or 'latest-per-key', got "drop""#,
            ),
            (r#"{"by":"room"}"#, r#"by: expected 'type' or 'channel', got "room""#),
        ] {
            let error = parse(json).unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidOptions, message), "{json}");
        }
    }
}
