//! Connections that cannot be made until a person does something, and who is told of it.

use std::sync::{Mutex, PoisonError};

use oxbus_model::config::Servers;
use oxbus_model::server_error::needs_a_person;
use oxbus_model::{BusError, ErrorKind};

use crate::transport::link_id::LinkId;

/// The failures of links that do not mend by themselves. Each kind is told once until all links that had it are up again.
#[derive(Default)]
pub(crate) struct LastingFailures {
    of_links: Mutex<Vec<(LinkId, ErrorKind)>>,
}

impl LastingFailures {
    /// A link could not be made. Returns what is to be told, unless another link has told it, or it may mend by itself.
    pub(crate) fn failed(&self, link: &LinkId, servers: &Servers, error: &BusError) -> Option<BusError> {
        if !needs_a_person(error.kind) {
            return None;
        }
        let mut of_links = self.of_links.lock().unwrap_or_else(PoisonError::into_inner);
        let is_told = of_links.iter().any(|(_, kind)| *kind == error.kind);
        of_links.retain(|(other, _)| other != link);
        of_links.push((link.clone(), error.kind));
        let message = format!("cannot connect to {servers}, and will try again: {}", error.message);
        (!is_told).then(|| BusError { message, ..error.clone() })
    }

    /// A link is up, or is not needed any more.
    pub(crate) fn is_over(&self, link: &LinkId) {
        self.of_links.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| other != link);
    }
}

#[cfg(test)]
mod tests {
    use oxbus_model::config::Address;

    use super::*;

    #[test]
    fn a_failure_is_told_once_until_it_is_over() {
        let failures = LastingFailures::default();
        let servers = Servers::One(Address::Tcp { host: "h".to_owned(), port: 1 });
        let told =
            |link: &LinkId, kind| failures.failed(link, &servers, &BusError::new(kind, "why")).is_some();
        let (publisher, subscriber) = (LinkId::Publisher, LinkId::Subscriber);
        assert!(!told(&publisher, ErrorKind::ConnectionLost), "it mends by itself");
        assert!(told(&publisher, ErrorKind::AuthFailed));
        assert!(!told(&publisher, ErrorKind::AuthFailed) && !told(&subscriber, ErrorKind::AuthFailed));
        assert!(told(&publisher, ErrorKind::NotMaster), "it is another failure now");
        failures.is_over(&publisher);
        assert!(!told(&publisher, ErrorKind::AuthFailed), "the subscriber still has it");
        failures.is_over(&publisher);
        failures.is_over(&subscriber);
        assert!(told(&subscriber, ErrorKind::AuthFailed));
    }
}
