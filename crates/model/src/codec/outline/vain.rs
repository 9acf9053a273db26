//! Values that are not worth a look: those of a name under which shapes were looked for again and again, and never found.

use super::seen::REMEMBERED;

/// So many values in a row without a shape are enough: as many as there are lists of keys that are remembered. If the lists came in
/// turn, one of them would have been known by then.
const ENOUGH: u16 = REMEMBERED as u16;

/// Of the values behind them one in so many is looked at.
const SELDOM: u16 = 16;

/// How many values had no shape since the last one that had, by the place of their name. To look for shapes costs a third more than to check
/// the text, which is in vain where keys are never the same, such as ids.
#[derive(Debug)]
pub(super) struct Vain {
    counts: Box<[u16; 256]>,
}

impl Vain {
    pub(super) fn new() -> Self {
        Vain { counts: Box::new([0; 256]) }
    }

    /// Whether the next value at this place is to be looked at.
    #[inline]
    pub(super) fn is_due(&mut self, place: u8) -> bool {
        let Some(count) = self.counts.get_mut(usize::from(place)) else { return true };
        if *count < ENOUGH {
            return true;
        }
        *count += 1;
        let is_due = *count >= ENOUGH + SELDOM;
        if is_due {
            *count = ENOUGH - 1;
        }
        is_due
    }

    /// A value was looked at.
    #[inline]
    pub(super) fn looked(&mut self, place: u8, is_shaped: bool) {
        if let Some(count) = self.counts.get_mut(usize::from(place)) {
            *count = if is_shaped { 0 } else { *count + 1 };
        }
    }
}
