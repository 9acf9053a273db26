//! What a node of a Cluster says of a slot that it does not serve.

use std::collections::BTreeMap;

use crate::config::Address;

/// Where a node announces itself, or another one: not yet an address that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an IP address. Empty where the node does not know, or does not tell.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A command was not executed, because its keys are not, or not all, on the node that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// Another node has the slot from now on.
    Moved(u16, Endpoint),
    /// The slot is moving, and the other node has these keys already: it takes this command behind `ASKING`.
    Ask(u16, Endpoint),
    /// The slot is moving, and the keys of the command lie on both nodes for a moment.
    TryAgain,
}

impl Redirect {
    /// Reads an error of a server; `None` where it says something else.
    pub fn read(error: &str) -> Option<Redirect> {
        let mut words = error.split(' ');
        let code = words.next()?;
        if code == "TRYAGAIN" {
            return Some(Redirect::TryAgain);
        }
        if code != "MOVED" && code != "ASK" {
            return None;
        }
        let slot = words.next()?.parse().ok()?;
        // An IPv6 address comes without brackets.
        let (host, port) = words.next()?.rsplit_once(':')?;
        let endpoint = Endpoint { host: host.to_owned(), port: port.parse().ok()? };
        Some(if code == "MOVED" { Redirect::Moved(slot, endpoint) } else { Redirect::Ask(slot, endpoint) })
    }
}

/// From what nodes announce to what this client can reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressMap(pub BTreeMap<String, Address>);

impl AddressMap {
    /// The address of an endpoint that the node at `told_by` has named: one without a host is on that of the node. What the
    /// map has for `host:port`, or for the host alone, comes in its place; of an entry for a host the port stays.
    pub fn address(&self, endpoint: &Endpoint, told_by: &Address) -> Address {
        let port = endpoint.port;
        let host = match (endpoint.host.as_str(), told_by) {
            // `?` is what a node says that is to tell its host name and has none.
            ("" | "?", Address::Tcp { host, .. }) => return Address::Tcp { host: host.clone(), port },
            (host, _) => host.to_owned(),
        };
        let announced = Address::Tcp { host: host.clone(), port };
        if let Some(reachable) = self.0.get(&announced.to_string()) {
            return reachable.clone();
        }
        match self.0.get(&host) {
            Some(Address::Tcp { host, .. }) => Address::Tcp { host: host.clone(), port },
            _ => announced,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.to_owned(), port }
    }

    fn address(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn what_servers_say() {
        for (error, expected) in [
            ("MOVED 3999 127.0.0.1:6381", Some(Redirect::Moved(3999, endpoint("127.0.0.1", 6381)))),
            ("MOVED 3999 :6381", Some(Redirect::Moved(3999, endpoint("", 6381)))),
            ("MOVED 3999 ?:6381", Some(Redirect::Moved(3999, endpoint("?", 6381)))),
            ("ASK 1 ::1:6381", Some(Redirect::Ask(1, endpoint("::1", 6381)))),
            ("ASK 3999 h:1 (the server runs in cluster mode)", Some(Redirect::Ask(3999, endpoint("h", 1)))),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Some(Redirect::TryAgain)),
            ("MOVED x h:1", None),
            ("MOVED 1 h", None),
            ("MOVED", None),
            ("CLUSTERDOWN The cluster is down", None),
            ("", None),
        ] {
            assert_eq!(Redirect::read(error), expected, "{error}");
        }
    }

    #[test]
    fn what_is_announced_becomes_what_can_be_reached() {
        let map = [("10.0.0.1:6379", address("localhost", 7001)), ("10.0.0.2", address("tunnel", 0))];
        let map = AddressMap(map.map(|(key, to)| (key.to_owned(), to)).into());
        let told_by = address("node-a", 6379);
        for (announced, expected) in [
            (endpoint("", 6381), address("node-a", 6381)),
            (endpoint("?", 6381), address("node-a", 6381)),
            (endpoint("10.0.0.1", 6379), address("localhost", 7001)),
            (endpoint("10.0.0.1", 6380), address("10.0.0.1", 6380)),
            (endpoint("10.0.0.2", 6380), address("tunnel", 6380)),
        ] {
            assert_eq!(map.address(&announced, &told_by), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in "(MOVED|ASK|TRYAGAIN)? ?[0-9]{0,6} ?(?s:.{0,30})") {
            let _ = Redirect::read(&text);
        }
    }
}
