//! Clusters that tests use one after the other: one takes two seconds to start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_testkit::ClusterSet;

/// Nodes that wait for each other for longer than half of this connect anew, and what is published meanwhile is lost between
/// them: on a busy machine that must not happen.
pub const NODE_TIMEOUT: Duration = Duration::from_secs(30);

static POOL: Mutex<Pool> = Mutex::new(Pool { free: Vec::new(), leased: 0, count: 0 });

struct Pool {
    free: Vec<ClusterSet>,
    leased: usize,
    /// How many tests have had one.
    count: usize,
}

/// A cluster of three masters for one test. It is free again when this is dropped, and ends with the last one that is in use.
pub struct Lease {
    set: Option<ClusterSet>,
    password: String,
}

impl Lease {
    /// A cluster without data.
    pub async fn take() -> Arc<Lease> {
        let mut lease = {
            let mut pool = pool();
            pool.leased += 1;
            pool.count += 1;
            Lease { set: pool.free.pop(), password: format!("lease-{}", pool.count) }
        };
        if lease.set.is_none() {
            lease.set = Some(ClusterSet::builder().replicas(0).node_timeout(NODE_TIMEOUT).start().await);
        }
        for node in lease.set().nodes() {
            // Clients of the test before may still be there, and would come again.
            node.command(&["CONFIG", "SET", "requirepass", &lease.password]).await;
            for kind in ["normal", "pubsub"] {
                let _ = node.try_command(&["CLIENT", "KILL", "TYPE", kind]).await;
            }
            node.command(&["FLUSHALL"]).await;
            node.command(&["SCRIPT", "FLUSH"]).await;
            node.command(&["CONFIG", "RESETSTAT"]).await;
        }
        // Under load a node may find for a moment that it cannot reach the others.
        lease.set().settled().await;
        // What the test before has published last may still be on its way from node to node.
        lease.set().publishes_arrived().await;
        Arc::new(lease)
    }

    pub fn set(&self) -> &ClusterSet {
        self.set.as_ref().expect("a cluster")
    }

    /// The password of its servers, which only clients of this test know.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut pool = pool();
        pool.leased -= 1;
        // What a failed test has left behind is of no use to others.
        if !std::thread::panicking() {
            pool.free.extend(self.set.take());
        }
        let ended = if pool.leased == 0 { std::mem::take(&mut pool.free) } else { Vec::new() };
        drop(pool);
        drop(ended);
    }
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}
