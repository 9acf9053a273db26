//! Publishing and receiving under the eyes of a [`Tracker`].

use std::sync::Arc;

use oxbus_model::Outcome;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::Tracker;
use oxbus_testkit::tracker::Ending;

use super::bus::Bus;
use super::event::Event;
use super::outcome::{Published, Record};

/// A handler that tells the tracker what arrives.
pub fn tracking(tracker: &Arc<Tracker>) -> impl Fn(Event) -> Settlement + Send + Sync + 'static {
    let tracker = tracker.clone();
    move |event| {
        tracker.received(event.id());
        Settlement::Succeeded
    }
}

/// Records with the ids `{name}-{n}`, known to `tracker`.
pub fn tracked(tracker: &Tracker, event_type: &str, name: &str, count: usize) -> Vec<Record> {
    let record = |n| {
        let id = format!("{name}-{n}");
        tracker.published(&id);
        Record::new(event_type, n).with_id(&id)
    };
    (0..count).map(record).collect()
}

/// Notes how the publish of `id` ended.
pub fn end(tracker: &Tracker, id: String, result: &Published) {
    let ending = match result.as_ref().map_err(|e| e.outcome) {
        Ok(_) => Ending::Resolved,
        Err(Some(Outcome::NotSent)) => Ending::NotSent,
        Err(Some(Outcome::Rejected)) => Ending::Rejected,
        Err(Some(Outcome::Unknown)) => Ending::Unknown,
        Err(None) => panic!("a publish failed without an outcome: {result:?}"),
    };
    tracker.ended(id, ending);
}

/// Publishes records with the ids `{name}-{n}`, and notes how each ended.
pub async fn publish_tracked(bus: &Bus, tracker: &Tracker, event_type: &str, name: &str, count: usize) {
    for (n, result) in bus.publish_many(tracked(tracker, event_type, name, count)).await.iter().enumerate() {
        end(tracker, format!("{name}-{n}"), result);
    }
}
