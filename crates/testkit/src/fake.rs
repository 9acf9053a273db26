//! A scripted server: gives the answers that a real one gives only on a bad day.

mod builtin;
mod script;
mod session;
mod state;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use crate::listening::Listening;
use crate::lock::lock;
use state::State;

pub use script::{Command, Script, Step};

/// Listens on a free port of the loopback interface and answers by its [`Script`].
///
/// Its address is that of its [`Listening`]. Dropping it closes the port and all connections.
pub struct FakeServer {
    listening: Listening,
    state: Arc<State>,
}

impl FakeServer {
    /// Starts a server with this script; [`Script::new`] only gets clients through their handshake.
    pub async fn start(script: Script) -> Self {
        let state = Arc::new(State::new(script));
        let shared = Arc::clone(&state);
        let listening = Listening::start(move |socket| {
            let number = shared.accepted.fetch_add(1, SeqCst);
            Some(session::run(socket, number, Arc::clone(&shared)))
        });
        Self { listening: listening.await, state }
    }

    /// Replaces the steps of a command from its next call on; as [`Script::on`].
    pub fn on(&self, command: &str, steps: impl IntoIterator<Item = Step>) {
        lock(&self.state.script).set(command, steps);
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
        lock(&self.state.received).iter().filter(same).cloned().collect()
    }

    /// All commands so far.
    pub fn received_all(&self) -> Vec<Command> {
        lock(&self.state.received).clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.state.accepted.load(SeqCst)
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.state.open.load(SeqCst)
    }

    /// Writes bytes, unasked, to every connection that is open, also to one that was told `Silence`.
    pub fn send(&self, bytes: impl Into<Vec<u8>>) {
        // Fails when there is no connection: then there is nobody to write to.
        let _ = self.state.sends.send(bytes.into());
    }
}

impl Deref for FakeServer {
    type Target = Listening;

    fn deref(&self) -> &Listening {
        &self.listening
    }
}
