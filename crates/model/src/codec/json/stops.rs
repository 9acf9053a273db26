//! Where strings end, for the scanner: of 64 bytes at a time it is found in one step which of them end a run of plain text.

/// So many bytes are looked at in one step; there is a bit for each.
const BLOCK: usize = 64;

/// The stops of a text: quotes, backslashes and control characters. It remembers those of the block that was looked at last,
/// as most strings are shorter than a block.
pub(in crate::codec) struct Stops<'a> {
    bytes: &'a [u8],
    /// Where the block begins.
    base: usize,
    /// The bit of a byte is 1 if it is a stop.
    block: u64,
}

impl<'a> Stops<'a> {
    /// Those of a text, which is asked about from `at` on. It looks at nothing yet.
    pub(in crate::codec) fn new(text: &'a str, at: usize) -> Self {
        Stops { bytes: text.as_bytes(), base: at.wrapping_sub(BLOCK), block: 0 }
    }

    /// The first stop from `at` on, which must not be before what was asked last; the end of the text or beyond where there is
    /// none.
    #[inline(always)]
    pub(in crate::codec) fn next(&mut self, at: usize) -> usize {
        let mut offset = at.wrapping_sub(self.base);
        if offset >= BLOCK {
            self.load(at);
            offset = 0;
        }
        let left = self.block >> offset;
        if left != 0 {
            return at + left.trailing_zeros() as usize;
        }
        let mut at = self.base + BLOCK;
        loop {
            self.load(at);
            if self.block != 0 {
                return at + self.block.trailing_zeros() as usize;
            }
            at += BLOCK;
        }
    }

    #[inline(always)]
    fn load(&mut self, at: usize) {
        self.base = at;
        self.block = match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(block) => of_block(block),
            None => of_last(self.bytes, at),
        };
    }
}

/// The stops of the last block; what is behind the text counts as control characters.
#[cold]
#[inline(never)]
fn of_last(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    of_block(&block)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn of_block(block: &[u8; BLOCK]) -> u64 {
    // SAFETY: every processor of this architecture has SSE2.
    unsafe { sse2(block) }
}

/// Wider registers than these gain nothing: most of the time goes into what is done with each string.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn sse2(block: &[u8; BLOCK]) -> u64 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let mut stops = 0;
    let (words, _) = block.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    for (part, [low, high]) in pairs.iter().enumerate() {
        let bytes = _mm_set_epi64x(i64::from_le_bytes(*high), i64::from_le_bytes(*low));
        let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let backslashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let found = _mm_or_si128(_mm_or_si128(quotes, backslashes), controls);
        stops |= u64::from(_mm_movemask_epi8(found).cast_unsigned()) << (16 * part);
    }
    stops
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn of_block(block: &[u8; BLOCK]) -> u64 {
    portable(block)
}

/// The same in words of eight bytes.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(block: &[u8; BLOCK]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let mut stops = 0;
    let (words, _) = block.as_chunks::<8>();
    for (part, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The top bit of each byte that is at least `from`, which no carry of another byte can change.
        let at_least = |x: u64, from: u64| ((x & !TOPS) + ONES * (0x80 - from)) | x;
        let differs = |byte: u8| at_least(word ^ (ONES * u64::from(byte)), 1);
        let plain = differs(b'"') & differs(b'\\') & at_least(word, 0x20);
        // The product brings the lowest bits of the eight bytes side by side.
        let found = ((!plain & TOPS) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        stops |= found << (8 * part);
    }
    stops
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_are_read_as_byte_by_byte(bytes: [[u8; 32]; 2]) {
            let mut block = [0; BLOCK];
            block.copy_from_slice(bytes.as_flattened());
            let bit = |(at, b): (usize, &u8)| u64::from(*b < 0x20 || *b == b'"' || *b == b'\\') << at;
            let expected = block.iter().enumerate().map(bit).sum::<u64>();
            prop_assert_eq!(of_block(&block), expected);
            prop_assert_eq!(portable(&block), expected);
        }

        #[test]
        fn stops_are_found_in_any_steps(text in "[a\"\\\\\u{1}é]{0,300}|a{0,300}\"?a{0,300}", steps in prop::collection::vec(1usize..100, 0..40)) {
            let mut stops = Stops::new(&text, 0);
            let mut at = 0;
            for step in std::iter::once(0).chain(steps) {
                at += step;
                if at > text.len() {
                    break;
                }
                let is_stop = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
                let expected = text.as_bytes()[at..].iter().position(is_stop).map_or(text.len(), |n| at + n);
                prop_assert_eq!(stops.next(at).min(text.len()), expected);
            }
        }
    }
}
