//! From the text of a value to its outline, in the pass that checks the text.

use super::begins::begins_with;
use super::decimals::decimal;
use super::repeats::Coming;
use super::shapes::{Name, Shapes};
use super::strings::Slot;
use super::word::{FIRST_KNOWN, Kind, Literal, MAX, integer, word};
use super::{Outline, keys};
use crate::codec::json::{Refused, Scanner, Stops};

/// How deep an outline goes. What is deeper is handed over as JSON text, which the host reads at any depth.
pub(super) const MAX_DEPTH: u32 = 64;

impl Shapes {
    /// Reads a value: its text, and its outline. `name` is under what name it is known, such as the type of its event: values of one
    /// name are expected to have one shape. There is no outline of what goes as JSON text as a whole: an object whose shape is
    /// not known, or an array of such objects, and of a text of 512 MiB.
    ///
    /// # Errors
    /// When the text does not go on with a JSON value.
    pub(crate) fn read<'a>(
        &mut self,
        scanner: &mut Scanner<'a>,
        name: &str,
    ) -> Result<(&'a str, Option<Outline>), Refused> {
        let start = scanner.position();
        let place = keys::place(name);
        if scanner.rest().len() > MAX || !self.vain.is_due(place) {
            return Ok((scanner.value()?, None));
        }
        self.memory.words.clear();
        self.memory.names.clear();
        let stops = Stops::new(scanner.text(), start);
        let mut reader = Reader { shapes: self, scanner: *scanner, stops, start };
        let content = reader.value(place, Slot::NONE, 0)?;
        *scanner = reader.scanner;
        self.vain.looked(place, content != Content::Unshaped);
        let text = scanner.since(start);
        let words = &self.memory.words;
        let outline = (content != Content::Unshaped)
            .then(|| Outline { words: words.as_slice().into(), generation: self.generation() });
        Ok((text, outline))
    }
}

struct Reader<'s, 'a> {
    shapes: &'s mut Shapes,
    scanner: Scanner<'a>,
    stops: Stops<'a>,
    /// Where the value begins.
    start: usize,
}

/// What a value is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Of no objects.
    Plain,
    /// Of objects, some of which have a shape.
    Shaped,
    /// It goes as JSON text.
    Unshaped,
}

impl Reader<'_, '_> {
    /// Reads a value. At `place` is the shape that it will probably have.
    #[inline(always)]
    fn value(&mut self, place: u8, slot: Slot, depth: u32) -> Result<Content, Refused> {
        match self.scanner.peek().ok_or(Refused)? {
            b'"' => self.string(slot)?,
            b'{' | b'[' if depth == MAX_DEPTH => {
                let from = self.scanner.position();
                self.scanner.value()?;
                return self.as_json(from, self.shapes.memory.words.len());
            }
            b'{' => return self.object(place, depth),
            b'[' => return self.array(place, depth),
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal("true", Literal::True)?,
            b'f' => self.literal("false", Literal::False)?,
            b'n' => self.literal("null", Literal::Null)?,
            _ => return Err(Refused),
        }
        Ok(Content::Plain)
    }

    fn push(&mut self, kind: Kind, number: usize) {
        // No length within the text is beyond the limit, as the text is not.
        self.shapes.memory.words.push(word(kind, number as u32));
    }

    /// Where a part of the text begins, from the start of the value.
    fn push_offset(&mut self, position: usize) {
        self.shapes.memory.words.push((position - self.start) as u32);
    }

    fn literal(&mut self, text: &str, literal: Literal) -> Result<(), Refused> {
        self.scanner.word(text)?;
        self.push(Kind::Literal, literal as usize);
        Ok(())
    }

    fn string(&mut self, slot: Slot) -> Result<(), Refused> {
        if let Some((known, length)) = self.shapes.strings.again(slot, self.scanner.rest()) {
            self.scanner.skip(length + 2);
            self.push(Kind::Literal, FIRST_KNOWN as usize + usize::from(known));
            return Ok(());
        }
        let from = self.scanner.position() + 1;
        let is_escaped = self.scanner.skip_string(&mut self.stops)?;
        let inside = self.scanner.between(from, self.scanner.position() - 1);
        if is_escaped {
            self.push(Kind::Special, inside.len());
        } else if let Some(known) = self.shapes.strings.find(inside) {
            self.shapes.strings.note(slot, known);
            self.push(Kind::Literal, FIRST_KNOWN as usize + usize::from(known));
            return Ok(());
        } else {
            self.push(Kind::Text, inside.len());
        }
        self.push_offset(from);
        Ok(())
    }

    fn number(&mut self) -> Result<(), Refused> {
        let text = self.scanner.number()?;
        if let Some(word) = small_integer(text) {
            self.shapes.memory.words.push(word);
            return Ok(());
        }
        // Rounded to the nearest, ties to even, and to infinity beyond the range, as ECMAScript has it. Never an error: the
        // scanner accepts nothing that this does not.
        let value = decimal(text).map_or_else(|| text.parse::<f64>(), Ok);
        let bits = value.map_err(|_| Refused)?.to_bits();
        let words = &mut self.shapes.memory.words;
        words.extend([word(Kind::Double, 0), bits as u32, (bits >> 32) as u32]);
        Ok(())
    }

