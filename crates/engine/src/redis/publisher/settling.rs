//! How the publishes of a publisher end: by a reply, because their time is over, or because they are aborted.

use std::mem::take;

use oxbus_model::server_error;
use oxbus_model::server_error::{Action, kind_of_vain_wait};
use oxbus_model::stream_store::EntryId;
use oxbus_model::topology::redirect::Redirect;
use oxbus_model::{BusError, ErrorKind, Outcome};

use crate::host::Notice;
use crate::redis::connection::liveness::unexpected_reply;
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::connection::step::{ROLE_INTERVAL, check_role};
use crate::redis::publisher::going_on::go_on;
use crate::redis::publisher::in_flight::{Command, EntryRef, PublishedEvent};
use crate::redis::publisher::routed::Routed;
use crate::redis::publisher::session::Publisher;
use crate::redis::resp::reply::Reply;
use crate::redis::scripts::script;
use crate::redis::scripts::script_call::{EventReply, PERSIST, STORE_AND_PUBLISH, ScriptCall};

impl Publisher {
    /// Takes the answer to the oldest command. An error drops the connection.
    pub(in crate::redis) fn take(&mut self, reply: Reply<'_>, now: u64) -> Result<(), BusError> {
        if matches!(reply, Reply::Push(_)) {
            return Ok(());
        }
        let Some(kind) = self.pipeline.answered() else {
            return Err(unexpected_reply());
        };
        let Some(kind) = self.follow_redirect(kind, &reply, now) else { return Ok(()) };
        match (kind, reply) {
            (Command::Event { batch, index, deadline, .. }, Reply::Int(receivers)) => {
                self.unproven += 1;
                self.done(PublishedEvent { batch, index, receivers, entry: None }, deadline);
            }
            (Command::Entry { batch, index, deadline, stream }, Reply::Text(id)) => {
                self.stored_only.last_entry_is_stored = true;
                match EntryId::from_bytes(id) {
                    Some(id) => {
                        let entry = Some(EntryRef { stream, id, duplicate: false });
                        self.done(PublishedEvent { batch, index, receivers: 0, entry }, deadline);
                    }
                    None => self.batches.fail(batch, index, strange()),
                }
            }
            (Command::Event { batch, index, .. }, Reply::Error(error)) => {
                return self.refuse(batch, index, None, error);
            }
            (Command::Entry { batch, index, stream, .. }, Reply::Error(error)) => {
                self.stored_only.last_entry_is_stored = false;
                return self.refuse(batch, index, Some(stream), error);
            }
            (Command::Event { batch, index, .. } | Command::Entry { batch, index, .. }, _) => {
                self.batches.fail(batch, index, strange());
            }
            (Command::Call(call), reply) => return self.take_call(call, &reply),
            (Command::Wait { replicas, .. }, reply) => return self.take_wait(replicas, &reply),
            (Command::Role, Reply::Error(error)) => {
                let refusal = server_error::classify(error);
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
                self.role_known &= !server_error::is_withheld(error);
            }
            (Command::Role, reply) => {
                check_role(&reply).inspect_err(|_| self.report_undelivered())?;
                self.last_role = now;
                self.unproven = 0;
            }
            (Command::Ping, Reply::Error(error)) => {
                let refusal = server_error::classify(error);
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
            }
            (Command::Ask(sender), reply) => {
                let answer = match reply {
                    Reply::Error(error) => {
                        Err(server_error::classify(error).into_error(error).with_outcome(Outcome::Rejected))
                    }
                    other => Ok(other.into()),
                };
                // The asker may have given up.
                let _ = sender.send(answer);
            }
            (Command::Load(last), _) => self.loading &= !last,
            (Command::Trim { stream }, Reply::Error(error)) if server_error::is_withheld(error) => {
                self.stored_only.add_behind_entry(error);
                self.preparation.writer.may_not_trim(stream);
                self.routed.iter().for_each(|routed| routed.may_not_trim(stream));
            }
            (Command::Settled | Command::Ping | Command::Trim { .. }, _) => {}
        }
        Ok(())
    }

