//! Strings that come again and again: the host makes each of them once.

use super::begins::begins_with;
use super::median::median;

/// How many places there are, each for [`WAYS`] strings. A string has one place, by its hash.
const PLACES: usize = 1024;

/// How many strings have one place: those that come in turn would else put each other out for ever.
const WAYS: usize = 4;

/// How many numbers of strings are kept by where they stood last.
const SLOTS: usize = 8192;

/// The lengths in bytes that are looked at. Shorter ones cost as little as they could, and longer ones seldom come again.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=128;

/// Most of what is said in events was said before: names, states, units, addresses. A string that comes again while its hash is still
/// here gets a number.
#[derive(Debug)]
pub(super) struct Strings {
    places: Box<[Place]>,
    /// Where a string may be put out next that came once.
    next: usize,
    known: Vec<Known>,
    /// One more than the number of the string that stood last under a key of a shape; 0 for none.
    last: Box<[u16; SLOTS]>,
    free: Vec<u16>,
    changes: Vec<u16>,
    /// How often strings did not get a place because another one has it.
    refused: usize,
}

/// Where the last string under a key of a shape is kept. Some share one; then it is not the expected string more often.
#[derive(Clone, Copy)]
pub(super) struct Slot(usize);

impl Slot {
    /// That of no key.
    pub(super) const NONE: Slot = Slot(SLOTS);

    /// That of the key with this index.
    #[inline(always)]
    pub(super) fn new(shape: u16, index: usize) -> Slot {
        Slot((usize::from(shape) * 61 + index) % SLOTS)
    }
}

/// What came last of the strings with one place.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Parts of the hashes, which tell nearly all strings apart; 0 for none.
    tags: [u32; WAYS],
    /// One more than the number of each; 0 for one that came once.
    numbers: [u16; WAYS],
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
            places: vec![Place::default(); PLACES].into(),
            next: 0,
            known: Vec::new(),
            last: Box::new([0; SLOTS]),
            free: Vec::new(),
            changes: Vec::new(),
            refused: 0,
        }
    }

    /// Whether `text` begins with the string that stood last in this slot, in quotes: its number, and its length in bytes. Neither
    /// its end is looked for then, nor a hash made.
    #[inline(always)]
    pub(super) fn again(&mut self, slot: Slot, text: &[u8]) -> Option<(u16, usize)> {
        let number = self.last.get(slot.0)?.checked_sub(1)?;
        let known = self.known.get_mut(usize::from(number))?;
        let length = known.text.len();
        // What was put out has no text.
        let is_same = length > 0
            && text.get(length + 1) == Some(&b'"')
            && begins_with(text.get(1..)?, known.text.as_bytes());
        is_same.then(|| {
            known.uses = known.uses.saturating_add(1);
            (number, length)
        })
    }

    /// A string was used so often.
    pub(super) fn was_used(&mut self, number: usize, uses: u32) {
        if let Some(known) = self.known.get_mut(number) {
            known.uses = known.uses.saturating_add(uses);
        }
    }

    /// This string stands in this slot.
    #[inline(always)]
    pub(super) fn note(&mut self, slot: Slot, number: u16) {
        if let Some(last) = self.last.get_mut(slot.0) {
            *last = number + 1;
        }
    }

    /// The number of a string, if it is known.
    pub(super) fn find(&mut self, text: &str) -> Option<u16> {
        if !LENGTHS.contains(&text.len()) {
            return None;
        }
        let hash = hash(text.as_bytes());
        let tag = tag(hash);
        let Place { tags, numbers } = self.places.get_mut(place(hash))?;
        let Some(way) = tags.iter().position(|known| *known == tag) else {
            // One that came once makes room, and not always the same one.
            self.next += 1;
            let mut ways = (self.next..self.next + WAYS).map(|way| way % WAYS);
            match ways.find(|way| numbers.get(*way) == Some(&0)) {
                Some(way) => *tags.get_mut(way)? = tag,
                None => self.refused += 1,
            }
            return None;
        };
        let number = numbers.get_mut(way)?;
        if let Some(known) = number.checked_sub(1) {
            let found = self.known.get_mut(usize::from(known))?;
            if *found.text != *text {
                self.refused += 1;
                return None;
            }
            found.uses = found.uses.saturating_add(1);
            return Some(known);
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
        self.refused > PLACES * WAYS
    }

    /// Takes the places of the strings that were used less than `least` times since the last time.
    pub(super) fn age(&mut self) {
        self.refused = 0;
        let uses = self.known.iter().map(|known| known.uses).filter(|uses| *uses > 0);
        let least = median(uses.collect()).unwrap_or(0).max(2);
        for (number, known) in (0u16..).zip(&mut self.known) {
            let is_known = !known.text.is_empty();
            if is_known && known.uses < least {
                if let Some(Place { numbers, .. }) = self.places.get_mut(place(known.hash)) {
                    numbers.iter_mut().filter(|other| **other == number + 1).for_each(|place| *place = 0);
                }
                *known = Known::default();
                self.free.push(number);
            }
            known.uses = 0;
        }
    }
}

fn place(hash: u64) -> usize {
    (hash >> 16) as usize % PLACES
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

/// A quick hash, of the length and of four parts. What is left out makes no string wrong, as strings are compared; those with the same
/// hash only keep each other from being known.
fn hash(bytes: &[u8]) -> u64 {
    // Both halves of a product of 128 bits: each bit of it depends on all bits of the parts.
    let mix = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let length = bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) else {
        let all = bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        return mix(all ^ 0x1656_67b1_9e37_79f9, length);
    };
    // Up to sixteen bytes these are the same as the ends, or lie between them.
    let quarter = bytes.len() / 4;
    let middle = |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).unwrap_or(last);
    let ends = mix(u64::from_le_bytes(*first) ^ 0xc2b2_ae3d_27d4_eb4f, u64::from_le_bytes(*last) ^ length);
    let (second, third) = (middle(quarter), middle(2 * quarter));
    ends ^ mix(
        u64::from_le_bytes(*second) ^ 0x1656_67b1_9e37_79f9,
        u64::from_le_bytes(*third) ^ 0xff51_afd7_ed55_8ccd,
    )
}
