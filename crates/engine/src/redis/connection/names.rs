//! Looking up the names of hosts.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread::Builder;

use oxbus_model::{BusError, ErrorKind};
use tokio::sync::{Semaphore, oneshot};

use crate::transport::Boxed;

/// So many lookups run at once in the process; others wait. The system may take half a minute for one.
const LOOKUPS: usize = 16;

static FREE: Semaphore = Semaphore::const_new(LOOKUPS);

/// Looks up the addresses of a host. Tests put their own in the place of the system.
pub(in crate::redis) trait Resolve: Send + Sync {
    /// The addresses in the order in which they are to be preferred. Fails with `NO_THREAD`; what the look-up itself says is
    /// the inner result.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Boxed<'a, Result<io::Result<Vec<SocketAddr>>, BusError>>;
}

/// The names that the system knows.
pub(in crate::redis) struct SystemNames;

impl Resolve for SystemNames {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Boxed<'a, Result<io::Result<Vec<SocketAddr>>, BusError>> {
        Box::pin(resolve(host, port))
    }
}

/// The addresses of a host. The system looks up names while the caller waits, so each lookup has a thread of its own:
/// the pool of tokio, which does the same, panics when the system starts no thread. Fails with `NO_THREAD` then; what
/// the lookup itself says is the inner result.
async fn resolve(host: &str, port: u16) -> Result<io::Result<Vec<SocketAddr>>, BusError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Ok(vec![SocketAddr::new(ip, port)]));
    }
    let permit = FREE.acquire().await;
    let (tell, told) = oneshot::channel();
    let name = host.to_owned();
    let lookup = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
        drop(permit);
        // Nobody waits any more when the attempt has taken too long.
        let _ = tell.send(found);
    };
    Builder::new().name("oxbus-names".to_owned()).spawn(lookup).map_err(|error| {
        let message = format!("cannot look up {host}: the system starts no thread: {error}");
        BusError::new(ErrorKind::NoThread, message)
    })?;
    Ok(told.await.unwrap_or_else(|_| Err(io::Error::other("the lookup failed"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_addresses_are_resolved() {
        let ips = |found: io::Result<Vec<SocketAddr>>| -> Vec<String> {
            found.unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(ips(resolve("127.0.0.1", 1).await.unwrap()), ["127.0.0.1:1"]);
        assert_eq!(ips(resolve("::1", 2).await.unwrap()), ["[::1]:2"]);
        assert!(ips(resolve("localhost", 3).await.unwrap()).iter().all(|ip| ip.ends_with(":3")));
        assert!(resolve("no-such-host.invalid", 4).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn every_lookup_gives_back_its_place() {
        for _ in 0..2 * LOOKUPS {
            assert!(resolve("localhost", 1).await.unwrap().is_ok());
        }
        // Other tests look up names meanwhile.
        let all = FREE.acquire_many(LOOKUPS as u32);
        assert!(tokio::time::timeout(std::time::Duration::from_secs(30), all).await.is_ok());
    }
}
