//! Whether two patterns have a text in common.

use crate::routing::pattern::{leading_stars, matches_byte};

/// One element of a pattern, as a matcher sees it.
enum Element {
    /// `*`.
    Run,
    /// One byte of a set.
    One(Set),
}

/// A set of bytes, one bit each.
struct Set([u64; 4]);

impl Set {
    /// The bytes for which `holds` says so.
    fn of(holds: impl Fn(u8) -> bool) -> Set {
        let mut bits = [0; 4];
        for byte in (0..=u8::MAX).filter(|byte| holds(*byte)) {
            bits[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
        Set(bits)
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    fn meets(&self, other: &Set) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }
}

/// Whether some text matches both patterns.
///
/// Takes at most `a.len() × b.len()` steps, and few where they differ in their first bytes.
pub fn overlap(a: &[u8], b: &[u8]) -> bool {
    if a.is_empty() || b.is_empty() {
        // The empty text matches the empty pattern only, which matches nothing else.
        return a.is_empty() && b.is_empty();
    }
    let (a, b) = (elements(a), elements(b));
    let width = b.len() + 1;
    let mut seen = vec![false; (a.len() + 1) * width];
    // How far each has got with the same text. Where both are only runs, any text will do.
    let mut open = vec![(0, 0)];
    while let Some((i, j)) = open.pop() {
        if std::mem::replace(&mut seen[i * width + j], true) {
            continue;
        }
        match (a.get(i), b.get(j)) {
            (None, None) => return true,
            (Some(Element::Run), Some(Element::Run)) => open.extend([(i + 1, j), (i, j + 1)]),
            (Some(Element::Run), Some(Element::One(set))) => {
                open.push((i + 1, j));
                open.extend((!set.is_empty()).then_some((i, j + 1)));
            }
            (Some(Element::One(set)), Some(Element::Run)) => {
                open.push((i, j + 1));
                open.extend((!set.is_empty()).then_some((i + 1, j)));
            }
            (Some(Element::One(one)), Some(Element::One(other))) => {
                open.extend(one.meets(other).then_some((i + 1, j + 1)));
            }
            (Some(Element::Run), None) => open.push((i + 1, j)),
            (None, Some(Element::Run)) => open.push((i, j + 1)),
            (Some(Element::One(_)), None) | (None, Some(Element::One(_))) => {}
        }
    }
    false
}

/// The elements of a pattern; a run of `*` is one.
fn elements(pattern: &[u8]) -> Vec<Element> {
    let mut elements = Vec::with_capacity(pattern.len());
    let mut p = 0;
    while p < pattern.len() {
        match leading_stars(&pattern[p..]) {
            0 => {
                // Where the next element begins does not depend on the byte.
                let next = matches_byte(pattern, p, 0).1;
                elements.push(Element::One(Set::of(|byte| matches_byte(pattern, p, byte).0)));
                p = next;
            }
            stars => {
                elements.push(Element::Run);
                p += stars;
            }
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::pattern::{escape, matches};

    #[test]
    fn patterns_with_and_without_a_common_text() {
        for (a, b, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("", "", true),
            ("", "*", false),
            ("*", "**", true),
            ("order.*", "*.created", true),
            ("order.*", "photo.*", false),
            ("order.*", "order", false),
            ("a*b", "a*c", false),
            ("a*b*c", "*bc*", true),
            ("[a-f]x", "[e-z]x", true),
            ("[a-f]x", "[g-z]x", false),
            ("[^a]", "a", false),
            ("[]*", "*", false),
            ("*[]", "*", false),
            (r"a\*", "a?", true),
            (r"a\*", "ab", false),
        ] {
            assert_eq!(overlap(a.as_bytes(), b.as_bytes()), expected, "{a} and {b}");
            assert_eq!(overlap(b.as_bytes(), a.as_bytes()), expected, "{b} and {a}");
        }
    }

    #[test]
    fn long_patterns_take_bounded_work() {
        let (a, b) = ("a*".repeat(512), "*b".repeat(512));
        assert!(overlap(a.as_bytes(), b.as_bytes()));
        assert!(!overlap((a + "c").as_bytes(), b.as_bytes()));
    }

    /// All texts of up to `most` bytes of these, which are all that the patterns of the test tell apart.
    fn texts(alphabet: &[u8], most: usize) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        let mut from = 0;
        for _ in 0..most {
            let to = all.len();
            for at in from..to {
                for byte in alphabet {
                    let mut longer = all[at].clone();
                    longer.push(*byte);
                    all.push(longer);
                }
            }
            from = to;
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn it_agrees_with_trying_every_text(
            a in r"(a|b|\*|\?|\[ab\]|\[\^a\]|\\\*|\[\^ab\]|\[\]){0,3}",
            b in r"(a|b|\*|\?|\[ab\]|\[\^a\]|\\\*|\[\^ab\]|\[\]){0,3}",
        ) {
            // A shortest common text has no more bytes than both patterns have elements. `*` itself and `z`
            // stand for the bytes that the patterns do not name.
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let found = texts(b"ab*z", 6).into_iter().any(|text| matches(a, &text) && matches(b, &text));
            prop_assert_eq!(overlap(a, b), found);
        }

        #[test]
        fn a_text_that_matches_both_is_never_overlooked(
            a in prop::collection::vec(prop::sample::select(&b"**??[]^-\\ab\xff"[..]), 0..12),
            b in prop::collection::vec(prop::sample::select(&b"**??[]^-\\ab\xff"[..]), 0..12),
            text in prop::collection::vec(prop::sample::select(&b"ab-]^[\\*\xff"[..]), 0..6),
        ) {
            if matches(&a, &text) && matches(&b, &text) {
                prop_assert!(overlap(&a, &b));
            }
        }

        #[test]
        fn with_an_exact_pattern_it_is_a_match(pattern in r"[ab*?\[\]^\\-]{0,8}", text in r"[ab*?]{0,8}") {
            let exact = escape(&text);
            prop_assert_eq!(
                overlap(pattern.as_bytes(), exact.as_bytes()),
                matches(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
