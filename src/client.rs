//! The client as JavaScript drives it.

use std::sync::Arc;

use napi::bindgen_prelude::{Function, ObjectFinalize, Uint32Array, Unknown};
use napi::{CleanupEnvHook, Env, Error, JsString, Result};
use napi_derive::napi;
use oxbus_engine::panics::catch_panic_in;
use oxbus_engine::{Client, Subscribed};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};

use crate::broker::NativeBroker;
use crate::records::RecordText;
use crate::settlements;
use crate::settlements::Record;
use crate::wake::Wake;
use crate::{drained, rooms, rules, runtime, values};

/// A bus client. No I/O until it is told to connect, publish or subscribe.
#[napi(custom_finalize)]
pub struct NativeClient {
    client: Arc<Client>,
    wake: Arc<Wake>,
    /// Closes the client when its environment ends first, as a terminated worker's does.
    hook: Option<CleanupEnvHook<(Arc<Client>, Arc<Wake>)>>,
}

#[napi]
impl NativeClient {
    /// Takes what `settings()` accepted.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        config: String,
        environment: String,
        broker: Option<&NativeBroker>,
        wake: Function<'_, (), Unknown<'static>>,
    ) -> Result<Self> {
        let config = rules::resolve(&config, &environment).map_err(|e| Error::from_reason(e.to_string()))?;
        let runtime = runtime::handle().map_err(|e| Error::from_reason(e.to_string()))?;
        let wake = Arc::new(Wake::new(wake)?);
        let broker = broker.map(|b| b.broker.clone());
        let client = catch_panic_in("new", || Client::new(config, broker, wake.clone(), runtime))
            .map_err(|e| Error::from_reason(e.to_string()))?;
        let client = Arc::new(client);
        let ending = (client.clone(), wake.clone());
        let hook = env.add_env_cleanup_hook(ending, |(client, wake)| {
            client.destroy();
            wake.end();
        })?;
        Ok(NativeClient { client, wake, hook: Some(hook) })
    }

    /// Unique for this client start.
    #[napi(getter)]
    pub fn instance_id(&self) -> String {
        self.client.instance_id().to_owned()
    }

    /// What the client is doing.
    #[napi]
    pub fn state(&self) -> &'static str {
        self.client.state().as_str()
    }

    /// Sets whether this client keeps the process alive.
    #[napi]
    pub fn hold(&self, env: Env, keep: bool) -> Result<()> {
        self.wake.hold(&env, keep)
    }

    /// Connects. Reply: null.
    #[napi]
    pub fn connect(&self, ticket: u32, timeout: Option<f64>) {
        self.guard("connect", |client| client.connect(ticket, milliseconds(timeout)));
    }

    /// Replies null when ready.
    #[napi]
    pub fn wait_until_ready(&self, ticket: u32, timeout: Option<f64>) {
        self.guard("waitUntilReady", |client| client.wait_until_ready(ticket, milliseconds(timeout)));
    }

    /// Drains and closes. Reply: null.
    #[napi]
    pub fn disconnect(&self, ticket: u32, timeout: Option<f64>) {
        self.guard("disconnect", |client| client.disconnect(ticket, milliseconds(timeout)));
    }

    /// Publishes `count` records.
    #[napi]
    pub fn publish(&self, batch: u32, count: u32, #[napi(ts_arg_type = "string")] records: RecordText) {
        self.guard("publish", |client| client.publish(batch, count, records.0));
    }

    /// Settles a publish as aborted, if it is not settled.
    #[napi]
    pub fn cancel_publish(&self, batch: u32, index: u32) {
        self.guard("cancelPublish", |client| client.cancel(batch, index));
    }

    /// Subscribes to the patterns in a JSON array. `Result<Subscribed>`; confirmed by the ticket.
    #[napi]
    pub fn subscribe(&self, ticket: u32, patterns: String, options: String) -> String {
        let subscribed = catch_panic_in("subscribe", || {
            let patterns: Vec<String> = serde_json::from_str(&patterns)
                .map_err(|_| BusError::new(ErrorKind::InvalidPattern, "a pattern must be text"))?;
            self.client.subscribe(ticket, &patterns, &options)
        });
        values::result(subscribed.and_then(|subscribed| subscribed).map(accepted))
    }

    /// Ends a subscription. Reply: whether there was one.
    #[napi]
    pub fn unsubscribe(&self, ticket: u32, sub: u32) {
        self.guard("unsubscribe", |client| client.unsubscribe(ticket, sub));
    }

    /// Joins (`joins`) or leaves a `room` or a `user`. `Result<null>`; the reply says whether that changed anything.
    #[napi]
    pub fn attend(
        &self,
        ticket: u32,
        joins: bool,
        kind: String,
        name: String,
        member: Option<String>,
    ) -> String {
        let changed = rooms::change(&self.client, ticket, joins, &kind, &name, member);
        values::result(changed.map(|()| Value::Null))
    }

    /// Whether a room or a user is joined.
    #[napi]
    pub fn has_joined(&self) -> bool {
        // A fault is reported, and holds nothing up.
        catch_panic_in("hasJoined", || self.client.has_joined()).unwrap_or(false)
    }

    /// Stops or resumes deliveries of a subscription.
    #[napi]
    pub fn pause(&self, sub: u32, paused: bool) {
        self.guard("pause", |client| client.pause(sub, paused));
    }

    /// What a handler of a durable event has thrown, as JSON; before the call is ended as failed.
    #[napi]
    pub fn explain(&self, token: u32, error: String) {
        self.guard("explain", |client| client.set_error(token, error));
    }

    /// Ends handler calls: four numbers for each.
    #[napi]
    pub fn settle(&self, records: Uint32Array, count: u32) {
        self.guard("settle", |client| {
            let mut ended = Vec::new();
            let settled = settlements::records(&records, count as usize).filter_map(|record| match record {
                Record::Settled(token, settlement, microseconds) => Some((token, settlement, microseconds)),
                Record::ZombieEnded(token) => {
                    ended.push(token);
                    None
                }
            });
            client.settle(settled);
            // A call may have timed out and ended since the last time.
            ended.into_iter().for_each(|token| client.finish_timed_out(token));
        });
    }

    /// Asks about streams, dead letters or past events, with the arguments as a JSON object. Reply: the answer.
    #[napi]
    pub fn request(&self, ticket: u32, method: String, args: String) {
        self.guard("request", |client| client.request(ticket, method, args));
    }

    /// Whether nothing is under way, but for what handlers and time bring.
    #[napi]
    pub fn is_idle(&self) -> bool {
        // A fault is reported, and nothing waits for it.
        catch_panic_in("isIdle", || self.client.is_idle()).unwrap_or(true)
    }

    /// `getStats()` as JSON.
    #[napi]
    pub fn stats(&self) -> Result<String> {
        let snapshot = catch_panic_in("stats", || self.client.stats());
        let snapshot = snapshot.map_err(|e| Error::from_reason(e.to_string()))?;
        serde_json::to_string(&snapshot).map_err(|e| Error::from_reason(e.to_string()))
    }

    /// Replies when what `metrics` tells of streams is fresh.
    #[napi]
    pub fn refresh_metrics(&self, ticket: u32) {
        self.guard("refreshMetrics", |client| client.refresh_metrics(ticket));
    }

    /// The metrics as text.
    #[napi]
    pub fn metrics(&self) -> Result<String> {
        catch_panic_in("metrics", || self.client.metrics()).map_err(|e| Error::from_reason(e.to_string()))
    }

    /// Replies with the health report.
    #[napi]
    pub fn health(&self, ticket: u32) {
        self.guard("health", |client| client.health(ticket));
    }

    /// Everything that is ready, as JSON; empty when there is nothing.
    #[napi]
    pub fn drain<'env>(&self, env: &'env Env) -> Result<JsString<'env>> {
        let text = catch_panic_in("drain", || drained::text(&self.client.drain()));
        let text = text.map_err(|e| Error::from_reason(e.to_string()))?;
        // For plain ASCII V8 can copy the bytes as they are.
        if text.is_ascii() { env.create_string_latin1(text) } else { env.create_string(text) }
    }

    /// Closes at once.
    #[napi]
    pub fn destroy(&self) {
        self.guard("destroy", Client::destroy);
        self.wake.end();
    }
}

impl NativeClient {
    /// Runs a call that answers later. A panic is reported as an event; it never reaches JavaScript.
    fn guard(&self, name: &str, call: impl FnOnce(&Client)) {
        if let Err(fault) = catch_panic_in(name, || call(&self.client)) {
            self.client.report(fault);
        }
    }
}

impl ObjectFinalize for NativeClient {
    fn finalize(mut self, env: Env) -> Result<()> {
        self.client.destroy();
        self.hook.take().map_or(Ok(()), |hook| env.remove_env_cleanup_hook(hook))
    }
}

fn accepted(subscribed: Subscribed) -> Value {
    let Subscribed { subscription, options } = subscribed;
    let durable = options.durable.as_ref();
    json!({
        "sub": subscription, "timeout": options.timeout, "retryOnError": options.retry_on_error,
        "maxRetries": options.max_retries, "group": durable.map(|durable| &*durable.group),
        "batch": durable.and_then(|durable| Some(durable.batch?.size)).unwrap_or(0),
    })
}

fn milliseconds(timeout: Option<f64>) -> Option<u64> {
    // Saturates: what is not a number counts as 0.
    timeout.map(|ms| ms as u64)
}
