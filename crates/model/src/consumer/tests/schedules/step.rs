//! The steps of a random schedule.

use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Publish {
        count: usize,
        key: u8,
    },
    /// Everything that is to be done is done, in order.
    Serve(usize),
    /// What is to be done is collected.
    Collect(usize),
    /// One request is executed, in any order.
    Execute {
        client: usize,
        which: usize,
        fault: u8,
    },
    /// One answer comes, in any order.
    Answer {
        client: usize,
        which: usize,
    },
    Read {
        client: usize,
        lost: bool,
    },
    Take(usize),
    Settle {
        client: usize,
        which: usize,
        how: u8,
    },
    Late {
        client: usize,
        which: usize,
    },
    Disconnect(usize),
    Connect(usize),
    Crash {
        client: usize,
        same_name: bool,
    },
    Stop(usize),
    Pause {
        client: usize,
        paused: bool,
    },
    Resubscribe(usize),
    Pass(u64),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let client = || 0usize..3;
    prop_oneof![
        4 => (1usize..6, 0u8..4).prop_map(|(count, key)| Step::Publish { count, key }),
        12 => client().prop_map(Step::Serve),
        6 => client().prop_map(Step::Collect),
        12 => (client(), 0usize..9, 0u8..12).prop_map(|(client, which, fault)| Step::Execute { client, which, fault }),
        12 => (client(), 0usize..9).prop_map(|(client, which)| Step::Answer { client, which }),
        6 => (client(), prop::bool::weighted(0.1)).prop_map(|(client, lost)| Step::Read { client, lost }),
        12 => client().prop_map(Step::Take),
        24 => (client(), 0usize..9, 0u8..10).prop_map(|(client, which, how)| Step::Settle { client, which, how }),
        4 => (client(), 0usize..9).prop_map(|(client, which)| Step::Late { client, which }),
        2 => client().prop_map(Step::Disconnect),
        3 => client().prop_map(Step::Connect),
        2 => (client(), any::<bool>()).prop_map(|(client, same_name)| Step::Crash { client, same_name }),
        1 => client().prop_map(Step::Stop),
        2 => (client(), any::<bool>()).prop_map(|(client, paused)| Step::Pause { client, paused }),
        1 => client().prop_map(Step::Resubscribe),
        6 => prop_oneof![Just(10), Just(500), Just(3000), Just(11_000), Just(31_000)].prop_map(Step::Pass),
    ]
}
