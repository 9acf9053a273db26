//! What every loop needs: the clock, tasks, and what becomes of a panic.

pub(crate) mod clock;
pub mod panics;
pub(crate) mod tasks;
