//! The commands of a connection in their order: those that wait, those that were written and have
//! no answer, and the bytes of the former.
//!
//! A command waits until its first byte is written. One that is taken out while it waits is never
//! written; its bytes are skipped, and only moved when they outweigh the rest, so that taking out many
//! of a long queue does not copy it each time.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, BytesMut};

/// A queue that once held more is given back to the system when it is empty.
const KEPT_CAPACITY: usize = 1 << 20;

/// A command that was written, at least in part, and not answered.
pub(super) struct Sent<K> {
    pub(super) kind: K,
    /// When its first byte was written.
    pub(super) sent_at: u64,
    /// How long it may stay unanswered before the connection counts as dead.
    pub(super) limit: u64,
}

struct Unsent<K> {
    /// `None` once it was taken out.
    kind: Option<K>,
    /// Bytes on the wire.
    len: usize,
    limit: u64,
}

pub(super) struct Pipeline<K> {
    bytes: BytesMut,
    /// How much of the last sent command is still in `bytes`, ahead of the unsent ones.
    partial: usize,
    /// In the order of `bytes`; the first is not a taken one, unless a partial one is before it.
    unsent: VecDeque<Unsent<K>>,
    /// Bytes of commands that were taken out.
    dead: usize,
    sent: VecDeque<Sent<K>>,
    largest: usize,
}

impl<K> Pipeline<K> {
    pub(super) fn new() -> Self {
        Pipeline {
            bytes: BytesMut::new(),
            partial: 0,
            unsent: VecDeque::new(),
            dead: 0,
            sent: VecDeque::new(),
            largest: 0,
        }
    }

    /// Appends a command, whose bytes `write` appends; it may stay unanswered for `limit` milliseconds.
    pub(super) fn push(&mut self, kind: K, limit: u64, write: impl FnOnce(&mut BytesMut)) {
        let before = self.bytes.len();
        write(&mut self.bytes);
        let len = self.bytes.len() - before;
        self.largest = self.largest.max(self.bytes.len());
        self.unsent.push_back(Unsent { kind: Some(kind), len, limit });
    }

    /// What is to be written next.
    pub(super) fn outgoing(&self) -> &[u8] {
        if self.dead == 0 {
            return &self.bytes;
        }
        let live = self.unsent.iter().take_while(|c| c.kind.is_some()).map(|c| c.len).sum::<usize>();
        &self.bytes[..self.partial + live]
    }

    /// So many bytes of [`Pipeline::outgoing`] were written. `probes` names the kinds that, written while
    /// nothing else is unanswered, must be answered within `probe_limit`.
    pub(super) fn written(
        &mut self,
        mut bytes: usize,
        now: u64,
        probe_limit: u64,
        probes: impl Fn(&K) -> bool,
    ) {
        self.bytes.advance(bytes);
        let of_partial = bytes.min(self.partial);
        self.partial -= of_partial;
        bytes -= of_partial;
        while bytes > 0 {
            let Some(Unsent { kind: Some(kind), len, limit }) = self.unsent.pop_front() else { break };
            let alone = self.sent.is_empty() && probes(&kind);
            let limit = if alone { probe_limit } else { limit };
            let of_command = bytes.min(len);
            self.partial = len - of_command;
            bytes -= of_command;
            self.sent.push_back(Sent { kind, sent_at: now, limit });
        }
        self.trim();
    }

    /// The oldest command without an answer.
    pub(super) fn front(&self) -> Option<&Sent<K>> {
        self.sent.front()
    }

    /// Takes it, as its answer has come.
    pub(super) fn answered(&mut self) -> Option<K> {
        self.sent.pop_front().map(|command| command.kind)
    }

    /// Those without an answer.
    pub(super) fn sent_mut(&mut self) -> impl Iterator<Item = &mut K> {
        self.sent.iter_mut().map(|command| &mut command.kind)
    }

