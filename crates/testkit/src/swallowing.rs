//! A port that swallows packets: whoever connects to it hears nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// After so long without an answer the queue of the port counts as full.
const SILENCE: Duration = Duration::from_millis(200);

/// The most connections that fill a queue of no length; systems let in a few more than was asked for.
const MOST: usize = 64;

/// A port on the loopback interface whose queue of connections is full and from which nobody takes any: the system drops
/// what else arrives, as a firewall does that lets packets vanish.
pub struct SwallowingPort {
    address: SocketAddr,
    _listening: Socket,
    _queued: Vec<TcpStream>,
}

impl SwallowingPort {
    /// Fills the queue of a free port.
    pub async fn start() -> Self {
        let listening = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listening.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        listening.listen(0).expect("a listening socket");
        let address = listening.local_addr().ok().and_then(|address| address.as_socket());
        let address = address.expect("the address of a listener");
        let mut queued = Vec::new();
        while let Ok(connected) = timeout(SILENCE, TcpStream::connect(address)).await {
            queued.push(connected.expect("a place in the queue"));
            assert!(queued.len() < MOST, "the queue of a port has no end");
        }
        Self { address, _listening: listening, _queued: queued }
    }

    /// Where nobody answers.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}
