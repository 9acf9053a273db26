//! Which dead letters a call means.

use oxbus_model::BusError;
use oxbus_model::codec::dead_letter::DeadLetter;

use crate::admin::arguments::Arguments;

/// Those of a group, those of a reason, or all.
pub(super) struct LetterChoice {
    pub(super) group: Option<String>,
    reason: Option<String>,
}

impl LetterChoice {
    /// Reads the arguments `group` and `reason`.
    pub(super) fn read(args: &mut Arguments) -> Result<LetterChoice, BusError> {
        Ok(LetterChoice { group: args.name("group")?, reason: args.name("reason")? })
    }

    /// Whether none is left out.
    pub(super) fn is_all(&self) -> bool {
        self.group.is_none() && self.reason.is_none()
    }

    /// Whether a dead letter is among them.
    pub(super) fn has(&self, dead_letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|wanted| wanted == value);
        is(&self.group, &dead_letter.group) && is(&self.reason, &dead_letter.reason)
    }
}
