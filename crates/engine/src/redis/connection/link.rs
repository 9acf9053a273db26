//! A supervised link: one connection at a time, driven until it breaks, then made again for ever.
//!
//! It moves bytes and keeps time. What is written, what replies mean and when the peer counts as dead is the business of its
//! [`Session`]; which server is connected to that of its [`Endpoint`].

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use oxbus_model::backoff::Backoff;
use oxbus_model::config::Address;
use oxbus_model::server_error;
use oxbus_model::server_error::{Action, SLOW_RETRY_MS};
use oxbus_model::{BusError, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, debug, debug_span};

use crate::host::Notice;
use crate::redis::connection::endpoint::Endpoint;
use crate::redis::connection::handle::{Handle, LinkMessage};
use crate::redis::connection::open_connection::OpenConnection;
use crate::redis::connection::session::{Opened, Session};
use crate::runtime::clock;
use crate::runtime::panics::catch_panic;
use crate::runtime::tasks::Tasks;
use crate::transport::Boxed;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// How many bytes are read at once. A subscriber under load fills such a buffer, and an idle one holds no more.
const READ_CHUNK: usize = 64 * 1024;

/// After so many milliseconds without a panic the next one counts as the first.
const FORGIVEN_AFTER_MS: u64 = 60_000;

/// How long it reads after writing has failed: what the server said before is there already.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Starts links.
#[derive(Clone)]
pub(in crate::redis) struct Connector {
    pub(in crate::redis) context: Arc<TransportContext>,
    pub(in crate::redis) endpoint: Arc<Endpoint>,
    pub(in crate::redis) tasks: Tasks,
}

impl Connector {
    /// Starts the link that drives a session.
    pub(in crate::redis) fn start<S: Session>(&self, session: S) -> Handle<S::Input> {
        let Connector { context, endpoint, tasks } = self.clone();
        let (sender, messages) = unbounded_channel();
        let id = session.link().clone();
        context.events.link_needed(&id);
        let (backoff, address, connected) = (Backoff::of_reconnecting(), None, None);
        let is_idle = Arc::new(AtomicBool::new(false));
        let idle = is_idle.clone();
        let link = Link { id, session, context, endpoint, messages, backoff, address, connected, is_idle };
        Handle::of_link(sender, &tasks, link.run(), idle)
    }
}

struct Link<S: Session> {
    id: LinkId,
    session: S,
    context: Arc<TransportContext>,
    endpoint: Arc<Endpoint>,
    messages: UnboundedReceiver<LinkMessage<S::Input>>,
    backoff: Backoff,
    /// The server of the last attempt to connect.
    address: Option<Address>,
    /// The server of the last connection.
    connected: Option<Address>,
    /// Whether it only waits, for inputs among other things.
    is_idle: Arc<AtomicBool>,
}

/// The handle was dropped: the link is to end.
struct Ended;

impl<S: Session> Link<S> {
    async fn run(mut self) {
        let mut pauses = Backoff::of_panics();
        let (mut pause, mut last_fault) = (0, 0);
        let name = self.id.name();
        loop {
            match catch_panic(&name, self.serve(pause)).await {
                Ok(Ended) => break,
                Err(fault) => {
                    let now = self.context.clock.now_ms();
                    if now - last_fault > FORGIVEN_AFTER_MS {
                        pauses.reset();
                    }
                    last_fault = now;
                    pause = pauses.next(clock::random());
                    self.context.events.notice(Notice::Error(fault.clone()));
                    self.lost(&fault);
                }
            }
        }
        self.session.ended();
    }

    /// Connects after `pause` milliseconds, and goes on for ever.
    async fn serve(&mut self, pause: u64) -> Ended {
        if let Err(ended) = self.wait(pause).await {
            return ended;
        }
        loop {
            // Each connection has a span of its own: the next one may be to another server.
            let span = debug_span!("connection", link = %self.id, address = Empty);
            let error = match self.connection(span.clone()).instrument(span).await {
                Ok(ended) => return ended,
                Err(error) => error,
            };
            self.lost(&error);
            let delay = self.delay(&error);
            let attempt = self.backoff.attempt();
            let error = self.endpoint.for_the_client(&error);
            self.context.events.link_reconnecting(&self.id, attempt, delay, error);
            if let Err(ended) = self.wait(delay).await {
                return ended;
            }
        }
    }

