//! The commands of a connection in their order: those that wait, those that were written and have
//! no answer, and the bytes of the former.
//!
//! A command waits until its first byte is written. One that is taken out while it waits is never
//! written, and one that is changed is written as it is then; bytes that are not needed any more are
//! skipped, and only moved when they outweigh the rest, so that taking out many of a long queue does
//! not copy it each time. What is behind a *barrier* is not written before that is answered.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::{Buf, BufMut, BytesMut};

/// A queue that once held more is given back to the system when it is empty.
const KEPT_CAPACITY: usize = 1 << 20;

/// A command that was written, at least in part, and not answered.
pub(in crate::redis) struct Sent<C> {
    pub(in crate::redis) command: C,
    barrier: bool,
    /// When its first byte was written.
    pub(in crate::redis) sent_at: u64,
    /// How long it may stay unanswered before the connection counts as dead.
    pub(in crate::redis) limit: u64,
}

struct Unsent<C> {
    /// `None` once it was taken out.
    command: Option<C>,
    /// Bytes before it that are not needed any more.
    skip: usize,
    /// Bytes on the wire.
    len: usize,
    limit: u64,
    barrier: bool,
}

pub(in crate::redis) struct Pipeline<C> {
    bytes: BytesMut,
    /// How much of the last sent command is still in `bytes`, ahead of the unsent ones.
    partial: usize,
    /// In the order of `bytes`; the first is not a taken one and skips nothing, unless a partial one is
    /// before it.
    unsent: VecDeque<Unsent<C>>,
    /// Bytes that are not needed any more.
    dead: usize,
    sent: VecDeque<Sent<C>>,
    /// Barriers among the unsent and the sent ones.
    barriers: (usize, usize),
    largest: usize,
}

impl<C> Pipeline<C> {
    pub(in crate::redis) fn new() -> Self {
        Pipeline {
            bytes: BytesMut::new(),
            partial: 0,
            unsent: VecDeque::new(),
            dead: 0,
            sent: VecDeque::new(),
            barriers: (0, 0),
            largest: 0,
        }
    }

    /// Appends a command, whose bytes `write` appends; it may stay unanswered for `limit` milliseconds.
    pub(in crate::redis) fn push(&mut self, command: C, limit: u64, write: impl FnOnce(&mut BytesMut)) {
        self.push_of(command, limit, |_, bytes| write(bytes));
    }

    /// As [`Pipeline::push`], where the bytes depend on the command.
    pub(in crate::redis) fn push_of(
        &mut self,
        command: C,
        limit: u64,
        write: impl FnOnce(&C, &mut BytesMut),
    ) {
        let before = self.bytes.len();
        write(&command, &mut self.bytes);
        let len = self.bytes.len() - before;
        self.largest = self.largest.max(self.bytes.len());
        self.unsent.push_back(Unsent { command: Some(command), skip: 0, len, limit, barrier: false });
    }

    /// Appends a command that is a barrier.
    pub(in crate::redis) fn push_barrier(
        &mut self,
        command: C,
        limit: u64,
        write: impl FnOnce(&mut BytesMut),
    ) {
        self.push(command, limit, write);
        if let Some(last) = self.unsent.back_mut() {
            last.barrier = true;
            self.barriers.0 += 1;
        }
    }

    /// Appends the commands of another pipeline, none of which was written.
    pub(in crate::redis) fn append(&mut self, other: Pipeline<C>) {
        debug_assert!(other.sent.is_empty());
        self.bytes.unsplit(other.bytes);
        self.largest = self.largest.max(self.bytes.len());
        self.dead += other.dead;
        self.barriers.0 += other.barriers.0;
        self.unsent.extend(other.unsent);
        self.trim();
    }

    /// The bytes that are to be written next.
    pub(in crate::redis) fn outgoing(&self) -> &[u8] {
        match self.barriers {
            (0, 0) if self.dead == 0 => return &self.bytes,
            (_, 0) => {}
            // The commands behind a barrier wait for its reply.
            _ => return &self.bytes[..self.partial],
        }
        let mut end = self.partial;
        for queued in &self.unsent {
            if queued.command.is_none() || queued.skip > 0 {
                break;
            }
            end += queued.len;
            if queued.barrier {
                break;
            }
        }
        &self.bytes[..end]
    }

