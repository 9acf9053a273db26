//! The two clocks: a monotonic one for deadlines, the wall clock for timestamps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the client was made. Every deadline in the engine is on this clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Clock { start: Instant::now() }
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of a time on this clock, for timers. Far times are cut to a day.
    pub fn instant(&self, at_ms: u64) -> tokio::time::Instant {
        let day = self.now_ms().saturating_add(86_400_000);
        tokio::time::Instant::from_std(self.start + Duration::from_millis(at_ms.min(day)))
    }
}

/// Milliseconds since the Unix epoch.
pub fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// A number in `[0, 1)`, for jitter.
pub fn random() -> f64 {
    // The low 53 random bits of a v4 id fill the mantissa; an id's randomness is the only source needed here.
    let bits = uuid::Uuid::new_v4().as_u128() as u64 & ((1 << 53) - 1);
    bits as f64 / (1u64 << 53) as f64
}
