//! A TCP proxy that freezes, cuts, resets, delays and splits connections.

mod connection;
mod ending;
mod info;
mod lane;
mod pump;

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::listening::Listening;
use crate::lock::lock;
use crate::wait::eventually_some;
use connection::{Connection, Limit};
use ending::Ending;
use lane::Traffic;

pub use info::{ConnectionId, ConnectionInfo};

/// How long [`FaultProxy::wait_for_connection`] waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stands between clients and a server, on a port of its own, and breaks connections on demand.
///
/// Faults of single connections (`freeze`, `cut`, `reset`, …) hit those that exist; new ones pass
/// unless `refuse`, `blackhole_new` or a planned cut says otherwise. Its address is that of its
/// [`Listening`]. Dropping it closes everything.
pub struct FaultProxy {
    listening: Listening,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    connections: Mutex<Vec<Arc<Connection>>>,
    next_limit: Mutex<Option<Limit>>,
    traffic: Arc<Traffic>,
    refuse: AtomicBool,
    refused: AtomicUsize,
    blackhole: AtomicBool,
}

impl FaultProxy {
    /// Listens on a free port of the loopback interface and connects each client to `target`.
    pub async fn start(target: impl Into<SocketAddr>) -> Self {
        let shared = Arc::new(Shared {
            target: Mutex::new(target.into()),
            connections: Mutex::default(),
            next_limit: Mutex::default(),
            traffic: Arc::default(),
            refuse: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            blackhole: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let listening = Listening::start(move |client| {
            let connection = served.accept()?;
            let served = Arc::clone(&served);
            Some(async move { connection.run(client, || *lock(&served.target)).await })
        });
        Self { listening: listening.await, shared }
    }

    /// All connections so far in the order of accept, closed ones included, refused ones not.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let connections = lock(&self.shared.connections);
        connections
            .iter()
            .enumerate()
            .map(|(index, connection)| connection.info(ConnectionId(index)))
            .collect()
    }

    /// The connections that are open, in the order of accept.
    pub fn open_connections(&self) -> Vec<ConnectionId> {
        self.connections().iter().filter(|info| info.open).map(|info| info.id).collect()
    }

    /// What is known of one connection. Panics when there is none of that id.
    pub fn connection(&self, id: ConnectionId) -> ConnectionInfo {
        self.get(id).info(id)
    }

    /// How many connections were refused by [`FaultProxy::refuse`].
    pub fn refused(&self) -> usize {
        self.shared.refused.load(SeqCst)
    }

    /// The first connection whose client has sent `bytes` (ASCII case ignored) within its first 256 KiB.
    pub fn connection_containing(&self, bytes: impl AsRef<[u8]>) -> Option<ConnectionId> {
        self.connections_containing(bytes).into_iter().next()
    }

    /// All connections, open or not, whose client has sent `bytes` (ASCII case ignored) within its
    /// first 256 KiB, in the order of accept.
    pub fn connections_containing(&self, bytes: impl AsRef<[u8]>) -> Vec<ConnectionId> {
        let connections = lock(&self.shared.connections);
        let found =
            connections.iter().enumerate().filter(|(_, connection)| connection.has_sent(bytes.as_ref()));
        found.map(|(index, _)| ConnectionId(index)).collect()
    }

    /// Waits until an *open* connection has sent `bytes`, as in [`FaultProxy::connections_containing`].
    ///
    /// # Panics
    /// When none has within 10 s.
    pub async fn wait_for_connection(&self, bytes: impl AsRef<[u8]>) -> ConnectionId {
        let bytes = bytes.as_ref();
        let what = format!("a connection has sent {:?}", String::from_utf8_lossy(bytes));
        eventually_some(PATIENCE, &what, || async {
            self.connections_containing(bytes).into_iter().find(|id| self.connection(*id).open)
        })
        .await
    }

    /// Makes every connection that exists half-open: sockets stay open, no byte passes either way,
    /// not even the news that the other side has closed.
    pub fn freeze_all(&self) {
        self.each(|connection| connection.hold(true, true));
    }

    /// Lets all connections go on; what was held back is delivered.
    pub fn thaw_all(&self) {
        self.each(|connection| connection.hold(false, false));
    }

    /// As [`FaultProxy::freeze_all`], for one connection.
    pub fn freeze(&self, id: ConnectionId) {
        self.get(id).hold(true, true);
    }

    /// Holds back what the server answers, while the client's bytes reach it: commands are run and
    /// their results lost, if a cut follows.
    pub fn freeze_replies(&self, id: ConnectionId) {
        self.get(id).hold(false, true);
    }

    /// Lets a connection go on; what was held back is delivered.
    pub fn thaw(&self, id: ConnectionId) {
        self.get(id).hold(false, false);
    }

    /// Closes all connections that exist; what was held back is lost.
    pub fn cut_all(&self) {
        self.each(|connection| connection.end(Ending::Cut));
    }

    /// Closes one connection; what was held back is lost.
    pub fn cut(&self, id: ConnectionId) {
        self.get(id).end(Ending::Cut);
    }

    /// Closes one connection with a TCP reset, on both sides.
    pub fn reset(&self, id: ConnectionId) {
        self.get(id).end(Ending::Reset);
    }

    /// Closes new connections as soon as they are accepted.
    pub fn refuse(&self, on: bool) {
        self.shared.refuse.store(on, SeqCst);
    }

    /// Accepts new connections without reading from or answering them, and without connecting to the
    /// server. Such a connection starts when it is thawed; turning this off does not start it.
    pub fn blackhole_new(&self, on: bool) {
        self.shared.blackhole.store(on, SeqCst);
    }

    /// Passes on what is read from now on only after `delay`, in each direction. Throughput stays.
    pub fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).expect("a delay of less than half a million years");
        self.shared.traffic.delay_micros.store(micros, SeqCst);
    }

    /// Writes at most `bytes` at a time, so that the peers read frames in parts; 0 ends it. A reader
    /// that is slower than the proxy still finds several parts together.
    pub fn split_writes(&self, bytes: usize) {
        self.shared.traffic.largest_write.store(bytes, SeqCst);
    }

    /// Closes the *next* connection once `bytes` bytes of its client have been forwarded, and no more.
    pub fn cut_after_client_bytes(&self, bytes: u64) {
        *lock(&self.shared.next_limit) = Some(Limit { bytes, swallow: false });
    }

    /// Closes the *next* connection once `bytes` bytes were read from its client, none of which is forwarded.
    pub fn cut_after_swallowing(&self, bytes: u64) {
        *lock(&self.shared.next_limit) = Some(Limit { bytes, swallow: true });
    }

    /// Closes this connection once `bytes` more bytes of its client have been forwarded, and no more.
    pub fn cut_connection_after_client_bytes(&self, id: ConnectionId, bytes: u64) {
        self.get(id).limit(Limit { bytes, swallow: false });
    }

    /// Closes this connection once `bytes` more bytes were read from its client, none of which is
    /// forwarded: the client believes them written, the server never sees them.
    pub fn cut_connection_after_swallowing(&self, id: ConnectionId, bytes: u64) {
        self.get(id).limit(Limit { bytes, swallow: true });
    }

    /// Connects new clients to another server.
    pub fn retarget(&self, target: impl Into<SocketAddr>) {
        *lock(&self.shared.target) = target.into();
    }

    #[track_caller]
    fn get(&self, id: ConnectionId) -> Arc<Connection> {
        lock(&self.shared.connections).get(id.0).cloned().unwrap_or_else(|| panic!("there is no {id:?}"))
    }

    fn each(&self, apply: impl Fn(&Connection)) {
        lock(&self.shared.connections).iter().for_each(|connection| apply(connection));
    }
}

impl Deref for FaultProxy {
    type Target = Listening;

    fn deref(&self) -> &Listening {
        &self.listening
    }
}

impl Shared {
    /// A new connection under the faults of now; `None` when it is refused.
    fn accept(&self) -> Option<Arc<Connection>> {
        if self.refuse.load(SeqCst) {
            self.refused.fetch_add(1, SeqCst);
            return None;
        }
        let limit = lock(&self.next_limit).take();
        let connection = Arc::new(Connection::new(&self.traffic, limit));
        if self.blackhole.load(SeqCst) {
            connection.hold(true, true);
        }
        lock(&self.connections).push(Arc::clone(&connection));
        Some(connection)
    }
}
