//! The consumer groups of a client: drives [`oxbus_model::consumer`] with a transport's store and readers.
//!
//! # Layout
//!
//! - `pump`: the driver, which carries work to the transport and answers back; `pump_gate`: one thread at a time
//! - `subscribing`: subscriptions of groups, until they are confirmed; `leaving`: how groups are left
//! - `maintenance`: streams and groups are made, and streams are trimmed; `announcements`: what the host is told
//! - `wanted`: what groups want, for publishers that do not store it; `log`: what is logged of requests

pub(crate) mod announcements;
mod leaving;
mod log;
mod maintenance;
mod pump;
mod pump_gate;
mod subscribing;
mod wanted;

pub(crate) use pump::GroupDriver;
pub(crate) use subscribing::DurableSubscription;
