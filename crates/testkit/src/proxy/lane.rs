//! One direction of a connection: what it has moved, whether it is held, and how it moves bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use tokio::sync::watch;

use super::ending::Endings;

/// How bytes are passed on; read anew for every chunk.
#[derive(Default)]
pub(super) struct Traffic {
    pub(super) delay_micros: AtomicU64,
    /// 0: no limit.
    pub(super) largest_write: AtomicUsize,
}

pub(super) struct Lane {
    pub(super) held: watch::Sender<bool>,
    pub(super) read: AtomicU64,
    pub(super) written: AtomicU64,
    /// The same for all connections of a proxy.
    pub(super) traffic: Arc<Traffic>,
    /// The same for both directions of a connection.
    pub(super) endings: Arc<Endings>,
}

impl Lane {
    pub(super) fn new(traffic: Arc<Traffic>, endings: Arc<Endings>) -> Self {
        Self {
            held: watch::Sender::new(false),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            traffic,
            endings,
        }
    }
}

/// Returns when `held` is as wanted, at once when it is already.
pub(super) async fn until(held: &mut watch::Receiver<bool>, wanted: bool) {
    let _ = held.wait_for(|held| *held == wanted).await;
}