    /// Makes a connection, whose span is the current one, and drives it until it breaks.
    async fn connection(&mut self, span: Span) -> Result<Ended, BusError> {
        let (endpoint, link, commands) = (self.endpoint.clone(), self.id.clone(), self.session.on_connect());
        let number = self.backoff.attempt() + 1;
        self.address = None;
        let Ok(located) = self.meanwhile(async { endpoint.locate(&link).await }).await else {
            return Ok(Ended);
        };
        let address = located.inspect_err(could_not_connect)?;
        self.address = Some(address.clone());
        span.record("address", display(&address));
        debug!(attempt = number, "connecting");
        let attempt = endpoint.connect(&link, &address, S::MASTER, commands);
        let Ok(connected) = self.meanwhile(attempt).await else { return Ok(Ended) };
        let connection = connected.inspect_err(could_not_connect)?;
        let driven = self.drive(connection).await;
        self.is_idle.store(false, Ordering::Release);
        driven.inspect_err(|error| self.endpoint.lost(&self.id, &address, error))
    }

    fn lost(&mut self, error: &BusError) {
        self.context.events.link_down(&self.id, &self.endpoint.for_the_client(error));
        self.session.closed(error);
    }

    fn delay(&mut self, error: &BusError) -> u64 {
        let delay = self.backoff.next(clock::random());
        // Only a person can mend these; trying fast would lock accounts and fill the server's log.
        let is_slow = server_error::action_of(error.kind) == Action::SlowRetry;
        if is_slow { delay.max(SLOW_RETRY_MS) } else { delay }
    }

    /// Waits for `delay` milliseconds, or until there is another server to connect to.
    async fn wait(&mut self, delay: u64) -> Result<(), Ended> {
        let at = self.context.clock.now_ms().saturating_add(delay);
        let pause = sleep_until(self.context.clock.instant(at));
        // The link of a node never has another server to connect to.
        let superseded = match self.id.node() {
            None => self.endpoint.superseded(&self.id, self.address.as_ref()),
            Some(_) => None,
        };
        let Some(superseded) = superseded else { return self.meanwhile(pause).await };
        let is_superseded = self.meanwhile(async {
            tokio::select! {
                () = pause => false,
                _ = superseded => true,
            }
        });
        if is_superseded.await? {
            // What has failed was the other server.
            self.backoff.reset();
        }
        Ok(())
    }

