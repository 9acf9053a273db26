//! One client, its server, and what is done to them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::ending::{Ending, Endings};
use super::info::{ConnectionId, ConnectionInfo};
use super::lane::{Lane, Traffic, until};
use super::pump::{CHUNKS, read_side, write_side};
use crate::lock::lock;

/// How much of what a client sends is kept to recognize it by.
const KEPT: usize = 256 * 1024;
/// How long a server may take to close after it got all that it was meant to get.
const LINGER: Duration = Duration::from_secs(5);

/// After how many bytes of the client a connection is cut, and what becomes of those.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    pub(super) bytes: u64,
    pub(super) swallow: bool,
}

pub(super) struct Connection {
    up: Lane,
    down: Lane,
    endings: Arc<Endings>,
    limit: Mutex<Option<Limit>>,
    sent: Mutex<Vec<u8>>,
    open: AtomicBool,
}

impl Connection {
    pub(super) fn new(traffic: &Arc<Traffic>, limit: Option<Limit>) -> Self {
        let endings = Arc::new(Endings::new());
        let lane = || Lane::new(Arc::clone(traffic), Arc::clone(&endings));
        Self {
            up: lane(),
            down: lane(),
            endings,
            limit: Mutex::new(limit),
            sent: Mutex::default(),
            open: AtomicBool::new(true),
        }
    }

    pub(super) fn info(&self, id: ConnectionId) -> ConnectionInfo {
        ConnectionInfo {
            id,
            open: self.open.load(SeqCst),
            frozen: *self.up.held.borrow() || *self.down.held.borrow(),
            from_client: self.up.read.load(SeqCst),
            to_server: self.up.written.load(SeqCst),
            from_server: self.down.read.load(SeqCst),
            to_client: self.down.written.load(SeqCst),
        }
    }

    pub(super) fn hold(&self, up: bool, down: bool) {
        self.up.held.send_replace(up);
        self.down.held.send_replace(down);
    }

    pub(super) fn limit(&self, limit: Limit) {
        *lock(&self.limit) = Some(limit);
    }

    /// Ends it; the first ending counts.
    pub(super) fn end(&self, ending: Ending) {
        self.endings.end(ending);
    }

    pub(super) fn has_sent(&self, bytes: &[u8]) -> bool {
        bytes.is_empty()
            || lock(&self.sent).windows(bytes.len()).any(|window| window.eq_ignore_ascii_case(bytes))
    }

    /// Takes note of what the client sent; gives how much of it to forward, and whether to cut then.
    pub(super) fn admit(&self, bytes: &[u8]) -> (usize, bool) {
        let mut sent = lock(&self.sent);
        let room = KEPT - sent.len();
        sent.extend_from_slice(&bytes[..bytes.len().min(room)]);
        drop(sent);
        let mut limit = lock(&self.limit);
        let Some(Limit { bytes: left, swallow }) = limit.as_mut() else { return (bytes.len(), false) };
        let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
        *left -= taken as u64;
        (if *swallow { 0 } else { taken }, *left == 0)
    }

    /// Runs until either both sides have closed or the proxy ends it.
    pub(super) async fn run(&self, mut client: TcpStream, target: impl Fn() -> SocketAddr) {
        let mut server = tokio::select! {
            biased;
            _ = self.endings.wait() => None,
            server = self.connect(target) => server,
        };
        let ending = match &mut server {
            // Ended before it started, or the server cannot be reached.
            None => self.endings.current(),
            Some(server) => {
                tokio::select! {
                    biased;
                    ending = self.endings.wait() => ending,
                    () = self.pass(&mut client, server) => None,
                }
            }
        };
        if ending == Some(Ending::Reset) {
            for socket in [Some(&client), server.as_ref()].into_iter().flatten() {
                // Fails only for a socket that is closed already.
                let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            }
        } else {
            discard_unread(&client);
        }
        self.open.store(false, SeqCst);
        drop(client);
        if let (Some(Ending::AfterLimit), Some(mut server)) = (ending, server) {
            // Were it closed at once, an answer of the server would be met by a reset, and a reset
            // throws away what the server has not read yet.
            let _ = server.shutdown().await;
            let _ = timeout(LINGER, async { while matches!(server.read(&mut [0; 4096]).await, Ok(1..)) {} })
                .await;
        }
    }

    async fn connect(&self, target: impl Fn() -> SocketAddr) -> Option<TcpStream> {
        // A connection of a black hole starts when it is thawed.
        until(&mut self.up.held.subscribe(), false).await;
        TcpStream::connect(target()).await.ok()
    }

    async fn pass(&self, client: &mut TcpStream, server: &mut TcpStream) {
        for socket in [&*client, &*server] {
            let _ = socket.set_nodelay(true);
        }
        let (client_reads, client_writes) = client.split();
        let (server_reads, server_writes) = server.split();
        let (up_in, up_out) = mpsc::channel(CHUNKS);
        let (down_in, down_out) = mpsc::channel(CHUNKS);
        tokio::join!(
            read_side(&self.up, client_reads, up_in, |bytes| self.admit(bytes)),
            write_side(&self.up, server_writes, up_out),
            read_side(&self.down, server_reads, down_in, |bytes| (bytes.len(), false)),
            write_side(&self.down, client_writes, down_out),
        );
    }
}

/// Closing a socket with unread bytes resets the connection; a cut is to look like an orderly close.
fn discard_unread(socket: &TcpStream) {
    let mut bytes = [0; 4096];
    while matches!(socket.try_read(&mut bytes), Ok(1..)) {}
}
