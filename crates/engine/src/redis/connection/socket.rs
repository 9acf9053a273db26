//! Sockets: TCP, Unix, and TLS over TCP, with the options that let the kernel notice a dead peer.

use std::io;
use std::time::Duration;

use oxbus_model::BusError;
use oxbus_model::address_race::AddressRace;
use oxbus_model::config::{Address, RedisConfig};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::redis::connection::dial::dial;
use crate::redis::connection::failures::refused;
use crate::redis::connection::names::Resolve;
use crate::redis::connection::stream::Stream;
use crate::redis::connection::tls::{Tls, unanswered};

/// Opens a connection to an address. The name is resolved anew each time; what was tried is in `race` at each moment.
pub(in crate::redis) async fn open(
    address: &Address,
    config: &RedisConfig,
    tls: Option<&Tls>,
    names: &dyn Resolve,
    race: &mut AddressRace,
) -> Result<Box<dyn Stream>, BusError> {
    match address {
        Address::Tcp { host, port } => {
            let stream = dial(address, host, *port, names, race).await?;
            // An option that the platform refuses costs its effect, not the connection.
            let _ = tune(&stream, config);
            match tls {
                Some(tls) => {
                    // A server without TLS takes the handshake for a command and waits for its end. The handshake is
                    // given up a little before the whole attempt, so that the error tells what is wrong.
                    let limit = Duration::from_millis(config.connect_timeout - config.connect_timeout / 5);
                    let shaken = tokio::time::timeout(limit, tls.handshake(stream, address, host)).await;
                    shaken.unwrap_or_else(|_| Err(unanswered(address, limit)))
                }
                None => Ok(Box::new(stream)),
            }
        }
        #[cfg(unix)]
        Address::Unix { path } => {
            let stream = tokio::net::UnixStream::connect(path).await.map_err(|e| refused(address, e))?;
            Ok(Box::new(stream))
        }
        #[cfg(not(unix))]
        Address::Unix { .. } => {
            Err(BusError::new(oxbus_model::ErrorKind::ConnectionRefused, "unix sockets need a Unix system"))
        }
    }
}

/// Keepalive finds a peer that is gone while nothing is sent; TCP_USER_TIMEOUT finds one that no longer acknowledges
/// what was sent. A peer that acknowledges and does nothing is found by the heartbeat.
fn tune(stream: &TcpStream, config: &RedisConfig) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if config.keep_alive > 0 {
        let time = Duration::from_millis(config.keep_alive);
        let keepalive = TcpKeepalive::new().with_time(time);
        #[cfg(not(windows))]
        let keepalive = keepalive.with_interval(Duration::from_secs(5)).with_retries(3);
        socket.set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(Duration::from_millis(config.command_timeout)))?;
    Ok(())
}
