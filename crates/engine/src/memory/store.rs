//! The streams of a broker, as its clients use them.

use std::sync::Arc;

use oxbus_model::stream_store::Request;

use super::Broker;
use crate::transport::store::{PendingResponse, Store};

pub(super) struct MemoryStore {
    pub(super) broker: Arc<Broker>,
}

impl Store for MemoryStore {
    fn execute(&self, request: Request) -> PendingResponse {
        // It is done when it is first polled, all at once: a request whose answer nobody takes is not half done.
        let broker = self.broker.clone();
        Box::pin(async move { broker.execute(request) })
    }
}
