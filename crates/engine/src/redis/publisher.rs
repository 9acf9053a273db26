//! The publisher session: a pipeline of commands whose outcome is always known to be one of
//! published, refused, never sent, or unknown.
//!
//! Commands wait unsent until their first byte is written and then until they are answered, in
//! order. When the connection breaks, those that were written are unknown and those that were not go
//! to the next connection, until their own time is over.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use oxbus_model::reply::{self as refusal, Action};
use oxbus_model::{BusError, ErrorKind, Outcome, submission};
use redis::cmd;
use tokio::sync::oneshot;

use super::batches::{Batch, Batches};
use super::handshake::check_role;
use super::link::{HEARTBEAT_LIMIT, Opened, Session};
use super::pipeline::Pipeline;
use super::reply::{Protocol, Reply, decode};
use crate::encoder::{Encoder, Stamp};
use crate::host::Notice;
use crate::shared::Shared;
use crate::transport::Submission;

/// The name of its link.
const LINK: &str = "publisher";

/// How often the server is asked whether it is still a master, while events are published to it, in
/// milliseconds: `PUBLISH` succeeds on a demoted one and reaches nobody.
const ROLE_INTERVAL: u64 = 1_000;

/// Commands in the queue for each millisecond between two searches of it for late ones: a long queue
/// is not gone through every millisecond, and 100,000 publishes expire at most 50 ms late.
const EXPIRED_PER_MS: u64 = 2_000;

/// What a publisher is told.
pub(crate) enum Input {
    Publish(Submission),
    Cancel {
        batch: u32,
        index: u32,
    },
    /// Send a command; its answer, as text, goes to the sender.
    Ask(redis::Cmd, oneshot::Sender<Result<String, BusError>>),
    /// Say when all publishes are settled.
    Flush(oneshot::Sender<()>),
}

enum Kind {
    Event {
        batch: u32,
        index: u32,
        deadline: u64,
    },
    /// Settled before its answer came; the answer will be ignored.
    Settled,
    Role,
    Ping,
    Ask(oneshot::Sender<Result<String, BusError>>),
}

pub(crate) struct Publisher {
    shared: Arc<Shared>,
    encoder: Encoder,
    protocol: Protocol,
    connected: bool,
    role_known: bool,
    /// Why there is no connection.
    last_error: Option<BusError>,
    pipeline: Pipeline<Kind>,
    batches: Batches,
    flushes: Vec<oneshot::Sender<()>>,
    /// No publish is due before.
    next_expiry: u64,
    last_read: u64,
    last_role: u64,
    /// Events answered since the server last said that it is a master.
    unproven: u64,
}

