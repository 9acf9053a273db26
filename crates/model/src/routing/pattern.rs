//! Redis glob patterns, bytewise, exactly as `PSUBSCRIBE` of Redis 7.0 matches them.
//!
//! | pattern | matches |
//! |---|---|
//! | `*` | any run of bytes, dots included |
//! | `?` | any one byte |
//! | `[abc]`, `[a-c]`, `[^a]` | one byte of, or not of, the class |
//! | `\x` | the byte `x` itself |
//!
//! The corners, which users rarely meet but which must not differ between modes: the ends of a range
//! may be swapped; a class that is not closed ends with the pattern, so `[` matches nothing and `[^`
//! any one byte; `]` always closes, so `[]` matches nothing; `[a-]` is a range from `a` to `]` in a
//! class that is not closed; a trailing `\` is a backslash; bytes in a range compare as signed, as
//! `char` does on x86-64; the empty text matches only the empty pattern, not even `*`.
//!
//! Later servers give up on patterns with more than 1000 separate `*`; those are longer than 2000
//! bytes, and patterns of subscriptions are not.

/// Whether `text` as a whole matches `pattern`.
///
/// Never fails: every pattern has a meaning. Takes at most `pattern.len() × text.len()` steps,
/// because only the latest `*` is ever tried again: whatever an earlier one could still skip, the
/// latest could skip as well.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where the pattern goes on after the latest `*`, and how far that one reaches in the text.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                p += leading_stars(&pattern[p..]);
                if p == pattern.len() {
                    return true;
                }
                star = Some((p, t));
                continue;
            }
            Some(_) => {
                let (matched, next) = matches_byte(pattern, p, byte);
                if matched {
                    (p, t) = (next, t + 1);
                    continue;
                }
            }
            None => {}
        }
        let Some((after, reach)) = star else { return false };
        (p, t) = (after, reach + 1);
        star = Some((p, t));
    }
    // Everything but `*` takes exactly one byte, so no other way to get here would leave less.
    p + leading_stars(&pattern[p..]) == pattern.len()
}

