//! How the dead letters of a client look, and where they are.

use oxbus_model::codec::Codec;
use oxbus_model::config::DeadLetterConfig;

/// Where dead letters are, and how they look.
pub(super) struct Letters {
    pub(super) codec: Codec,
    pub(super) config: DeadLetterConfig,
}

impl Letters {
    /// The command that puts a letter into a list.
    pub(super) fn push(&self) -> &'static str {
        if self.config.at_front { "LPUSH" } else { "RPUSH" }
    }
}
