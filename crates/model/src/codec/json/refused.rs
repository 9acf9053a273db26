//! The only error of the scanner.

/// Not JSON, or not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;
