//! The client as JavaScript drives it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::{Function, ObjectFinalize, Uint8Array, Uint32Array, Unknown};
use napi::{CleanupEnvHook, Env, JsString, Result};
use napi_derive::napi;
use oxbus_engine::Client;
use oxbus_engine::panics::catch_panic_in;
use oxbus_model::codec::outline::Columns;
use oxbus_model::submission::Records;
use oxbus_model::{BusError, ErrorKind};

use crate::broker::NativeBroker;
use crate::calls::{ask, exception, result, tell, throwing};
use crate::raw::RawData;
use crate::records::RecordText;
use crate::settlements::Record;
use crate::subscribed::Subscribed;
use crate::wake::Wake;
use crate::{drained, json, rooms, runtime, settings, settlements};

/// A bus client. It does no I/O until it is told to connect, publish or subscribe.
///
/// A `ticket` is a number that JavaScript chooses, unique among the open ones: a later drain brings the reply under it.
/// A `timeout` is in milliseconds; the default is that of the configuration.
#[napi(custom_finalize)]
pub struct NativeClient {
    client: Arc<Client>,
    wake: Arc<Wake>,
    /// The events of the last drain, and the data of it that handlers get as it is, until they are taken.
    columns: Mutex<Columns>,
    raw: Mutex<RawData>,
    /// Closes the client when its environment ends first, as a terminated worker's does.
    hook: Option<CleanupEnvHook<(Arc<Client>, Arc<Wake>)>>,
}

