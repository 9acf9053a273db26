//! A port of the loopback interface, and the task that serves it.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// After an accept that failed: the process may be out of files for a moment.
const PAUSE: Duration = Duration::from_millis(5);

/// A server of this kit on a free port. Dropping it closes the port and all its connections.
pub struct Listening {
    address: SocketAddr,
    acceptor: JoinHandle<()>,
}

impl Listening {
    /// Listens on a free port of the loopback interface. `serve` gives for each connection, in the order of
    /// accept, the future that serves it, or `None` to close it at once.
    pub(crate) async fn start<F>(serve: impl FnMut(TcpStream) -> Option<F> + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::on(0, serve).await.expect("a free port")
    }

    /// As [`Listening::start`], on this port.
    pub(crate) async fn on<F>(
        port: u16,
        mut serve: impl FnMut(TcpStream) -> Option<F> + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr().expect("the address of a listener");
        let acceptor = tokio::spawn(async move {
            // Aborts the connections when the acceptor is.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((socket, _)) => {
                            if let Some(serving) = serve(socket) {
                                connections.spawn(serving);
                            }
                        }
                        // The client gave up before it was accepted, or the process is out of files.
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    },
                    Some(ended) = connections.join_next() => {
                        // A bug of the kit has to fail loudly, not as a strange connection.
                        if let Err(error) = ended {
                            assert!(!error.is_panic(), "a connection of the kit panicked: {error}");
                        }
                    }
                }
            }
        });
        Ok(Self { address, acceptor })
    }

    /// Where clients connect to.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`Listening::addr`].
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}
