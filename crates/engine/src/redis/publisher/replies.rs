//! What the server's answers mean for the events of a publisher.

use std::mem::take;

use oxbus_model::server_error;
use oxbus_model::server_error::Action;
use oxbus_model::stream_store::EntryId;
use oxbus_model::{BusError, ErrorKind, Outcome};

use crate::host::Notice;
use crate::redis::connection::handshake::check_role;
use crate::redis::publisher::in_flight::{Done, Entry, Kind};
use crate::redis::publisher::session::{Publisher, ROLE_INTERVAL};
use crate::redis::resp::reply::Reply;
use crate::redis::scripts::script;
use crate::redis::scripts::script_call::{Answer, Call, PERSIST, STORE_AND_PUBLISH};

/// How often it is told that stored events were not published, in milliseconds.
const FAULT_INTERVAL: u64 = 1_000;

/// Events that were stored, but not published live or not kept.
#[derive(Default)]
pub(in crate::redis) struct Faults {
    count: u64,
    last: String,
    /// Not told before.
    not_before: u64,
}

impl Faults {
    fn add(&mut self, fault: &str) {
        self.count += 1;
        if self.last != fault {
            self.last = fault.to_owned();
        }
    }

    /// When [`Publisher::report_faults`] has something to tell.
    pub(in crate::redis) fn due(&self) -> u64 {
        if self.count > 0 { self.not_before } else { u64::MAX }
    }
}

impl Publisher {
    /// Takes the answer to the oldest command. An error drops the connection.
    pub(in crate::redis) fn take(&mut self, reply: Reply<'_>, now: u64) -> Result<(), BusError> {
        if matches!(reply, Reply::Push(_)) {
            return Ok(());
        }
        let Some(kind) = self.pipeline.answered() else {
            let message = "the server sent a reply that nothing was asked for";
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        };
        match (kind, reply) {
            (Kind::Event { batch, index, deadline }, Reply::Int(receivers)) => {
                self.unproven += 1;
                self.done(Done { batch, index, receivers, entry: None }, deadline);
            }
            (Kind::Entry { batch, index, deadline, stream }, Reply::Text(id)) => {
                match EntryId::from_bytes(id) {
                    Some(id) => {
                        let entry = Some(Entry { stream, id, duplicate: false });
                        self.done(Done { batch, index, receivers: 0, entry }, deadline);
                    }
                    None => self.fail(batch, index, strange()),
                }
            }
            (Kind::Event { batch, index, .. } | Kind::Entry { batch, index, .. }, Reply::Error(error)) => {
                return self.refuse(batch, index, error);
            }
            (Kind::Event { batch, index, .. } | Kind::Entry { batch, index, .. }, _) => {
                self.fail(batch, index, strange());
            }
            (Kind::Call(call), reply) => return self.take_call(call, &reply),
            (Kind::Wait { replicas, .. }, reply) => return self.take_wait(replicas, &reply),
            (Kind::Role, Reply::Error(error)) => {
                let refusal = server_error::classify(error);
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
                let refusal = server_error::classify(error);
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
            }
            (Kind::Ask(sender), reply) => {
                let answer = match reply {
                    Reply::Error(error) => Err(server_error::classify(error).into_error(error)),
                    other => Ok(text_of(&other)),
                };
                // The asker may have given up.
                let _ = sender.send(answer);
            }
            (Kind::Load(last), _) => self.loading &= !last,
            (Kind::Settled | Kind::Ping, _) => {}
        }
        Ok(())
    }

    /// The server has refused an event. An error drops the connection, as the server will refuse others too.
    fn refuse(&mut self, batch: u32, index: u32, error: &str) -> Result<(), BusError> {
        let refusal = server_error::classify(error);
        self.fail(batch, index, refusal.into_error(error).with_outcome(Outcome::Rejected));
        if refusal.action == Action::Reconnect { Err(refusal.into_error(error)) } else { Ok(()) }
    }

    /// An event is where it was to go.
    fn done(&mut self, done: Done, deadline: u64) {
        if self.hands_on() {
            self.batches.published(done);
        } else {
            self.unreplicated.push((done, deadline));
        }
    }