    /// In a Cluster: keeps a command that its node has refused as its keys are elsewhere, or did not know while its target
    /// leaves. Any other is given back.
    fn follow_redirect(&mut self, command: Command, reply: &Reply<'_>, now: u64) -> Option<Command> {
        let Some(routed) = &mut self.routed else { return Some(command) };
        let written = routed.answered();
        let Reply::Error(error) = reply else {
            // The third thing that is said of an event tells whether it was there before.
            let is_new = |said: &[Reply<'_>]| said.get(2) != Some(&Reply::Int(1));
            let adds = matches!(reply, Reply::Array(said) if command.has_several_keys() && is_new(said));
            routed.executed(&command, adds);
            return Some(command);
        };
        let redirect = Redirect::read(script::cause(error));
        if (redirect.is_some() || (script::is_missing(error) && routed.is_leaving(&command)))
            && let Some(written) = written
            && command.is_publish()
        {
            let limit = self.context.config.redis.command_timeout;
            routed.refused(command, &written, redirect, limit, &mut self.pipeline, now);
            return None;
        }
        Some(command)
    }

    /// The server has refused an event, which was to be stored in `stream` if in any. An error drops the connection, as
    /// the server will refuse others too.
    fn refuse(&mut self, batch: u32, index: u32, stream: Option<usize>, error: &str) -> Result<(), BusError> {
        let refusal = server_error::classify(error);
        let mut refused = refusal.into_error(error).with_outcome(Outcome::Rejected);
        if refusal.kind == ErrorKind::WrongType {
            // The server does not say which key it means.
            match stream.and_then(|at| self.context.config.streams.get(at)) {
                Some(stream) => refused
                    .message
                    .push_str(&format!("; it was to be stored in the stream {:?}", stream.name)),
                None => refused.message.push_str("; it was to be kept in the history of events"),
            }
        }
        self.batches.fail(batch, index, refused);
        if refusal.action == Action::Reconnect { Err(refusal.into_error(error)) } else { Ok(()) }
    }

    /// An event is where it was to go.
    fn done(&mut self, event: PublishedEvent, deadline: u64) {
        // What is stored before it is published was waited for then.
        if self.hands_on() || self.batches.is_stored(event.batch, event.index) {
            self.batches.published(event);
        } else {
            self.unreplicated.push((event, deadline));
        }
    }

    fn take_call(&mut self, call: Box<ScriptCall>, reply: &Reply<'_>) -> Result<(), BusError> {
        let (batch, deadline) = (call.batch, call.deadline);
        let mut result = Ok(());
        match reply {
            Reply::Error(error) => match call.in_full(error) {
                Ok((call, command)) => {
                    self.load_scripts();
                    let limit = self.context.config.redis.command_timeout;
                    self.pipeline.push(Command::Call(call), limit, |bytes| bytes.extend_from_slice(&command));
                }
                Err(call) => {
                    let error = call.cause(error);
                    for index in call.indexes() {
                        result = result.and(self.refuse(batch, index, call.stream, &error));
                    }
                }
            },
            Reply::Array(said) => {
                for (index, reply) in call.replies(said) {
                    match reply {
                        EventReply::Done { id, receivers, duplicate, fault } => {
                            fault.into_iter().for_each(|fault| self.stored_only.add(script::cause(fault)));
                            let entry = call.stream.zip(id);
                            let entry = entry.map(|(stream, id)| EntryRef { stream, id, duplicate });
                            self.done(PublishedEvent { batch, index, receivers, entry }, deadline);
                        }
                        EventReply::Refused(error) => {
                            result = result.and(self.refuse(batch, index, call.stream, script::cause(error)));
                        }
                        EventReply::Strange => self.batches.fail(batch, index, strange()),
                    }
                }
            }
            _ => call.indexes().for_each(|index| self.batches.fail(batch, index, strange())),
        }
        result
    }

    /// Makes the server know the scripts again, before what is sent from now on: a call of one that it knows
    /// must not overtake a call of one that it does not.
    fn load_scripts(&mut self) {
        if !std::mem::replace(&mut self.loading, true) {
            for (last, script) in [(false, &STORE_AND_PUBLISH), (true, &PERSIST)] {
                self.ask(Command::Load(last), &script.load());
            }
        }
    }

    /// Whether this publisher hands on what is to be replicated, and is not the one that does it.
    pub(in crate::redis) fn hands_on(&self) -> bool {
        !self.awaits_replicas
    }

    /// So many replicas have what was stored before.
    fn take_wait(&mut self, replicas: u32, reply: &Reply<'_>) -> Result<(), BusError> {
        let stored = take(&mut self.unreplicated);
        let mut refused = None;
        let (confirmed, result) = match reply {
            Reply::Int(confirmed) => (*confirmed, Ok(())),
            Reply::Error(error) => {
                let refusal = server_error::classify(error);
                let error = refusal.into_error(error);
                refused = Some(format!("the server refused to wait for replicas (WAIT): {}", error.message));
                (0, if refusal.action == Action::Reconnect { Err(error) } else { Ok(()) })
            }
            _ => (0, Ok(())),
        };
        for (done, _) in stored {
            if confirmed >= i64::from(replicas) {
                self.batches.published(done);
            } else {
                let why = || format!("{confirmed} of {replicas} replicas have confirmed it");
                self.batches.fail_stored(done, not_replicated(&refused.clone().unwrap_or_else(why)));
            }
        }
        result
    }

    /// Settles what was stored and whose time is over.
    pub(in crate::redis) fn expire_unreplicated(&mut self, now: u64) {
        for (done, _) in
            self.unreplicated.extract_if(.., |(_, deadline)| *deadline <= now).collect::<Vec<_>>()
        {
            self.batches.fail_stored(done, not_replicated("not enough replicas have confirmed it in time"));
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
            Command::Wait { .. } => std::mem::replace(&mut bare, true),
            kind => {
                bare &= !kind.is_publish();
                false
            }
        });
    }

