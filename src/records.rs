//! The text of a submission, taken out of V8 in one pass.

use std::cell::RefCell;
use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue};
use napi::{Result, ValueType, check_status, sys};

/// UTF-8 bytes that one UTF-16 unit can take at the most.
const BYTES_PER_UNIT: usize = 3;

/// How large a buffer a thread keeps between submissions, in bytes.
const MAX_BUFFER: usize = 1024 * 1024;

thread_local! {
    /// Memory to write into: large enough for the worst case, and used again.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A string of JavaScript as UTF-8.
///
/// The usual conversion goes through the text twice, first to measure it. With room for the worst case
/// V8 writes it at once, which for events of 10 KB was a sixth of the cost of publishing.
pub struct RecordText(pub(crate) String);

/// What a data line begins with whose data is among the raw bytes; their number follows. No JSON begins with it, and no text
/// that a caller gave, which is behind a space.
const ELSEWHERE: char = '\u{1}';

/// The records with the data that crossed as bytes in its place, behind a space: nobody knows yet whether it is JSON. Line feeds
/// in it become carriage returns. What is not UTF-8 becomes what is not JSON.
pub(crate) fn with_raw(text: &str, raw: &[u8]) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len() + raw.len()), raw);
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            out.push('\n');
        }
        // The third line of an event is its data; the others are the caller's.
        let Some(length) = line.strip_prefix(ELSEWHERE).filter(|_| n % 3 == 2) else {
            out.push_str(line);
            continue;
        };
        let (data, behind) = rest.split_at(length.parse().unwrap_or(0).min(rest.len()));
        rest = behind;
        out.push(' ');
        let begin = out.len();
        out.push_str(std::str::from_utf8(data).unwrap_or("not UTF-8"));
        if out[begin..].contains('\n') {
            let changed = out[begin..].replace('\n', "\r");
            out.truncate(begin);
            out.push_str(&changed);
        }
    }
    out
}

impl TypeName for RecordText {
    fn type_name() -> &'static str {
        "String"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

impl ValidateNapiValue for RecordText {}

impl FromNapiValue for RecordText {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut units = 0;
        // SAFETY: `env` and `value` are those of the call that is being converted; without a buffer only the
        // length is written.
        check_status!(unsafe {
            sys::napi_get_value_string_utf16(env, value, ptr::null_mut(), 0, &mut units)
        })?;
        BUFFER.with_borrow_mut(|buffer| {
            // One more for the NUL that Node-API appends.
            let room = units * BYTES_PER_UNIT + 1;
            if buffer.len() < room {
                buffer.resize(room, 0);
            }
            let mut written = 0;
            // SAFETY: as above; the buffer is initialised and has `room` bytes, which Node-API does not exceed.
            check_status!(unsafe {
                sys::napi_get_value_string_utf8(env, value, buffer.as_mut_ptr().cast(), room, &mut written)
            })?;
            let text = String::from_utf8_lossy(buffer.get(..written).unwrap_or_default()).into_owned();
            if buffer.len() > MAX_BUFFER {
                *buffer = Vec::new();
            }
            Ok(RecordText(text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_into_their_places() {
        let text = "a\n\n\u{1}4\nb\n{}\n[1]\nc\n\n\u{1}3\nd\n\n\u{1}1\ne\n\n\u{1}9";
        let raw = b"[1,\n\"x\"\xff";
        let expected = "a\n\n [1,\r\nb\n{}\n[1]\nc\n\n \"x\"\nd\n\n not UTF-8\ne\n\n ";
        assert_eq!(with_raw(text, raw), expected);
        for text in ["a\n\n1", "\u{1}1\n\u{1}1\n1"] {
            assert_eq!(with_raw(text, b"x"), text);
        }
    }
}
