//! A memory broker as JavaScript holds it.

use std::sync::Arc;

use napi_derive::napi;
use oxbus_engine::Broker;

/// A memory broker, shared by the clients of one realm.
#[napi]
pub struct NativeBroker {
    pub(crate) broker: Arc<Broker>,
}

#[napi]
impl NativeBroker {
    /// A broker without clients.
    #[napi(constructor)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        NativeBroker { broker: Arc::default() }
    }
}
