//! What holds after any requests in any order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::stream_store::ConsumerInfo;

#[derive(Clone, Debug)]
enum Step {
    Append(Option<u64>),
    Read(usize, usize),
    Acknowledge(Vec<usize>),
    Hold(usize, Vec<usize>, Option<u32>, Option<u64>),
    Release(usize, Vec<usize>, Option<u64>, bool),
    Bury(usize, Vec<usize>, bool),
    Begin(usize, usize),
    Claim(usize, Vec<usize>, u64, bool),
    Own(usize, usize, bool),
    Beat(usize, usize),
    Leave(usize, usize),
    Sweep,
    Trim(u64),
    Retain(Option<u64>, Option<u64>),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let consumer = 0..CONSUMERS.len();
    let ids = || prop::collection::vec(0usize..40, 0..6);
    let wait = || prop::option::of(0u64..90);
    prop_oneof![
        6 => prop::option::weighted(0.2, 5u64..30).prop_map(Step::Append),
        4 => (consumer.clone(), 0usize..8).prop_map(|(c, n)| Step::Read(c, n)),
        3 => ids().prop_map(Step::Acknowledge),
        2 => (consumer.clone(), ids(), prop::option::of(0u32..9), wait()).prop_map(|(c, i, n, w)| Step::Hold(c, i, n, w)),
        2 => (consumer.clone(), ids(), wait(), any::<bool>()).prop_map(|(c, i, w, u)| Step::Release(c, i, w, u)),
        2 => (consumer.clone(), ids(), any::<bool>()).prop_map(|(c, i, kept)| Step::Bury(c, i, kept)),
        1 => (consumer.clone(), 0usize..40).prop_map(|(c, i)| Step::Begin(c, i)),
        3 => (consumer.clone(), ids(), 0u64..60, any::<bool>()).prop_map(|(c, i, idle, early)| Step::Claim(c, i, idle, early)),
        2 => (consumer.clone(), 0usize..9, any::<bool>()).prop_map(|(c, n, raise)| Step::Own(c, n, raise)),
        2 => (consumer.clone(), 0usize..3).prop_map(|(c, i)| Step::Beat(c, i)),
        1 => (consumer.clone(), 0usize..3).prop_map(|(c, i)| Step::Leave(c, i)),
        1 => Just(Step::Sweep),
        1 => (0u64..20).prop_map(Step::Trim),
        1 => (prop::option::of(0u64..20), prop::option::of(0u64..90)).prop_map(|(n, age)| Step::Retain(n, age)),
        3 => (0u64..40).prop_map(Step::Wait),
        1 => Just(Step::Wait(61_000)),
    ]
}

const CONSUMERS: [&str; 3] = ["a", "b", "c"];
const INSTANCES: [&str; 3] = ["i", "j", "k"];

/// What must be true of a group from the beginning, told only by what was asked and answered.
#[derive(Default)]
struct Ledger {
    appended: Vec<EntryId>,
    settled: BTreeSet<EntryId>,
    gone: BTreeSet<EntryId>,
    buried: u64,
    missed: u64,
}

struct Run {
    rig: Rig,
    ledger: Ledger,
}

impl Run {
    fn new() -> Run {
        Run { rig: Rig::with(0), ledger: Ledger::default() }
    }

    fn pick(&self, numbers: &[usize]) -> Vec<EntryId> {
        // The newest are those that are pending; some that never were are among them.
        let known = &self.ledger.appended;
        let pick = |n: &usize| known.len().checked_sub(n + 1).map_or(id(1, *n as u64), |at| known[at]);
        let ids: BTreeSet<_> = numbers.iter().map(pick).collect();
        ids.into_iter().collect()
    }

    fn owner(&mut self, id: EntryId) -> Option<String> {
        self.rig.pending().iter().find(|e| e.id == id).map(|e| e.consumer.to_string())
    }

