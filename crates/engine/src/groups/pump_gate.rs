//! Lets one thread pump at a time, without making the others wait.

use std::sync::atomic::{AtomicU32, Ordering};

/// A gate that one thread passes at a time. A thread that finds it taken makes the other one look again.
#[derive(Default)]
pub(super) struct PumpGate {
    /// Calls since the gate was last free; 0 when it is free.
    calls: AtomicU32,
}

/// A thread that has passed. If it panics, the gate is free again, so that no other call is lost.
struct Passed<'a>(&'a AtomicU32);

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(0, Ordering::Release);
        }
    }
}

impl PumpGate {
    /// Calls `work` until it returns false and nobody has called this function meanwhile. Returns whether this thread
    /// did the work; if another one does, that one will look again.
    pub(super) fn run(&self, mut work: impl FnMut() -> bool) -> bool {
        if self.calls.fetch_add(1, Ordering::AcqRel) > 0 {
            return false;
        }
        let _passed = Passed(&self.calls);
        loop {
            let seen = self.calls.load(Ordering::Acquire);
            while work() {}
            if self.calls.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_call_from_within_makes_the_work_run_once_more() {
        let (gate, runs) = (PumpGate::default(), Cell::new(0));
        let passed = gate.run(|| {
            runs.set(runs.get() + 1);
            assert!(runs.get() > 1 || !gate.run(|| unreachable!("the gate is taken")));
            false
        });
        assert!(passed);
        assert_eq!(runs.get(), 2);
    }

    #[test]
    fn a_panic_leaves_the_gate_free() {
        let gate = PumpGate::default();
        assert!(catch_unwind(AssertUnwindSafe(|| gate.run(|| panic!("a fault of the test")))).is_err());
        assert!(gate.run(|| false));
    }
}
