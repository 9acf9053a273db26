//! The clocks: a monotonic one for deadlines, the wall clock for timestamps. Both are one virtual clock
//! where a broker in memory has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch that pass only when they are told to.
#[derive(Debug)]
pub struct VirtualTime(AtomicU64);

impl VirtualTime {
    /// Starts at `start_ms`.
    pub fn new(start_ms: u64) -> Self {
        VirtualTime(AtomicU64::new(start_ms))
    }

    /// The time.
    pub fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Sets the time, which never goes back.
    pub fn advance_to(&self, at_ms: u64) {
        self.0.fetch_max(at_ms, Ordering::AcqRel);
    }
}

/// Milliseconds since the client was made. Every deadline in the engine is on this clock.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    /// And when the client was made by it.
    virtual_time: Option<(Arc<VirtualTime>, u64)>,
}

impl Clock {
    /// A clock that starts now.
    pub fn start(virtual_time: Option<Arc<VirtualTime>>) -> Self {
        let virtual_time = virtual_time.map(|time| {
            let start = time.now_ms();
            (time, start)
        });
        Clock { start: Instant::now(), virtual_time }
    }

    /// Whether time passes only when it is told to.
    pub fn is_virtual(&self) -> bool {
        self.virtual_time.is_some()
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        match &self.virtual_time {
            Some((time, start)) => time.now_ms().saturating_sub(*start),
            None => u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn wall_ms(&self) -> i64 {
        match &self.virtual_time {
            Some((time, _)) => i64::try_from(time.now_ms()).unwrap_or(i64::MAX),
            None => wall_ms(),
        }
    }

    /// The instant of a time on this clock, for timers of real time. Far times are cut to a day.
    pub fn instant(&self, at_ms: u64) -> tokio::time::Instant {
        let day = self.now_ms().saturating_add(86_400_000);
        tokio::time::Instant::from_std(self.start + Duration::from_millis(at_ms.min(day)))
    }

    /// What a time on this clock is in milliseconds since the Unix epoch.
    pub fn wall_of(&self, at_ms: u64) -> u64 {
        let wall = u64::try_from(self.wall_ms()).unwrap_or(0);
        wall.saturating_add(at_ms).saturating_sub(self.now_ms())
    }
}

/// Milliseconds since the Unix epoch, in real time.
pub fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// A number in `[0, 1)`, for jitter.
pub fn random() -> f64 {
    fastrand::f64()
}
