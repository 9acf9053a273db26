//! Strings that come again and again: the host makes each of them once.

/// How many places there are for strings. A string has one place, by its hash.
const PLACES: usize = 4096;

/// The lengths in bytes that are looked at. Shorter ones cost as little as they could, and longer ones seldom come again.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=128;

/// Most of what is said in events was said before: names, states, units, addresses. A string that comes again while its hash is still
/// here gets a number.
#[derive(Debug)]
pub(super) struct Strings {
    /// One more than the number of the string that has a place; 0 where there is none.
    numbers: Box<[u16]>,
    /// What came last where no string has the place: the upper half of its hash.
    candidates: Box<[u32]>,
    known: Vec<Known>,
    free: Vec<u16>,
    changes: Vec<u16>,
    /// How often strings did not get a place because another one has it.
    refused: usize,
}

#[derive(Debug, Default)]
struct Known {
    hash: u64,
    text: Box<str>,
    uses: u32,
}

impl Strings {
    pub(super) fn new() -> Self {
        Strings {
            numbers: vec![0; PLACES].into(),
            candidates: vec![0; PLACES].into(),
            known: Vec::new(),
            free: Vec::new(),
            changes: Vec::new(),
            refused: 0,
        }
    }

    /// The number of a string, if it is known.
    pub(super) fn find(&mut self, text: &str) -> Option<u16> {
        if !LENGTHS.contains(&text.len()) {
            return None;
        }
        let hash = hash(text.as_bytes());
        let place = place(hash);
        let (number, candidate) = (self.numbers.get_mut(place)?, self.candidates.get_mut(place)?);
        if let Some(known) = number.checked_sub(1) {
            let found = self.known.get_mut(usize::from(known))?;
            if found.hash == hash && *found.text == *text {
                found.uses = found.uses.saturating_add(1);
                return Some(known);
            }
            self.refused += 1;
            return None;
        }
        let tag = (hash >> 32) as u32;
        if std::mem::replace(candidate, tag) != tag {
            return None;
        }
        let added = Known { hash, text: text.into(), uses: 1 };
        let known = match self.free.pop() {
            Some(known) => {
                *self.known.get_mut(usize::from(known))? = added;
                known
            }
            None => {
                self.known.push(added);
                u16::try_from(self.known.len() - 1).ok()?
            }
        };
        *number = known + 1;
        self.changes.push(known);
        Some(known)
    }

    /// What numbers newly stand for.
    pub(super) fn take_changes(&mut self) -> Vec<(u16, Box<str>)> {
        let text = |number: u16| Some((number, self.known.get(usize::from(number))?.text.clone()));
        std::mem::take(&mut self.changes).into_iter().filter_map(text).collect()
    }

    /// Whether so many strings found no place that those which are used least should make room.
    pub(super) fn is_crowded(&self) -> bool {
        self.refused > PLACES
    }

    /// Takes the places of the strings that were used less than `least` times since the last time.
    pub(super) fn age(&mut self) {
        self.refused = 0;
        let uses = self.known.iter().map(|known| known.uses).filter(|uses| *uses > 0);
        let least = super::shapes::median(uses.collect()).unwrap_or(0).max(2);
        for (number, known) in (0u16..).zip(&mut self.known) {
            let is_known = !known.text.is_empty();
            if is_known && known.uses < least {
                if let Some(place) = self.numbers.get_mut(place(known.hash)) {
                    *place = 0;
                }
                *known = Known::default();
                self.free.push(number);
            }
            known.uses = 0;
        }
    }
}

fn place(hash: u64) -> usize {
    // Of the lower half; the upper one tells those of a place apart.
    (hash >> 16) as usize % PLACES
}

/// A quick hash, of the length and of four parts: the most that is known of a string before it is compared. Strings with the same
/// hash only keep each other from being known.
fn hash(bytes: &[u8]) -> u64 {
    let (length, quarter) = (bytes.len(), bytes.len() / 4);
    let part = |at: usize| match bytes.get(at..at + 8).and_then(|part| part.try_into().ok()) {
        Some(part) => u64::from_le_bytes(part),
        None => short(bytes),
    };
    let last = length.saturating_sub(8);
    let parts =
        [(0, 0x9e37_79b9_7f4a_7c15), (quarter, 0xc2b2_ae3d_27d4_eb4f), (2 * quarter, 0x1656_67b1_9e37_79f9)];
    let sum = (length as u64 ^ part(last)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let sum = parts
        .iter()
        .fold(sum, |sum, (at, factor)| sum ^ part((*at).min(last)).wrapping_mul(*factor).rotate_right(31));
    (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Fewer than eight bytes, as a number.
fn short(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte))
}
