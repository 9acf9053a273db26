//! The first line of an element of a reply, for the parsers that read replies without making a tree of them.

use memchr::memchr;

/// The bytes are not those of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::redis) struct Malformed;

/// The start of an element.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::redis) enum Head<'a> {
    /// All of it: a simple string, a number, a truth.
    Line(&'a [u8]),
    Nil,
    Error(&'a [u8]),
    /// A string of so many bytes follows.
    Bulk(usize),
    BulkError(usize),
    /// So many elements follow.
    Items(u64),
    Push(u64),
    Attributes(u64),
}

/// Takes the first line of an element off the start of `rest`; `None` while it is not whole.
#[inline]
pub(in crate::redis) fn head<'a>(rest: &mut &'a [u8]) -> Result<Option<Head<'a>>, Malformed> {
    let Some((kind, line)) = rest.split_first() else { return Ok(None) };
    let mut behind = line;
    let head = match kind {
        b'$' | b'=' | b'!' | b'*' | b'~' | b'%' | b'>' | b'|' => match (kind, count(&mut behind)?) {
            (_, Count::Partial) => return Ok(None),
            (b'$' | b'*', Count::Nil) => Head::Nil,
            (_, Count::Nil) => return Err(Malformed),
            (b'$' | b'=', Count::Number(len)) => Head::Bulk(usize::try_from(len).map_err(|_| Malformed)?),
            (b'!', Count::Number(len)) => Head::BulkError(usize::try_from(len).map_err(|_| Malformed)?),
            (b'*' | b'~', Count::Number(count)) => Head::Items(count),
            (b'%', Count::Number(count)) => Head::Items(count.saturating_mul(2)),
            (b'>', Count::Number(count)) => Head::Push(count),
            (_, Count::Number(count)) => Head::Attributes(count.saturating_mul(2)),
        },
        b'_' | b'-' | b'+' | b':' | b',' | b'#' | b'(' => {
            let Some(end) = memchr(b'\n', line) else { return Ok(None) };
            let (line, rest) = line.split_at(end + 1);
            let line = line.strip_suffix(b"\r\n").ok_or(Malformed)?;
            behind = rest;
            match kind {
                b'_' => Head::Nil,
                b'-' => Head::Error(line),
                _ => Head::Line(line),
            }
        }
        _ => return Err(Malformed),
    };
    *rest = behind;
    Ok(Some(head))
}

/// The number in a line.
enum Count {
    /// The line is not whole.
    Partial,
    /// -1: there is nothing.
    Nil,
    Number(u64),
}

/// Takes a line that holds a number off the start of `rest`.
#[inline]
fn count(rest: &mut &[u8]) -> Result<Count, Malformed> {
    let (mut count, mut digits) = (0u64, *rest);
    loop {
        let is_first = digits.len() == rest.len();
        match digits {
            [digit @ b'0'..=b'9', more @ ..] => {
                let digit = u64::from(digit - b'0');
                count = count.checked_mul(10).and_then(|n| n.checked_add(digit)).ok_or(Malformed)?;
                digits = more;
            }
            [b'\r', b'\n', behind @ ..] if !is_first => {
                *rest = behind;
                return Ok(Count::Number(count));
            }
            [] => return Ok(Count::Partial),
            [b'\r'] if !is_first => return Ok(Count::Partial),
            [b'-'] | [b'-', b'1'] | [b'-', b'1', b'\r'] if is_first => return Ok(Count::Partial),
            [b'-', b'1', b'\r', b'\n', behind @ ..] if is_first => {
                *rest = behind;
                return Ok(Count::Nil);
            }
            _ => return Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        for (text, expected) in [
            ("$12\r\n", Head::Bulk(12)),
            ("=0\r\n", Head::Bulk(0)),
            ("$-1\r\n", Head::Nil),
            ("*-1\r\n", Head::Nil),
            ("_\r\n", Head::Nil),
            ("!3\r\n", Head::BulkError(3)),
            ("-ERR no\r\n", Head::Error(b"ERR no")),
            (":-7\r\n", Head::Line(b"-7")),
            ("*2\r\n", Head::Items(2)),
            ("%2\r\n", Head::Items(4)),
            (">3\r\n", Head::Push(3)),
            ("|1\r\n", Head::Attributes(2)),
        ] {
            let whole = format!("{text}behind");
            let mut rest = whole.as_bytes();
            assert_eq!(head(&mut rest), Ok(Some(expected)), "{text}");
            assert_eq!(rest, b"behind");
            for cut in 0..text.len() {
                let mut rest = &text.as_bytes()[..cut];
                assert_eq!(head(&mut rest), Ok(None), "{text} cut at {cut}");
            }
        }
        for text in
            ["$\r\n", "$x\r\n", "$1\n", "$--1\r\n", "~-1\r\n", "$99999999999999999999\r\n", "?1\r\n", "+a\n"]
        {
            assert_eq!(head(&mut text.as_bytes()), Err(Malformed), "{text}");
        }
    }
}
