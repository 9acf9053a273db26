//! Random schedules of patterns that come late: clients of two groups that join in any order, subscribe to one type after the
//! other, and crash between any two steps, while entries are published and trimmed.

mod ledger;
mod schedule;
mod step;

use proptest::prelude::*;

use crate::consumer::tests::late_schedules::schedule::Schedule;
use crate::consumer::tests::late_schedules::step::step;

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