    /// So many bytes of [`Pipeline::outgoing`] were written. `sent` is told of each command whose first
    /// byte is among them, with all its bytes. `probes` names the commands that, written while nothing else
    /// is unanswered, must be answered within `probe_limit`.
    pub(in crate::redis) fn written_with(
        &mut self,
        mut bytes: usize,
        now: u64,
        probe_limit: u64,
        probes: impl Fn(&C) -> bool,
        mut sent: impl FnMut(&mut C, &[u8]),
    ) {
        let of_partial = bytes.min(self.partial);
        self.bytes.advance(of_partial);
        self.partial -= of_partial;
        bytes -= of_partial;
        while bytes > 0 {
            let Some(queued) = self.unsent.pop_front() else { break };
            let Unsent { command: Some(mut command), skip: 0, len, limit, barrier } = queued else { break };
            sent(&mut command, &self.bytes[..len]);
            let alone = self.sent.is_empty() && probes(&command);
            let limit = if alone { probe_limit } else { limit };
            let of_command = bytes.min(len);
            self.bytes.advance(of_command);
            self.partial = len - of_command;
            bytes -= of_command;
            self.barriers.0 -= usize::from(barrier);
            self.barriers.1 += usize::from(barrier);
            self.sent.push_back(Sent { command, barrier, sent_at: now, limit });
        }
        self.trim();
    }

    /// The same as [`Pipeline::written_with`], where nobody needs the bytes again.
    pub(in crate::redis) fn written(
        &mut self,
        bytes: usize,
        now: u64,
        probe_limit: u64,
        probes: impl Fn(&C) -> bool,
    ) {
        self.written_with(bytes, now, probe_limit, probes, |_, _| {});
    }

    /// The oldest command without an answer.
    pub(in crate::redis) fn front(&self) -> Option<&Sent<C>> {
        self.sent.front()
    }

    /// Takes it, as its answer has come.
    pub(in crate::redis) fn answered(&mut self) -> Option<C> {
        let queued = self.sent.pop_front()?;
        self.barriers.1 -= usize::from(queued.barrier);
        Some(queued.command)
    }

    /// The commands that were written and not answered.
    pub(in crate::redis) fn sent_mut(&mut self) -> impl Iterator<Item = &mut C> {
        self.sent.iter_mut().map(|queued| &mut queued.command)
    }

    /// All commands that are not answered, written or not.
    pub(in crate::redis) fn commands(&self) -> impl Iterator<Item = &C> {
        self.sent.iter().map(|c| &c.command).chain(self.unsent.iter().filter_map(|c| c.command.as_ref()))
    }

    /// The commands that wait.
    pub(in crate::redis) fn unsent(&self) -> impl Iterator<Item = &C> {
        self.unsent.iter().filter_map(|queued| queued.command.as_ref())
    }

    /// How many commands there are.
    pub(in crate::redis) fn len(&self) -> usize {
        self.sent.len() + self.unsent.len()
    }

    /// Whether one was written and has no answer.
    pub(in crate::redis) fn has_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Whether none is written or waits.
    pub(in crate::redis) fn is_idle(&self) -> bool {
        self.sent.is_empty() && self.unsent.is_empty()
    }

    /// Takes those out that wait and for which `take` says so. They are never written.
    pub(in crate::redis) fn remove_unsent(&mut self, mut take: impl FnMut(&C) -> bool) -> Vec<C> {
        let mut removed = Vec::new();
        for queued in &mut self.unsent {
            if let Some(command) = queued.command.take_if(|command| take(command)) {
                self.dead += queued.len;
                self.barriers.0 -= usize::from(std::mem::take(&mut queued.barrier));
                removed.push(command);
            }
        }
        self.trim();
        removed
    }

    /// Takes those out that wait and for which `take` says so, as a pipeline of their own.
    pub(in crate::redis) fn split_off_unsent(&mut self, mut take: impl FnMut(&C) -> bool) -> Pipeline<C> {
        let mut others = Pipeline::new();
        let mut end = self.partial;
        for queued in &mut self.unsent {
            let start = end + queued.skip;
            end = start + queued.len;
            let Some(command) = queued.command.take_if(|command| take(command)) else { continue };
            self.dead += queued.len;
            let barrier = std::mem::take(&mut queued.barrier);
            self.barriers.0 -= usize::from(barrier);
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            let write = |out: &mut BytesMut| out.put_slice(bytes);
            if barrier {
                others.push_barrier(command, queued.limit, write);
            } else {
                others.push(command, queued.limit, write);
            }
        }
        self.trim();
        others
    }

    /// The commands, none of which was written, in their order: each with its bytes, its limit and whether it is a barrier.
    pub(in crate::redis) fn take_apart(self) -> impl Iterator<Item = (C, BytesMut, u64, bool)> {
        debug_assert!(self.sent.is_empty() && self.partial == 0);
        let mut bytes = self.bytes;
        self.unsent.into_iter().filter_map(move |queued| {
            bytes.advance(queued.skip);
            let its = bytes.split_to(queued.len);
            Some((queued.command?, its, queued.limit, queued.barrier))
        })
    }

    /// How many commands were written and have no answer.
    pub(in crate::redis) fn unanswered(&self) -> usize {
        self.sent.len()
    }

