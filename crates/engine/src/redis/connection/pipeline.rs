//! The commands of a connection in their order: those that wait, those that were written and have
//! no answer, and the bytes of the former.
//!
//! A command waits until its first byte is written. One that is taken out while it waits is never
//! written, and one that is changed is written as it is then; bytes that are not needed any more are
//! skipped, and only moved when they outweigh the rest, so that taking out many of a long queue does
//! not copy it each time. What is behind a *barrier* is not written before that is answered.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, BytesMut};

/// A queue that once held more is given back to the system when it is empty.
const KEPT_CAPACITY: usize = 1 << 20;

/// A command that was written, at least in part, and not answered.
pub(in crate::redis) struct Sent<K> {
    pub(in crate::redis) kind: K,
    barrier: bool,
    /// When its first byte was written.
    pub(in crate::redis) sent_at: u64,
    /// How long it may stay unanswered before the connection counts as dead.
    pub(in crate::redis) limit: u64,
}

struct Unsent<K> {
    /// `None` once it was taken out.
    kind: Option<K>,
    /// Bytes before it that are not needed any more.
    skip: usize,
    /// Bytes on the wire.
    len: usize,
    limit: u64,
    barrier: bool,
}

pub(in crate::redis) struct Pipeline<K> {
    bytes: BytesMut,
    /// How much of the last sent command is still in `bytes`, ahead of the unsent ones.
    partial: usize,
    /// In the order of `bytes`; the first is not a taken one and skips nothing, unless a partial one is
    /// before it.
    unsent: VecDeque<Unsent<K>>,
    /// Bytes that are not needed any more.
    dead: usize,
    sent: VecDeque<Sent<K>>,
    /// Barriers among the unsent and the sent ones.
    barriers: (usize, usize),
    largest: usize,
}

impl<K> Pipeline<K> {
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
    pub(in crate::redis) fn push(&mut self, kind: K, limit: u64, write: impl FnOnce(&mut BytesMut)) {
        self.push_of(kind, limit, |_, bytes| write(bytes));
    }

    /// As [`Pipeline::push`], where the bytes depend on the kind.
    pub(in crate::redis) fn push_of(&mut self, kind: K, limit: u64, write: impl FnOnce(&K, &mut BytesMut)) {
        let before = self.bytes.len();
        write(&kind, &mut self.bytes);
        let len = self.bytes.len() - before;
        self.largest = self.largest.max(self.bytes.len());
        self.unsent.push_back(Unsent { kind: Some(kind), skip: 0, len, limit, barrier: false });
    }

    /// Appends a command that is a barrier.
    pub(in crate::redis) fn push_barrier(&mut self, kind: K, limit: u64, write: impl FnOnce(&mut BytesMut)) {
        self.push(kind, limit, write);
        if let Some(last) = self.unsent.back_mut() {
            last.barrier = true;
            self.barriers.0 += 1;
        }
    }

    /// Appends the commands of another pipeline, none of which was written.
    pub(in crate::redis) fn append(&mut self, other: Pipeline<K>) {
        debug_assert!(other.sent.is_empty());
        self.bytes.unsplit(other.bytes);
        self.largest = self.largest.max(self.bytes.len());
        self.dead += other.dead;
        self.barriers.0 += other.barriers.0;
        self.unsent.extend(other.unsent);
        self.trim();
    }

    /// What is to be written next.
    pub(in crate::redis) fn outgoing(&self) -> &[u8] {
        match self.barriers {
            (0, 0) if self.dead == 0 => return &self.bytes,
            (_, 0) => {}
            // What is behind it waits.
            _ => return &self.bytes[..self.partial],
        }
        let mut end = self.partial;
        for command in &self.unsent {
            if command.kind.is_none() || command.skip > 0 {
                break;
            }
            end += command.len;
            if command.barrier {
                break;
            }
        }
        &self.bytes[..end]
    }

    /// So many bytes of [`Pipeline::outgoing`] were written. `sent` is told of each command whose first
    /// byte is among them, with all its bytes. `probes` names the kinds that, written while nothing else
    /// is unanswered, must be answered within `probe_limit`.
    pub(in crate::redis) fn written_telling(
        &mut self,
        mut bytes: usize,
        now: u64,
        probe_limit: u64,
        probes: impl Fn(&K) -> bool,
        mut sent: impl FnMut(&mut K, &[u8]),
    ) {
        let of_partial = bytes.min(self.partial);
        self.bytes.advance(of_partial);
        self.partial -= of_partial;
        bytes -= of_partial;
        while bytes > 0 {
            let Some(command) = self.unsent.pop_front() else { break };
            let Unsent { kind: Some(mut kind), skip: 0, len, limit, barrier } = command else { break };
            sent(&mut kind, &self.bytes[..len]);
            let alone = self.sent.is_empty() && probes(&kind);
            let limit = if alone { probe_limit } else { limit };
            let of_command = bytes.min(len);
            self.bytes.advance(of_command);
            self.partial = len - of_command;
            bytes -= of_command;
            self.barriers.0 -= usize::from(barrier);
            self.barriers.1 += usize::from(barrier);
            self.sent.push_back(Sent { kind, barrier, sent_at: now, limit });
        }
        self.trim();
    }

