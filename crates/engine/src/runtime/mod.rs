//! What every loop needs: the clock, and what becomes of a panic.

pub(crate) mod clock;
pub mod panics;
