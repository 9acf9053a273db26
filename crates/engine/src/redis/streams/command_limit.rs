//! How many commands may wait for their replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxbus_model::{BusError, ErrorKind, Outcome};

/// Commands that may wait for their replies.
const MAX_COMMANDS: usize = 10_000;

/// Bytes of commands that may wait for their replies.
const MAX_BYTES: usize = 64 << 20;

/// Bounds the commands that wait for their replies.
#[derive(Default)]
pub(in crate::redis) struct CommandLimit {
    commands: AtomicUsize,
    bytes: AtomicUsize,
}

/// The share of one command in a limit, until it is dropped.
pub(in crate::redis) struct Permit {
    limit: Arc<CommandLimit>,
    bytes: usize,
}

impl CommandLimit {
    /// Takes what a command of so many bytes needs.
    ///
    /// # Errors
    /// `QUEUE_FULL` (`NotSent`).
    pub(in crate::redis) fn take(limit: &Arc<CommandLimit>, bytes: usize) -> Result<Permit, BusError> {
        let commands = limit.commands.fetch_add(1, Ordering::AcqRel);
        let held = limit.bytes.fetch_add(bytes, Ordering::AcqRel);
        let permit = Permit { limit: limit.clone(), bytes };
        // A command that is larger than the limit may go alone.
        if commands >= MAX_COMMANDS || (held > 0 && held.saturating_add(bytes) > MAX_BYTES) {
            let message = format!("{commands} commands of {held} bytes wait for their answers");
            return Err(BusError::new(ErrorKind::QueueFull, message).with_outcome(Outcome::NotSent));
        }
        Ok(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.commands.fetch_sub(1, Ordering::AcqRel);
        self.limit.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded() {
        let limit = Arc::new(CommandLimit::default());
        let full = |bytes| CommandLimit::take(&limit, bytes).err().map(|error| (error.kind, error.outcome));
        let refused = Some((ErrorKind::QueueFull, Some(Outcome::NotSent)));
        let mut permits: Vec<Permit> =
            (0..MAX_COMMANDS).filter_map(|_| CommandLimit::take(&limit, 1).ok()).collect();
        assert_eq!(permits.len(), MAX_COMMANDS);
        assert_eq!(full(1), refused);
        permits.truncate(1);
        assert_eq!((full(MAX_BYTES), full(MAX_BYTES - 1)), (refused, None));
        permits.clear();
        // Larger than the limit, and alone.
        assert_eq!(full(MAX_BYTES + 1), None);
        assert_eq!((limit.commands.load(Ordering::Acquire), limit.bytes.load(Ordering::Acquire)), (0, 0));
    }
}
