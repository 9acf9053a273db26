//! A memory broker as JavaScript holds it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use napi_derive::napi;
use oxbus_engine::Broker;

use crate::{calls, json};

/// A memory broker, shared by the clients of one realm.
#[napi]
pub struct NativeBroker {
    pub(crate) broker: Arc<Broker>,
}

#[napi]
impl NativeBroker {
    /// A broker without clients; with `virtual_time` its time stands still, beginning now, until `advance`.
    #[napi(constructor)]
    pub fn new(virtual_time: bool) -> napi::Result<Self> {
        calls::throwing("NativeBroker", || {
            let broker = if virtual_time {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Broker::with_virtual_time(u64::try_from(now.as_millis()).unwrap_or(0))
            } else {
                Broker::default()
            };
            NativeBroker { broker: Arc::new(broker) }
        })
    }

    /// Milliseconds since 1970.
    #[napi]
    pub fn now(&self) -> napi::Result<f64> {
        calls::throwing("now", || self.broker.now_ms() as f64)
    }

    /// Sets the virtual time, in milliseconds since 1970, and does what is due by then.
    #[napi]
    pub fn advance(&self, to: f64) -> napi::Result<()> {
        // Saturates: what is not a number counts as 0, and time does not go back.
        calls::throwing("advance", || self.broker.advance_to(to as u64))
    }

    /// When something is due next in virtual time, in milliseconds since 1970; null when nothing is.
    #[napi]
    pub fn next_due(&self) -> napi::Result<Option<f64>> {
        calls::throwing("nextDue", || self.broker.next_due().map(|at| at as f64))
    }

    /// The entries of a stream that a group has not settled, in the order of the stream, once for each such group:
    /// `[messageId, group, whether the group has read it, the event or null][]` as JSON.
    #[napi]
    pub fn unsettled(&self, stream: String) -> napi::Result<String> {
        calls::throwing("unsettled", || {
            let mut out = String::new();
            json::list(&mut out, &self.broker.unsettled(&stream), |out, entry| {
                let (id, group) = (json::text(&entry.id.to_string()), json::text(&*entry.group));
                let event = entry.event.as_deref().unwrap_or("null");
                json::put(out, format_args!("[{id},{group},{},{event}]", entry.read));
            });
            out
        })
    }
}