    /// Waits for `future` while inputs are taken and deadlines kept.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Ended> {
        let mut future = pin!(future);
        let mut alarm = pin!(self.alarm());
        loop {
            self.set_alarm(alarm.as_mut());
            tokio::select! {
                biased;
                message = self.messages.recv() => self.handle(message)?,
                result = future.as_mut() => return Ok(result),
                () = alarm.as_mut() => {
                    // Without a connection there is none to drop.
                    let _ = self.session.tick(self.context.clock.now_ms());
                }
            }
        }
    }

    /// Drives a connection until it breaks.
    async fn drive(&mut self, connection: OpenConnection) -> Result<Ended, BusError> {
        let OpenConnection { stream, mut buffer, protocol, role_known, layout, notice, address, .. } =
            connection;
        let mut superseded = self.endpoint.superseded(&self.id, Some(&address));
        let is_other_server = self.connected.replace(address.clone()).is_some_and(|last| last != address);
        let (mut reader, mut writer) = tokio::io::split(stream);
        notice.into_iter().for_each(|notice| self.context.events.notice(notice));
        let opened = Opened { protocol, role_known, layout, is_other_server };
        self.session.opened(opened, self.context.clock.now_ms());
        let mut alarm = pin!(self.alarm());
        // Why the server is to be left, once what was written is answered.
        let mut leaving = None;
        // TLS may hold written bytes back until it is flushed.
        let mut unflushed = false;
        loop {
            let now = self.context.clock.now_ms();
            // A flood of replies must not keep inputs waiting.
            while let Ok(message) = self.messages.try_recv() {
                if self.handle(Some(message)).is_err() {
                    return Ok(Ended);
                }
            }
            if self.session.deadline().is_some_and(|at| at <= now) {
                // This task may not have run for a while, or the process: what has come meanwhile counts as in time.
                self.is_idle.store(false, Ordering::Release);
                self.read_what_came(&mut reader, &mut buffer).await?;
                self.session.tick(self.context.clock.now_ms())?;
            }
            if let Some(error) = leaving.take_if(|_| self.session.is_answered()) {
                return Err(error);
            }
            self.set_alarm(alarm.as_mut());
            if buffer.is_empty() && buffer.capacity() > 4 * READ_CHUNK {
                // A large message has passed, and its memory is given back.
                buffer = BytesMut::new();
            }
            if buffer.capacity() - buffer.len() < READ_CHUNK / 2 {
                buffer.reserve(READ_CHUNK);
            }
            self.is_idle.store(!unflushed && self.session.is_idle(), Ordering::Release);
            let outgoing = self.session.outgoing(now);
            let writing = !outgoing.is_empty();
            tokio::select! {
                biased;
                error = reason(&mut superseded), if superseded.is_some() => {
                    (superseded, leaving) = (None, Some(error));
                }
                pushed = push(&mut writer, outgoing), if writing || unflushed => match pushed {
                    Ok(bytes) => {
                        self.session.written(bytes, now);
                        unflushed = writing;
                    }
                    Err(error) => return Err(self.last_words(&mut reader, buffer, error).await),
                },
                read = reader.read_buf(&mut buffer) => self.take(read, &mut buffer)?,
                message = self.messages.recv() => {
                    if self.handle(message).is_err() {
                        return Ok(Ended);
                    }
                }
                () = alarm.as_mut() => {}
            }
        }
    }

    /// Takes what a read has given.
    fn take(&mut self, read: std::io::Result<usize>, buffer: &mut BytesMut) -> Result<(), BusError> {
        let bytes = read.map_err(|e| broken(&e))?;
        if bytes > 0 {
            // A server that takes connections and drops them has not recovered; this one answers.
            self.backoff.reset();
        }
        let taken = self.session.received(buffer, self.context.clock.now_ms())?;
        buffer.advance(taken);
        if bytes == 0 { Err(closed_by_server()) } else { Ok(()) }
    }

    /// Reads once, if there is something. A peer that has answered is not taken for dead because nobody has looked.
    async fn read_what_came(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> Result<(), BusError> {
        // Only then the runtime has asked the system.
        yield_now().await;
        tokio::select! {
            biased;
            read = reader.read_buf(buffer) => self.take(read, buffer),
            () = std::future::ready(()) => Ok(()),
        }
    }

    /// A server that refuses a command by closing says why first, and what it said is still to be read when writing the rest
    /// of the command fails. Returns why the connection ended.
    async fn last_words(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        mut buffer: BytesMut,
        error: BusError,
    ) -> BusError {
        let limit = Instant::now() + LAST_WORDS;
        while let Ok(Ok(1..)) = timeout_at(limit, reader.read_buf(&mut buffer)).await {
            match self.session.received(&buffer, self.context.clock.now_ms()) {
                Ok(taken) => buffer.advance(taken),
                Err(said) => return said,
            }
        }
        error
    }

    fn handle(&mut self, message: Option<LinkMessage<S::Input>>) -> Result<(), Ended> {
        match message {
            Some(LinkMessage::Input(input)) => self.session.input(input, self.context.clock.now_ms()),
            #[cfg(feature = "failpoints")]
            #[allow(clippy::panic)]
            Some(LinkMessage::Panic) => panic!("injected by a test"),
            None => return Err(Ended),
        }
        Ok(())
    }

    fn alarm(&self) -> Sleep {
        sleep_until(self.context.clock.instant(u64::MAX))
    }

    fn set_alarm(&self, alarm: Pin<&mut Sleep>) {
        let at: Instant = self.context.clock.instant(self.session.deadline().unwrap_or(u64::MAX));
        // An alarm that is early only costs a look; moving it at each event would cost more.
        if at < alarm.deadline() || alarm.is_elapsed() {
            alarm.reset(at);
        }
    }
}

/// Waits for the reason to leave a server.
async fn reason(superseded: &mut Option<Boxed<'static, BusError>>) -> BusError {
    match superseded {
        Some(superseded) => superseded.await,
        None => pending().await,
    }
}

fn could_not_connect(error: &BusError) {
    debug!(code = error.kind.code(), error = error.message, "could not connect");
}

/// Writes some of `outgoing`, or flushes when there is nothing. Returns how much was written.
async fn push(writer: &mut (impl AsyncWrite + Unpin), outgoing: &[u8]) -> Result<usize, BusError> {
    if outgoing.is_empty() {
        return writer.flush().await.map(|()| 0).map_err(|e| broken(&e));
    }
    match writer.write(outgoing).await {
        Ok(0) => Err(closed_by_server()),
        written => written.map_err(|e| broken(&e)),
    }
}

fn broken(error: &std::io::Error) -> BusError {
    BusError::new(ErrorKind::ConnectionLost, format!("the connection broke: {error}"))
}

fn closed_by_server() -> BusError {
    BusError::new(ErrorKind::ConnectionLost, "the server closed the connection")
}
