//! What every loop needs: the clock, tasks, what becomes of a panic, and a bound for lines of the log.

pub(crate) mod clock;
pub(crate) mod joined;
pub(crate) mod line_limit;
pub mod panics;
pub(crate) mod tasks;
