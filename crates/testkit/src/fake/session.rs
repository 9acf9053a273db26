//! One connection of a scripted server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{broadcast, mpsc};
use tokio::time::sleep;

use super::builtin::Client;
use super::script::{Command, Step};
use super::state::State;
use crate::lock::lock;
use crate::resp::{Value, read_value};

/// Commands read ahead of the one being answered.
const READ_AHEAD: usize = 1024;

struct Session {
    writer: OwnedWriteHalf,
    client: Client,
    silent: bool,
}

enum Next {
    Continue,
    Close,
    Reset,
}

pub(super) async fn run(socket: TcpStream, number: usize, state: Arc<State>) {
    let _open = OpenCount::new(&state);
    let _ = socket.set_nodelay(true);
    let mut sends = state.sends.subscribe();
    let (reads, writer) = socket.into_split();
    let mut session = Session { writer, client: Client::new(number), silent: false };

    let greeting = lock(&state.script).step_on_connect();
    let mut next = session.perform(greeting, &Vec::new()).await;
    // Reading is a future of its own, as it must not be given up in the middle of a command.
    let (commands, mut inbox) = mpsc::channel(READ_AHEAD);
    let mut reader = Box::pin(async move {
        let mut reads = BufReader::new(reads);
        while let Ok(command) = read_value(&mut reads).await {
            if commands.send(arguments(command)).await.is_err() {
                break;
            }
        }
        reads
    });
    let mut kept = None;
    while let Ok(Next::Continue) = next {
        next = tokio::select! {
            biased;
            command = inbox.recv() => match command {
                None => break,
                Some(command) => {
                    let step = lock(&state.script).step(&command);
                    if !is_unread(&step) {
                        lock(&state.received).push(command.clone());
                    }
                    session.perform(step, &command).await
                }
            },
            reads = &mut reader, if kept.is_none() => { kept = Some(reads); Ok(Next::Continue) }
            sent = sends.recv() => session.unasked(sent).await,
        };
    }
    if let Ok(Next::Reset) = next {
        // Fails only for a socket that is closed already.
        let _ = SockRef::from(session.writer.as_ref()).set_linger(Some(Duration::ZERO));
        // Dropping a write half would send an orderly close ahead of the reset.
        session.writer.forget();
    }
}

impl Session {
    async fn perform(&mut self, step: Step, command: &Command) -> io::Result<Next> {
        let mut todo = vec![step];
        while let Some(step) = todo.pop() {
            match step {
                Step::Close => return Ok(Next::Close),
                Step::CloseBeforeRead => return Ok(Next::Reset),
                Step::Silence => self.silent = true,
                Step::Delay(delay, step) => {
                    sleep(delay).await;
                    todo.push(*step);
                }
                Step::All(steps) => todo.extend(steps.into_iter().rev()),
                Step::Raw(bytes) => self.write(&bytes).await?,
                Step::Reply(value) => self.reply(&[value]).await?,
                Step::Error(text) => self.reply(&[Value::Error(text)]).await?,
                Step::Default => {
                    let values = self.client.answer(command);
                    self.reply(&values).await?;
                    if command.first().is_some_and(|name| name.eq_ignore_ascii_case(b"QUIT")) {
                        return Ok(Next::Close);
                    }
                }
            }
        }
        Ok(Next::Continue)
    }

    async fn reply(&mut self, values: &[Value]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for value in values {
            value.encode(self.client.resp3, &mut bytes);
        }
        self.write(&bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.silent { Ok(()) } else { self.writer.write_all(bytes).await }
    }

    async fn unasked(&mut self, sent: Result<Vec<u8>, broadcast::error::RecvError>) -> io::Result<Next> {
        match sent {
            Ok(bytes) => self.writer.write_all(&bytes).await?,
            Err(error) => panic!("a fake connection was too slow for what the test sends: {error}"),
        }
        Ok(Next::Continue)
    }
}

/// Whether the command counts as never read.
fn is_unread(step: &Step) -> bool {
    match step {
        Step::CloseBeforeRead => true,
        Step::Delay(_, step) => is_unread(step),
        Step::All(steps) => steps.first().is_some_and(is_unread),
        _ => false,
    }
}

fn arguments(command: Value) -> Command {
    match command {
        Value::Array(items) => items.iter().map(|item| item.bytes().to_vec()).collect(),
        other => panic!("not a command: {other:?}"),
    }
}

/// Counts a connection for as long as it lives, also when its task is aborted.
struct OpenCount<'a>(&'a State);

impl<'a> OpenCount<'a> {
    fn new(state: &'a State) -> Self {
        state.open.fetch_add(1, SeqCst);
        Self(state)
    }
}

impl Drop for OpenCount<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}
