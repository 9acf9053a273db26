//! Strings as they stand in a JSON text.

use std::borrow::Cow;

use super::refused::Refused;

/// A string as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawText<'a> {
    quoted: &'a str,
    escaped: bool,
}

impl<'a> RawText<'a> {
    /// A JSON string with its quotes, and whether it has escapes.
    // Inlined, as `text`: a call for each member would cost a third of what reading an event takes.
    #[inline]
    pub(super) fn new(quoted: &'a str, escaped: bool) -> Self {
        RawText { quoted, escaped }
    }

    /// The string as it is written, with its quotes.
    pub fn json(self) -> &'a str {
        self.quoted
    }

    /// What it says: borrowed unless it has escapes.
    ///
    /// # Errors
    /// When an escape is half of a surrogate pair.
    #[inline]
    pub fn text(self) -> Result<Cow<'a, str>, Refused> {
        if self.escaped {
            return serde_json::from_str(self.quoted).map(Cow::Owned).map_err(|_| Refused);
        }
        let inside = 1..self.quoted.len() - 1;
        // SAFETY: the scanner has read it from a quote to a quote, which are characters of one byte each.
        Ok(Cow::Borrowed(unsafe { self.quoted.get_unchecked(inside) }))
    }

    /// What it says, with U+FFFD for each half of a surrogate pair, which UTF-8 cannot hold and V8 can.
    pub fn lossy(self) -> Cow<'a, str> {
        // Nothing else is wrong with a string that was scanned, so the default is never taken.
        self.text().unwrap_or_else(|Refused| serde_json::from_str(&mended(self.quoted)).unwrap_or_default())
    }
}

/// The text that bytes are; `None` if they are not UTF-8. Nearly all messages are ASCII, which is known several times sooner.
#[inline]
pub(in crate::codec) fn utf8(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).ok()
}

/// `json` with the escape of U+FFFD for each escape of half a surrogate pair.
fn mended(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let (length, half) = match unit(escape) {
            Some(0xD800..=0xDBFF) => match escape.get(6..).and_then(unit) {
                Some(0xDC00..=0xDFFF) => (12, false),
                _ => (6, true),
            },
            Some(0xDC00..=0xDFFF) => (6, true),
            Some(_) => (6, false),
            // An escape of one character; of a backslash, too, whatever follows it.
            None => (2, false),
        };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        out.push_str(if half { "\\ufffd" } else { escape });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The UTF-16 unit of an escape `\uXXXX` at the start of `text`.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::json::Scanner;

    #[track_caller]
    fn says(json: &str, expected: &str) {
        assert_eq!(Scanner::new(json).string().unwrap().lossy(), expected, "{json}");
    }

    #[test]
    fn halves_of_pairs_are_replaced_and_nothing_else() {
        says(r#""""#, "");
        says(r#""plain é""#, "plain é");
        says(r#""\ud83d\ude00""#, "😀");
        says(r#""\uD83D""#, "\u{fffd}");
        says(r#""a\ude00b""#, "a\u{fffd}b");
        says(r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀");
        says(r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}");
        says(r#""\ud83d\u0041\n""#, "\u{fffd}A\n");
        says(r#""\ud83d\\ude00""#, "\u{fffd}\\ude00");
        says(r#""\\ud83d""#, "\\ud83d");
        says(r#""\\\ud83d""#, "\\\u{fffd}");
        says(r#""\ud83dé😀\"""#, "\u{fffd}é😀\"");
    }

    proptest! {
        #[test]
        fn it_says_what_utf_16_says(units in prop::collection::vec(prop_oneof![any::<u16>(), 0xD700u16..0xE100], 0..12)) {
            let json: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("\"{json}\"");
            let string = Scanner::new(&json).string().unwrap();
            prop_assert_eq!(string.lossy(), String::from_utf16_lossy(&units));
            prop_assert_eq!(string.text().is_ok(), String::from_utf16(&units).is_ok());
        }

        #[test]
        fn any_string_is_mended_to_one_that_can_be_read(inside in "(\\\\u(d[89a-f])?[0-9a-f]{2}[0-9a-f]{2}|\\\\[\\\\n\"]|[ué😀0d]){0,8}") {
            if let Ok(string) = Scanner::new(&format!("\"{inside}\"")).string() {
                let mended = mended(string.json());
                prop_assert!(serde_json::from_str::<String>(&mended).is_ok(), "{}", mended);
                if string.text().is_ok() {
                    prop_assert_eq!(mended, string.json());
                }
            }
        }
    }
}
