//! How long streams are and what groups have left to do, as the metrics tell it: asked for now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::observe::metrics::{MAX_NAMES, OTHER};
use oxbus_model::stream_store::StreamInfo;

use crate::observe::stream_health::{Described, describe_all};
use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::store::Store;

/// How old the gauges may be before the store is asked again, in milliseconds.
const MAX_AGE: u64 = 10_000;

/// How long asking for all streams may take.
const LIMIT: Duration = Duration::from_millis(700);

/// The gauges of all streams of the configuration.
#[derive(Default)]
pub(crate) struct StreamGauges {
    /// When the store was asked last, on the client's clock. The lock is held while it is asked, so that those who
    /// come meanwhile share the answer.
    asked: tokio::sync::Mutex<Option<u64>>,
    streams: Mutex<BTreeMap<String, StreamGauge>>,
}

/// What a stream was like when it was asked for last.
#[derive(Default)]
pub(super) struct StreamGauge {
    /// Its entries.
    pub(super) length: u64,
    /// Its dead letters.
    pub(super) dead_letters: u64,
    /// By group.
    pub(super) groups: BTreeMap<String, GroupGauge>,
}

/// What a group had to do when it was asked for last; what nobody knows is `None`.
pub(super) struct GroupGauge {
    /// Its pending entries.
    pub(super) pending: u64,
    /// Those of them that wait for a retry.
    pub(super) delayed: u64,
    /// Entries that it has not read.
    pub(super) lag: Option<u64>,
    /// Entries that wait for a consumer.
    pub(super) backlog: Option<u64>,
    /// Consumers that wait for entries.
    pub(super) waiting: u64,
}

impl Default for GroupGauge {
    fn default() -> Self {
        GroupGauge { pending: 0, delayed: 0, lag: Some(0), backlog: Some(0), waiting: 0 }
    }
}

impl StreamGauge {
    fn set(&mut self, facts: StreamInfo) {
        self.length = facts.length;
        self.groups.clear();
        for group in facts.groups {
            let known = self.groups.len() < MAX_NAMES;
            let name = if known { &*group.name } else { OTHER };
            let gauge = self.groups.entry(name.to_owned()).or_default();
            gauge.pending += group.pending;
            gauge.delayed += group.delayed();
            gauge.lag = gauge.lag.zip(group.lag).map(|(sum, more)| sum + more);
            gauge.backlog = gauge.backlog.zip(group.backlog()).map(|(sum, more)| sum + more);
            gauge.waiting += group.waiting();
        }
    }
}

impl StreamGauges {
    /// Asks the store for the streams, unless that was done within the last 10 s. Ends within 700 ms; a stream
    /// without an answer keeps its gauges.
    pub(crate) async fn refresh(&self, state: &ClientState, store: &dyn Store) {
        let mut asked = self.asked.lock().await;
        let now = state.clock.now_ms();
        let due = asked.is_none_or(|at| now.saturating_sub(at) >= MAX_AGE);
        if !due || !matches!(state.lifecycle.state(), State::Ready | State::Reconnecting) {
            return;
        }
        *asked = Some(now);
        let names = || state.config.streams.iter().map(|stream| stream.name.as_str());
        let letters = &state.config.dead_letter.names;
        let dead_letters: Vec<String> = names().map(|name| letters.of(name)).collect();
        let all = names().chain(dead_letters.iter().map(String::as_str));
        let mut answers = describe_all(store, all, LIMIT).await.into_iter();
        let own: Vec<Described> =
            answers.by_ref().take(dead_letters.len()).map(|(_, answer)| answer).collect();
        let mut streams = self.streams();
        for ((name, facts), (_, dead_letters)) in names().zip(own).zip(answers) {
            let gauge = streams.entry(name.to_owned()).or_default();
            if let Ok(facts) = facts {
                gauge.set(facts.unwrap_or_default());
            }
            if let Ok(dead_letters) = dead_letters {
                gauge.dead_letters = dead_letters.map_or(0, |facts| facts.length);
            }
        }
    }

    /// The gauges by the name of the stream.
    pub(super) fn streams(&self) -> MutexGuard<'_, BTreeMap<String, StreamGauge>> {
        // A gauge stays a number, whatever happened while the lock was held.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
