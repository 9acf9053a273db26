//! Replies of `XREADGROUP`, borrowed from the read buffer: no tree of them is ever made.
//!
//! Such a reply may hold thousands of entries and arrive in many reads. [`Progress`] looks at each byte
//! once to find where it ends; [`visit`] then hands out its entries.

#[cfg(test)]
mod tests;

use oxbus_model::stream_store::EntryId;
use oxbus_model::{BusError, ErrorKind};

use crate::redis::resp::head::{Head, head};

/// How many elements a reply may announce: far more than fit into memory.
const MAX_ELEMENTS: u64 = 1 << 40;

/// How much of a reply is there.
#[derive(Debug, Default)]
pub(in crate::redis) struct Progress {
    /// Elements that are still to come; 0: nothing was looked at yet.
    open: u64,
    /// Where the next of them begins.
    at: usize,
}

impl Progress {
    /// The length of the reply at the start of `buffer`, when it is whole. Until then the next call must
    /// bring the same bytes and more.
    pub(in crate::redis) fn find_end(&mut self, buffer: &[u8]) -> Result<Option<usize>, BusError> {
        if self.open == 0 {
            *self = Progress { open: 1, at: 0 };
        }
        while self.open > 0 {
            let mut rest = buffer.get(self.at..).unwrap_or_default();
            let whole = rest.len();
            let Some(head) = head(&mut rest).map_err(|_| malformed())? else { return Ok(None) };
            let more = match head {
                Head::Line(_) | Head::Nil | Head::Error(_) => 0,
                Head::Bulk(len) | Head::BulkError(len) => {
                    // The bytes, and a line end behind them.
                    let Some(behind) = len.checked_add(2).and_then(|len| rest.get(len..)) else {
                        return Ok(None);
                    };
                    rest = behind;
                    0
                }
                Head::Items(count) | Head::Push(count) => count,
                // Attributes come before the element that they are about, which is one more.
                Head::Attributes(count) => count.saturating_add(1),
            };
            self.at += whole - rest.len();
            self.open = (self.open - 1).saturating_add(more);
            if self.open > MAX_ELEMENTS {
                return Err(malformed());
            }
        }
        Ok(Some(std::mem::take(self).at))
    }
}

fn malformed() -> BusError {
    BusError::new(ErrorKind::ConnectionLost, "the server's reply to a read is malformed")
}

/// The reply to a read.
#[derive(Debug, PartialEq)]
pub(in crate::redis) enum ReadReply<'a> {
    /// Entries, which were handed out.
    Entries,
    /// None in time.
    Nothing,
    /// An error.
    Refused(&'a str),
}

/// The names and values of the fields of an entry.
pub(in crate::redis) struct Fields<'a> {
    rest: &'a [u8],
    /// Names and values that are left.
    left: u64,
    is_malformed: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(2)?;
        match text(&mut self.rest).and_then(|name| Ok((name, text(&mut self.rest)?))) {
            Ok(field) => Some(field),
            Err(_) => {
                (self.left, self.is_malformed) = (0, true);
                None
            }
        }
    }
}

/// Hands out the entries of a whole reply, with the names of their streams.
pub(in crate::redis) fn visit<'a>(
    mut reply: &'a [u8],
    mut entry: impl FnMut(&'a [u8], EntryId, &mut Fields<'a>),
) -> Result<ReadReply<'a>, BusError> {
    let rest = &mut reply;
    let (is_map, mut streams) = match (rest.first(), next(rest)?) {
        (_, Head::Nil) => return Ok(ReadReply::Nothing),
        (_, Head::Error(error)) => return Ok(ReadReply::Refused(words(error))),
        (_, Head::BulkError(len)) => {
            return Ok(ReadReply::Refused(words(rest.get(..len).unwrap_or_default())));
        }
        (Some(b'%'), Head::Items(parts)) => (true, parts / 2),
        (_, Head::Items(parts)) => (false, parts),
        _ => return Err(malformed()),
    };
    while streams > 0 {
        streams -= 1;
        if !is_map {
            pair(rest)?;
        }
        let stream = text(rest)?;
        let Head::Items(mut entries) = next(rest)? else { return Err(malformed()) };
        while entries > 0 {
            entries -= 1;
            pair(rest)?;
            let id = EntryId::from_bytes(text(rest)?).ok_or_else(malformed)?;
            let left = match next(rest)? {
                Head::Items(parts) => parts,
                // An entry that was deleted meanwhile.
                Head::Nil => 0,
                _ => return Err(malformed()),
            };
            let mut fields = Fields { rest, left, is_malformed: left % 2 == 1 };
            entry(stream, id, &mut fields);
            // The visitor may have left fields unread.
            fields.by_ref().for_each(drop);
            if fields.is_malformed {
                return Err(malformed());
            }
            *rest = fields.rest;
        }
    }
    Ok(ReadReply::Entries)
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Head<'a>, BusError> {
    head(rest).ok().flatten().ok_or_else(malformed)
}

fn pair(rest: &mut &[u8]) -> Result<(), BusError> {
    match next(rest)? {
        Head::Items(2) => Ok(()),
        _ => Err(malformed()),
    }
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], BusError> {
    match next(rest)? {
        Head::Bulk(len) => {
            let (text, behind) = rest.split_at_checked(len).ok_or_else(malformed)?;
            *rest = behind.strip_prefix(b"\r\n").ok_or_else(malformed)?;
            Ok(text)
        }
        Head::Line(line) => Ok(line),
        _ => Err(malformed()),
    }
}

fn words(error: &[u8]) -> &str {
    std::str::from_utf8(error).unwrap_or("ERR an error that is not text")
}
