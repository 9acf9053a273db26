//! A scripted server: gives the answers that a real one gives only on a bad day.

mod builtin;
mod script;
mod session;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};

pub use script::{Script, Step};

/// A command as it came: its name first, as the client wrote it.
pub type Command = Vec<Vec<u8>>;

/// Pieces of [`FakeServer::send`] that a slow connection may have waiting.
const SENDS: usize = 1024;

/// Listens on a free port of the loopback interface and answers by its [`Script`].
///
/// Dropping it closes the port and all connections.
pub struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    script: Mutex<Script>,
    received: Mutex<Vec<Command>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    sends: broadcast::Sender<Vec<u8>>,
}

impl FakeServer {
    /// Starts a server with this script; [`Script::new`] only gets clients through their handshake.
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("the address of a listener");
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            received: Mutex::default(),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            sends: broadcast::Sender::new(SENDS),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, acceptor }
    }

    /// Where clients connect to.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`FakeServer::addr`].
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Replaces the steps of a command from its next call on; as [`Script::on`].
    pub fn on(&self, command: &str, steps: impl IntoIterator<Item = Step>) {
        lock(&self.shared.script).set(command, steps);
    }

    /// All calls of a command so far, over all connections, in order, each with its name and
    /// arguments. `"CLIENT SETNAME"` takes the calls of that subcommand only.
    pub fn received(&self, command: &str) -> Vec<Command> {
        let wanted: Vec<&str> = command.split(' ').collect();
        let same = |call: &&Command| {
            wanted
                .iter()
                .enumerate()
                .all(|(i, word)| call.get(i).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes())))
        };
        lock(&self.shared.received).iter().filter(same).cloned().collect()
    }

    /// All commands so far.
    pub fn received_all(&self) -> Vec<Command> {
        lock(&self.shared.received).clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(SeqCst)
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// Writes bytes, unasked, to every connection that is open, also to one that was told `Silence`.
    pub fn send(&self, bytes: impl Into<Vec<u8>>) {
        // Fails when there is no connection: then there is nobody to write to.
        let _ = self.shared.sends.send(bytes.into());
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else {
                    // The client gave up before it was accepted, or the process is out of files for a moment.
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    continue;
                };
                let number = shared.accepted.fetch_add(1, SeqCst);
                sessions.spawn(session::run(socket, number, Arc::clone(&shared)));
            }
            Some(ended) = sessions.join_next() => {
                if let Err(error) = ended { assert!(!error.is_panic(), "a fake session panicked: {error}") }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
