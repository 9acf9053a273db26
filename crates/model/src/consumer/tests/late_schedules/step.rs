//! The steps of a random schedule.

use proptest::prelude::*;

/// Clients that may be there at once: those of even numbers are of one group, the others of another.
pub(super) const CLIENTS: usize = 4;
/// The event types.
pub(super) const TYPES: [&str; 3] = ["a", "b", "c"];
const PATTERNS: [&str; 5] = ["a", "b", "c", "[ab]", "[bc]"];

/// Where a subscription asks to start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    Default,
    New,
    /// Behind the entry that is so far back.
    Behind(usize),
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Publish {
        count: usize,
        event_type: usize,
    },
    /// A client subscribes; it starts if it is not there.
    Subscribe {
        client: usize,
        pattern: &'static str,
        start: Start,
    },
    /// Everything that is to be done is done, in order. Of the requests one loses its answer, or is refused.
    Serve {
        client: usize,
        fails: usize,
        fault: u8,
    },
    /// What is to be done is collected.
    Collect(usize),
    /// One request is executed, in any order: 0 refuses it, 1 loses the answer.
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
    /// New entries are read; `lost`: into a connection that is dead.
    Read {
        client: usize,
        lost: bool,
    },
    /// Handlers begin.
    Take(usize),
    /// All handlers succeed.
    Settle(usize),
    /// A process dies; `sent`: what was on its way is still executed.
    Crash {
        client: usize,
        sent: bool,
    },
    /// The stream is trimmed to so many entries, but for what is pending.
    Trim {
        keep: usize,
    },
    /// Time passes, while all clients work.
    Pass(u64),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    let pattern = prop::sample::select(PATTERNS.to_vec());
    let start = prop_oneof![
        5 => Just(Start::Default),
        1 => Just(Start::New),
        2 => (0usize..20).prop_map(Start::Behind),
    ];
    prop_oneof![
            10 => (1usize..6, 0..TYPES.len()).prop_map(|(count, event_type)| Step::Publish { count, event_type }),
            8 => (client(), pattern, start).prop_map(|(client, pattern, start)| Step::Subscribe { client, pattern, start }),
    16 => (client(), 0usize..16, 0u8..2).prop_map(|(client, fails, fault)| Step::Serve { client, fails, fault }),
            10 => client().prop_map(Step::Collect),
            16 => (client(), 0usize..9, 0u8..10).prop_map(|(client, which, fault)| Step::Execute { client, which, fault }),
            16 => (client(), 0usize..9).prop_map(|(client, which)| Step::Answer { client, which }),
            6 => (client(), prop::bool::weighted(0.1)).prop_map(|(client, lost)| Step::Read { client, lost }),
            6 => client().prop_map(Step::Take),
            6 => client().prop_map(Step::Settle),
            3 => (client(), any::<bool>()).prop_map(|(client, sent)| Step::Crash { client, sent }),
            4 => (0usize..30).prop_map(|keep| Step::Trim { keep }),
            3 => prop::sample::select(vec![100, 5_000, 70_000, 200_000, 620_000]).prop_map(Step::Pass),
        ]
}
