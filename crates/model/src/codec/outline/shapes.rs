//! The shapes of a client: which lists of keys objects have.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::keys::Keys;
use super::median::median;
use super::repeats::{Repeats, Taken};
use super::seen::Seen;
use super::strings::Strings;
use super::vain::Vain;
use super::word::{FIRST_KNOWN, Kind, heads, kind, number};

/// The most shapes at a time. A constructor of the host takes some 2 to 20 KiB.
pub(super) const MAX_SHAPES: usize = 4096;

/// The most bytes of the keys of all shapes.
const MAX_BYTES: usize = 512 * 1024;

/// How long shapes may compete for the places of a full table, in milliseconds.
pub(super) const AGE: u64 = 60_000;

/// The shapes of the objects in what a client receives. An object has the shape of its keys, in their order; the types of its
/// values make no difference.
///
/// A shape gets a number when its keys come a second time, and `take_changes` tells the host of it before a drain uses it. The
/// table is bounded. When it is full and further shapes come, the half that was used least since then makes room for them, once a
/// minute at the most: whoever can publish can fill the table, but not for good.
#[derive(Debug)]
pub struct Shapes {
    table: Vec<Option<Arc<Shape>>>,
    /// How often each was used since the table aged.
    uses: Vec<u32>,
    by_hash: HashMap<u64, u16>,
    free: Vec<u16>,
    bytes: usize,
    /// Changes whenever a number no longer means what it did.
    generation: u32,
    hasher: RandomState,
    seen: Seen,
    /// The shape of the last value under a key, by the place of the key.
    expected: Box<[u16; 256]>,
    changes: Vec<u16>,
    /// Whether a shape found no place since the table aged.
    refused: bool,
    aged_ms: u64,
    pub(super) strings: Strings,
    pub(super) repeats: Repeats,
    pub(super) vain: Vain,
    pub(super) memory: Memory,
}

/// What the reader notes, kept for the next event.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) words: Vec<u32>,
    /// The keys of the objects that are open, as far as they are not those of the shape that was expected.
    pub(super) names: Vec<Name>,
    /// Keys as a shape has them written.
    written: Vec<u8>,
}

/// Where a key stands in the text, without quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Name {
    fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

#[derive(Debug)]
pub(super) struct Shape {
    pub(super) keys: Keys,
    hash: u64,
}

/// What the host is to know of shapes and strings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The shapes.
    pub shapes: Vec<ShapeChange>,
    /// Strings, each with its number.
    pub strings: Vec<(u16, Box<str>)>,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty() && self.strings.is_empty()
    }
}

/// A number that has a new meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct ShapeChange {
    /// The number.
    pub shape: u16,
    /// The keys of its objects, in their order; `None` when there are no such objects any more.
    pub keys: Option<Vec<String>>,
}

/// No shape is expected.
const NONE: u16 = u16::MAX;

impl Shapes {
    /// No shapes yet. `hasher` is random: keys come from whoever can publish.
    pub fn new(hasher: RandomState) -> Self {
        Shapes {
            table: Vec::new(),
            uses: Vec::new(),
            by_hash: HashMap::new(),
            free: Vec::new(),
            bytes: 0,
            generation: 0,
            hasher,
            seen: Seen::new(),
            expected: Box::new([NONE; 256]),
            changes: Vec::new(),
            refused: false,
            aged_ms: 0,
            strings: Strings::new(),
            repeats: Repeats::new(),
            vain: Vain::new(),
            memory: Memory::default(),
        }
    }

    /// Which numbers mean what they did when an outline was made: those of the same generation.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Takes what has changed since the last time.
    pub fn take_changes(&mut self) -> Changes {
        let numbers = std::mem::take(&mut self.changes);
        let change = |number: u16| match self.shape(number) {
            Some(shape) => {
                let keys = shape.keys.iter().map(str::to_owned).collect();
                ShapeChange { shape: number, keys: Some(keys) }
            }
            None => ShapeChange { shape: number, keys: None },
        };
        Changes { shapes: numbers.into_iter().map(change).collect(), strings: self.strings.take_changes() }
    }

    /// Makes room where shapes or strings have found none. Call it before each drain, with the time of a clock that does not jump.
    pub fn age(&mut self, now_ms: u64) {
        if !(self.refused || self.strings.is_crowded()) || now_ms.saturating_sub(self.aged_ms) < AGE {
            return;
        }
        self.aged_ms = now_ms;
        self.generation = self.generation.wrapping_add(1);
        for taken in self.repeats.clear() {
            self.count(&taken);
        }
        if self.strings.is_crowded() {
            self.strings.age();
        }
        if std::mem::take(&mut self.refused) {
            self.age_shapes();
        }
    }

