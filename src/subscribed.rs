//! A subscription as the engine accepted it.

use napi_derive::napi;
use oxbus_engine as engine;
use serde::Serialize;

/// A subscription as the engine accepted it, with all defaults.
#[napi(object, object_from_js = false, object_to_js = false, use_nullable = true)]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscribed {
    /// Its number.
    pub sub: u32,
    /// How long a handler call may take, in milliseconds; 0: without a limit.
    #[napi(ts_type = "number")]
    pub timeout: u64,
    pub retry_on_error: bool,
    pub max_retries: u32,
    /// The consumer group of a durable subscription.
    pub group: Option<String>,
    /// The streams that a durable subscription reads; none of a live one.
    pub streams: Vec<String>,
    /// How many events a call of the handler takes at the most; 0: it takes single events.
    #[napi(ts_type = "number")]
    pub batch: usize,
}

impl From<engine::Subscribed> for Subscribed {
    fn from(engine::Subscribed { subscription, options, streams }: engine::Subscribed) -> Subscribed {
        let durable = options.durable.as_ref();
        Subscribed {
            sub: subscription,
            timeout: options.timeout,
            retry_on_error: options.retry_on_error,
            max_retries: options.max_retries,
            group: durable.map(|durable| durable.group.to_string()),
            streams: streams.iter().map(ToString::to_string).collect(),
            batch: durable.and_then(|durable| Some(durable.batch?.size)).unwrap_or(0),
        }
    }
}
