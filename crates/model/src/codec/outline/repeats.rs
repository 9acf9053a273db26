//! Objects that come again as they were: the text of one is compared as a whole, and its words are taken over.

use super::word::{Kind, kind};

/// The lengths in bytes of objects that are kept. In shorter ones there is little to gain.
const LENGTHS: std::ops::RangeInclusive<usize> = 64..=16 * 1024;

/// The most bytes that are kept of all of them, texts and words.
const MAX_BYTES: usize = 512 * 1024;

/// How deep in an event they are kept: each level is a copy of the text of its objects.
const LEVELS: std::ops::RangeInclusive<u32> = 1..=4;

/// The last object under each key, by the place of the key: who sends events mostly tells of the same things again and again, such as
/// the account, the device or the repository.
#[derive(Debug)]
pub(super) struct Repeats {
    places: Box<[Repeat; 256]>,
    bytes: usize,
}

/// An object. Its words are noted when it comes the second time: then its strings and its shape are known, as far as they will be.
#[derive(Debug, Default)]
struct Repeat {
    text: Vec<u8>,
    /// With offsets from the start of the text; empty before it came again.
    words: Vec<u32>,
    depth: u32,
    /// How often the words were taken over and were not counted as used.
    uses: u32,
}

impl Repeat {
    /// The memory that it takes, in bytes.
    fn size(&self) -> usize {
        self.text.capacity() + self.words.capacity() * size_of::<u32>()
    }
}

/// What is known of the object that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coming {
    /// It is another one than the last, or none is kept at this depth.
    Other,
    /// It came before, and its words are to be noted.
    Again,
    /// Its words were taken over. It has so many bytes.
    Taken(usize),
}

impl Repeats {
    pub(super) fn new() -> Self {
        Repeats { places: Box::new(std::array::from_fn(|_| Repeat::default())), bytes: 0 }
    }

    /// Compares the object at the start of `rest`, and takes its words over if they are known. It begins `offset` bytes behind the start
    /// of the value.
    #[inline]
    pub(super) fn take(
        &mut self,
        place: u8,
        depth: u32,
        rest: &[u8],
        offset: usize,
        words: &mut Vec<u32>,
    ) -> Coming {
        let Some(repeat) = self.places.get_mut(usize::from(place)) else { return Coming::Other };
        // One that was noted at a lesser depth may hold more than an outline holds at this one.
        if depth > repeat.depth || !rest.starts_with(&repeat.text) {
            return Coming::Other;
        }
        if repeat.words.is_empty() {
            return Coming::Again;
        }
        repeat.uses = repeat.uses.saturating_add(1);
        let first = words.len();
        words.extend_from_slice(&repeat.words);
        move_offsets(words.get_mut(first..).unwrap_or_default(), |from_here| {
            from_here.wrapping_add(offset as u32)
        });
        Coming::Taken(repeat.text.len())
    }

    /// Keeps an object that was another one than the last. Returns what it takes the place of.
    pub(super) fn keep(&mut self, place: u8, depth: u32, text: &[u8]) -> Option<Taken> {
        let repeat = self.places.get_mut(usize::from(place))?;
        if !LEVELS.contains(&depth) || !LENGTHS.contains(&text.len()) {
            return None;
        }
        let more = text.len().saturating_sub(repeat.text.capacity());
        if self.bytes + more > MAX_BYTES {
            return None;
        }
        let before = repeat.size();
        let uses = std::mem::take(&mut repeat.uses);
        let taken = (uses > 0).then(|| Taken { words: std::mem::take(&mut repeat.words), uses });
        repeat.words.clear();
        repeat.depth = depth;
        repeat.text.clear();
        repeat.text.reserve_exact(text.len());
        repeat.text.extend_from_slice(text);
        self.bytes = self.bytes - before + repeat.size();
        taken
    }

    /// Notes the words of an object that came again, if no other one under the same key has come within it.
    pub(super) fn note(&mut self, place: u8, text: &str, offset: usize, words: &[u32]) {
        let Some(repeat) = self.places.get_mut(usize::from(place)) else { return };
        if repeat.text != text.as_bytes() || self.bytes + size_of_val(words) > MAX_BYTES {
            return;
        }
        let before = repeat.size();
        repeat.words.reserve_exact(words.len());
        repeat.words.extend_from_slice(words);
        move_offsets(&mut repeat.words, |from_start| from_start.wrapping_sub(offset as u32));
        self.bytes = self.bytes - before + repeat.size();
    }

    /// The memory that they take, in bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.places.iter().map(Repeat::size).sum()
    }

    /// Forgets them all, as the numbers in their words will no longer mean what they did.
    pub(super) fn clear(&mut self) -> Vec<Taken> {
        self.bytes = 0;
        let taken = |repeat: &mut Repeat| {
            let Repeat { words, uses, .. } = std::mem::take(repeat);
            (uses > 0).then_some(Taken { words, uses })
        };
        self.places.iter_mut().filter_map(taken).collect()
    }
}

/// Words that were taken over so often.
pub(super) struct Taken {
    pub(super) words: Vec<u32>,
    pub(super) uses: u32,
}

/// Calls `change` with each offset among words.
fn move_offsets(words: &mut [u32], change: impl Fn(u32) -> u32) {
    let mut words = words.iter_mut();
    while let Some(word) = words.next() {
        match kind(*word) {
            Kind::Text | Kind::Special | Kind::Json => {
                if let Some(offset) = words.next() {
                    *offset = change(*offset);
                }
            }
            Kind::Double => {
                words.nth(1);
            }
            Kind::Integer | Kind::Literal | Kind::Object | Kind::Array => {}
        }
    }
}
