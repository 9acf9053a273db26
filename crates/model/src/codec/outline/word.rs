//! Words: a kind in the lowest three bits, and 29 bits that mean something for this kind.
//!
//! The words of a value follow each other in the order of its text; `ts/native/columns.ts` reads them.

/// How many bits the kind takes.
pub(super) const KIND_BITS: u32 = 3;

/// The greatest number behind a kind, and the longest text.
pub(super) const MAX: usize = (1 << (u32::BITS - KIND_BITS)) - 1;

/// Which value begins with a word.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string, and its length: in an outline in bytes, before the word with its offset; in columns in UTF-16 units, of what
    /// the chunks of text have next.
    Text = 0,
    /// A whole number, from -2^28 to 2^28 - 1.
    Integer = 1,
    /// Another number: in an outline two words follow with its bits, the low ones first; columns have a list of their own.
    Double = 2,
    /// One of [`Literal`].
    Literal = 3,
    /// An object, and the number of its shape. Its values follow.
    Object = 4,
    /// An array, and how many values follow.
    Array = 5,
    /// A value that goes as JSON text. In an outline its length in bytes, before the word with its offset; in columns the host
    /// parses the next text of a list of its own.
    Json = 6,
    /// In an outline a string with escapes, as `Text`. In columns JSON text that is handed on as it is: its index follows.
    Special = 7,
}

/// What a word of the kind `Literal` stands for. A number from [`FIRST_KNOWN`] on stands for a string that the host has.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Null = 0,
    False = 1,
    True = 2,
    /// An object without members, which needs no shape.
    Empty = 3,
}

/// The number of the kind `Literal` that stands for the known string 0.
pub(super) const FIRST_KNOWN: u32 = 4;

/// A word; `number` is at most [`MAX`].
pub(super) fn word(kind: Kind, number: u32) -> u32 {
    number << KIND_BITS | kind as u32
}

/// The number of a word.
pub(super) fn number(word: u32) -> u32 {
    word >> KIND_BITS
}

/// The kind of a word.
pub(super) fn kind(word: u32) -> Kind {
    match word & ((1 << KIND_BITS) - 1) {
        0 => Kind::Text,
        1 => Kind::Integer,
        2 => Kind::Double,
        3 => Kind::Literal,
        4 => Kind::Object,
        5 => Kind::Array,
        6 => Kind::Json,
        _ => Kind::Special,
    }
}

/// A word for a whole number, if it is small enough for one.
pub(super) fn integer(value: i32) -> Option<u32> {
    let word = value.wrapping_shl(KIND_BITS);
    (word >> KIND_BITS == value).then_some(word.cast_unsigned() | Kind::Integer as u32)
}

/// The words of an outline with which a value begins.
pub(super) fn heads(words: &[u32]) -> impl Iterator<Item = u32> {
    let mut words = words.iter();
    std::iter::from_fn(move || {
        let head = *words.next()?;
        match kind(head) {
            Kind::Text | Kind::Special | Kind::Json => drop(words.next()),
            Kind::Double => drop(words.nth(1)),
            Kind::Integer | Kind::Literal | Kind::Object | Kind::Array => {}
        }
        Some(head)
    })
}
