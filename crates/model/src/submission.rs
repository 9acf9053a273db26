//! The text in which the host hands over the publishes of one tick: three lines per event,
//! `type`, `options` (empty or a JSON object), `data` (JSON). Data behind a space was not written by the host, and is not
//! known to be JSON.
//!
//! JSON text never holds a raw newline and event types may not, so lines need no escaping.

/// One event to publish, as the caller gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The event type, not yet validated.
    pub event_type: &'a str,
    /// The options as a JSON object, or empty.
    pub options: &'a str,
    /// The data as JSON text.
    pub data: &'a str,
}

impl Record<'_> {
    /// How many bytes of its submission it takes, about.
    pub fn bytes(&self) -> usize {
        self.event_type.len() + self.options.len() + self.data.len() + 2
    }
}

/// The records of a submission, in order. A text that ends early yields what is whole.
pub fn records(text: &str) -> impl Iterator<Item = Record<'_>> {
    let mut rest = text.as_bytes();
    let mut at = 0;
    let mut line = move || {
        if at > text.len() {
            return None;
        }
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &text[at..at + len];
        at += len + 1;
        rest = rest.get(len + 1..).unwrap_or_default();
        Some(line)
    };
    std::iter::from_fn(move || Some(Record { event_type: line()?, options: line()?, data: line()? }))
}

/// Appends a record to a submission; the inverse of [`records`], for hosts written in Rust.
pub fn append(text: &mut String, record: Record<'_>) {
    if !text.is_empty() {
        text.push('\n');
    }
    for (i, line) in [record.event_type, record.options, record.data].into_iter().enumerate() {
        if i > 0 {
            text.push('\n');
        }
        text.push_str(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        let one = Record { event_type: "a", options: "", data: "{\"x\":\"é\"}" };
        let two = Record { event_type: "b", options: "{}", data: "null" };
        let mut text = String::new();
        append(&mut text, one);
        append(&mut text, two);
        assert_eq!(records(&text).collect::<Vec<_>>(), [one, two]);
    }

    #[test]
    fn an_empty_last_line_is_a_line() {
        let found: Vec<_> = records("a\n\n").collect();
        assert_eq!(found, [Record { event_type: "a", options: "", data: "" }]);
    }

    #[test]
    fn a_text_that_ends_early_yields_what_is_whole() {
        assert_eq!(records("a\n\n1\nb\n").count(), 1);
        assert_eq!(records("").count(), 0);
    }
}
