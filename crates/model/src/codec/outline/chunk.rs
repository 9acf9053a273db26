//! Strings that are handed over as one.
//!
//! Each call that makes a string costs the host some 70 ns, so short strings share one, a *chunk*, of which the host takes substrings.
//! In V8 a substring keeps the whole string alive that it is of. So a string that is kept costs at most [`SPARE`] bytes, or twice its
//! own length, more than one that shares its chunk with no other.

/// How many bytes more than itself a short string may cost.
const SPARE: usize = 256;

/// How many of them V8 takes itself: a substring is four words, and characters end at whole words.
const SUBSTRING: usize = 40;

/// The chunk that is being filled.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// UTF-16 units; 0 for none.
    units: usize,
    wide: bool,
    /// The bytes that it may have at the most, for the shortest string in it.
    limit: usize,
}

impl Chunk {
    /// A string of `units` units, each of two bytes if `wide`, is to be handed over. If it does not fit, the word of the chunk
    /// that is ended by it is returned.
    pub(super) fn push(&mut self, units: usize, wide: bool) -> Option<u32> {
        let (bytes, limit) = (units << u32::from(wide), limit(units << u32::from(wide)));
        let filled = self.units << u32::from(self.wide);
        let fits = self.wide == wide && filled + bytes <= limit.min(self.limit);
        let ended = if fits { None } else { self.end() };
        self.units += units;
        self.wide = wide;
        self.limit = if fits { self.limit.min(limit) } else { limit };
        ended
    }

    /// The word of the chunk, which is ended: twice its units, and 1 if each of them has two bytes.
    pub(super) fn end(&mut self) -> Option<u32> {
        let ended = std::mem::take(self);
        (ended.units > 0)
            .then(|| u32::try_from(ended.units << 1 | usize::from(ended.wide)).unwrap_or_default())
    }
}

/// How large a chunk may be that has a string of so many bytes.
fn limit(bytes: usize) -> usize {
    bytes + SPARE.max(2 * bytes) - SUBSTRING
}