    /// All that are not answered.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &K> {
        self.sent.iter().map(|c| &c.kind).chain(self.unsent.iter().filter_map(|c| c.kind.as_ref()))
    }

    /// How many commands there are.
    pub(super) fn len(&self) -> usize {
        self.sent.len() + self.unsent.len()
    }

    /// Whether none is written or waits.
    pub(super) fn is_idle(&self) -> bool {
        self.sent.is_empty() && self.unsent.is_empty()
    }

    /// Takes those out that wait and for which `take` says so. They are never written.
    pub(super) fn remove_unsent(&mut self, mut take: impl FnMut(&K) -> bool) -> Vec<K> {
        let mut removed = Vec::new();
        for command in &mut self.unsent {
            if let Some(kind) = command.kind.take_if(|kind| take(kind)) {
                self.dead += command.len;
                removed.push(kind);
            }
        }
        self.trim();
        removed
    }

    /// As [`Pipeline::remove_unsent`], for the first one only.
    pub(super) fn remove_first_unsent(&mut self, mut take: impl FnMut(&K) -> bool) -> Option<K> {
        let found = self.unsent.iter_mut().find(|c| c.kind.as_ref().is_some_and(&mut take))?;
        let kind = found.kind.take();
        self.dead += found.len;
        self.trim();
        kind
    }

    /// The connection is gone. Returns what was written and not answered; what waits stays.
    pub(super) fn disconnected(&mut self) -> VecDeque<Sent<K>> {
        self.bytes.advance(self.partial);
        self.partial = 0;
        self.trim();
        std::mem::take(&mut self.sent)
    }

    /// Lets go of the bytes of commands that were taken out.
    fn trim(&mut self) {
        if self.partial == 0 {
            while let Some(Unsent { kind: None, len, .. }) = self.unsent.front() {
                self.bytes.advance(*len);
                self.dead -= len;
                self.unsent.pop_front();
            }
        }
        if self.dead > self.bytes.len() / 2 {
            let mut old = std::mem::take(&mut self.bytes);
            self.bytes.reserve(old.len() - self.dead);
            self.bytes.put_slice(&old.split_to(self.partial));
            self.unsent.retain(|command| {
                let its = old.split_to(command.len);
                if command.kind.is_some() {
                    self.bytes.put_slice(&its);
                }
                command.kind.is_some()
            });
            self.dead = 0;
        }
        if self.bytes.is_empty() && self.largest > KEPT_CAPACITY {
            self.bytes = BytesMut::new();
            self.largest = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Command `n` has `n % 5 + 1` bytes of value `n`.
    fn push(pipeline: &mut Pipeline<u8>, n: u8) {
        pipeline.push(n, 9, |bytes| bytes.put_bytes(n, usize::from(n % 5 + 1)));
    }

    proptest! {
        #[test]
        fn what_is_taken_out_is_never_written_and_the_rest_is_whole_and_in_order(
            steps in prop::collection::vec((0u8..5, any::<u8>()), 0..200)
        ) {
            let mut pipeline = Pipeline::new();
            let (mut next, mut wire, mut taken) = (0u8, Vec::new(), Vec::new());
            for (step, x) in steps {
                match step {
                    0 | 1 => { push(&mut pipeline, next); next = next.wrapping_add(1); }
                    2 => {
                        let some = pipeline.outgoing();
                        let some = some[..some.len().min(usize::from(x))].to_vec();
                        pipeline.written(some.len(), 1, 1, |_| false);
                        wire.extend(some);
                    }
                    3 => taken.extend(pipeline.remove_unsent(|n| n % 3 == x % 3)),
                    _ => taken.extend(pipeline.remove_first_unsent(|n| n % 4 == x % 4)),
                }
            }
            while !pipeline.outgoing().is_empty() {
                let all = pipeline.outgoing().to_vec();
                pipeline.written(all.len(), 1, 1, |_| false);
                wire.extend(all);
            }
            let mut expected = Vec::new();
            for n in (0..next).filter(|n| !taken.contains(n)) {
                expected.extend(vec![n; usize::from(n % 5 + 1)]);
            }
            prop_assert_eq!(wire, expected);
            prop_assert_eq!(pipeline.dead, 0);
            let sent: Vec<u8> = pipeline.disconnected().into_iter().map(|c| c.kind).collect();
            prop_assert_eq!(sent, (0..next).filter(|n| !taken.contains(n)).collect::<Vec<_>>());
            prop_assert!(pipeline.is_idle());
        }
    }

    #[test]
    fn a_partly_written_command_is_lost_with_its_connection() {
        let mut pipeline = Pipeline::new();
        (3..6).for_each(|n| push(&mut pipeline, n));
        pipeline.written(6, 1, 1, |_| false);
        let lost: Vec<u8> = pipeline.disconnected().into_iter().map(|c| c.kind).collect();
        assert_eq!((lost, pipeline.outgoing()), (vec![3, 4], &[5][..]));
    }
}
