//! What an observer is refused. It reads and administers, and must not write anything by itself.

use oxbus_model::config::Config;
use oxbus_model::options::subscribe::SubscribeOptions;
use oxbus_model::{BusError, ErrorKind};

use crate::rooms::Joinable;

/// An observer does not know which events the services store, so what it published live would be missing in streams.
pub(super) const PUBLISHES_NOTHING: &str = "an observer publishes nothing: it does not know which events are stored; publish with a client without observe";

/// Refuses a subscription that would create a group, or become its consumer.
pub(super) fn check_subscription(config: &Config, options: &SubscribeOptions) -> Result<(), BusError> {
    if !config.observe || options.durable.is_none() {
        return Ok(());
    }
    let message = "an observer joins no group: subscribe without one, or read what is stored with replay()";
    Err(BusError::at(ErrorKind::InvalidOptions, "group", message))
}

/// Refuses a join that would list a member.
pub(super) fn check_join(config: &Config, what: Joinable, name: &str) -> Result<(), BusError> {
    if !config.observe || what == Joinable::User {
        return Ok(());
    }
    let message = format!("an observer is in no room: subscribe to the pattern {:?}", format!("room:{name}"));
    Err(BusError::at(ErrorKind::InvalidOptions, "room", message))
}
