//! What a string with escapes says.

/// Appends the UTF-16 units that the inside of a JSON string stands for, halves of surrogate pairs included, as V8 reads them. The
/// string was scanned: its escapes are complete.
pub(super) fn unescape(inside: &str, out: &mut Vec<u16>) {
    let mut rest = inside;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend(plain.encode_utf16());
        let Some(kind) = escape.chars().next() else { return };
        let (unit, length) = match kind {
            'u' => (escape.get(1..5).and_then(|digits| u16::from_str_radix(digits, 16).ok()), 5),
            'b' => (Some(8), 1),
            'f' => (Some(12), 1),
            'n' => (Some(10), 1),
            'r' => (Some(13), 1),
            't' => (Some(9), 1),
            // A quote, a backslash or a slash.
            other => (u16::try_from(u32::from(other)).ok(), other.len_utf8()),
        };
        out.extend(unit);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.extend(rest.encode_utf16());
}
