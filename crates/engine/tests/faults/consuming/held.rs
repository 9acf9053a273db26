//! What a client holds of a stream that goes away: each event is handled, or told to be lost.

use std::sync::Arc;

use oxbus_model::delivery::Settlement;
use oxbus_testkit::{RedisServer, eventually};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{DEAD_LETTERS, JOBS, keeper, length, member, numbered, pending, settled, store};
use crate::setup::millis;
use crate::support::{Bus, FAILED, Inbox, PATIENCE, claim_lost, lost, recreated};

/// For how long a claim holds, in milliseconds.
const LEASE: u64 = 400;

/// How many events are held.
const HELD: u64 = 8;

/// A client that holds events. Half of them have a handler, which ends with `settlement` when it is let.
struct Holder {
    server: RedisServer,
    bus: Bus,
    permits: Arc<Semaphore>,
    handled: Inbox,
}

impl Holder {
    async fn start(settlement: Settlement) -> Holder {
        let server = RedisServer::start().await;
        let bus = keeper(&server.url(), LEASE).await;
        let (permits, handled) = (Arc::new(Semaphore::new(0)), Inbox::default());
        let handler = {
            let (permits, handled) = (permits.clone(), handled.clone());
            move |event| {
                let (permits, handled) = (permits.clone(), handled.clone());
                async move {
                    permits.acquire().await.unwrap().forget();
                    handled.put(event);
                    settlement
                }
            }
        };
        bus.subscribe_async(&["job"], member("workers", json!({ "concurrency": HELD / 2 })), handler)
            .await
            .unwrap();
        store(&bus, numbered(0..HELD)).await;
        let held = || async { pending(&server, "workers").await == HELD as i64 };
        eventually(PATIENCE, "the client holds them", held).await;
        Holder { server, bus, permits, handled }
    }

    /// The stream goes, and its claims would have ended meanwhile.
    async fn loses_its_stream(&self, way: &[&str]) {
        let mark = self.bus.notices.mark();
        self.server.command(way).await;
        self.bus.notices.wait_to_find_from(mark, recreated).await;
        let made_again = Instant::now();
        // There is no condition to wait for: claims that are not there are not renewed either.
        eventually(PATIENCE, "some leases", || async { made_again.elapsed() >= millis(3 * LEASE) }).await;
    }

    fn told(&self) -> u64 {
        self.bus.notices.find(lost).iter().map(|lost| lost.count).sum()
    }

    fn claims_lost(&self) -> usize {
        self.bus.notices.find(|notice| claim_lost(notice).map(<[u32]>::len)).len()
    }
}

const WAYS: [&[&str]; 3] = [&["DEL", JOBS], &["RENAME", JOBS, "elsewhere"], &["FLUSHALL"]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_of_a_stream_that_goes_is_handled_or_told() {
    for way in WAYS {
        let holder = Holder::start(Settlement::Succeeded).await;
        holder.loses_its_stream(way).await;
        holder.permits.add_permits(1_000);
        let all = || async { holder.handled.len() as u64 + holder.told() >= HELD };
        eventually(PATIENCE, &format!("{way:?}: each is handled or told"), all).await;
        store(&holder.bus, numbered(HELD..HELD + 1)).await;
        settled(&holder.server, "workers").await;
        let (handled, told) = (holder.handled.len() as u64, holder.told());
        eprintln!("{way:?}: {handled} handled, {told} told");
        assert_eq!(handled + told, HELD + 1, "{way:?}");
        assert_eq!(holder.bus.stats().counts.events_lost, told);
        assert_eq!(holder.claims_lost(), 0, "{way:?}: nobody else has them");
        holder.bus.disconnect().await;
    }
}

/// An event that fails after its stream has gone can be tried no more, and becomes no dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_of_a_stream_that_is_gone_is_told() {
    for settlement in [FAILED, Settlement::Failed { retryable: false }] {
        let holder = Holder::start(settlement).await;
        holder.loses_its_stream(&["DEL", JOBS]).await;
        holder.permits.add_permits(1_000);
        eventually(PATIENCE, "each is told", || async { holder.told() >= HELD }).await;
        assert_eq!(holder.told(), HELD);
        assert_eq!(holder.claims_lost(), 0, "nobody else has them");
        assert_eq!(length(&holder.server, DEAD_LETTERS).await, 0);
        holder.bus.disconnect().await;
    }
}
