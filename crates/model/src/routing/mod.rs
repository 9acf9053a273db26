//! Where events go, and which subscriptions they reach.
//!
//! - [`channel`]: the names of channels.
//! - [`pattern`], [`overlap`]: what a pattern matches; whether two patterns can match the same text.
//! - [`server_subscription`]: what the server is asked for.
//! - [`router`]: subscriptions, the server subscriptions that they need, and whom a message reaches.
//! - [`subscription_reconciler`]: server subscriptions wanted against those confirmed.
//! - [`stream_routing`]: which stream stores a type.

pub mod channel;
pub mod overlap;
pub mod pattern;
pub mod router;
pub mod server_subscription;
pub mod stream_routing;
pub mod subscription_reconciler;
