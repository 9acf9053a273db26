//! Random schedules of patterns that come late: clients of two groups that join in any order, subscribe to one type after the
//! other, and crash between any two steps, while entries are published and trimmed.

mod ledger;
mod schedule;
mod step;

use proptest::prelude::*;

use crate::consumer::tests::late_schedules::schedule::Schedule;
use crate::consumer::tests::late_schedules::step::{Start, Step, step};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_entry_is_handled_or_told_or_given_up_by_the_rule(steps in prop::collection::vec(step(), 0..150)) {
        let mut schedule = Schedule::new();
        for step in steps {
            schedule.apply(step);
        }
        schedule.heal();
    }
}

/// What is read past late, behind what was given up since, was once believed to be all that there is of its stretch.
#[test]
fn a_skip_that_comes_late_hides_no_loss() {
    let publish = |count, event_type| Step::Publish { count, event_type };
    let subscribe = |client| Step::Subscribe { client, pattern: "a", start: Start::Default };
    let steps = [
        Step::Pass(5_000),
        subscribe(3),
        publish(2, 2),
        subscribe(1),
        publish(5, 0),
        Step::Pass(5_000),
        publish(1, 0),
        publish(2, 2),
        Step::Serve { client: 3, fails: 0, fault: 0 },
        publish(1, 2),
        Step::Crash { client: 1, sent: false },
        Step::Pass(620_000),
        publish(9, 0),
        Step::Trim { keep: 0 },
    ];
    let mut schedule = Schedule::new();
    steps.into_iter().for_each(|step| schedule.apply(step));
    schedule.heal();
}