/// Whether `pattern` has a special character; if not, it matches only itself.
pub fn is_glob(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// A pattern that matches `text` and nothing else. For use outside of `[…]`.
///
/// Text without special characters comes back as it is, and so stays an exact subscription. `]` is
/// special only in a class and is escaped for the reader's sake.
pub fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

pub(super) fn leading_stars(pattern: &[u8]) -> usize {
    pattern.iter().take_while(|byte| **byte == b'*').count()
}

/// Whether the element of `pattern` at `p`, which is not `*`, matches `byte`; and where the next one is.
pub(super) fn matches_byte(pattern: &[u8], p: usize, byte: u8) -> (bool, usize) {
    match pattern[p] {
        b'?' => (true, p + 1),
        b'[' => matches_class(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte, p + 2),
        literal => (literal == byte, p + 1),
    }
}

/// As [`matches_byte`], for a class whose `[` is before `p`.
fn matches_class(pattern: &[u8], mut p: usize, byte: u8) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut matched = false;
    loop {
        match pattern[p..] {
            [] => return (matched != negated, p),
            [b'\\', escaped, ..] => {
                matched |= escaped == byte;
                p += 2;
            }
            [b']', ..] => return (matched != negated, p + 1),
            [start, b'-', end, ..] => {
                let (start, end, byte) = (start as i8, end as i8, byte as i8);
                matched |= (start.min(end)..=start.max(end)).contains(&byte);
                p += 3;
            }
            [member, ..] => {
                matched |= member == byte;
                p += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should match {text}");
        }
        for text in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn literals() {
        check(
            "photo.uploaded",
            &["photo.uploaded"],
            &["photo.uploade", "photo.uploadedd", "PHOTO.uploaded", ""],
        );
        check("", &[""], &["a"]);
    }

    #[test]
    fn stars() {
        check("photo.*", &["photo.", "photo.a", "photo.a.b"], &["photo", "photos.a"]);
        check("*", &["a", "a.b:c"], &[""]);
        check("a***b", &["ab", "axb"], &["a", "abx"]);
        check("*a*b", &["ab", "xaxbxb"], &["ba", "abx"]);
        check("a*", &["a", "ab"], &["b"]);
        check("a**", &["a", "ab"], &["b"]);
    }

    #[test]
    fn question_marks_take_one_byte_not_one_character() {
        check("a?c", &["abc", "a*c"], &["ac", "abbc", "aéc"]);
        check("a??c", &["aéc"], &[]);
    }

    #[test]
    fn classes() {
        check("[abc]", &["a", "b", "c"], &["d", "ab", ""]);
        check("[a-c]x", &["ax", "bx"], &["dx", "-x"]);
        check("[^a]", &["b", "^"], &["a", ""]);
        check("[a^]", &["a", "^"], &["b"]);
        check("[^^]", &["a"], &["^"]);
        check("[a-cx-z]", &["b", "y"], &["m", "-"]);
        check("[]a]", &[], &["]", "a", "a]"]);
        check("[^]a", &["xa"], &["a"]);
        check("[*?]", &["*", "?"], &["a"]);
    }

    #[test]
    fn swapped_ranges() {
        check("[z-a]", &["a", "m", "z"], &["A", "-"]);
    }

    #[test]
    fn a_range_may_end_in_a_bracket() {
        check("[a-]", &["]", "^", "_", "`", "a"], &["-", "b"]);
        check("[-a]", &["-", "a"], &["b"]);
        check("[a-", &["a", "-"], &["b"]);
        check("[+--]", &["+", ",", "-"], &["."]);
    }

    #[test]
    fn unclosed_classes() {
        check("[", &[], &["[", "a"]);
        check("[^", &["a", "["], &["ab", ""]);
        check("[ab", &["a", "b"], &["[ab", "ab"]);
        check("x[a-c", &["xb"], &["x"]);
    }

    #[test]
    fn backslashes() {
        check(r"\*", &["*"], &["a", r"\*"]);
        check(r"\a", &["a"], &[r"\a"]);
        check("a\\", &["a\\"], &["a"]);
        check("*\\", &["a\\", "\\"], &["a"]);
        check(r"[\]]", &["]"], &["\\"]);
        check(r"[\^a]", &["^", "a"], &["b"]);
        check(r"[\a-c]", &["a", "-", "c"], &["b"]);
        check(r"[a-\]", &["\\", "]", "a"], &["[", "b"]);
        check("[\\", &["\\"], &["a"]);
    }

    #[test]
    fn bytes_above_127_are_negative_in_a_range() {
        assert!(matches(b"[\x80-\xff]", b"\x90"));
        assert!(matches(b"[a-\xff]", b"\x00"));
        assert!(!matches(b"[a-\xff]", b"b"));
        assert!(matches(b"\xff\x00*", b"\xff\x00"));
    }

    #[test]
    fn many_stars_take_bounded_work() {
        let (pattern, text) = ("a*".repeat(500) + "b", "a".repeat(100_000));
        assert!(!matches(pattern.as_bytes(), text.as_bytes()));
        assert!(matches(pattern.as_bytes(), (text + "b").as_bytes()));
    }

    #[test]
    fn what_is_a_glob() {
        assert!(["*", "a?", "[a", "\\"].iter().all(|pattern| is_glob(pattern.as_bytes())));
        assert!(["", "a.b", "a]", "^-"].iter().all(|pattern| !is_glob(pattern.as_bytes())));
    }

    #[test]
    fn escaping_leaves_plain_text_alone() {
        assert_eq!(escape("room:order-42^é"), "room:order-42^é");
        assert_eq!(escape(r"a*b?[c]\"), r"a\*b\?\[c\]\\");
    }

    /// The oracle: patterns parsed into sets of bytes, and matched by trying everything.
    enum Element {
        Run,
        One(Vec<u8>),
    }

    fn parse(pattern: &[u8]) -> Vec<Element> {
        let mut elements = Vec::new();
        let mut rest = pattern.iter().copied().peekable();
        while let Some(byte) = rest.next() {
            elements.push(match byte {
                b'*' => Element::Run,
                b'?' => Element::One((0..=255).collect()),
                b'\\' => Element::One(vec![rest.next().unwrap_or(b'\\')]),
                b'[' => {
                    let negated = rest.next_if_eq(&b'^').is_some();
                    let mut members = Vec::new();
                    while let Some(first) = rest.next().filter(|byte| *byte != b']') {
                        let ahead: Vec<u8> = rest.clone().take(2).collect();
                        match (first, &ahead[..]) {
                            (b'\\', [escaped, ..]) => {
                                members.push(*escaped);
                                rest.next();
                            }
                            (_, [b'-', last]) => {
                                let signed = |byte: u8| i32::from(byte as i8);
                                let mut ends = [signed(first), signed(*last)];
                                ends.sort_unstable();
                                members
                                    .extend((0..=255).filter(|b| (ends[0]..=ends[1]).contains(&signed(*b))));
                                rest.nth(1);
                            }
                            _ => members.push(first),
                        }
                    }
                    Element::One((0..=255).filter(|byte| members.contains(byte) != negated).collect())
                }
                literal => Element::One(vec![literal]),
            });
        }
        elements
    }

    fn oracle(elements: &[Element], text: &[u8]) -> bool {
        match elements {
            [] => text.is_empty(),
            [Element::Run, rest @ ..] => (0..=text.len()).any(|skipped| oracle(rest, &text[skipped..])),
            [Element::One(set), rest @ ..] => {
                text.first().is_some_and(|byte| set.contains(byte)) && oracle(rest, &text[1..])
            }
        }
    }

    fn bytes(alphabet: &'static [u8], most: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(alphabet), 0..most)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn it_agrees_with_the_oracle(
            pattern in bytes(b"***??[[]]^--\\abc\x80\xff\x00", 12),
            text in bytes(b"aaabbc-]^[\\*\x80\xff\x00", 10),
        ) {
            let expected = if text.is_empty() { pattern.is_empty() } else { oracle(&parse(&pattern), &text) };
            prop_assert_eq!(matches(&pattern, &text), expected);
        }

        #[test]
        fn an_escaped_text_matches_itself_and_nothing_else(text in r"[*?\[\]^\\\-abé]{1,8}", other in r"[*?\[\]^\\\-abé]{1,8}") {
            let pattern = escape(&text);
            prop_assert!(matches(pattern.as_bytes(), text.as_bytes()));
            prop_assert_eq!(matches(pattern.as_bytes(), other.as_bytes()), text == other);
        }

        #[test]
        fn a_pattern_that_is_no_glob_matches_only_itself(pattern in r"[\]^\-a]{1,4}", text in r"[\]^\-a]{1,4}") {
            prop_assert!(!is_glob(pattern.as_bytes()));
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), pattern == text);
        }
    }
}