    /// Settles the publishes whose time is over.
    pub(in crate::redis) fn expire(&mut self, now: u64) {
        if !self.expiry.is_due(now) {
            return;
        }
        let late = |command: &Command| command.deadline().is_some_and(|deadline| deadline <= now);
        let unsent = self.pipeline.remove_unsent(late);
        let held = self.held.remove(late);
        let kept = self.routed.iter_mut().flat_map(Routed::pipelines);
        let kept: Vec<Command> = kept.flat_map(|kept| kept.remove_unsent(late)).collect();
        self.batches.fail_all(unsent.into_iter().chain(kept), &self.never_sent());
        for command in held {
            // Without a connection that is what is wrong.
            let unavailable = self.held.why(&command).filter(|_| self.connected);
            let error = unavailable.unwrap_or_else(|| self.never_sent());
            self.batches.fail_all([command], &error);
        }
        let unanswered: Vec<Command> = self
            .pipeline
            .sent_mut()
            .filter(|command| late(command))
            .map(|command| std::mem::replace(command, Command::Settled))
            .collect();
        self.batches.fail_all(unanswered, &timed_out("it was sent and not answered", Outcome::Unknown));
        self.expire_unreplicated(now);
        let unreplicated = self.unreplicated.iter().map(|(_, deadline)| *deadline);
        let kept: Vec<u64> = self
            .routed
            .iter_mut()
            .flat_map(Routed::pipelines)
            .flat_map(|kept| kept.commands().filter_map(Command::deadline))
            .collect();
        let commands = self.pipeline.commands().chain(self.held.commands());
        let searched = self.pipeline.len() + self.held.commands().count() + kept.len();
        let deadlines = commands.filter_map(Command::deadline).chain(unreplicated).chain(kept);
        self.expiry.searched(now, searched, deadlines);
        self.report();
    }