    /// Takes out the first command that [`Pipeline::remove_unsent`] would take out, and no other.
    pub(in crate::redis) fn remove_first_unsent(&mut self, mut take: impl FnMut(&C) -> bool) -> Option<C> {
        let found = self.unsent.iter_mut().find(|c| c.command.as_ref().is_some_and(&mut take))?;
        let command = found.command.take();
        self.dead += found.len;
        self.barriers.0 -= usize::from(std::mem::take(&mut found.barrier));
        self.trim();
        command
    }

    /// Takes the last one out, if it waits and `take` says so.
    pub(in crate::redis) fn remove_last_unsent(&mut self, take: impl FnOnce(&C) -> bool) -> Option<C> {
        let command = self.unsent.back_mut()?.command.take_if(|command| take(command))?;
        if let Some(Unsent { skip, len, barrier, .. }) = self.unsent.pop_back() {
            self.bytes.truncate(self.bytes.len() - len - skip);
            self.dead -= skip;
            self.barriers.0 -= usize::from(barrier);
        }
        self.trim();
        Some(command)
    }

    /// Changes the first one that waits and is `wanted`: `change` is given its bytes and gives those that
    /// are written instead, which must not be more. Returns whether there was one.
    pub(in crate::redis) fn edit_first_unsent(
        &mut self,
        mut wanted: impl FnMut(&C) -> bool,
        change: impl FnOnce(&mut C, &[u8]) -> Vec<u8>,
    ) -> bool {
        let mut end = self.partial;
        for queued in &mut self.unsent {
            let start = end + queued.skip;
            end = start + queued.len;
            let Some(command) = queued.command.as_mut().filter(|command| wanted(command)) else { continue };
            let changed = change(command, &self.bytes[start..end]);
            debug_assert!(changed.len() <= queued.len);
            // At the end of its place, so that what is not needed any more is before it.
            let saved = queued.len.saturating_sub(changed.len());
            if let Some(place) = self.bytes.get_mut(start + saved..end) {
                place.copy_from_slice(&changed);
            }
            queued.skip += saved;
            queued.len -= saved;
            self.dead += saved;
            self.trim();
            return true;
        }
        false
    }

    /// Changes those that wait: `change` is given the bytes of each, and gives those that are written instead, or `None`
    /// to leave it.
    pub(in crate::redis) fn rewrite_unsent(
        &mut self,
        mut change: impl FnMut(&mut C, &[u8]) -> Option<Vec<u8>>,
    ) {
        let (mut end, mut changed) = (self.partial, Vec::new());
        for (index, queued) in self.unsent.iter_mut().enumerate() {
            let start = end + queued.skip;
            end = start + queued.len;
            let bytes = self.bytes.get(start..end).unwrap_or_default();
            if let Some(bytes) = queued.command.as_mut().and_then(|command| change(command, bytes)) {
                changed.push((index, bytes));
            }
        }
        if changed.is_empty() {
            return;
        }
        let mut changed = changed.into_iter().peekable();
        let mut old = std::mem::take(&mut self.bytes);
        self.bytes.put_slice(&old.split_to(self.partial));
        for (index, queued) in self.unsent.iter_mut().enumerate() {
            self.bytes.put_slice(&old.split_to(queued.skip));
            let its = old.split_to(queued.len);
            match changed.next_if(|(at, _)| *at == index) {
                Some((_, bytes)) => {
                    queued.len = bytes.len();
                    self.bytes.put_slice(&bytes);
                }
                None => self.bytes.put_slice(&its),
            }
        }
        self.largest = self.largest.max(self.bytes.len());
    }

    /// The connection is gone. Returns what was written and not answered; what waits stays.
    pub(in crate::redis) fn disconnected(&mut self) -> VecDeque<Sent<C>> {
        self.bytes.advance(self.partial);
        self.partial = 0;
        self.barriers.1 = 0;
        self.trim();
        std::mem::take(&mut self.sent)
    }

    /// Lets go of the bytes that are not needed any more.
    fn trim(&mut self) {
        if self.partial == 0 {
            while let Some(first) = self.unsent.front_mut() {
                let taken = first.command.is_none();
                let dead = std::mem::take(&mut first.skip) + if taken { first.len } else { 0 };
                self.bytes.advance(dead);
                self.dead -= dead;
                if !taken {
                    break;
                }
                self.unsent.pop_front();
            }
        }
        if self.dead > self.bytes.len() / 2 {
            let mut old = std::mem::take(&mut self.bytes);
            self.bytes.reserve(old.len() - self.dead);
            self.bytes.put_slice(&old.split_to(self.partial));
            self.unsent.retain_mut(|queued| {
                old.advance(std::mem::take(&mut queued.skip));
                let its = old.split_to(queued.len);
                if queued.command.is_some() {
                    self.bytes.put_slice(&its);
                }
                queued.command.is_some()
            });
            self.dead = 0;
        }
        if self.bytes.is_empty() && self.largest > KEPT_CAPACITY {
            self.bytes = BytesMut::new();
            self.largest = 0;
        }
    }
}
