//! Finds the members of a JSON object without building anything, and refuses what is not JSON.
//!
//! Every received message is read once by this; the general parser took about 0.4 µs for an event of
//! 500 bytes, this takes 0.27 (`docs/design/receiving.md`). It accepts exactly what `serde_json` accepts as
//! raw JSON, which a property test holds: nesting of any depth, numbers of any size and halves of
//! surrogate pairs included, as V8 does.

mod members;
mod quote;
mod refused;
mod stops;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod tree;

pub(crate) use members::{members, text_of};
pub(crate) use quote::{escaped, quoted};
pub use refused::Refused;
pub(in crate::codec) use stops::Stops;
pub use text::RawText;
pub(in crate::codec) use text::utf8;
pub use tree::tree;

/// A place in a JSON text.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// The one JSON value that `text` is, without the white space around it.
///
/// # Errors
/// When `text` is not JSON.
pub fn whole(text: &str) -> Result<&str, Refused> {
    let mut scanner = Scanner::new(text);
    scanner.space();
    let value = scanner.value()?;
    scanner.end()?;
    Ok(value)
}

impl<'a> Scanner<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Scanner { text, at: 0 }
    }

    /// How many bytes were read.
    pub(in crate::codec) fn position(&self) -> usize {
        self.at
    }

    /// The whole text.
    pub(in crate::codec) fn text(&self) -> &'a str {
        self.text
    }

    /// What was read since `start`.
    pub(in crate::codec) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// A part of the text.
    pub(in crate::codec) fn between(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// What is left.
    pub(in crate::codec) fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// Passes over what the caller has compared: whole characters.
    pub(in crate::codec) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    pub(in crate::codec) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    pub(in crate::codec) fn space(&mut self) {
        if self.peek().is_some_and(|byte| byte > b' ') {
            return;
        }
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    pub(in crate::codec) fn eat(&mut self, byte: u8) -> Result<(), Refused> {
        if self.peek() != Some(byte) {
            return Err(Refused);
        }
        self.at += 1;
        Ok(())
    }

    /// Behind a value of an object or an array: whether another one follows, whose first character is next. Else its `end` was read.
    #[inline(always)]
    pub(in crate::codec) fn goes_on(&mut self, end: u8) -> Result<bool, Refused> {
        self.space();
        let byte = self.peek().ok_or(Refused)?;
        self.at += 1;
        if byte == b',' {
            self.space();
            return Ok(true);
        }
        if byte == end { Ok(false) } else { Err(Refused) }
    }

    /// Reads an object, and calls `member` with each name; it must read the member's value.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, RawText<'a>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut stops = Stops::new(self.text, self.at);
        self.object_by(&mut stops, |scanner, _, name| member(scanner, name))
    }

    /// The same with stops that the caller looks at as well.
    #[inline(always)]
    pub(in crate::codec) fn object_by(
        &mut self,
        stops: &mut Stops<'a>,
        mut member: impl FnMut(&mut Self, &mut Stops<'a>, RawText<'a>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        self.space();
        self.eat(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let name = self.string_by(stops)?;
            self.space();
            self.eat(b':')?;
            self.space();
            member(self, stops, name)?;
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// Only white space is left.
    pub fn end(&mut self) -> Result<(), Refused> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(Refused) }
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<RawText<'a>, Refused> {
        self.string_by(&mut Stops::new(self.text, self.at))
    }

    /// Reads a string by stops of the same text.
    #[inline]
    pub(in crate::codec) fn string_by(&mut self, stops: &mut Stops<'a>) -> Result<RawText<'a>, Refused> {
        let start = self.at;
        let escaped = self.skip_string(stops)?;
        Ok(RawText::new(&self.text[start..self.at], escaped))
    }

    #[inline(always)]
    fn escape(&mut self) -> Result<(), Refused> {
        self.at += escape_length(&self.text.as_bytes()[self.at..])?;
        Ok(())
    }

    /// Reads any value and returns its text.
    pub fn value(&mut self) -> Result<&'a str, Refused> {
        // Of its own, so that it is held in registers.
        let mut scanner = *self;
        scanner.skip_value()?;
        let value = &self.text[self.at..scanner.at];
        *self = scanner;
        Ok(value)
    }

    #[inline(always)]
    fn skip_value(&mut self) -> Result<(), Refused> {
        let mut stops = Stops::new(self.text, self.at);
        let mut levels = Levels::default();
        loop {
            // At the first character of a value, or at white space before it.
            match self.peek().ok_or(Refused)? {
                b'"' => {
                    self.skip_string(&mut stops)?;
                }
                b'{' => {
                    self.at += 1;
                    self.space();
                    if self.peek() != Some(b'}') {
                        levels.open(true);
                        self.skip_name(&mut stops)?;
                        continue;
                    }
                    self.at += 1;
                }
                b'[' => {
                    self.at += 1;
                    self.space();
                    if self.peek() != Some(b']') {
                        levels.open(false);
                        continue;
                    }
                    self.at += 1;
                }
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                }
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                b' ' | b'\n' | b'\t' | b'\r' if levels.depth > 0 => {
                    self.at += 1;
                    continue;
                }
                _ => return Err(Refused),
            }
            // Behind a value: close what it ends, up to the next value.
            loop {
                if levels.depth == 0 {
                    return Ok(());
                }
                let object = levels.is_object();
                match self.peek().ok_or(Refused)? {
                    b',' => {
                        self.at += 1;
                        if object {
                            self.skip_name(&mut stops)?;
                        }
                        break;
                    }
                    b'}' if object => levels.close(),
                    b']' if !object => levels.close(),
                    b' ' | b'\n' | b'\t' | b'\r' => {}
                    _ => return Err(Refused),
                }
                self.at += 1;
            }
        }
    }

    /// The name of a member and its colon. Mostly there is no white space around them.
    #[inline(always)]
    fn skip_name(&mut self, stops: &mut Stops<'_>) -> Result<(), Refused> {
        if self.peek() != Some(b'"') {
            self.space();
        }
        self.skip_string(stops)?;
        if self.peek() != Some(b':') {
            self.space();
        }
        self.eat(b':')
    }

    /// Passes over a string. Whether it has escapes.
    #[inline(always)]
    pub(in crate::codec) fn skip_string(&mut self, stops: &mut Stops<'_>) -> Result<bool, Refused> {
        self.eat(b'"')?;
        let mut escaped = false;
        loop {
            self.at = stops.next(self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
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

    #[inline(always)]
    pub(in crate::codec) fn word(&mut self, word: &str) -> Result<(), Refused> {
        if self.text.as_bytes().get(self.at..self.at + word.len()) != Some(word.as_bytes()) {
            return Err(Refused);
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads a number and returns its text.
    #[inline(always)]
    pub(in crate::codec) fn number(&mut self) -> Result<&'a str, Refused> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(Refused),
        }
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Ok(self.since(start));
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
        Ok(self.since(start))
    }

    /// One digit or more.
    #[inline(always)]
    fn digits(&mut self) -> Result<(), Refused> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(Refused) } else { Ok(()) }
    }
}

/// Which of the levels that are open are objects: a bit each, 1 for an object.
#[derive(Default)]
struct Levels {
    depth: usize,
    /// The innermost, at most 64.
    objects: u64,
    /// Those around them, 64 each. Empty, and so without an allocation, for all usual events.
    outer: Vec<u64>,
}

impl Levels {
    fn is_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn open(&mut self, object: bool) {
        if self.depth != 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.objects);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(object);
    }

    /// Only called with a level open.
    fn close(&mut self) {
        self.depth -= 1;
        self.objects = if self.depth.is_multiple_of(64) {
            self.outer.pop().unwrap_or_default()
        } else {
            self.objects >> 1
        };
    }
}

/// How many bytes the escape at the start takes.
#[inline(never)]
fn escape_length(bytes: &[u8]) -> Result<usize, Refused> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => {
            let digits = bytes.get(2..6).ok_or(Refused)?;
            if digits.iter().all(u8::is_ascii_hexdigit) { Ok(6) } else { Err(Refused) }
        }
        _ => Err(Refused),
    }
}

/// How many bytes at the start are neither a quote, a backslash nor a control character. Eight at a time.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
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