impl Publisher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let encoder = Encoder::new(&shared.config, shared.origin.clone(), shared.channels.clone());
        Publisher {
            encoder,
            shared,
            protocol: Protocol::Resp3,
            connected: false,
            role_known: false,
            last_error: None,
            pipeline: Pipeline::new(),
            batches: Batches::default(),
            flushes: Vec::new(),
            next_expiry: u64::MAX,
            last_read: 0,
            last_role: 0,
            unproven: 0,
        }
    }

    fn publish(&mut self, submission: Submission, now: u64) {
        let Submission { batch, count, text } = submission;
        let stamp = Stamp::now();
        let limit = self.shared.config.redis.command_timeout;
        let mut ids = Vec::with_capacity(count as usize);
        let mut open = 0;
        for (index, record) in (0..count).zip(submission::records(&text)) {
            match self.encoder.encode(record, &stamp) {
                Ok(event) => {
                    let deadline = now.saturating_add(event.timeout);
                    self.next_expiry = self.next_expiry.min(deadline);
                    ids.push(event.id);
                    open += 1;
                    let (channel, payload) = (event.channel.as_bytes(), event.payload);
                    let kind = Kind::Event { batch, index, deadline };
                    self.pipeline.push(kind, limit, |bytes| append_publish(bytes, channel, payload));
                }
                Err(error) => {
                    ids.push(None);
                    self.batches.refused(batch, index, error);
                }
            }
        }
        if open == 0 {
            self.shared.admission.release(count as usize, text.len());
        } else {
            self.shared.admission.release(count as usize - open, 0);
            self.batches.add(batch, Batch::new(stamp.text, ids, open, text.len()));
        }
        self.report();
    }

    fn ask(&mut self, kind: Kind, command: &redis::Cmd) {
        let limit = self.shared.config.redis.command_timeout;
        self.pipeline.push(kind, limit, |bytes| bytes.put_slice(&command.get_packed_command()));
    }

    fn fail(&mut self, batch: u32, index: u32, error: BusError) {
        self.batches.failed(&self.shared, batch, index, error);
    }

    /// Hands over what was settled since the last report.
    fn report(&mut self) {
        self.batches.report(&self.shared);
        if self.batches.is_empty() {
            for flushed in self.flushes.drain(..) {
                // The one who waits may have given up.
                let _ = flushed.send(());
            }
        }
    }

    /// Settles the publishes whose time is over.
    fn expire(&mut self, now: u64) {
        if now < self.next_expiry {
            return;
        }
        let late = |kind: &Kind| matches!(kind, Kind::Event { deadline, .. } if *deadline <= now);
        for kind in self.pipeline.remove_unsent(late) {
            if let Kind::Event { batch, index, .. } = kind {
                self.fail(batch, index, timed_out(&self.why_unsent(), Outcome::NotSent));
            }
        }
        let mut unanswered = Vec::new();
        for kind in self.pipeline.sent_mut().filter(|kind| late(kind)) {
            if let Kind::Event { batch, index, .. } = std::mem::replace(kind, Kind::Settled) {
                unanswered.push((batch, index));
            }
        }
        for (batch, index) in unanswered {
            self.fail(batch, index, timed_out("it was sent and not answered", Outcome::Unknown));
        }
        let deadlines = self.pipeline.kinds().filter_map(|kind| match kind {
            Kind::Event { deadline, .. } => Some(*deadline),
            _ => None,
        });
        let soonest = now + self.pipeline.len() as u64 / EXPIRED_PER_MS;
        self.next_expiry = deadlines.min().map_or(u64::MAX, |next| next.max(soonest));
        self.report();
    }

    fn why_unsent(&self) -> String {
        match &self.last_error {
            Some(error) if !self.connected => format!("it was never sent: {}", error.message),
            _ => "it was never sent".to_owned(),
        }
    }

    fn cancel(&mut self, batch: u32, index: u32) {
        let aborted =
            |outcome| BusError::new(ErrorKind::Aborted, "the publish was aborted").with_outcome(outcome);
        let is_it = |kind: &Kind| matches!(kind, Kind::Event { batch: b, index: i, .. } if (*b, *i) == (batch, index));
        let outcome = match self.pipeline.remove_first_unsent(is_it) {
            Some(_) => Some(Outcome::NotSent),
            None => self.pipeline.sent_mut().find(|kind| is_it(kind)).map(|kind| {
                *kind = Kind::Settled;
                Outcome::Unknown
            }),
        };
        if let Some(outcome) = outcome {
            self.fail(batch, index, aborted(outcome));
            self.report();
        }
    }

    fn take(&mut self, reply: Reply<'_>, now: u64) -> Result<(), BusError> {
        if matches!(reply, Reply::Push(_)) {
            return Ok(());
        }
        let Some(kind) = self.pipeline.answered() else {
            let message = "the server sent a reply that nothing was asked for";
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        };
        match (kind, reply) {
            (Kind::Event { batch, index, .. }, Reply::Int(receivers)) => {
                self.unproven += 1;
                self.batches.published(&self.shared, batch, index, receivers);
            }
            (Kind::Event { batch, index, .. }, reply) => {
                let error = match reply {
                    Reply::Error(error) => error,
                    _ => "ERR an unexpected reply to PUBLISH",
                };
                let refusal = refusal::classify(error);
                self.fail(batch, index, refusal.into_error(error).with_outcome(Outcome::Rejected));
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
            }
            (Kind::Role, Reply::Error(error)) => {
                let refusal = refusal::classify(error);
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
                self.role_known &= refusal.kind != ErrorKind::PermissionDenied;
            }
            (Kind::Role, reply) => {
                check_role(&reply).inspect_err(|_| self.report_undelivered())?;
                self.last_role = now;
                self.unproven = 0;
            }
            (Kind::Ping, Reply::Error(error)) => {
                let refusal = refusal::classify(error);
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
            }
            (Kind::Ask(sender), reply) => {
                let answer = match reply {
                    Reply::Error(error) => Err(refusal::classify(error).into_error(error)),
                    other => Ok(text_of(&other)),
                };
                // The asker may have given up.
                let _ = sender.send(answer);
            }
            (Kind::Settled | Kind::Ping, _) => {}
        }
        Ok(())
    }

    /// Events that the server took after it was demoted reached only its own clients.
    fn report_undelivered(&mut self) {
        let count = std::mem::take(&mut self.unproven);
        if count > 0 {
            let message = format!(
                "the server was demoted; up to {count} events published in the last {ROLE_INTERVAL} ms may be undelivered"
            );
            self.shared.notice(Notice::Warning { code: "POSSIBLY_UNDELIVERED", message });
        }
    }
}

