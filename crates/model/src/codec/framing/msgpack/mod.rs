//! JSON as MessagePack, and back.
//!
//! The crate `rmp` knows the bytes; the files here walk. What nests deeper than `MAX_DEPTH` is refused both ways, so that no
//! message uses up the stack, ours or that of a peer.

mod reading;
#[cfg(test)]
mod tests;
mod writing;

pub(in crate::codec::framing) use reading::{Reader, Unreadable};
pub(in crate::codec::framing) use writing::{write_array, write_json, write_map, write_small, write_text};

/// The deepest nesting of objects and arrays in data and metadata.
pub(in crate::codec::framing) const MAX_DEPTH: usize = 100;

/// How deep objects and arrays nest in a JSON text.
pub(in crate::codec::framing) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut bytes) = (0_usize, 0, json.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => loop {
                match bytes.next() {
                    Some(b'\\') => drop(bytes.next()),
                    Some(b'"') | None => break,
                    Some(_) => {}
                }
            },
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