    /// Of a fenced request: what is lost is what another owns, or nobody, or what was deleted; all when the name is another's.
    fn fenced(&mut self, consumer: &str, ids: &[EntryId], request: Request, settles: bool) -> Vec<EntryId> {
        let existing: BTreeSet<_> = self.rig.entries("s").iter().map(|e| e.id).collect();
        let mine = self.rig.streams.by_name["s"].groups["g"].is_mine(&member(consumer));
        let owns = |run: &mut Run, id: EntryId| mine && run.owner(id).as_deref() == Some(consumer);
        let owned: BTreeSet<_> = ids.iter().copied().filter(|id| owns(self, *id)).collect();
        let lost: BTreeSet<_> = self.rig.lost(request).into_iter().collect();
        for id in ids {
            let kept = owned.contains(id) && existing.contains(id);
            assert_eq!(lost.contains(id), !kept, "{id}");
            if owned.contains(id) && !existing.contains(id) {
                self.ledger.gone.insert(*id);
            } else if owned.contains(id) && settles {
                self.ledger.settled.insert(*id);
            }
        }
        owned.into_iter().filter(|id| existing.contains(id)).collect()
    }

    fn claimed(&mut self, consumer: &str, request: Request) -> Vec<EntryId> {
        let before: Vec<_> = self.rig.pending();
        let (entries, deleted) = self.rig.claimed(request);
        for entry in &entries {
            assert_eq!(self.owner(entry.id).as_deref(), Some(consumer));
            let was = before.iter().find(|e| e.id == entry.id).unwrap();
            assert!(entry.deliveries - was.deliveries <= 1);
        }
        for id in deleted {
            assert!(self.rig.entries("s").iter().all(|e| e.id != id));
            self.ledger.gone.insert(id);
        }
        entries.iter().map(|entry| entry.id).collect()
    }

    fn step(&mut self, step: Step) {
        let rig = &mut self.rig;
        match step {
            Step::Append(cap) => {
                let id = rig.streams.append("s", fields("x"), cap, rig.now);
                assert!(self.ledger.appended.last().is_none_or(|last| *last < id));
                self.ledger.appended.push(id);
            }
            Step::Read(c, limit) => {
                let before: BTreeSet<_> = rig.pending().iter().map(|e| e.id).collect();
                let ids = rig.read(CONSUMERS[c], limit);
                assert!(ids.len() <= limit && ids.is_sorted());
                assert!(ids.iter().all(|id| !before.contains(id)));
            }
            Step::Acknowledge(ids) => {
                let ids = self.pick(&ids);
                let before: BTreeSet<_> = self.rig.pending().iter().map(|e| e.id).collect();
                self.rig.acknowledge(&ids);
                assert!(self.rig.pending().iter().all(|e| !ids.contains(&e.id)));
                self.ledger.settled.extend(ids.into_iter().filter(|id| before.contains(id)));
            }
            Step::Hold(c, ids, deliveries, due_in) => {
                let ids = self.pick(&ids);
                let state = deliveries.map(|deliveries| RetryState { deliveries, due_in });
                let items = ids.iter().map(|id| (*id, state)).collect();
                let request = Request::ExtendLease { member: member(CONSUMERS[c]), items };
                for id in self.fenced(CONSUMERS[c], &ids, request, false) {
                    let pending = self.rig.pending();
                    let entry = pending.iter().find(|e| e.id == id).unwrap();
                    assert_eq!((entry.idle, deliveries.unwrap_or(entry.deliveries)), (0, entry.deliveries));
                }
            }
            Step::Release(c, ids, due_in, unhandled) => {
                let ids = self.pick(&ids);
                let items = ids.iter().map(|id| (*id, RetryState { deliveries: 1, due_in })).collect();
                let request = Request::Requeue { member: member(CONSUMERS[c]), items, lease: 30, unhandled };
                for id in self.fenced(CONSUMERS[c], &ids, request, false) {
                    let pending = self.rig.pending();
                    let entry = pending.iter().find(|e| e.id == id).unwrap();
                    let waits = self.rig.streams.by_name["s"].groups["g"].pending[&id].due_in(self.rig.now);
                    let idle = waits.map_or(3_600_000, |wait| 30u64.saturating_sub(wait));
                    assert_eq!((entry.idle, entry.deliveries), (idle, 1));
                    assert_eq!(&*entry.consumer == DELAYED, waits.is_some());
                    assert!(waits.is_some() || due_in.is_none_or(|wait| wait == 0));
                }
            }
            Step::Bury(c, ids, kept) => {
                let ids = self.pick(&ids);
                let to = kept.then(|| "dead".into());
                let letters = ids.iter().map(|id| letter(*id, "failed")).collect();
                let request =
                    Request::DeadLetter { member: member(CONSUMERS[c]), to, max_len: 1000, letters };
                let buried = self.fenced(CONSUMERS[c], &ids, request, true);
                self.ledger.buried += if kept { buried.len() as u64 } else { 0 };
            }
            Step::Begin(c, n) => {
                let id = self.pick(&[n])[0];
                self.fenced(
                    CONSUMERS[c],
                    &[id],
                    Request::MarkStarted { member: member(CONSUMERS[c]), id },
                    false,
                );
            }
            Step::Claim(c, ids, min_idle, early) => {
                let (ids, member) = (self.pick(&ids), member(CONSUMERS[c]));
                let waits = |run: &Run, id: &EntryId| {
                    let pending = &run.rig.streams.by_name["s"].groups["g"].pending.get(id)?;
                    pending.due_in(run.rig.now).filter(|_| pending.is_delayed())
                };
                let waiting: BTreeSet<_> =
                    ids.iter().copied().filter(|id| waits(self, id).is_some()).collect();
                let claimed = self
                    .claimed(CONSUMERS[c], Request::Claim { member, min_idle: min_idle.into(), early, ids });
                assert!(early || claimed.iter().all(|id| !waiting.contains(id)), "claimed before it was due");
            }
            Step::Own(c, limit, raise) => {
                let after = EntryId::MIN;
                self.claimed(
                    CONSUMERS[c],
                    Request::ClaimOwnPending { member: member(CONSUMERS[c]), after, limit, raise },
                );
            }
            Step::Beat(c, i) => {
                rig.heartbeat(CONSUMERS[c], INSTANCES[i], &["x"]);
            }
            Step::Leave(c, i) => {
                let (member, instance) = (member(CONSUMERS[c]), INSTANCES[i].into());
                rig.count(Request::RemoveConsumer { member, instance });
            }
            Step::Sweep => drop(rig.count(Request::RemoveDeadConsumers { member: member("a"), pause: 0 })),
            Step::Trim(length) => drop(rig.trim_to(length)),
            Step::Retain(max_len, max_age) => {
                let before: BTreeSet<_> = rig.entries("s").iter().map(|e| e.id).collect();
                let facts = rig.describe();
                let (stream, instance, safe) = ("s".into(), "i".into(), true);
                let heard = rig.streams.by_name["s"].groups["g"].needs(rig.now).is_some();
                rig.count(Request::ApplyRetention { stream, instance, max_len, max_age, safe });
                let after: BTreeSet<_> = rig.entries("s").iter().map(|e| e.id).collect();
                let group = &facts.groups[0];
                let needed = |id: &EntryId| {
                    group.oldest_pending.map_or(*id > group.last_delivered, |oldest| *id >= oldest)
                };
                assert!(!heard || before.difference(&after).all(|id| !needed(id)));
            }
            Step::Wait(ms) => rig.now += ms,
        }
    }