    /// The error of a publish that has waited for a connection until its time was over.
    fn never_sent(&self) -> BusError {
        let cause = self.last_error.as_ref().filter(|_| !self.connected);
        let why = cause.map(|error| format!(": {}", error.message)).unwrap_or_default();
        let error = timed_out(&format!("it was never sent{why}"), Outcome::NotSent);
        BusError { kind: kind_of_vain_wait(error.kind, cause), ..error }
    }

    /// Settles an event as aborted, unless it is settled.
    pub(in crate::redis) fn cancel(&mut self, batch: u32, index: u32) {
        let aborted =
            |outcome| BusError::new(ErrorKind::Aborted, "the publish was aborted").with_outcome(outcome);
        let is_it = |command: &Command| command.has(batch, index);
        // An event that shares a call with others is taken out of it, and the others go on.
        let alone =
            |command: &Command| is_it(command) && !matches!(command, Command::Call(call) if call.len() > 1);
        let without = |command: &mut Command, bytes: &[u8]| match command {
            Command::Call(call) => call.without(index, bytes),
            _ => bytes.to_vec(),
        };
        let cancel = |unsent: &mut Pipeline<Command>| {
            unsent.remove_first_unsent(alone).is_some() || unsent.edit_first_unsent(is_it, without)
        };
        if cancel(&mut self.pipeline)
            || self.held.pipelines().any(cancel)
            || self.routed.iter_mut().flat_map(Routed::pipelines).any(cancel)
        {
            self.batches.fail(batch, index, aborted(Outcome::NotSent));
            self.drop_bare_waits();
        } else if self.settle_sent(batch, index) {
            self.batches.fail(batch, index, aborted(Outcome::Unknown));
        } else if let Some(at) =
            self.unreplicated.iter().position(|(done, _)| (done.batch, done.index) == (batch, index))
        {
            let (done, _) = self.unreplicated.remove(at);
            self.batches.fail_stored(done, aborted(Outcome::Unknown));
        } else if let Some(replicas) = &self.preparation.replicas {
            replicas.cancel(batch, index);
        }
        self.report();
    }

    /// Settles an event whose command was sent: the reply will be ignored. False if it was not sent.
    fn settle_sent(&mut self, batch: u32, index: u32) -> bool {
        let Some(command) = self.pipeline.sent_mut().find(|command| command.has(batch, index)) else {
            return false;
        };
        match command {
            Command::Call(call) => call.settle(index),
            command => *command = Command::Settled,
        }
        true
    }

    /// In hybrid mode, while there is no connection: what is not stored does not wait for the next.
    pub(in crate::redis) fn give_up(&mut self, unsent: Vec<Command>) {
        let why = self.last_error.as_ref().map_or("not connected", |error| &error.message);
        let error = BusError::new(ErrorKind::ConnectionLost, why).with_outcome(Outcome::NotSent);
        self.batches.fail_all(unsent, &error);
    }

    /// Whether the server is to be asked for its role: it may have been demoted since it took the last events.
    pub(in crate::redis) fn asks_role(&self) -> bool {
        self.connected && self.unproven > 0
    }

    /// In a Cluster: has the next step done of what was stored, and counts what could not be done.
    pub(in crate::redis) fn go_on(&mut self) {
        let Some(routed) = &self.routed else { return };
        go_on(&mut self.batches, routed, &self.context);
        self.batches.not_done.drain(..).for_each(|why| self.stored_only.add(&why));
    }

    /// Tells of the events that were stored only, not too often.
    pub(in crate::redis) fn warn_of_stored_only(&mut self, now: u64) {
        if let Some(warning) = self.stored_only.warning(now) {
            self.context.events.notice(warning);
        }
    }

    /// Events that the server took after it was demoted reached only its own clients.
    pub(in crate::redis) fn report_undelivered(&mut self) {
        let count = take(&mut self.unproven);
        if count > 0 {
            let message = format!(
                "the server was demoted or replaced; up to {count} events published in the last {ROLE_INTERVAL} ms may be undelivered"
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

fn timed_out(why: &str, outcome: Outcome) -> BusError {
    BusError::new(ErrorKind::PublishTimeout, format!("the publish was not confirmed in time; {why}"))
        .with_outcome(outcome)
}
