//! What is called for a delivery.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::event::{Event, Verdict};

/// A handler call under way.
pub(super) type Running = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// A handler of a subscription.
#[derive(Clone)]
pub(super) enum Handler {
    Sync(Arc<dyn Fn(Event) -> Verdict + Send + Sync>),
    Async(Arc<dyn Fn(Event) -> Running + Send + Sync>),
    Batch(Arc<dyn Fn(Vec<Event>) -> Running + Send + Sync>),
}