    fn take_call(&mut self, call: Box<Call>, reply: &Reply<'_>) -> Result<(), BusError> {
        let (batch, deadline) = (call.batch, call.deadline);
        let mut result = Ok(());
        match reply {
            Reply::Error(error) => match call.in_full(error) {
                Ok((call, command)) => {
                    self.load_scripts();
                    let limit = self.context.config.redis.command_timeout;
                    self.pipeline.push(Kind::Call(call), limit, |bytes| bytes.extend_from_slice(&command));
                }
                Err(call) => {
                    let error = script::cause(error);
                    for index in call.indexes() {
                        result = result.and(self.refuse(batch, index, error));
                    }
                }
            },
            Reply::Array(said) => {
                for (index, answer) in call.answers(said) {
                    match answer {
                        Answer::Done { id, receivers, duplicate, fault } => {
                            fault.into_iter().for_each(|fault| self.faults.add(fault));
                            let entry = call.stream.zip(id);
                            let entry = entry.map(|(stream, id)| Entry { stream, id, duplicate });
                            self.done(Done { batch, index, receivers, entry }, deadline);
                        }
                        Answer::Refused(error) => result = result.and(self.refuse(batch, index, error)),
                        Answer::Strange => self.fail(batch, index, strange()),
                    }
                }
            }
            _ => call.indexes().for_each(|index| self.fail(batch, index, strange())),
        }
        result
    }

    /// Makes the server know the scripts again, before what is sent from now on: a call of one that it knows
    /// must not overtake a call of one that it does not.
    fn load_scripts(&mut self) {
        if !std::mem::replace(&mut self.loading, true) {
            for (last, script) in [(false, &STORE_AND_PUBLISH), (true, &PERSIST)] {
                self.ask(Kind::Load(last), &script.load());
            }
        }
    }

    /// So many replicas have what was stored before.
    fn take_wait(&mut self, replicas: u32, reply: &Reply<'_>) -> Result<(), BusError> {
        let stored = take(&mut self.unreplicated);
        let (confirmed, result) = match reply {
            Reply::Int(confirmed) => (*confirmed, Ok(())),
            Reply::Error(error) => {
                let refusal = server_error::classify(error);
                let reconnect = refusal.action == Action::Reconnect;
                (0, if reconnect { Err(refusal.into_error(error)) } else { Ok(()) })
            }
            _ => (0, Ok(())),
        };
        for (done, _) in stored {
            if confirmed >= i64::from(replicas) {
                self.batches.published(done);
            } else {
                let why = format!("{confirmed} of {replicas} replicas have confirmed it");
                self.fail_stored(done, not_replicated(&why));
            }
        }
        result
    }

    /// Settles what was stored and whose time is over.
    pub(in crate::redis) fn expire_unreplicated(&mut self, now: u64) {
        for (done, _) in
            self.unreplicated.extract_if(.., |(_, deadline)| *deadline <= now).collect::<Vec<_>>()
        {
            self.fail_stored(done, not_replicated("not enough replicas have confirmed it in time"));
        }
        self.drop_bare_waits();
    }

    /// Takes out the commands that wait for replicas without an event before them: they would only hold up
    /// what is behind.
    pub(in crate::redis) fn drop_bare_waits(&mut self) {
        if self.hands_on() {
            return;
        }
        let mut bare = self.unreplicated.is_empty() && !self.pipeline.has_sent();
        self.pipeline.remove_unsent(|kind| match kind {
            Kind::Wait { .. } => std::mem::replace(&mut bare, true),
            kind => {
                bare &= !kind.is_publish();
                false
            }
        });
    }

    /// Tells of the events that were stored only, not too often.
    pub(in crate::redis) fn report_faults(&mut self, now: u64) {
        if now < self.faults.due() {
            return;
        }
        let Faults { count, last, not_before } = &mut self.faults;
        *not_before = now + FAULT_INTERVAL;
        let message =
            format!("{} events were stored, but not all that was to follow was done: {last}", take(count));
        self.context.events.notice(Notice::Warning { code: "STORED_ONLY", message });
    }

    /// Events that the server took after it was demoted reached only its own clients.
    pub(in crate::redis) fn report_undelivered(&mut self) {
        let count = take(&mut self.unproven);
        if count > 0 {
            let message = format!(
                "the server was demoted; up to {count} events published in the last {ROLE_INTERVAL} ms may be undelivered"
            );
            self.context.events.notice(Notice::Warning { code: "POSSIBLY_UNDELIVERED", message });
        }
    }
}

fn not_replicated(why: &str) -> BusError {
    BusError::new(ErrorKind::NotReplicated, format!("the event is stored, but {why}"))
        .with_outcome(Outcome::Unknown)
}

fn strange() -> BusError {
    BusError::new(ErrorKind::ServerError, "the server sent an unexpected reply")
        .with_outcome(Outcome::Unknown)
}

fn text_of(reply: &Reply<'_>) -> String {
    match reply {
        Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Reply::Int(n) => n.to_string(),
        _ => String::new(),
    }
}
