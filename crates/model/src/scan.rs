//! Finds the members of a JSON object without building anything, and refuses what is not JSON.
//!
//! Every received message is read once by this; the general parser took 0.4 µs for an event of 500
//! bytes, this takes half (`docs/design/receiving.md`). It accepts exactly what `serde_json` accepts,
//! which a property test holds, but for nesting beyond [`MAX_DEPTH`], which is left to `serde_json`.

use std::borrow::Cow;

/// How deep values may nest.
pub const MAX_DEPTH: u32 = 64;

/// A place in a JSON text.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// Not JSON, or nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// A string as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawText<'a> {
    quoted: &'a str,
    escaped: bool,
}

impl<'a> RawText<'a> {
    /// What it says: borrowed unless it has escapes.
    ///
    /// # Errors
    /// When an escape is half of a surrogate pair.
    pub fn text(self) -> Result<Cow<'a, str>, Refused> {
        if self.escaped {
            return serde_json::from_str(self.quoted).map(Cow::Owned).map_err(|_| Refused);
        }
        Ok(Cow::Borrowed(&self.quoted[1..self.quoted.len() - 1]))
    }
}

impl<'a> Scanner<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Scanner { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Result<(), Refused> {
        if self.peek() != Some(byte) {
            return Err(Refused);
        }
        self.at += 1;
        Ok(())
    }

    /// Reads an object, and calls `member` with each name; it must read the member's value.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, RawText<'a>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        self.space();
        self.eat(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.space();
            self.eat(b':')?;
            self.space();
            member(self, name)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Refused),
            }
            self.space();
        }
    }

    /// Only white space is left.
    pub fn end(&mut self) -> Result<(), Refused> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(Refused) }
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<RawText<'a>, Refused> {
        let start = self.at;
        self.eat(b'"')?;
        let mut escaped = false;
        loop {
            self.at += plain_length(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(RawText { quoted: &self.text[start..self.at], escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                // A raw control character, or the end of the text.
                _ => return Err(Refused),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = bytes.get(self.at + 2..self.at + 6).ok_or(Refused)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Refused);
                }
                self.at += 6;
            }
            _ => return Err(Refused),
        }
        Ok(())
    }

    /// Reads any value and returns its text.
    pub fn value(&mut self) -> Result<&'a str, Refused> {
        let start = self.at;
        let mut depth = 0;
        // A bit per level: 1 for an object.
        let mut objects = 0u64;
        loop {
            // At the first character of a value.
            match self.peek().ok_or(Refused)? {
                b'"' => {
                    self.string()?;
                }
                opening @ (b'{' | b'[') => {
                    let object = opening == b'{';
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(if object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        if depth == MAX_DEPTH {
                            return Err(Refused);
                        }
                        depth += 1;
                        objects = objects << 1 | u64::from(object);
                        if object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => return Err(Refused),
            }
            // Behind a value: close what it ends, up to the next value.
            loop {
                if depth == 0 {
                    return Ok(&self.text[start..self.at]);
                }
                self.space();
                let object = objects & 1 == 1;
                match self.peek().ok_or(Refused)? {
                    b',' => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.name()?;
                        }
                        break;
                    }
                    b'}' if object => self.at += 1,
                    b']' if !object => self.at += 1,
                    _ => return Err(Refused),
                }
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    /// The name of a member and its colon, up to the value.
    fn name(&mut self) -> Result<(), Refused> {
        self.string()?;
        self.space();
        self.eat(b':')?;
        self.space();
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Refused> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Refused);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Refused> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(Refused),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Refused> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(Refused) } else { Ok(()) }
    }
}

/// How many bytes at the start are neither a quote, a backslash nor a control character. Eight at a time.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let mut length = 0;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        // The classic test for a zero byte. It may mark a byte above a true hit, never one below it.
        let zero = |x: u64| x.wrapping_sub(ONES) & !x & TOPS;
        let control = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        let stop = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if stop != 0 {
            return length + stop.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + rest.iter().take_while(|b| **b >= 0x20 && **b != b'"' && **b != b'\\').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn scan(text: &str) -> Result<&str, Refused> {
        let mut scanner = Scanner::new(text);
        scanner.space();
        let value = scanner.value()?;
        scanner.end()?;
        Ok(value)
    }

    fn agrees(text: &str) {
        let expected = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
        assert_eq!(scan(text).ok(), expected, "{text}");
    }

    #[test]
    fn it_accepts_what_serde_json_accepts() {
        for text in [
            "",
            " ",
            "1",
            "-0",
            "-",
            "01",
            "1.",
            "1.5e+10",
            "1e",
            ".5",
            "+1",
            "true",
            "tru",
            "nul",
            "null ",
            " [ ] ",
            "{}",
            "{",
            "[",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1}}",
            "[]]",
            "[}",
            "{]",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\t\"",
            "\"é\"",
            "1 1",
            "[[[{\"a\":[{}]}]]]",
            "{\"a\":{\"b\":[1,\"x\",null,true,false]},\"c\":\"\"}",
            "[\"12345678\",\"1234567\\\"\"]",
        ] {
            agrees(text);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert!(scan(&nested(64)).is_ok());
        assert_eq!(scan(&nested(65)), Err(Refused));
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json_on_any_text(text in "[\\[\\]{}:,\"\\\\ 0-9.eE+\\-truefalsn\t\u{1f}é]{0,24}") {
            agrees(&text);
        }

        #[test]
        fn it_agrees_with_serde_json_on_damaged_json(value in json(), at in 0usize..200, damage in any::<u8>()) {
            let text = value.to_string();
            agrees(&text);
            let mut bytes = text.into_bytes();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = damage;
            }
            if let Ok(text) = std::str::from_utf8(&bytes) {
                agrees(text);
            }
        }

        #[test]
        fn plain_text_is_measured_as_byte_by_byte(bytes: Vec<u8>) {
            let expected = bytes.iter().take_while(|b| **b >= 0x20 && **b != b'"' && **b != b'\\').count();
            prop_assert_eq!(plain_length(&bytes), expected);
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,20}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(".{0,5}", inner, 0..5)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }
}
