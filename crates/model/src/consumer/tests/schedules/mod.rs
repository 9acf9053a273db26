//! Random schedules: clients of one group that crash, restart, lose connections and fail, against a model of
//! the stream, its pending entries and its dead letters.

mod process;
mod schedule;
mod step;

use proptest::prelude::*;

use crate::consumer::tests::schedules::schedule::Schedule;
use crate::consumer::tests::schedules::step::step;
use crate::options::subscribe::{BatchOptions, OrderBy};

fn order() -> impl Strategy<Value = OrderBy> {
    prop::sample::select(vec![OrderBy::None, OrderBy::Key, OrderBy::Stream])
}

fn batch() -> impl Strategy<Value = Option<BatchOptions>> {
    prop::sample::select(vec![None, None, Some(BatchOptions { size: 3, wait: 20 })])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_entry_is_handled_or_buried_once_and_in_order(
        order in order(),
        batch in batch(),
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let mut schedule = Schedule::new(order, batch);
        for step in steps {
            schedule.apply(step);
            schedule.check();
        }
        schedule.heal();
    }
}
