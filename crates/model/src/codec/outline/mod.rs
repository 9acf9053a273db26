//! The values in the data of an event, found by the pass that checks the data, for a host that builds objects from them.
//!
//! `JSON.parse` finds the same keys again in every event and copies every string by itself. Here the reading thread compares
//! the keys with those that it expects, and notes what it finds as words: an [`Outline`]. A drain turns outlines into
//! [`Columns`], from which the host builds each object by a constructor that was made once for its [shape](shapes::Shapes). What
//! has no shape stays JSON text. `docs/design/decoding.md` has the reasons and the measurements.
//!
//! # Layout
//!
//! - this file: [`Outline`]; [`word`]: its words, and those of columns; `reader`: from JSON to words
//! - [`shapes`]: the shapes of a client; `strings`: the strings that it need not be told again; `seen`: which lists of keys came once; `vain`: where shapes are not looked for; `keys`: the keys of a shape; `median`: what is used most
//! - `repeats`: objects that come again as they were; `begins`: comparing what was expected; `decimals`: numbers that need no general parser
//! - [`columns`]: what a drain hands over; `chunk`: strings that are handed over as one; `escapes`: what a string with escapes says

mod begins;
mod chunk;
pub mod columns;
mod decimals;
mod escapes;
mod keys;
mod median;
mod reader;
mod repeats;
mod seen;
pub mod shapes;
mod strings;
#[cfg(test)]
mod tests;
mod vain;
pub mod word;

pub use columns::Columns;
pub use shapes::Shapes;

/// What stands in the data of an event, as words. Offsets of strings count from the start of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    words: Box<[u32]>,
    /// Of which generation of the shapes its objects are.
    generation: u32,
}

impl Outline {
    /// The memory that it takes, in bytes.
    pub fn size(&self) -> usize {
        size_of_val(&*self.words)
    }
}