    /// Each entry is unread, pending, settled, deleted or missed; and each pending one has one owner.
    fn check(&mut self) {
        let missed = self.rig.streams.take_missed(&["s".into()], "g");
        self.ledger.missed += missed.iter().map(|(_, missed)| missed.count).sum::<u64>();
        let facts = self.rig.describe();
        let group = &facts.groups[0];
        let pending = self.rig.pending();
        assert_eq!(pending.len() as u64, group.pending);
        for ConsumerInfo { name, pending: owned, .. } in &group.consumers {
            assert_eq!(pending.iter().filter(|e| *e.consumer == **name).count() as u64, *owned);
        }
        assert_eq!(group.consumers.iter().map(|consumer| consumer.pending).sum::<u64>(), group.pending);
        assert!(pending.iter().all(|e| e.id <= group.last_delivered && !self.ledger.settled.contains(&e.id)));
        assert!(self.ledger.settled.is_disjoint(&self.ledger.gone));
        let done = (self.ledger.settled.len() + self.ledger.gone.len()) as u64;
        assert_eq!(
            self.ledger.appended.len() as u64,
            group.lag.unwrap() + group.pending + done + self.ledger.missed,
            "unread {:?}, pending {}, done {done}, missed {}",
            group.lag,
            group.pending,
            self.ledger.missed
        );
        assert_eq!(self.rig.entries("dead").len() as u64, self.ledger.buried);
        assert_eq!(self.rig.entries("s").len() as u64, facts.length);
    }
}

proptest! {
    #[test]
    fn no_entry_is_lost_or_owned_twice(steps in prop::collection::vec(step(), 0..80)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
            run.check();
        }
    }
}
