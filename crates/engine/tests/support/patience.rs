//! How long a test waits.

use std::time::Duration;

/// How long anything may take before a test fails; far more than it needs, as machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(30);