    /// As [`Pipeline::written_telling`], where nobody needs the bytes again.
    pub(in crate::redis) fn written(
        &mut self,
        bytes: usize,
        now: u64,
        probe_limit: u64,
        probes: impl Fn(&K) -> bool,
    ) {
        self.written_telling(bytes, now, probe_limit, probes, |_, _| {});
    }

    /// The oldest command without an answer.
    pub(in crate::redis) fn front(&self) -> Option<&Sent<K>> {
        self.sent.front()
    }

    /// Takes it, as its answer has come.
    pub(in crate::redis) fn answered(&mut self) -> Option<K> {
        let command = self.sent.pop_front()?;
        self.barriers.1 -= usize::from(command.barrier);
        Some(command.kind)
    }

    /// Those without an answer.
    pub(in crate::redis) fn sent_mut(&mut self) -> impl Iterator<Item = &mut K> {
        self.sent.iter_mut().map(|command| &mut command.kind)
    }

    /// All that are not answered.
    pub(in crate::redis) fn kinds(&self) -> impl Iterator<Item = &K> {
        self.sent.iter().map(|c| &c.kind).chain(self.unsent.iter().filter_map(|c| c.kind.as_ref()))
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
    pub(in crate::redis) fn remove_unsent(&mut self, mut take: impl FnMut(&K) -> bool) -> Vec<K> {
        let mut removed = Vec::new();
        for command in &mut self.unsent {
            if let Some(kind) = command.kind.take_if(|kind| take(kind)) {
                self.dead += command.len;
                self.barriers.0 -= usize::from(std::mem::take(&mut command.barrier));
                removed.push(kind);
            }
        }
        self.trim();
        removed
    }

    /// As [`Pipeline::remove_unsent`], for the first one only.
    pub(in crate::redis) fn remove_first_unsent(&mut self, mut take: impl FnMut(&K) -> bool) -> Option<K> {
        let found = self.unsent.iter_mut().find(|c| c.kind.as_ref().is_some_and(&mut take))?;
        let kind = found.kind.take();
        self.dead += found.len;
        self.barriers.0 -= usize::from(std::mem::take(&mut found.barrier));
        self.trim();
        kind
    }

    /// Takes the last one out, if it waits and `take` says so.
    pub(in crate::redis) fn remove_last_unsent(&mut self, take: impl FnOnce(&K) -> bool) -> Option<K> {
        let kind = self.unsent.back_mut()?.kind.take_if(|kind| take(kind))?;
        if let Some(Unsent { skip, len, barrier, .. }) = self.unsent.pop_back() {
            self.bytes.truncate(self.bytes.len() - len - skip);
            self.dead -= skip;
            self.barriers.0 -= usize::from(barrier);
        }
        self.trim();
        Some(kind)
    }

    /// Changes the first one that waits and is `wanted`: `change` is given its bytes and gives those that
    /// are written instead, which must not be more. Returns whether there was one.
    pub(in crate::redis) fn edit_first_unsent(
        &mut self,
        mut wanted: impl FnMut(&K) -> bool,
        change: impl FnOnce(&mut K, &[u8]) -> Vec<u8>,
    ) -> bool {
        let mut end = self.partial;
        for command in &mut self.unsent {
            let start = end + command.skip;
            end = start + command.len;
            let Some(kind) = command.kind.as_mut().filter(|kind| wanted(kind)) else { continue };
            let changed = change(kind, &self.bytes[start..end]);
            debug_assert!(changed.len() <= command.len);
            // At the end of its place, so that what is not needed any more is before it.
            let saved = command.len.saturating_sub(changed.len());
            if let Some(place) = self.bytes.get_mut(start + saved..end) {
                place.copy_from_slice(&changed);
            }
            command.skip += saved;
            command.len -= saved;
            self.dead += saved;
            self.trim();
            return true;
        }
        false
    }

    /// The connection is gone. Returns what was written and not answered; what waits stays.
    pub(in crate::redis) fn disconnected(&mut self) -> VecDeque<Sent<K>> {
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
                let taken = first.kind.is_none();
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
            self.unsent.retain_mut(|command| {
                old.advance(std::mem::take(&mut command.skip));
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

    /// Command `n` has `n % 5 + 1` bytes of value `n`; those of `n % 7 == 3` are barriers.
    fn push(pipeline: &mut Pipeline<u8>, n: u8) {
        let write = |bytes: &mut BytesMut| bytes.put_bytes(n, usize::from(n % 5 + 1));
        match n % 7 {
            3 => pipeline.push_barrier(n, 9, write),
            _ => pipeline.push(n, 9, write),
        }
    }

    /// What a test knows of the commands: how many bytes each still has, none once it was taken out.
    #[derive(Default)]
    struct Model {
        next: u8,
        left: Vec<usize>,
        sent: usize,
        answered: usize,
    }

    impl Model {
        fn unsent(&self) -> impl Iterator<Item = u8> {
            let (first, left) = (self.sent, &self.left);
            (0..self.next).filter(move |n| usize::from(*n) >= first && left[usize::from(*n)] > 0)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn what_is_written_is_whole_in_order_and_as_it_was_changed_last(
            steps in prop::collection::vec((0u8..9, any::<u8>()), 0..150)
        ) {
            let mut pipeline = Pipeline::new();
            let (mut model, mut wire, mut told) = (Model::default(), Vec::new(), Vec::new());
            let write = |pipeline: &mut Pipeline<u8>, model: &mut Model, told: &mut Vec<u8>, wire: &mut Vec<u8>, most| {
                let some = pipeline.outgoing();
                let some = some[..some.len().min(most)].to_vec();
                pipeline.written_telling(some.len(), 1, 1, |_| false, |n, bytes| {
                    assert!(bytes.iter().all(|byte| byte == n) && bytes.len() == model.left[usize::from(*n)]);
                    told.push(*n);
                    model.sent = usize::from(*n) + 1;
                });
                wire.extend(some);
            };
            for (step, x) in steps {
                match step {
                    0 | 1 if model.next < 200 => {
                        push(&mut pipeline, model.next);
                        model.left.push(usize::from(model.next % 5 + 1));
                        model.next += 1;
                    }
                    2 if model.next < 200 => {
                        let mut other = Pipeline::new();
                        push(&mut other, model.next);
                        model.left.push(usize::from(model.next % 5 + 1));
                        model.next += 1;
                        pipeline.append(other);
                    }
                    3 => write(&mut pipeline, &mut model, &mut told, &mut wire, usize::from(x)),
                    4 => {
                        let taken = pipeline.remove_unsent(|n| n % 3 == x % 3);
                        prop_assert_eq!(&taken, &model.unsent().filter(|n| n % 3 == x % 3).collect::<Vec<_>>());
                        taken.iter().for_each(|n| model.left[usize::from(*n)] = 0);
                    }
                    5 => {
                        let taken = pipeline.remove_first_unsent(|n| n % 4 == x % 4);
                        prop_assert_eq!(taken, model.unsent().find(|n| n % 4 == x % 4));
                        taken.into_iter().for_each(|n| model.left[usize::from(n)] = 0);
                    }
                    6 => {
                        let taken = pipeline.remove_last_unsent(|n| n % 2 == x % 2);
                        taken.into_iter().for_each(|n| model.left[usize::from(n)] = 0);
                    }
                    7 => {
                        let wanted = model.unsent().find(|n| n % 4 == x % 4);
                        let found = pipeline.edit_first_unsent(|n| n % 4 == x % 4, |n, bytes| {
                            let left = &mut model.left[usize::from(*n)];
                            assert_eq!((Some(*n), bytes.len()), (wanted, *left));
                            *left = 1 + usize::from(x) % *left;
                            vec![*n; *left]
                        });
                        prop_assert_eq!(found, wanted.is_some());
                    }
                    _ => if pipeline.answered().is_some() { model.answered += 1; },
                }
                prop_assert!(pipeline.dead <= pipeline.bytes.len() / 2);
            }
            // Every barrier must be answered before what is behind it is written.
            for _ in 0..=usize::from(model.next) {
                write(&mut pipeline, &mut model, &mut told, &mut wire, usize::MAX);
                if pipeline.answered().is_some() { model.answered += 1; }
            }
            let expected = |n: &u8| model.left[usize::from(*n)] > 0;
            prop_assert_eq!(&told, &(0..model.next).filter(expected).collect::<Vec<_>>());
            let bytes: Vec<u8> = told.iter().flat_map(|n| vec![*n; model.left[usize::from(*n)]]).collect();
            prop_assert_eq!(wire, bytes);
            prop_assert_eq!((pipeline.dead, pipeline.barriers.0), (0, 0));
            let sent: Vec<u8> = pipeline.disconnected().into_iter().map(|c| c.kind).collect();
            prop_assert_eq!(sent, &told[model.answered..]);
            prop_assert!(pipeline.is_idle() && pipeline.outgoing().is_empty());
        }
    }

    #[test]
    fn what_is_behind_a_barrier_waits_for_its_answer() {
        let mut pipeline = Pipeline::new();
        (2..6).for_each(|n| push(&mut pipeline, n));
        assert_eq!(pipeline.outgoing(), [2, 2, 2, 3, 3, 3, 3]);
        pipeline.written(7, 1, 1, |_| false);
        assert_eq!(pipeline.outgoing(), [0; 0]);
        pipeline.answered();
        assert_eq!(pipeline.outgoing(), [0; 0]);
        pipeline.answered();
        assert_eq!(pipeline.outgoing(), [4, 4, 4, 4, 4, 5]);
    }

    #[test]
    fn a_partly_written_command_is_lost_with_its_connection() {
        let mut pipeline = Pipeline::new();
        (4..7).for_each(|n| push(&mut pipeline, n));
        pipeline.written(6, 1, 1, |_| false);
        let lost: Vec<u8> = pipeline.disconnected().into_iter().map(|c| c.kind).collect();
        assert_eq!((lost, pipeline.outgoing()), (vec![4, 5], &[6, 6][..]));
    }
}