    fn age_shapes(&mut self) {
        let used = self.table.iter().zip(&self.uses).filter(|(shape, _)| shape.is_some());
        let uses: Vec<u32> = used.map(|(_, uses)| *uses).collect();
        // Of those that were used as often as the median, as many stay as there is room for.
        let mut stay = uses.len() - uses.len() / 2;
        let least = median(uses).unwrap_or_default();
        for (number, (place, uses)) in (0u16..).zip(self.table.iter_mut().zip(&mut self.uses)) {
            let uses = std::mem::take(uses);
            let Some(shape) = place else { continue };
            if uses >= least && stay > 0 {
                stay -= 1;
                continue;
            }
            self.bytes -= shape.keys.size();
            self.by_hash.remove(&shape.hash);
            *place = None;
            self.free.push(number);
            self.changes.push(number);
        }
    }

    /// The shape that a value will probably have.
    pub(super) fn expected(&self, place: u8) -> Option<(u16, Arc<Shape>)> {
        let number = self.expected.get(usize::from(place)).copied()?;
        Some((number, self.shape(number)?.clone()))
    }

    /// An object had this shape.
    pub(super) fn was_used(&mut self, shape: u16, place: u8) {
        if let Some(uses) = self.uses.get_mut(usize::from(shape)) {
            *uses = uses.saturating_add(1);
        }
        if let Some(expected) = self.expected.get_mut(usize::from(place)) {
            *expected = shape;
        }
    }

    /// Keeps an object, which may come again.
    pub(super) fn keep(&mut self, place: u8, depth: u32, text: &str) {
        if let Some(taken) = self.repeats.keep(place, depth, text.as_bytes()) {
            self.count(&taken);
        }
    }

    /// Counts as used what stands in words that were taken over.
    fn count(&mut self, Taken { words, uses }: &Taken) {
        for word in heads(words) {
            match kind(word) {
                Kind::Object => {
                    if let Some(count) = self.uses.get_mut(number(word) as usize) {
                        *count = count.saturating_add(*uses);
                    }
                }
                Kind::Literal => {
                    if let Some(known) = number(word).checked_sub(FIRST_KNOWN) {
                        self.strings.was_used(known as usize, *uses);
                    }
                }
                _ => {}
            }
        }
    }

    /// The shape of an object whose keys are the `count` first ones of the shape that was expected, and then those that were read,
    /// from the name `first` on. Keys that came before become one.
    pub(super) fn find(&mut self, text: &str, begin: Option<(&Shape, usize)>, first: usize) -> Option<u16> {
        let Memory { names, written, .. } = &mut self.memory;
        written.clear();
        written.extend_from_slice(begin.map_or(&[], |(shape, count)| shape.keys.first(count)));
        let names = names.get(first..).unwrap_or_default().iter();
        for name in names.clone() {
            written.push(b'"');
            written.extend_from_slice(name.of(text).as_bytes());
            written.extend_from_slice(b"\":");
        }
        let hash = self.hasher.hash_one(&**written);
        if let Some(number) = self.by_hash.get(&hash) {
            return self.shape(*number)?.keys.are(&self.memory.written).then_some(*number);
        }
        if !self.seen.came(hash) {
            return None;
        }
        let begin = begin.into_iter().flat_map(|(shape, count)| shape.keys.iter().take(count));
        let keys: Vec<&str> = begin.chain(names.map(|name| name.of(text))).collect();
        self.add(Shape { keys: Keys::new(&keys)?, hash })
    }

    fn add(&mut self, shape: Shape) -> Option<u16> {
        let size = shape.keys.size();
        let is_full = self.free.is_empty() && self.table.len() >= MAX_SHAPES;
        if is_full || self.bytes + size > MAX_BYTES {
            self.refused = true;
            return None;
        }
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.table.push(None);
                self.uses.push(0);
                u16::try_from(self.table.len() - 1).ok()?
            }
        };
        self.by_hash.insert(shape.hash, number);
        self.bytes += size;
        *self.table.get_mut(usize::from(number))? = Some(Arc::new(shape));
        self.changes.push(number);
        Some(number)
    }

    fn shape(&self, number: u16) -> Option<&Arc<Shape>> {
        self.table.get(usize::from(number))?.as_ref()
    }
}
