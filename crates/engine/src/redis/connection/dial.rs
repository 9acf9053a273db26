//! Connects to the address of a name that answers first.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use oxbus_model::BusError;
use oxbus_model::address_race::AddressRace;
use oxbus_model::config::Address;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::redis::connection::failures::refused;
use crate::redis::connection::names::Resolve;
use crate::transport::Boxed;

type Attempt = (SocketAddr, Boxed<'static, io::Result<TcpStream>>);

/// Looks up `host` and connects to the first of its addresses that lets it. The attempts are those of `race`, which whoever
/// gives this up can ask what was tried. The attempts that have lost are closed.
pub(super) async fn dial(
    address: &Address,
    host: &str,
    port: u16,
    names: &dyn Resolve,
    race: &mut AddressRace,
) -> Result<TcpStream, BusError> {
    *race = AddressRace::new(names.resolve(host, port).await?.map_err(|e| refused(address, e))?);
    let begun = Instant::now();
    let now = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut attempts: Vec<Attempt> = Vec::new();
    loop {
        while let Some(found) = race.start(now()) {
            attempts.push((found, Box::pin(TcpStream::connect(found))));
        }
        if race.is_lost() {
            return Err(refused(address, race.report(host)));
        }
        let due = race.next_due();
        let pause = sleep_until(begun + Duration::from_millis(due.unwrap_or_default()));
        tokio::select! {
            (at, connected) = first(&mut attempts) => match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => race.failed(attempts.swap_remove(at).0, error, now()),
            },
            () = pause, if due.is_some() => {}
        }
    }
}

/// Waits for the first attempt that ends, and tells which one it was.
async fn first(attempts: &mut [Attempt]) -> (usize, io::Result<TcpStream>) {
    poll_fn(|context| {
        for (at, (_, attempt)) in attempts.iter_mut().enumerate() {
            if let Poll::Ready(connected) = attempt.as_mut().poll(context) {
                return Poll::Ready((at, connected));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use oxbus_model::ErrorKind;
    use oxbus_model::config::{Config, Environment, Servers};
    use oxbus_testkit::server::unused_port;
    use oxbus_testkit::{RedisServer, SwallowingPort};

    use super::*;
    use crate::redis::connection::handshake::Handshake;

    /// A name with these addresses.
    struct Names(Vec<SocketAddr>);

    impl Resolve for Names {
        fn resolve<'a>(
            &'a self,
            host: &'a str,
            port: u16,
        ) -> Boxed<'a, Result<io::Result<Vec<SocketAddr>>, BusError>> {
            assert_eq!((host, port), ("cache.example", 6379));
            Box::pin(std::future::ready(Ok(Ok(self.0.clone()))))
        }
    }

    fn local(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Logs in to the server with that name, within `limit` milliseconds; gives the error and how long it took.
    async fn connect(addresses: Vec<SocketAddr>, limit: u64) -> (Result<(), BusError>, Duration) {
        let config = format!(r#"{{"redis":{{"host":"cache.example","connectTimeout":{limit}}}}}"#);
        let config = Config::resolve(&config, &Environment::default()).unwrap();
        let Servers::One(address) = &config.redis.servers else { unreachable!() };
        let handshake = Handshake::new(&config, Box::new(Names(addresses)));
        let begun = Instant::now();
        let connected = handshake.connect(address, true, Vec::new()).await;
        (connected.map(drop), begun.elapsed())
    }

    #[tokio::test]
    async fn an_address_that_swallows_packets_costs_less_than_a_second() {
        let server = RedisServer::start().await;
        let (one, two) = (SwallowingPort::start().await, SwallowingPort::start().await);
        for swallowing in [vec![one.addr()], vec![one.addr(), two.addr()]] {
            let addresses = swallowing.into_iter().chain([local(server.port())]).collect();
            let (connected, took) = connect(addresses, 5_000).await;
            connected.unwrap();
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
    }

    #[tokio::test]
    async fn addresses_that_refuse_cost_no_delay() {
        let server = RedisServer::start().await;
        let refusing: Vec<SocketAddr> = (0..10).map(|_| local(unused_port())).collect();
        let addresses = [&refusing[..], &[local(server.port())]].concat();
        let (connected, took) = connect(addresses, 5_000).await;
        connected.unwrap();
        assert!(took < Duration::from_millis(1_000), "{took:?}");
    }

    #[tokio::test]
    async fn the_message_names_every_address_that_was_tried() {
        let (swallowing, refusing) = (SwallowingPort::start().await, local(unused_port()));
        let (connected, _) = connect(vec![swallowing.addr(), refusing], 600).await;
        let error = connected.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ConnectTimeout);
        let told = format!(
            "cache.example:6379 did not answer within 600 ms ({}: no answer; {refusing}: ",
            swallowing.addr()
        );
        assert!(error.message.starts_with(&told), "{error}");
        let (connected, _) = connect(vec![refusing, local(unused_port())], 600).await;
        let error = connected.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ConnectionRefused);
        assert_eq!(error.message.matches("refused").count(), 2, "{error}");
        let (connected, _) = connect(Vec::new(), 600).await;
        assert_eq!(
            connected.unwrap_err().message,
            "cannot connect to cache.example:6379: the name has no address"
        );
    }
}
