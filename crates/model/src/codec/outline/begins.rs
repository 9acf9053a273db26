//! Comparing short texts, as keys and most strings are: calling the general function takes longer than the comparison.

/// Whether `text` begins with `with`.
#[inline(always)]
pub(super) fn begins_with(text: &[u8], with: &[u8]) -> bool {
    let Some(begin) = text.get(..with.len()) else { return false };
    match with.len() {
        4..=7 => has_ends::<4>(begin, with),
        8..=15 => has_ends::<8>(begin, with),
        16..=32 => has_ends::<16>(begin, with),
        _ => begin == with,
    }
}

/// Whether the first and the last bytes are the same: all, where there are no more than twice as many.
#[inline(always)]
fn has_ends<const N: usize>(text: &[u8], with: &[u8]) -> bool {
    text.first_chunk::<N>() == with.first_chunk() && text.last_chunk::<N>() == with.last_chunk()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_the_library_says(with in prop::collection::vec(0u8..3, 0..70), behind in prop::collection::vec(0u8..3, 0..9), at in any::<prop::sample::Index>(), other: u8) {
            let mut text = [&*with, &behind].concat();
            prop_assert!(begins_with(&text, &with));
            prop_assert_eq!(begins_with(&behind, &with), behind.starts_with(&with));
            if !text.is_empty() {
                let at = at.index(text.len());
                text[at] = other;
                prop_assert_eq!(begins_with(&text, &with), text.starts_with(&with));
            }
        }
    }
}
