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
        // The request is executed as a whole when it is first polled, so that it is never half done.
        let broker = self.broker.clone();
        Box::pin(async move { broker.execute(request) })
    }
}