impl Session for Publisher {
    type Input = Input;
    const MASTER: bool = true;

    fn name(&self) -> Arc<str> {
        LINK.into()
    }

    fn input(&mut self, input: Input, now: u64) {
        match input {
            Input::Publish(submission) => self.publish(submission, now),
            Input::Cancel { batch, index } => self.cancel(batch, index),
            Input::Ask(command, sender) if self.connected => self.ask(Kind::Ask(sender), &command),
            Input::Ask(_, sender) => {
                let error = BusError::new(ErrorKind::ConnectionLost, "not connected");
                let _ = sender.send(Err(error));
            }
            Input::Flush(flushed) => {
                self.flushes.push(flushed);
                self.report();
            }
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.role_known = opened.role_known;
        self.connected = true;
        self.last_read = now;
        self.last_role = now;
        // The login has just shown that it is a master.
        self.unproven = 0;
        self.shared.link_up(LINK);
    }

    fn outgoing(&mut self, _now: u64) -> &[u8] {
        self.pipeline.outgoing()
    }

    fn written(&mut self, bytes: usize, now: u64) {
        // A heartbeat behind other commands may be held up by them; alone, it must be answered soon.
        let heartbeat = |kind: &Kind| matches!(kind, Kind::Role | Kind::Ping);
        self.pipeline.written(bytes, now, HEARTBEAT_LIMIT, heartbeat);
    }

    fn received(&mut self, buffer: &[u8], now: u64) -> Result<usize, BusError> {
        self.last_read = now;
        self.shared.lifecycle.link_alive(LINK, now);
        let mut taken = 0;
        let mut result = Ok(());
        while result.is_ok()
            && let Some((reply, len)) = decode(self.protocol, &buffer[taken..])?
        {
            result = self.take(reply, now);
            taken += len;
        }
        self.report();
        result.map(|()| taken)
    }

    fn deadline(&self) -> Option<u64> {
        if !self.connected {
            return (self.next_expiry < u64::MAX).then_some(self.next_expiry);
        }
        let answer = self.pipeline.front().map_or(u64::MAX, |c| c.sent_at.max(self.last_read) + c.limit);
        let probe = if self.pipeline.is_idle() {
            self.last_read + self.shared.config.redis.heartbeat
        } else {
            u64::MAX
        };
        let role = if self.unproven > 0 { self.last_role + ROLE_INTERVAL } else { u64::MAX };
        Some(self.next_expiry.min(answer).min(probe).min(role))
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        self.expire(now);
        if !self.connected {
            return Ok(());
        }
        if let Some(front) = self.pipeline.front()
            && now >= front.sent_at.max(self.last_read) + front.limit
        {
            let message = format!("no answer for {} ms", now - front.sent_at.max(self.last_read));
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        }
        let idle = self.pipeline.is_idle();
        let asks_role = self.unproven > 0 && now >= self.last_role + ROLE_INTERVAL;
        if asks_role || (idle && now >= self.last_read + self.shared.config.redis.heartbeat) {
            // The answer sets it again; until then one question is enough.
            self.last_role = now;
            if self.role_known {
                self.ask(Kind::Role, &cmd("ROLE"));
            } else {
                self.unproven = 0;
                self.ask(Kind::Ping, &cmd("PING"));
            }
        }
        Ok(())
    }

    fn closed(&mut self, error: &BusError) {
        if error.kind == ErrorKind::NotMaster {
            // A failover closes connections: only the next login shows what the last events met.
            self.report_undelivered();
        }
        self.last_error = Some(error.clone());
        self.connected = false;
        for command in self.pipeline.disconnected() {
            match command.kind {
                Kind::Event { batch, index, .. } => {
                    let message =
                        format!("sent, and the connection was lost before the answer: {}", error.message);
                    let lost =
                        BusError::new(ErrorKind::ConnectionLost, message).with_outcome(Outcome::Unknown);
                    self.fail(batch, index, lost);
                }
                Kind::Ask(sender) => drop(sender.send(Err(error.clone()))),
                Kind::Settled | Kind::Role | Kind::Ping => {}
            }
        }
        for kind in self.pipeline.remove_unsent(|kind| !matches!(kind, Kind::Event { .. })) {
            if let Kind::Ask(sender) = kind {
                let _ = sender.send(Err(error.clone()));
            }
        }
        self.report();
    }

    fn ended(&mut self) {
        self.closed(&BusError::new(ErrorKind::Closed, "the client was closed"));
        for kind in self.pipeline.remove_unsent(|_| true) {
            if let Kind::Event { batch, index, .. } = kind {
                let closed = BusError::new(ErrorKind::Closed, "the client was closed before it was sent");
                self.fail(batch, index, closed.with_outcome(Outcome::NotSent));
            }
        }
        self.report();
    }
}

fn timed_out(why: &str, outcome: Outcome) -> BusError {
    BusError::new(ErrorKind::PublishTimeout, format!("the publish was not confirmed in time; {why}"))
        .with_outcome(outcome)
}

fn text_of(reply: &Reply<'_>) -> String {
    match reply {
        Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Reply::Int(n) => n.to_string(),
        _ => String::new(),
    }
}

/// Appends `PUBLISH channel payload`. `redis::Cmd` would allocate three times for each.
fn append_publish(out: &mut BytesMut, channel: &[u8], payload: &[u8]) {
    out.reserve(channel.len() + payload.len() + 64);
    out.put_slice(b"*3\r\n$7\r\nPUBLISH\r\n");
    for part in [channel, payload] {
        out.put_u8(b'$');
        put_decimal(out, part.len());
        out.put_slice(b"\r\n");
        out.put_slice(part);
        out.put_slice(b"\r\n");
    }
}

fn put_decimal(out: &mut BytesMut, mut n: usize) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_is_packed_as_the_redis_crate_packs_it() {
        for payload in [&b""[..], b"x", &[b'y'; 1234]] {
            let mut out = BytesMut::new();
            append_publish(&mut out, b"a.b", payload);
            let expected = cmd("PUBLISH").arg(b"a.b").arg(payload).get_packed_command();
            assert_eq!(out, expected);
        }
    }
}