#[napi]
impl NativeClient {
    /// A client of a configuration that `settings()` accepted, with the same two texts. `broker` is what a client in
    /// memory mode publishes to. `wake` is called when something is ready, and not again until `drain`.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        config: String,
        environment: String,
        broker: Option<&NativeBroker>,
        wake: Function<'_, (), Unknown<'static>>,
    ) -> Result<Self> {
        let config = throwing("settings", || settings::resolve(&config, &environment))?;
        let config = config.map_err(|e| exception(&e))?;
        let runtime = runtime::handle().map_err(|e| exception(&e))?;
        let wake = Arc::new(Wake::new(wake)?);
        let broker = broker.map(|b| b.broker.clone());
        let client = throwing("NativeClient", || Client::new(config, broker, wake.clone(), runtime))?;
        let client = Arc::new(client);
        let ending = (client.clone(), wake.clone());
        let hook = env.add_env_cleanup_hook(ending, |(client, wake)| {
            close(&client);
            wake.end();
        })?;
        Ok(NativeClient { client, wake, columns: Mutex::default(), raw: Mutex::default(), hook: Some(hook) })
    }

    /// The id of this client, unique for each start.
    #[napi(getter)]
    pub fn instance_id(&self) -> Result<String> {
        throwing("instanceId", || self.client.instance_id().to_owned())
    }

    /// What the client is doing.
    #[napi(ts_return_type = "import('./index').ClientState")]
    pub fn state(&self) -> Result<&'static str> {
        throwing("state", || self.client.state().as_str())
    }

    /// From now on this client keeps the process alive. Idempotent.
    #[napi(js_name = "ref")]
    pub fn reference(&self, env: Env) -> Result<()> {
        self.wake.set_referenced(&env, true)
    }

    /// From now on this client does not keep the process alive. Idempotent.
    #[napi(js_name = "unref")]
    pub fn unreference(&self, env: Env) -> Result<()> {
        self.wake.set_referenced(&env, false)
    }

    /// Connects. The reply is null.
    #[napi]
    pub fn connect(&self, ticket: u32, timeout: Option<f64>) {
        tell(&self.client, "connect", |client| client.connect(ticket, milliseconds(timeout)));
    }

    /// Waits until the client is ready. The reply is null.
    #[napi]
    pub fn wait_until_ready(&self, ticket: u32, timeout: Option<f64>) {
        tell(&self.client, "waitUntilReady", |client| {
            client.wait_until_ready(ticket, milliseconds(timeout));
        });
    }

    /// Drains and closes. The reply is null, or `Unfinished` where something was given up at the timeout; the notice
    /// `closed` comes no later than it does.
    #[napi]
    pub fn disconnect(&self, ticket: u32, timeout: Option<f64>) {
        tell(&self.client, "disconnect", |client| client.disconnect(ticket, milliseconds(timeout)));
    }

    /// Publishes `count` events. `records` has three lines for each: type, options (a JSON object, or nothing) and
    /// data (JSON). A later drain settles each by `batch` and its index.
    #[napi]
    pub fn publish(&self, batch: u32, count: u32, #[napi(ts_arg_type = "string")] records: RecordText) {
        tell(&self.client, "publish", |client| client.publish(batch, count, records.0));
    }

    /// As `publish`. In hybrid mode the server gets them only with `sendHeld`, or with what is asked next: the deliveries to this client
    /// can be drained before.
    #[napi]
    pub fn publish_here_first(
        &self,
        batch: u32,
        count: u32,
        #[napi(ts_arg_type = "string")] records: RecordText,
    ) {
        tell(&self.client, "publishHereFirst", |client| client.publish_here_first(batch, count, records.0));
    }

    /// Sends what `publishHereFirst` has held.
    #[napi]
    pub fn send_held(&self) {
        tell(&self.client, "sendHeld", Client::send_held);
    }

    /// As `publish`. A data line `\u{1}` and a number stands for as many of the `raw` bytes, one behind the other: JSON, as far as
    /// the caller says.
    #[napi]
    pub fn publish_with_raw(
        &self,
        batch: u32,
        count: u32,
        #[napi(ts_arg_type = "string")] records: RecordText,
        raw: &[u8],
    ) {
        tell(&self.client, "publishWithRaw", |client| {
            client.publish(batch, count, Records::with_raw(records.0, raw.to_vec()));
        });
    }

    /// Settles a publish as `ABORTED`, if it is not settled.
    #[napi]
    pub fn cancel_publish(&self, batch: u32, index: u32) {
        tell(&self.client, "cancelPublish", |client| client.cancel(batch, index));
    }

    /// Subscribes to the patterns in a JSON array of strings, with the options in a JSON object. Returns
    /// `NativeResult<Subscribed>` as JSON; the reply, null, confirms it.
    #[napi]
    pub fn subscribe(&self, ticket: u32, patterns: String, options: String) -> String {
        result("subscribe", || {
            let patterns: Vec<String> = serde_json::from_str(&patterns)
                .map_err(|_| BusError::new(ErrorKind::InvalidPattern, "a pattern must be text"))?;
            self.client.subscribe(ticket, &patterns, &options).map(Subscribed::from)
        })
    }

    /// Ends a subscription. The reply is a boolean: whether there was one.
    #[napi]
    pub fn unsubscribe(&self, ticket: u32, sub: u32) {
        tell(&self.client, "unsubscribe", |client| client.unsubscribe(ticket, sub));
    }

    /// Joins (`joins`) or leaves a room or a user. Returns `NativeResult<null>` as JSON; the reply is a boolean:
    /// whether that changed anything.
    #[napi]
    pub fn set_membership(
        &self,
        ticket: u32,
        joins: bool,
        #[napi(ts_arg_type = "'room' | 'user'")] kind: String,
        name: String,
        member: Option<String>,
    ) -> String {
        result("setMembership", || rooms::change(&self.client, ticket, joins, &kind, &name, member))
    }

    /// Whether a room or a user is joined.
    #[napi]
    pub fn has_joined(&self) -> bool {
        ask(&self.client, "hasJoined", false, Client::has_joined)
    }

    /// Stops or resumes the deliveries of a subscription.
    #[napi]
    pub fn pause(&self, sub: u32, paused: bool) {
        tell(&self.client, "pause", |client| client.pause(sub, paused));
    }

    /// Sets what a handler of a durable event has thrown, before its call is settled as failed. `error` is the JSON of
    /// `{ name, message, stack?, code? }`, of which `message` has at most 4 KiB and `stack` 16 KiB.
    #[napi]
    pub fn set_error(&self, token: u32, error: String) {
        tell(&self.client, "setError", |client| client.set_error(token, error));
    }

    /// Settles `count` handler calls. Each is four numbers: token, `SettlementCode`, microseconds that the handler ran,
    /// argument of the code.
    #[napi]
    pub fn settle(&self, records: Uint32Array, count: u32) {
        tell(&self.client, "settle", |client| {
            let mut ended = Vec::new();
            let settled = settlements::records(&records, count as usize).filter_map(|record| match record {
                Record::Settled(token, settlement, microseconds) => Some((token, settlement, microseconds)),
                Record::TimedOutEnded(token) => {
                    ended.push(token);
                    None
                }
            });
            client.settle(settled);
            // A call may have timed out and ended since the last time.
            ended.into_iter().for_each(|token| client.finish_timed_out(token));
        });
    }

    /// Asks about streams, dead letters or past events; `args` is a JSON object. The reply is that of the method.
    #[napi]
    pub fn request(&self, ticket: u32, method: String, args: String) {
        tell(&self.client, "request", |client| client.request(ticket, method, args));
    }

    /// Whether nothing is under way, but for what handlers and time bring.
    #[napi]
    pub fn is_idle(&self) -> bool {
        // After a fault nothing waits for this client.
        ask(&self.client, "isIdle", true, Client::is_idle)
    }

    /// What `getStats()` returns, as JSON.
    #[napi]
    pub fn stats(&self) -> Result<String> {
        throwing("stats", || json::text(&self.client.stats()))
    }

    /// Asks for what `metrics` tells of streams. The reply is null, within a second.
    #[napi]
    pub fn refresh_metrics(&self, ticket: u32) {
        tell(&self.client, "refreshMetrics", |client| client.refresh_metrics(ticket));
    }

    /// The metrics, in the text format of Prometheus.
    #[napi]
    pub fn metrics(&self) -> Result<String> {
        throwing("metrics", || self.client.metrics())
    }

    /// Asks for the health report. The reply is the report, within a second.
    #[napi]
    pub fn health(&self, ticket: u32) {
        tell(&self.client, "health", |client| client.health(ticket));
    }

    /// Takes everything that is ready: the JSON of a `Drained`, or an empty text when there is nothing.
    #[napi(ts_return_type = "string")]
    pub fn drain<'env>(&self, env: &'env Env) -> Result<JsString<'env>> {
        let (mut raw, mut columns) = (RawData::default(), locked(&self.columns));
        columns.clear(COLUMNS_KEPT);
        let text = throwing("drain", || drained::text(&self.client.drain(), &mut columns, &mut raw))?;
        drop(columns);
        if !raw.is_empty() {
            *locked(&self.raw) = raw;
        }
        // For plain ASCII V8 can copy the bytes as they are.
        if text.is_ascii() { env.create_string_latin1(text) } else { env.create_string(text) }
    }

    /// Copies the events of the last drain into `target`, which has as many bytes as its member `columns` says: 8 for each double, 4 for
    /// each word and each chunk, and those of the text, in this order and in the byte order of the machine.
    #[napi]
    pub fn take_columns(&self, mut target: Uint8Array) {
        let columns = locked(&self.columns);
        // SAFETY: JavaScript runs only when this has returned, and no other thread has this array.
        columns.copy_to(unsafe { target.as_mut() });
    }

    /// From now on events come as columns that refer to shapes, and not as JSON alone.
    #[napi]
    pub fn build_by_shapes(&self) {
        tell(&self.client, "buildByShapes", Client::build_by_shapes);
    }

    /// Takes the data that the last drain has handed on as it is: `gather` is called with a string for each event, which has a
    /// character for each byte, and what it returns is returned.
    #[napi(ts_return_type = "string[]")]
    pub fn take_raw<'env>(
        &self,
        #[napi(ts_arg_type = "(...strings: string[]) => string[]")] gather: Function<
            'env,
            RawData,
            Unknown<'env>,
        >,
    ) -> Result<Unknown<'env>> {
        let raw = std::mem::take(&mut *locked(&self.raw));
        gather.call(raw)
    }

    /// Closes at once, without draining. Idempotent.
    #[napi]
    pub fn destroy(&self) {
        tell(&self.client, "destroy", Client::destroy);
        self.wake.end();
    }
}

impl ObjectFinalize for NativeClient {
    fn finalize(mut self, env: Env) -> Result<()> {
        close(&self.client);
        self.hook.take().map_or(Ok(()), |hook| env.remove_env_cleanup_hook(hook))
    }
}

/// What drains keep for the next one, in bytes of memory: about four times what a drain usually brings.
const COLUMNS_KEPT: usize = 512 * 1024;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is written anew by each drain.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes a client that nothing refers to any more. A fault has no one to be reported to.
fn close(client: &Client) {
    let _ = catch_panic_in("destroy", || client.destroy());
}

fn milliseconds(timeout: Option<f64>) -> Option<u64> {
    // Saturates: what is not a number counts as 0.
    timeout.map(|ms| ms as u64)
}
