//! From JSON to MessagePack, in one pass: an object says its length before its members, so its head is inserted when its end is
//! known.

use rmp::{Marker, encode};

use super::MAX_DEPTH;
use crate::codec::json::{Refused, Scanner};

/// Appends a JSON text that nests no deeper than [`MAX_DEPTH`]; nil for any other text.
pub(in crate::codec::framing) fn write_json(out: &mut Vec<u8>, json: &str) {
    let before = out.len();
    let mut scanner = Scanner::new(json);
    scanner.space();
    if put(out, &mut scanner, MAX_DEPTH).is_err() {
        out.truncate(before);
        out.push(Marker::Null.to_u8());
    }
}

/// Appends a text.
pub(in crate::codec::framing) fn write_text(out: &mut Vec<u8>, text: &str) {
    // Writing to a vector does not fail.
    let _ = encode::write_str(out, text);
}

/// Appends a whole number that fits in a byte.
pub(in crate::codec::framing) fn write_small(out: &mut Vec<u8>, number: u8) {
    let _ = encode::write_uint(out, number.into());
}

/// Appends the head of a map with so many members.
pub(in crate::codec::framing) fn write_map(out: &mut Vec<u8>, members: u32) {
    let _ = encode::write_map_len(out, members);
}

/// Appends the head of an array with so many items.
pub(in crate::codec::framing) fn write_array(out: &mut Vec<u8>, items: u32) {
    let _ = encode::write_array_len(out, items);
}

/// Appends the value that the scanner stands at.
fn put(out: &mut Vec<u8>, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), Refused> {
    scanner.space();
    match scanner.peek().ok_or(Refused)? {
        b'"' => write_text(out, &scanner.string()?.lossy()),
        b'{' => {
            let (start, depth) = (out.len(), depth.checked_sub(1).ok_or(Refused)?);
            let mut members = 0;
            scanner.object(|scanner, name| {
                members += 1;
                write_text(out, &name.lossy());
                put(out, scanner, depth)
            })?;
            insert_head(out, start, |head| write_map(head, members));
        }
        b'[' => {
            let (start, depth) = (out.len(), depth.checked_sub(1).ok_or(Refused)?);
            let mut items = 0;
            scanner.eat(b'[')?;
            scanner.space();
            let mut more = scanner.peek() != Some(b']');
            if !more {
                scanner.eat(b']')?;
            }
            while more {
                items += 1;
                put(out, scanner, depth)?;
                more = scanner.goes_on(b']')?;
            }
            insert_head(out, start, |head| write_array(head, items));
        }
        b't' => {
            scanner.word("true")?;
            out.push(Marker::True.to_u8());
        }
        b'f' => {
            scanner.word("false")?;
            out.push(Marker::False.to_u8());
        }
        b'n' => {
            scanner.word("null")?;
            out.push(Marker::Null.to_u8());
        }
        _ => put_number(out, scanner.number()?),
    }
    Ok(())
}

/// Writes the head of what begins at `start`.
fn insert_head(out: &mut Vec<u8>, start: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let mut head = Vec::with_capacity(5);
    write(&mut head);
    drop(out.splice(start..start, head));
}

/// Appends a number as V8 understands it.
fn put_number(out: &mut Vec<u8>, json: &str) {
    if let Ok(number) = json.parse::<i64>() {
        let _ = encode::write_sint(out, number);
    } else if let Ok(number) = json.parse::<u64>() {
        let _ = encode::write_uint(out, number);
    } else {
        let _ = encode::write_f64(out, json.parse().unwrap_or_default());
    }
}
