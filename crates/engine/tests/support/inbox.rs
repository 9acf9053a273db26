//! What handlers got, and how a test knows that nothing is under way.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::delivery::Settlement;
use oxbus_model::topology::lanes::Lane;
use oxbus_testkit::eventually;
use serde_json::{Value, json};

use super::bus::Bus;
use super::event::Event;
use super::patience::PATIENCE;

/// A failure that may be tried again.
pub const FAILED: Settlement = Settlement::Failed { retryable: true };

/// Collects events in the order in which handlers got them. Clones share.
#[derive(Clone, Default)]
pub struct Inbox(Arc<Mutex<Vec<Event>>>);

impl Inbox {
    /// An inbox that a new subscription of `bus` fills.
    pub async fn of(bus: &Bus, patterns: &[&str]) -> Inbox {
        Inbox::with(bus, patterns, Value::Null).await
    }

    /// As [`Inbox::of`], with options.
    pub async fn with(bus: &Bus, patterns: &[&str], options: Value) -> Inbox {
        let inbox = Inbox::default();
        bus.subscribe(patterns, options, inbox.handler()).await.expect("a subscription");
        inbox
    }

    /// A handler that succeeds.
    pub fn handler(&self) -> impl Fn(Event) -> Settlement + Send + Sync + 'static {
        let inbox = self.clone();
        move |event| {
            inbox.put(event);
            Settlement::Succeeded
        }
    }

    /// Adds an event.
    pub fn put(&self, event: Event) {
        self.lock().push(event);
    }

    /// All so far.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    /// Their data.
    pub fn data(&self) -> Vec<Value> {
        self.events().iter().map(Event::data).collect()
    }

    /// Their ids.
    pub fn ids(&self) -> Vec<String> {
        self.events().iter().map(Event::id).collect()
    }

    /// Their types.
    pub fn types(&self) -> Vec<String> {
        self.events().iter().map(Event::event_type).collect()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// How often an event came.
    pub fn times(&self, id: &str) -> usize {
        self.events().iter().filter(|event| event.id() == id).count()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Waits until there are at least `count`.
    ///
    /// # Panics
    /// When none comes for [`PATIENCE`]: how long many of them take is a matter of the machine.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> impl Future<Output = ()> {
        let (inbox, caller) = (self.clone(), Location::caller());
        async move {
            loop {
                let before = inbox.len();
                if before >= count {
                    return;
                }
                let what = format!("more than {before} of {count} events, for {caller}");
                eventually(PATIENCE, &what, || async { inbox.len() > before }).await;
            }
        }
    }

    /// Waits until the event of this id has come.
    pub async fn wait_for_id(&self, id: &str) {
        let arrived = || async { self.times(id) > 0 };
        eventually(PATIENCE, &format!("the arrival of {id}"), arrived).await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when everything that `from` has published until now, and `to` wants, was handed to handlers.
///
/// Messages of one publisher arrive in order on each lane, so nothing comes after this that was sent before it. It publishes an
/// event for each lane, or one, and returns how many.
pub async fn barrier(from: &Bus, to: &Bus) -> u64 {
    let names = barriers(to);
    let patterns: Vec<&str> = names.iter().map(String::as_str).collect();
    let arrived = Inbox::default();
    // By channel: such a subscription has a server subscription of its own and hears no broadcasts.
    let options = json!({ "by": "channel" });
    let subscription = to.subscribe(&patterns, options, arrived.handler()).await.expect("a subscription");
    for name in &names {
        from.publish(name, Value::Null).await.expect("a publish");
    }
    arrived.wait_for(names.len()).await;
    assert!(to.unsubscribe(subscription).await);
    names.len() as u64
}

/// Types that nobody has used: one, or one on each lane of a client that has lanes.
fn barriers(bus: &Bus) -> Vec<String> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let name = || format!("barrier.{}", LAST.fetch_add(1, Ordering::Relaxed));
    let Some((prefix, lanes)) = bus.lanes() else { return vec![name()] };
    let mut on_lanes: BTreeMap<Lane, String> = BTreeMap::new();
    while on_lanes.len() < usize::from(lanes.count()) {
        let name = name();
        on_lanes.insert(lanes.of(format!("{prefix}{name}").as_bytes()), name);
    }
    on_lanes.into_values().collect()
}