    #[inline(never)]
    fn array(&mut self, place: u8, depth: u32) -> Result<Content, Refused> {
        let from = self.scanner.position();
        let first = self.shapes.memory.words.len();
        self.push(Kind::Array, 0);
        let (mut count, mut content) = (0, Content::Plain);
        self.scanner.eat(b'[')?;
        self.scanner.space();
        if self.scanner.peek() == Some(b']') {
            self.scanner.eat(b']')?;
            return Ok(content);
        }
        loop {
            match (self.value(place, Slot::NONE, depth + 1)?, content) {
                (Content::Shaped, _) => content = Content::Shaped,
                (Content::Unshaped, Content::Plain) => content = Content::Unshaped,
                _ => {}
            }
            count += 1;
            if !self.scanner.goes_on(b']')? {
                break;
            }
        }
        if content == Content::Unshaped {
            return self.as_json(from, first);
        }
        if let Some(begin) = self.shapes.memory.words.get_mut(first) {
            *begin = word(Kind::Array, count);
        }
        Ok(content)
    }

    /// The value since `from`, whose words began at `first`, is handed over as JSON text.
    fn as_json(&mut self, from: usize, first: usize) -> Result<Content, Refused> {
        self.shapes.memory.words.truncate(first);
        self.push(Kind::Json, self.scanner.position() - from);
        self.push_offset(from);
        Ok(Content::Unshaped)
    }

    #[inline(never)]
    fn object(&mut self, place: u8, depth: u32) -> Result<Content, Refused> {
        let from = self.scanner.position();
        let first = self.shapes.memory.words.len();
        let names = self.shapes.memory.names.len();
        let offset = from - self.start;
        let coming = self.shapes.repeats.take(
            place,
            depth,
            self.scanner.rest(),
            offset,
            &mut self.shapes.memory.words,
        );
        if let Coming::Taken(length) = coming {
            self.scanner.skip(length);
            return Ok(Content::Shaped);
        }
        self.scanner.eat(b'{')?;
        self.scanner.space();
        if self.scanner.peek() == Some(b'}') {
            self.scanner.eat(b'}')?;
            self.push(Kind::Literal, Literal::Empty as usize);
            return Ok(Content::Plain);
        }
        self.push(Kind::Object, 0);
        let expected = self.shapes.expected(place);
        // How many keys were those of the expected shape. From the first other one on, keys are noted.
        let mut followed = 0;
        let mut as_expected = expected.is_some();
        loop {
            let key =
                expected.as_ref().filter(|_| as_expected).and_then(|(_, shape)| shape.keys.written(followed));
            let (place, slot) = match key {
                Some((written, place)) if begins_with(self.scanner.rest(), written) => {
                    self.scanner.skip(written.len());
                    self.scanner.space();
                    followed += 1;
                    (place, expected.as_ref().map_or(Slot::NONE, |(number, _)| Slot::new(*number, followed)))
                }
                key => {
                    let start = self.scanner.position() + 1;
                    self.scanner.skip_string(&mut self.stops)?;
                    let end = self.scanner.position() - 1;
                    self.scanner.space();
                    self.scanner.eat(b':')?;
                    self.scanner.space();
                    let name = self.scanner.between(start, end);
                    if key.is_some_and(|(written, _)| {
                        written.get(1..written.len() - 2) == Some(name.as_bytes())
                    }) {
                        followed += 1;
                    } else {
                        as_expected = false;
                        self.shapes.memory.names.push(Name { start: start as u32, end: end as u32 });
                    }
                    (keys::place(name), Slot::NONE)
                }
            };
            self.value(place, slot, depth + 1)?;
            if !self.scanner.goes_on(b'}')? {
                break;
            }
        }
        let shape = match &expected {
            Some((number, shape)) if as_expected && shape.keys.count() == followed => Some(*number),
            expected => {
                let begin = expected.as_ref().map(|(_, shape)| (&**shape, followed));
                self.shapes.find(self.scanner.text(), begin, names)
            }
        };
        self.shapes.memory.names.truncate(names);
        if coming == Coming::Other {
            self.shapes.keep(place, depth, self.scanner.since(from));
        }
        let Some(shape) = shape else { return self.as_json(from, first) };
        self.shapes.was_used(shape, place);
        if let Some(begin) = self.shapes.memory.words.get_mut(first) {
            *begin = word(Kind::Object, u32::from(shape));
        }
        if coming == Coming::Again {
            let words = self.shapes.memory.words.get(first..).unwrap_or_default();
            self.shapes.repeats.note(place, self.scanner.since(from), offset, words);
        }
        Ok(Content::Shaped)
    }
}

/// The word for a number, if it is a small whole one. `-0` is not.
fn small_integer(text: &str) -> Option<u32> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.len() > 9 || (negative && digits == "0") {
        return None;
    }
    let mut value = 0i32;
    for byte in digits.bytes() {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i32::from(byte - b'0');
    }
    integer(if negative { -value } else { value })
}
