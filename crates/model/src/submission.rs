//! What the host hands over to be published: a text with three lines per event, `type`, `options` (empty or a JSON object) and
//! `data`, and beside it the bytes of data that are not in the text.
//!
//! The data is JSON that the host has written; or behind a space a text that is not known to be JSON; or U+0001 and a number:
//! so many of the bytes, one behind the other, which are not known to be JSON either. JSON text never holds a raw newline and
//! event types may not, so lines need no escaping.

/// What a data line begins with whose data is among the bytes. No JSON begins with it, and no text that is behind a space.
const ELSEWHERE: char = '\u{1}';

/// The publishes of one tick.
#[derive(Debug, Default)]
pub struct Records {
    text: String,
    raw: Vec<u8>,
}

impl From<String> for Records {
    fn from(text: String) -> Self {
        Records { text, raw: Vec::new() }
    }
}

/// One event to publish, as the caller gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The event type, not yet validated.
    pub event_type: &'a str,
    /// The options as a JSON object, or empty.
    pub options: &'a str,
    /// The data.
    pub data: Data<'a>,
}

/// The data of an event to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// JSON that the host has written.
    Json(&'a str),
    /// What the caller says is JSON, without line feeds.
    Text(&'a str),
    /// What the caller says is JSON, perhaps not even UTF-8.
    Bytes(&'a [u8]),
}

impl Data<'_> {
    fn len(self) -> usize {
        match self {
            Data::Json(text) | Data::Text(text) => text.len(),
            Data::Bytes(bytes) => bytes.len(),
        }
    }
}

impl Record<'_> {
    /// How many bytes of its submission it takes, about.
    pub fn bytes(&self) -> usize {
        self.event_type.len() + self.options.len() + self.data.len() + 2
    }
}

impl Records {
    /// Records with data lines that stand for parts of `raw`.
    pub fn with_raw(text: String, raw: Vec<u8>) -> Self {
        Records { text, raw }
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.raw.len()
    }

    /// Each of them, in order. A text that ends early yields what is whole, and a number that is too large stands for what is left.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let Records { text, raw } = self;
        let (mut rest, mut at, mut raw) = (text.as_bytes(), 0, &raw[..]);
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
        std::iter::from_fn(move || {
            let (event_type, options, data) = (line()?, line()?, line()?);
            let data = if let Some(given) = data.strip_prefix(' ') {
                Data::Text(given)
            } else if let Some(length) = data.strip_prefix(ELSEWHERE) {
                let (data, others) = raw.split_at(length.parse().unwrap_or(0).min(raw.len()));
                raw = others;
                Data::Bytes(data)
            } else {
                Data::Json(data)
            };
            Some(Record { event_type, options, data })
        })
    }
}

/// Appends the three lines of a record to a text, for hosts written in Rust.
pub fn append(text: &mut String, lines: [&str; 3]) {
    if !text.is_empty() {
        text.push('\n');
    }
    for (i, line) in lines.into_iter().enumerate() {
        if i > 0 {
            text.push('\n');
        }
        text.push_str(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(event_type: &'a str, options: &'a str, data: Data<'a>) -> Record<'a> {
        Record { event_type, options, data }
    }

    #[test]
    fn records_round_trip() {
        let mut text = String::new();
        append(&mut text, ["a", "", "{\"x\":\"é\"}"]);
        append(&mut text, ["b", "{}", " null"]);
        let expected = [record("a", "", Data::Json("{\"x\":\"é\"}")), record("b", "{}", Data::Text("null"))];
        assert_eq!(Records::from(text).iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_empty_last_line_is_a_line() {
        let records = Records::from("a\n\n".to_owned());
        assert_eq!(records.iter().collect::<Vec<_>>(), [record("a", "", Data::Json(""))]);
    }

    #[test]
    fn a_text_that_ends_early_yields_what_is_whole() {
        assert_eq!(Records::from("a\n\n1\nb\n".to_owned()).iter().count(), 1);
        assert_eq!(Records::from(String::new()).iter().count(), 0);
    }

    #[test]
    fn bytes_come_into_their_places() {
        let text = "a\n\n\u{1}4\nb\n{}\n[1]\n\u{1}c\n\n\u{1}3\nd\n\n\u{1}1\ne\n\n\u{1}9\nf\n\n\u{1}x";
        let records = Records::with_raw(text.to_owned(), b"[1,\n\"x\"\xff]".to_vec());
        let expected = [
            record("a", "", Data::Bytes(b"[1,\n")),
            record("b", "{}", Data::Json("[1]")),
            record("\u{1}c", "", Data::Bytes(b"\"x\"")),
            record("d", "", Data::Bytes(b"\xff")),
            record("e", "", Data::Bytes(b"]")),
            record("f", "", Data::Bytes(b"")),
        ];
        assert_eq!(records.iter().collect::<Vec<_>>(), expected);
        assert_eq!(records.bytes(), text.len() + 9);
    }
}
