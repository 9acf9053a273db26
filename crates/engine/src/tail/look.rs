//! Looking at the streams: where to begin, and whether anything is gone that was not read.

use std::sync::Arc;
use std::time::Duration;

use oxbus_model::server_error::{Action, action_of};
use oxbus_model::stream_store::{EntryId, Request, Response, StreamInfo};
use oxbus_model::{BusError, Outcome};
use tokio::time::sleep;
use tracing::debug;

use super::position::Position;
use super::{REFUSED, Tail, awaited};
use crate::host::Notice;
use crate::runtime::clock::wall_ms;
use crate::runtime::panics::catch_panic;
use crate::transport::store::unexpected;

/// The pause before a store that has not answered is asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// Patterns that a `gap` names at the most.
const MAX_PATTERNS: usize = 1_000;

/// What a look has found of a stream.
struct Seen {
    /// How far it was read when the look began; `None` before the first look.
    begun: Option<EntryId>,
    stream: Option<StreamInfo>,
}

impl Tail {
    /// Looks at the streams, and reads on, after a pause.
    pub(super) fn look(self: &Arc<Self>, pause: Option<Duration>) {
        let mut reading = self.reading();
        reading.number += 1;
        reading.is_looking = true;
        let (tail, number) = (self.clone(), reading.number);
        drop(reading);
        self.tasks.spawn(async move {
            if let Some(pause) = pause {
                sleep(pause).await;
            }
            let looked = catch_panic("the tail of streams", tail.clone().look_and_read(number)).await;
            if let Err(fault) = looked {
                tail.state.notice(Notice::Error(fault));
            }
        });
    }

    async fn look_and_read(self: Arc<Self>, number: u64) {
        let store = self.transport.store();
        let mut seen = Vec::with_capacity(self.streams.len());
        for (index, stream) in self.streams.iter().enumerate() {
            loop {
                let begun = {
                    let reading = self.reading();
                    if reading.number != number {
                        return;
                    }
                    reading.positions.get(index).map(|position| position.id)
                };
                match (store.execute(Request::Describe { stream: stream.clone() }).await, begun) {
                    (Ok(Response::Stream(stream)), _) => break seen.push(Some(Seen { begun, stream })),
                    (Ok(_), _) => return self.state.notice(Notice::Error(unexpected())),
                    // The other streams are not to wait for it.
                    (Err(error), Some(_)) => {
                        self.not_seen(stream, &error);
                        break seen.push(None);
                    }
                    // It is not known where to begin: it is asked until it answers, or the connection is another one.
                    (Err(error), None) => sleep(self.not_seen(stream, &error)).await,
                }
            }
        }
        self.looked(number, &seen);
    }

    /// A stream cannot be looked at, which is told once, unless that is over soon. Returns when it is worth another try.
    fn not_seen(&self, stream: &str, error: &BusError) -> Duration {
        debug!(stream, error = error.message, "a stream cannot be looked at");
        let lasts = matches!(action_of(error.kind), Action::Keep | Action::SlowRetry);
        if error.outcome != Some(Outcome::Rejected) || !lasts {
            return PAUSE;
        }
        if !std::mem::replace(&mut self.reading().is_blind, true) {
            self.state.notice(Notice::Error(error.clone()));
        }
        REFUSED
    }

    /// Takes in what a look has found, and reads on.
    fn looked(&self, number: u64, seen: &[Option<Seen>]) {
        let mut reading = self.reading();
        if reading.number != number || !reading.wanted {
            return;
        }
        let is_first = reading.positions.is_empty();
        let (mut lost, mut is_whole, mut has_moved) = (false, true, false);
        if is_first {
            let all = seen.iter().flatten();
            reading.positions = all.map(|seen| Position::behind(seen.stream.as_ref())).collect();
        } else {
            for (position, seen) in reading.positions.iter_mut().zip(seen) {
                let Some(Seen { begun: Some(begun), stream }) = seen else {
                    is_whole = false;
                    continue;
                };
                has_moved |= position.id != *begun;
                lost |= position.compare_since(*begun, stream.as_ref());
            }
        }
        let (since, to) = (reading.looked.1, wall_ms());
        reading.looked = (self.state.clock.now_ms(), if is_whole { to } else { since });
        reading.is_blind &= !is_whole;
        // What this look does not tell of all streams, the next one does.
        (reading.has_read, reading.is_looking) = (!is_whole || has_moved, false);
        self.read(&reading);
        drop(reading);
        if is_first {
            self.state.confirmations.confirmed(&awaited());
        }
        if lost {
            self.tell(since, to);
        }
    }

    /// Tells that entries are gone that were not read.
    fn tell(&self, from: i64, to: i64) {
        let router = self.state.router();
        let mut patterns: Vec<String> =
            router.heard_patterns().take(MAX_PATTERNS).map(str::to_owned).collect();
        drop(router);
        patterns.sort();
        patterns.dedup();
        self.state.notice(Notice::Gap { from, to, patterns, recovered: 0, complete: false });
    }
}
