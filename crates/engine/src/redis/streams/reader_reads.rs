//! The reads of a group's reader: the commands, and what their answers bring.

use std::sync::Arc;

use oxbus_model::consumer::{Read, ReceivedEntry};
use oxbus_model::server_error;
use oxbus_model::server_error::Action;
use oxbus_model::stream_store::EntryId;
use oxbus_model::{BusError, ErrorKind};
use redis::{Cmd, cmd};

use crate::redis::resp::xreadgroup::{ReadReply, visit};
use crate::redis::streams::reader_session::{BLOCK_GRACE, Command, GroupReaderSession, block};
use crate::redis::streams::split_read::{End, SlotStreams, SplitRead};

/// Of `read`, the streams of one command, which waits for so many milliseconds if it does.
fn command(read: &Read, streams: &[Arc<str>], wait: Option<u64>) -> Cmd {
    let mut command = match &read.behind {
        Some(_) => cmd("XREAD"),
        None => {
            let mut command = cmd("XREADGROUP");
            command.arg("GROUP").arg(&*read.group).arg(&*read.consumer);
            command
        }
    };
    command.arg("COUNT").arg(read.limit);
    if let Some(wait) = wait {
        command.arg("BLOCK").arg(wait);
    }
    command.arg("STREAMS");
    for stream in streams {
        command.arg(&**stream);
    }
    for stream in streams {
        let Some(positions) = &read.behind else {
            command.arg(">");
            continue;
        };
        // A read names the positions of all its streams.
        let position = positions.iter().find(|(name, _)| name == stream).map(|(_, id)| *id);
        command.arg(position.unwrap_or(EntryId::MAX).to_string());
    }
    command
}

impl GroupReaderSession {
    pub(super) fn send(&mut self, read: Read, now: u64) {
        let (block, parts) = (block(&self.context), self.parts(&read));
        self.unanswered += 1;
        if parts.len() > 1 {
            self.split = Some(SplitRead::new(read, parts, self.turn, now + block));
            return self.go_on(now);
        }
        self.trims.sent(now);
        let command = command(&read, &read.streams, Some(block));
        self.push_asking(&read.streams);
        // A read that waits behind another has its time from when that one is answered.
        self.push(Command::Read(read), block + BLOCK_GRACE, &command);
    }

    /// Sends the next commands of the read of several slots.
    fn go_on(&mut self, now: u64) {
        let Some(split) = &mut self.split else { return };
        let next = split.next(now);
        let commands: Vec<(SlotStreams, Cmd)> = next
            .iter()
            .map(|(streams, wait)| (streams.clone(), command(&split.read, streams, *wait)))
            .collect();
        // The first commands of a read are sent with what is to be done before the read.
        if !split.has_just_begun() && split.read.behind.is_none() {
            let (group, parts) = (split.read.group.clone(), next.into_iter().map(|(streams, _)| streams));
            self.look(&group, &parts.collect::<Vec<_>>(), now);
        }
        for (streams, command) in commands {
            self.push_asking(&streams);
            self.push(Command::Part, block(&self.context) + BLOCK_GRACE, &command);
        }
    }

    /// Has the node take the next command, though the slot of these streams is only on its way to it.
    fn push_asking(&mut self, streams: &[Arc<str>]) {
        if streams.iter().any(|stream| self.on_their_way.contains(stream)) {
            self.push(Command::Asking, BLOCK_GRACE, &cmd("ASKING"));
        }
    }

    /// Takes the answer to a part of the read of several slots.
    pub(super) fn take_part(&mut self, reply: &[u8], now: u64) -> Result<(), BusError> {
        let Some(mut split) = self.split.take() else { return Ok(()) };
        split.answered(self.answer(&split.read, reply)?);
        if !split.is_over(now) {
            let goes_on = split.is_idle();
            self.split = Some(split);
            if goes_on {
                self.go_on(now);
            }
            return Ok(());
        }
        self.turn = split.turn();
        match split.end() {
            End::Entries(read, arrivals) => {
                // Its commands were not sent at once, so nothing is known of one moment.
                self.trims.answered_in_parts(arrivals.len());
                self.arrived(&read, arrivals);
            }
            End::Refused(error) => self.refused(error),
        }
        Ok(())
    }

    /// Takes the answer to a read.
    pub(super) fn take_entries(&mut self, read: &Read, reply: &[u8], now: u64) -> Result<(), BusError> {
        match self.answer(read, reply)? {
            Ok(arrivals) => {
                let newest = arrivals.iter().map(|entry| entry.id.ms).max().unwrap_or(0);
                self.trims.answered(arrivals.len(), read.limit, newest, block(&self.context), now);
                self.arrived(read, arrivals);
            }
            Err(error) => self.refused(error),
        }
        Ok(())
    }

    /// What an answer brings, or why there is none. An error of the result drops the connection.
    fn answer(&self, read: &Read, reply: &[u8]) -> Result<Result<Vec<ReceivedEntry>, BusError>, BusError> {
        let mut arrivals = Vec::new();
        let mut unknown = false;
        let (codec, instance) = (&self.context.config.codec, self.context.origin.instance_id());
        let mut shapes = self.context.shapes.lock();
        let answer = visit(reply, |name, id, fields| {
            let Some(stream) = read.streams.iter().find(|stream| stream.as_bytes() == name) else {
                unknown = true;
                return;
            };
            let shapes = shapes.as_deref_mut();
            arrivals.push(ReceivedEntry::new(codec, stream.clone(), id, fields, instance, shapes));
        })?;
        if unknown {
            let message = "the server sent entries of a stream that was not asked for";
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        }
        match answer {
            ReadReply::Refused(error) => {
                let refusal = server_error::classify(error);
                let error = refusal.into_error(error);
                let is_dead = refusal.action == Action::Reconnect && !self.is_elsewhere(&error.message);
                if is_dead { Err(error) } else { Ok(Err(error)) }
            }
            ReadReply::Entries | ReadReply::Nothing => Ok(Ok(arrivals)),
        }
    }

    fn arrived(&mut self, read: &Read, arrivals: Vec<ReceivedEntry>) {
        self.unanswered = self.unanswered.saturating_sub(1);
        for stream in read.streams.iter() {
            let mut of_stream = arrivals.iter().filter(|entry| Arc::ptr_eq(&entry.stream, stream));
            let count = of_stream.clone().count() as u64;
            if let Some(last) = of_stream.next_back() {
                self.trims.read(stream, count, last.id);
            }
        }
        self.reports.entries(arrivals);
        self.report_over();
    }

    fn refused(&mut self, error: BusError) {
        self.unanswered = self.unanswered.saturating_sub(1);
        // The group may be made again.
        self.trims.forget();
        self.reports.refused(error);
        self.report_over();
    }

    /// Tells who waits for it that the last read is over, and what it brought has arrived.
    pub(super) fn report_over(&mut self) {
        if self.unanswered > 0 {
            return;
        }
        if let Some(over) = self.over.take() {
            // The one who waits may have given up.
            let _ = over.send(());
        }
    }
}
