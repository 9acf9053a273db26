//! What a drain hands over: values as words, and the text and the numbers that they refer to.

use super::Outline;
use super::chunk::Chunk;
use super::escapes::unescape;
use super::word::{Kind, integer, kind, number, word};

/// Values as columns, in the order in which the host reads them.
#[derive(Debug, Default)]
pub struct Columns {
    pub(super) words: Vec<u32>,
    pub(super) doubles: Vec<f64>,
    /// A word for each string that the host makes of `text`; the other strings are parts of these.
    pub(super) chunks: Vec<u32>,
    pub(super) text: Vec<u8>,
    /// JSON texts, which the host parses, with commas between them.
    json: String,
    chunk: Chunk,
    units: Vec<u16>,
}

/// How much a drain hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// 8 bytes each.
    pub doubles: usize,
    /// 4 bytes each.
    pub words: usize,
    /// 4 bytes each.
    pub chunks: usize,
    /// Bytes.
    pub text: usize,
}

impl Lengths {
    /// Bytes.
    pub fn total(self) -> usize {
        self.doubles * 8 + (self.words + self.chunks) * 4 + self.text
    }
}

impl Columns {
    /// Forgets all values, and keeps the memory up to `kept` bytes of text.
    pub fn clear(&mut self, kept: usize) {
        if self.text.capacity() > kept || self.json.capacity() > kept {
            *self = Columns::default();
        }
        self.words.clear();
        self.doubles.clear();
        self.chunks.clear();
        self.text.clear();
        self.json.clear();
        self.chunk = Chunk::default();
    }

    /// The JSON texts, as the inside of an array.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// How much there is. Nothing may be added afterwards.
    pub fn finish(&mut self) -> Lengths {
        self.chunks.extend(self.chunk.end());
        let Columns { doubles, words, chunks, text, .. } = self;
        Lengths { doubles: doubles.len(), words: words.len(), chunks: chunks.len(), text: text.len() }
    }

    /// Copies everything into `target`: doubles, words, chunks and text, in the byte order of the machine. What is behind the end
    /// of `target` is left out.
    pub fn copy_to(&self, target: &mut [u8]) {
        let (doubles, rest) = part(target, self.doubles.len() * 8);
        let (words, rest) = part(rest, self.words.len() * 4);
        let (chunks, rest) = part(rest, self.chunks.len() * 4);
        let (text, _) = part(rest, self.text.len());
        for (to, double) in doubles.as_chunks_mut().0.iter_mut().zip(&self.doubles) {
            *to = double.to_ne_bytes();
        }
        for (target, words) in [(words, &self.words), (chunks, &self.chunks)] {
            for (to, word) in target.as_chunks_mut().0.iter_mut().zip(words) {
                *to = word.to_ne_bytes();
            }
        }
        text.copy_from_slice(&self.text[..text.len()]);
    }

    /// A string.
    pub fn text(&mut self, text: &str) {
        if text.is_ascii() {
            self.string(text.len(), false);
            self.text.extend_from_slice(text.as_bytes());
        } else {
            let mut units = std::mem::take(&mut self.units);
            units.extend(text.encode_utf16());
            self.utf16(&units);
            units.clear();
            self.units = units;
        }
    }

    /// A whole number, below 2^28.
    pub fn integer(&mut self, value: usize) {
        match i32::try_from(value).ok().and_then(integer) {
            Some(word) => self.words.push(word),
            None => {
                self.words.push(word(Kind::Double, 0));
                self.doubles.push(value as f64);
            }
        }
    }

    /// An event follows as two values: what it is without its data, and its data.
    pub fn apart(&mut self) {
        self.words.extend(integer(-1));
    }

    /// A value that the host parses. The parts are one JSON text.
    pub fn parsed(&mut self, parts: &[&str]) {
        self.words.push(word(Kind::Json, 0));
        if !self.json.is_empty() {
            self.json.push(',');
        }
        parts.iter().for_each(|part| self.json.push_str(part));
    }

    /// JSON text that is handed on as it is: its index among what the host gets apart from this.
    pub fn raw(&mut self, index: usize) {
        self.words.push(word(Kind::Special, 0));
        self.integer(index);
    }

    /// The data of an event. `generation` is that of the shapes now.
    pub fn data(&mut self, data: &str, outline: Option<&Outline>, generation: u32) {
        match outline {
            Some(outline) if outline.generation == generation => self.outline(data, &outline.words),
            _ => self.parsed(&[data]),
        }
    }

    fn outline(&mut self, data: &str, mut words: &[u32]) {
        while let [first, rest @ ..] = words {
            words = rest;
            let kind = kind(*first);
            match kind {
                Kind::Text | Kind::Special | Kind::Json => {
                    let Some((offset, rest)) = words.split_first() else { return };
                    words = rest;
                    let start = *offset as usize;
                    let part = data.get(start..start + number(*first) as usize).unwrap_or_default();
                    match kind {
                        Kind::Text => self.text(part),
                        Kind::Json => self.parsed(&[part]),
                        _ => self.escaped(part),
                    }
                }
                Kind::Double => {
                    let [low, high, rest @ ..] = words else { return };
                    words = rest;
                    self.words.push(*first);
                    self.doubles.push(f64::from_bits(u64::from(*high) << 32 | u64::from(*low)));
                }
                Kind::Integer | Kind::Literal | Kind::Object | Kind::Array => self.words.push(*first),
            }
        }
    }

    fn escaped(&mut self, inside: &str) {
        let mut units = std::mem::take(&mut self.units);
        unescape(inside, &mut units);
        self.utf16(&units);
        units.clear();
        self.units = units;
    }

    /// A string of UTF-16 units: in one byte each if that is enough, as V8 keeps it as well.
    fn utf16(&mut self, units: &[u16]) {
        let wide = units.iter().any(|unit| *unit > 0xff);
        self.string(units.len(), wide);
        if wide {
            self.text.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        } else {
            self.text.extend(units.iter().map(|unit| *unit as u8));
        }
    }

    /// A string of so many units follows in `text`.
    fn string(&mut self, units: usize, wide: bool) {
        self.words.push(word(Kind::Text, units as u32));
        if units > 0 {
            self.chunks.extend(self.chunk.push(units, wide));
        }
    }
}

/// The first `length` bytes, or as many as there are, and the others.
fn part(bytes: &mut [u8], length: usize) -> (&mut [u8], &mut [u8]) {
    bytes.split_at_mut(length.min(bytes.len()))
}
