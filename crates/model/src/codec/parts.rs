//! Where the parts of an event stand in its JSON text.

use std::ops::Range;

/// Where the parts of an event stand in its JSON text. None has an escape, so each is its own JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The id, without its quotes. All parts but `data` are without quotes.
    pub id: Span,
    /// The type.
    pub event_type: Span,
    /// The timestamp.
    pub timestamp: Span,
    /// The source.
    pub source: Span,
    /// The client start that published the event.
    pub instance_id: Span,
    /// The correlation id; `None` when it is the id of the event.
    pub correlation_id: Option<Span>,
    /// The id of the event that caused this one.
    pub causation_id: Option<Span>,
    /// The room that the event is for.
    pub room: Option<Span>,
    /// All other members of the metadata, as JSON with their names and the commas between them, where they stand together.
    pub rest: Option<Span>,
    /// The data as JSON.
    pub data: Span,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The part of `text`.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Where it stands, in bytes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// A part by its offsets in bytes. `None` beyond 4 GiB.
    pub(crate) fn new(start: usize, end: usize) -> Option<Span> {
        Some(Span { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    /// From where this begins to where `other` ends.
    pub(crate) fn until(self, other: Span) -> Span {
        Span { start: self.start, end: other.end }
    }

    /// Where `part`, which was borrowed from `text`, stands in it. `None` for a text of 4 GiB.
    pub(crate) fn within(text: &str, part: &str) -> Option<Span> {
        let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        Span::new(start, start + part.len())
    }
}
